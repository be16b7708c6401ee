"""Protocols of oversight as supervisors: a question with two answers in, the probability that the first is right out.

They keep the contract of classifiers (`penchant.weak.contract`), so whatever learns from a weak supervisor can learn
from one of these: examples are prompts with two options, and the passages that only advisors read travel beside them.

Debate: Irving et al. 2018 (arXiv:1805.00899) and Khan et al. 2024 (arXiv:2402.06782); consultancy: Michael et al. 2023
(arXiv:2311.08702); bootstrapping: Burns et al. 2023 (arXiv:2312.09390).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.errors import InputError
from penchant.judges import VerdictStore
from penchant.rounds.oversight.advisors import Advisor
from penchant.rounds.oversight.calibration import Shares
from penchant.rounds.oversight.chain import Chain
from penchant.rounds.oversight.presentation import Presenter, averaged, fitted
from penchant.rounds.oversight.questions import PassageQuestion, as_questions
from penchant.rounds.oversight.readers import Reader, Readings, make_reader
from penchant.rounds.oversight.settings import (
    ClassifierReader,
    Consultancy,
    Ensemble,
    JudgeReader,
    ProtocolSpec,
    ReaderSpec,
    Recursive,
)
from penchant.rounds.oversight.transcripts import Counts
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
    read_kind,
    read_learned,
    refuse_unlabeled,
    write_kind,
)

BAGGING = 41
"""Purpose of the random numbers that draw questions with replacement."""
FEWEST = 10
"""Labelled questions of a member of an ensemble, at least."""
Truth = NDArray[np.int64]


@dataclass(frozen=True)
class Oversight:
    """All that makes a supervisor of a protocol.

    Attributes:
        protocol: what the reader is shown. reader: who reads. advisor: who argues, where somebody does.
        passages: what advisors and informed readers read, by the mark of a question (`questions.passages_of`).
        store: where statements and verdicts are kept by their content; nothing is kept without one.
        seed: of coins, draws and readers. readings: what readers of other seeds have read already.
    """

    protocol: ProtocolSpec
    reader: ReaderSpec
    advisor: Advisor | None = None
    passages: Mapping[str, str] | None = None
    store: VerdictStore | None = None
    seed: int = 0
    readings: Readings | None = None

    def supervisor(self) -> OversightSupervisor:
        """Return the supervisor, not fitted yet."""
        return OversightSupervisor(self)


class OversightSupervisor:
    """A protocol with its reader, under the contract of classifiers.

    Attributes:
        counts: what was read, said and cut so far.
    """

    def __init__(self, made_of: Oversight) -> None:
        self.made_of = made_of
        self.names: tuple[str, ...] | None = ("first", "second")
        self.learned_marks: frozenset[str] = frozenset()
        # one for all readers: what they are shown is the same, and is counted together
        self.presenter = Presenter(made_of.protocol, made_of.advisor, made_of.store, made_of.seed)
        self.readers: list[Reader] = []
        self.chain: Chain | None = None

    @property
    def counts(self) -> Counts:
        """What was read, said and cut so far."""
        # readers know which answers they could not read, and the presenter what it showed
        counts = self.presenter.counts
        counts.unreadable = sum(reader.unreadable for reader in self.readers)
        return counts

    @property
    def billed(self) -> int:
        """The tokens that endpoints counted, of advisors and readers."""
        return self.counts.billed + sum(reader.billed for reader in self.readers)

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """Fit the reader, as `Classifier.fit` says, to questions that are shown as the protocol shows them.

        A judge learns nothing, and may be fitted to no example at all.

        Args:
            unlabeled: of a recursive protocol, the questions that its chain labels; all others refuse them.
        """
        protocol = self.made_of.protocol
        if not isinstance(protocol, Recursive):
            refuse_unlabeled(unlabeled, protocol.label)
        # a judge needs no labelled question, and then none is asked for
        questions, truth = self._labelled(examples, targets, weights) if len(examples) else ([], np.zeros(0, np.int64))
        self.readers = [self._fitted(settings, questions, truth, draw) for settings, draw in self._members()]
        self.learned_marks = frozenset(marks_of(examples))
        # what it takes to make a supervisor is no cost of a label
        self.presenter.counts = Counts()
        if isinstance(protocol, Recursive):
            if not unlabeled:
                raise InputError("a chain of students labels questions: give fit some as `unlabeled`")
            first = self._read(as_questions(unlabeled, self.made_of.passages or {}))
            self.chain = Chain.fit(protocol.chain, unlabeled, first, seed=self.made_of.seed)
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Return the probabilities of both answers, shape (examples, 2); see `Classifier.predict_proba`.

        Raises:
            InputError: before `fit`, examples that are no questions with two answers, or no passage where one is read.
            RunError: calls of an endpoint failed; what came is in the store.
        """
        if not self.readers:
            raise InputError(FITTED_FIRST)
        questions = as_questions(examples, self.made_of.passages or {})
        if not questions:
            return np.zeros((0, 2))
        first = self._read(questions) if self.chain is None else self.chain.shares(examples)
        return np.stack([first, 1 - first], 1)

    def by_side(self, examples: Sequence[Example]) -> Shares:
        """Return what a consultancy says where the advisor holds the first answer, and where it holds the second.

        Its accuracy is the mean over right and wrong advisors, whichever a coin would have sent.

        Returns:
            Probabilities of the first answer, shape (examples, 2).
        """
        questions = as_questions(examples, self.made_of.passages or {})
        (reader,) = self.readers
        return np.stack(
            [
                averaged(self.presenter.views(questions, reader, [side] * len(questions)), reader)
                for side in range(2 if isinstance(self.made_of.protocol, Consultancy) else 0)
            ],
            1,
        )

    def save(self, folder: str | Path) -> None:
        """Write the protocol, its settings and what its readers learned, for `load`.

        Raises:
            InputError: before `fit`.
        """
        if not self.readers:
            raise InputError(FITTED_FIRST)
        target, made_of = Path(folder), self.made_of
        content: dict[str, object] = {
            "protocol": made_of.protocol.model_dump(mode="json"),
            "reader": made_of.reader.model_dump(mode="json"),
            "readers": [reader.save(target / f"reader-{number}") for number, reader in enumerate(self.readers)],
            "half_of": None if self.chain is None else self.chain.save(target),
            "seed": made_of.seed,
        }
        write_kind(target, "oversight", content, self.learned_marks)

    @classmethod
    def load(cls, folder: str | Path, made_of: Oversight) -> Self:
        """Load what `save` wrote.

        Args:
            made_of: the same protocol and reader, with the advisor, passages and store that are to be used.

        Raises:
            InputError: it was saved of another protocol or reader.
            DamagedFile: a file is damaged or missing.
        """
        path = Path(folder)
        content = read_kind(path)
        if content["kind"] != "oversight":
            raise InputError(f"{folder} holds a classifier of the kind {content['kind']!r}, and no protocol")
        for name, settings in (("protocol", made_of.protocol), ("reader", made_of.reader)):
            if content[name] != settings.model_dump(mode="json"):
                raise InputError(f"{folder} was saved with another {name} ({content[name]['name']}) than is given")
        loaded = cls(made_of)
        for number, ((settings, _), numbers) in enumerate(zip(loaded._members(), content["readers"], strict=True)):
            reader = make_reader(settings, store=made_of.store, seed=made_of.seed)
            reader.restore(path / f"reader-{number}", numbers)
            loaded.readers.append(reader)
        if content["half_of"] is not None:
            loaded.chain = Chain.load(path, content["half_of"])
        loaded.learned_marks = read_learned(path)
        return loaded

    def _labelled(
        self, examples: Sequence[Example], targets: ArrayLike, weights: ArrayLike | None
    ) -> tuple[list[PassageQuestion], Truth]:
        weighted = drop_weightless(examples, as_probabilities(targets, len(examples), 2), weights)
        questions = as_questions(weighted.examples, self.made_of.passages or {})
        return questions, np.asarray(weighted.targets.argmax(1), dtype=np.int64)

    def _members(self) -> list[tuple[ReaderSpec, int | None]]:
        """Return the settings of each reader, with the number of its draw; None where it learns from all questions."""
        protocol, reader = self.made_of.protocol, self.made_of.reader
        if not isinstance(protocol, Ensemble):
            return [(reader, None)]
        other_members = [
            ClassifierReader(classifier=member, rows=max(reader.rows, FEWEST), tokens=reader.tokens)
            for member in protocol.members
        ]
        draws = [None] if protocol.draws == 1 else list(range(protocol.draws))
        # copies of a judge learn nothing and say the same: it is asked once, and counts as all of them
        return [
            (settings, draw)
            for settings in (reader, *other_members)
            for draw in ([None] if isinstance(settings, JudgeReader) else draws)
        ]

    def _fitted(self, settings: ReaderSpec, questions: list[PassageQuestion], truth: Truth, draw: int | None) -> Reader:
        # the draw is the reader's seed too: prompted models with examples in their prompt show others in each
        seed = self.made_of.seed if draw is None else self.made_of.seed * 1_000 + draw
        reader = make_reader(settings, store=self.made_of.store, seed=seed, readings=self.made_of.readings)
        if draw is not None and questions:
            drawn_rows = np.random.default_rng([self.made_of.seed, draw, BAGGING]).integers(0, len(truth), len(truth))
            questions, truth = [questions[row] for row in drawn_rows.tolist()], truth[drawn_rows]
        return fitted(reader, self.presenter.views(questions, reader), truth)

    def _read(self, questions: Sequence[PassageQuestion]) -> Shares:
        self.presenter.counts.questions += len(questions)
        # each reader has its own room, so the views are made for each
        read = [averaged(self.presenter.views(questions, reader), reader) for reader in self.readers]
        if len(read) == 1:
            return read[0]
        protocol = self.made_of.protocol
        copies = protocol.draws if isinstance(protocol, Ensemble) else 1
        weights = [copies if isinstance(settings, JudgeReader) else 1 for settings, _ in self._members()]
        return np.asarray(np.average(read, 0, weights=weights), dtype=np.float64)
