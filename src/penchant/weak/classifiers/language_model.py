"""A language model as a classifier: fine-tuned, by adapters, or prompted with its weights as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import nn

from penchant.digests import write_sums
from penchant.errors import InputError
from penchant.files import make_folder
from penchant.losses.weak import surest_labels
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.types import PromptGroup, prompt_text
from penchant.weak.classifiers.algorithm_steps import AlgorithmSteps, LearnedRows
from penchant.weak.classifiers.fine_tune import Look, Watch, all_logits, fine_tune, mean_logps
from penchant.weak.classifiers.reading import HeadReading, Reading
from penchant.weak.classifiers.responses import RewardReading, Shot, WordsReading
from penchant.weak.classifiers.text_network import weights_in_place
from penchant.weak.classifiers.vectors import Vector
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    from_anywhere,
    marks_of,
    read_kind,
    read_learned,
    refuse_bare_example,
    refuse_images,
    refuse_one_class,
    refuse_unlabeled,
    width_of,
    write_kind,
)
from penchant.weak.semi_supervised.arms import TWIN_SEED
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import ConfidentLearning, DivideMix, SelfTraining
from penchant.weak.settings import LanguageModel, Training, Words

HEAD, TWIN = "head.safetensors", "twin"


class LanguageModelClassifier:
    """A language model as a classifier: by a head on its last state, or by label words.

    Prompts with options of their own are answered by a reward, or by the options' logps. See
    `penchant.weak.settings.LanguageModel`.

    Args:
        names: of the classes, which label words default to.
        loss: on the targets. seed: fixes the order of examples, adapters' start, and which are shown as shots.
        watch: looks at the training, see `penchant.weak.classifiers.fine_tune.fine_tune`; what it saw is in `looks`.
        folder: where the training keeps its checkpoints, and resumes from them; the caller removes it.
        vectors: what says attributes of rows, for the algorithm `label_vectors`.

    Attributes:
        report: what the algorithm made of unlabelled rows; None where it uses none.
        twin: weights of a second network, which predicts with the first, by the names of the first's; empty without.
    """

    def __init__(
        self,
        settings: LanguageModel,
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
        seed: int = 0,
        watch: Watch | None = None,
        folder: Path | None = None,
        vectors: Sequence[Vector] = (),
    ) -> None:
        self.settings, self.loss, self.seed = settings, loss or CrossEntropy(), seed
        self.vectors, self.twin = tuple(vectors), dict[str, nn.Parameter]()
        self.watch, self.folder, self.looks = watch, folder, list[Look]()
        self.names = tuple(names) if names else None
        self.reading: Reading | None = None
        self.shots: list[Shot] = []
        self.report: UnlabeledReport | None = None
        self.learned_marks: frozenset[str] = frozenset()

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
        """Fit as `Classifier.fit` says; the model is loaded here, and fine-tuned unless it is only prompted."""
        settings, training, options = self.settings, self.settings.training, width_of(examples)
        # of options there are as many columns as the longest list has
        refuse_images(examples, "a language model")
        if not settings.learns_from_unlabeled:
            refuse_unlabeled(unlabeled, "a language model")
        elif options:
            raise InputError(f"{settings.algorithm.name} reads single texts, and these are prompts with options")
        soft = as_probabilities(targets, len(examples), classes or options or None)
        weighted = drop_weightless(examples, soft, weights)
        examples, soft, classes = weighted.examples, weighted.targets, soft.shape[1]
        if training is not None and not options:  # of options the first may always be the right one
            refuse_one_class(soft)
        checked_validation = None
        if validation is not None:
            texts, labels = validation
            checked_validation = texts, torch.as_tensor(as_probabilities(labels, len(texts), classes))
        if settings.stops_early and checked_validation is None:
            raise InputError("early stopping looks at validation labels: give fit a validation, or switch it off")
        # where only some labels are kept the others' rows have lost theirs, and those that kept it have two views too
        without_label = [*(examples if settings.confident_share else ()), *(unlabeled or ())]
        learned_rows = self._learned_rows(examples, soft, None if weights is None else weighted.weights, without_label)
        torch.manual_seed(self.seed)  # the adapters' start
        shots = self._draw_shots(soft) if isinstance(settings.reading, Words) else []
        self.shots = [self._shot(examples[index], label, classes) for index, label in shots]
        # loaded anew at each `fit`, so that a second one does not go on from the first
        attributes = [vector.shape[1] for vector in learned_rows.vectors]
        self.twin, self.reading = {}, self._read(classes, options=bool(options), attributes=attributes)
        if training is not None:
            count, algorithm = len(learned_rows.targets), self._algorithm_steps(learned_rows, training)
            self.looks = fine_tune(
                self.reading,
                learned_rows.examples[:count],
                learned_rows.targets,
                self.loss,
                training,
                seed=self.seed,
                weights=learned_rows.weights,
                validation=checked_validation if settings.stops_early or self.watch else None,
                watch=self.watch,
                folder=self.folder,
                model=settings.network,
                algorithm=algorithm,
            )
            # made of the last steps, so there after training alone
            self.report = algorithm.report if algorithm else None
        # a prompted model has seen the shots, and nothing else
        used_examples = learned_rows.examples if training is not None else [examples[index] for index, _ in shots]
        self.learned_marks = frozenset(marks_of(used_examples))
        return self

    def _learned_rows(
        self,
        examples: Sequence[Example],
        soft: Probabilities,
        weights: Probabilities | None,
        without_label: Sequence[Example],
    ) -> LearnedRows:
        """Return the rows to learn from: the surest labels where only these are kept, and rows without labels."""
        targets = torch.as_tensor(soft)
        share = self.settings.confident_share
        is_kept = torch.ones(len(targets), dtype=torch.bool) if share is None else surest_labels(targets, share)
        rows = [*(examples[row] for row in is_kept.nonzero().squeeze(1).tolist()), *without_label]
        kept_weights = None if weights is None else torch.as_tensor(weights)[is_kept]
        # once for all rows: a classifier that says an attribute does not change while its student learns
        vectors = tuple(torch.as_tensor(vector.predict_proba(rows)) for vector in self.vectors)
        return LearnedRows(rows, targets[is_kept], kept_weights, self.loss, vectors)

    def _algorithm_steps(self, learned_rows: LearnedRows, training: Training) -> AlgorithmSteps | None:
        """Return what takes the losses of steps; None where plain fine-tuning does."""
        settings = self.settings
        algorithm = settings.algorithm
        # the control sees labelled rows in the weak view too, where there is one
        if not settings.learns_from_unlabeled and not (settings.views.weak and isinstance(self.reading, HeadReading)):
            return None
        if isinstance(algorithm, SelfTraining | ConfidentLearning):
            raise InputError(f"{algorithm.name} trains several networks: make the classifier by `make_classifier`")
        # settings with label words have no such algorithm
        assert isinstance(self.reading, HeadReading)
        if isinstance(algorithm, DivideMix):
            self.twin = self._start_twin(self.reading)
        return AlgorithmSteps(
            algorithm,
            self.reading,
            learned_rows,
            settings.views,
            seed=self.seed,
            batch_size=training.batch_size,
            twin=[*self.twin.values()],
        )

    def _start_twin(self, first: HeadReading) -> dict[str, nn.Parameter]:
        """Return the weights that a second network starts from: adapters of another seed, or the model's own."""
        start: Reading = first
        if self.settings.lora is not None:
            # random numbers go back: the first network's are those of plain fine-tuning
            with torch.random.fork_rng():
                torch.manual_seed(self.seed + TWIN_SEED)
                start = self._read(first.width, options=False)
        return {
            name: nn.Parameter(weight.detach().clone())
            for name, weight in _weights_by_name(start).items()
            if weight.requires_grad
        }

    def _shot(self, example: Example, label: int, classes: int) -> Shot:
        """Return an example as it is shown in the prompt: its text, and the word or the option that answers it."""
        if isinstance(example, PromptGroup):
            return prompt_text(example.prompt), example.responses[label].text
        return str(example), self._words(classes)[label]

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says.

        Raises:
            InputError: it was not fitted, or the model gives numbers that are not finite.
        """
        if self.reading is None:
            raise InputError(FITTED_FIRST)
        refuse_bare_example(examples)
        refuse_images(examples, "a language model")
        if not examples:
            return np.zeros((0, self.reading.width))
        rows = self.reading.encode(examples)
        logits = all_logits(self.reading, rows)
        if self.twin:
            # the mean of both, as the paper tests
            with self._twin_in_place():
                logits = mean_logps(logits, all_logits(self.reading, rows))
        if not (logits < torch.inf).all() or not torch.isfinite(logits).any(-1).all():  # -inf: no such option
            raise InputError(f"{self.settings.model} gives numbers that are not finite: its weights are damaged")
        return logits.double().softmax(-1).numpy()

    def save(self, folder: str | Path) -> None:
        """Write model (or adapters), head and settings, for `load_classifier`."""
        if self.reading is None:
            raise InputError(FITTED_FIRST)
        # a relative path would hold in one folder only
        settings = self.settings.model_copy(update={"model": from_anywhere(self.settings.model)})
        target = Path(folder)
        if self.settings.training is not None:
            self._save_model(target / "model")
        # label words have no weights of their own: only heads are written
        parts = {}
        if isinstance(self.reading, HeadReading | RewardReading):
            parts[HEAD] = save_tensors(self.reading.linear.state_dict())
        if self.twin:
            # as a model of its own, which any program opens
            with self._twin_in_place():
                self._save_model(target / TWIN)
                assert isinstance(self.reading, HeadReading)
                parts[f"{TWIN}-{HEAD}"] = save_tensors(self.reading.linear.state_dict())
        content = {
            "settings": settings.model_dump(mode="json"),
            "names": self.names,
            "classes": self.reading.width,
            "options": self._of_options(),
            "shots": self.shots,
        }
        write_kind(target, "lm", content, self.learned_marks, parts)

    def _save_model(self, folder: Path) -> None:
        assert self.reading is not None
        make_folder(folder)
        self.reading.policy.save(folder)
        write_sums(folder)

    @contextmanager
    def _twin_in_place(self) -> Iterator[None]:
        """Give the model the second network's weights inside the block."""
        assert self.reading is not None
        with weights_in_place([*_weights_by_name(self.reading, self.twin).values()], [*self.twin.values()]):
            yield

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto", trust_remote_code: bool = False) -> Self:
        """Load what `save` wrote.

        Python code that comes with the model is run only where the caller says so: the folder's own word does not
        count.
        """
        path = Path(folder)
        content = read_kind(path)
        settings = LanguageModel(**content["settings"])
        # a prompted model was not written: it is loaded from where it came
        name = str(path / "model") if settings.training is not None else settings.model
        classifier = cls(settings, names=content["names"])
        classifier.shots = [(text, word) for text, word in content["shots"]]
        classifier.learned_marks = read_learned(path)
        # what was written holds the adapters already: new ones on top would start from nothing
        changes = {"name": name, "lora": None, "device": device, "trust_remote_code": trust_remote_code}
        network = settings.network.model_copy(update=changes)
        # the head is made as for training and then filled, so that its shape is checked
        classifier.reading = classifier._read(content["classes"], options=content["options"], network=network)
        if isinstance(classifier.reading, HeadReading | RewardReading):
            classifier.reading.linear.load_state_dict(load_file(path / HEAD))
        if (path / TWIN).is_dir():
            # read as the first is, and kept as its weights alone; adapters are part of these by now
            second = classifier._read(
                content["classes"], options=False, network=network.model_copy(update={"name": str(path / TWIN)})
            )
            assert isinstance(second, HeadReading)
            second.linear.load_state_dict(load_file(path / f"{TWIN}-{HEAD}"))
            classifier.twin = {name: nn.Parameter(weight.detach()) for name, weight in _weights_by_name(second).items()}
        classifier.reading.policy.model.eval()
        return classifier

    def _read(
        self, classes: int, *, options: bool, network: ModelConfig | None = None, attributes: Sequence[int] = ()
    ) -> Reading:
        settings = self.settings
        # no chat template: classes are read off plain texts, as they were learned
        policy = load_policy(network or settings.network, template="plain", overflow="truncate_prompt")
        if isinstance(settings.reading, Words):
            # a row's own options are the responses, and label words have no place
            words = None if options else self._words(classes)
            prompt, longest = settings.reading.prompt, settings.longest
            return WordsReading(policy, words, width=classes, prompt=prompt, longest=longest, shots=self.shots)
        if not options:
            init = settings.reading.init
            return HeadReading(policy, classes, longest=settings.longest, init=init, attributes=attributes)
        # classes have the tokens 0, 1, ...; options stand for nothing that a token could name
        if settings.reading.init != "zero":
            raise InputError("options of a row's own have no tokens 0, 1, ... to start a head from: use init=zero")
        return RewardReading(policy, classes, longest=settings.longest)

    def _of_options(self) -> bool:
        """Return whether it learned from rows with options of their own."""
        return isinstance(self.reading, RewardReading) or (
            isinstance(self.reading, WordsReading) and self.reading.words is None
        )

    def _words(self, classes: int) -> tuple[str, ...]:
        """Return a word for each class."""
        assert isinstance(self.settings.reading, Words)
        words = self.settings.reading.words or self.names or tuple(str(label) for label in range(classes))
        # zip would drop the words that are too many
        if len(words) != classes:
            raise InputError(f"there are {len(words)} label words ({', '.join(words)}) for {classes} classes")
        return tuple(words)

    def _draw_shots(self, soft: Probabilities) -> list[tuple[int, int]]:
        """Draw the examples to show, by position, with their labels: classes in turn.

        Where a class has too few, fewer are shown.
        """
        labels, count = soft.argmax(-1), self.settings.shot_count
        # classes in turn, so that a few shots show each of them
        order = np.random.default_rng(self.seed).permutation(len(labels))
        by_class = [[int(index) for index in order if labels[index] == label] for label in range(soft.shape[1])]
        turns = [rows[turn] for turn in range(count) for rows in by_class if turn < len(rows)]
        return [(index, int(labels[index])) for index in turns[:count]]


def _weights_by_name(reading: Reading, names: Iterable[str] | None = None) -> dict[str, torch.Tensor]:
    """Return the weights of a network and its head by their names, or those of some names in their order.

    Raises:
        InputError: there is none of such a name.
    """
    head = {f"head {number}": weight for number, weight in enumerate(reading.head)}
    weights = dict(reading.policy.model.named_parameters()) | head
    if unknown := set(names or ()) - weights.keys():
        raise InputError(f"the second network has weights that the first has not: {sorted(unknown)[:3]}")
    return weights if names is None else {name: weights[name] for name in names}
