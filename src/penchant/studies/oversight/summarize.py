"""Summarize the protocols and students of a study of oversight. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.pgr import pgr
from penchant.metrics.two_way import two_way_mean
from penchant.rounds.oversight.settings import ProtocolSpec
from penchant.studies.core.records import read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.oversight.grid import CEILING, OversightGrid
from penchant.studies.oversight.rows import QuestionSet, read_questions
from penchant.studies.oversight.settings import OversightConfig
from penchant.studies.oversight.stage_settings import OWN_ANSWERS, SIDES, TEST
from penchant.studies.oversight.summary import LabelCost, OversightSummary, ProtocolResult
from penchant.tasks.spec import normalized
from penchant.typed_json import JsonObject, from_json

Right = NDArray[np.float64]
"""How right answers are, from 0 to 1, shape (seeds, tests)."""


def summarize_oversight(
    config: OversightConfig, grid: OversightGrid, study: Path, reasons: Mapping[str, str]
) -> OversightSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages, facts = grid.stages(), _facts(grid.rows, study)
    results = _Results(grid, study, len(config.seeds)) if facts else None
    labelled = max(0, int(facts.get("train", 0)) - config.reader.rows)
    return OversightSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        source=Path(str(facts.get("source", config.data))).name,
        reader=config.reader.label,
        advisor=config.advisor.label,
        student="" if config.student is None else config.student.label,
        train=int(facts.get("train", 0)),
        test=int(facts.get("test", 0)),
        labelled=labelled,
        dropped=facts.get("dropped", {}),
        # the advisor answers once: no seed can differ
        own_accuracy=None if results is None or results.own_right is None else results.accuracy(results.own_right[:1]),
        ceiling=None if results is None else results.accuracy(results.ceiling),
        protocols=() if results is None else tuple(results.protocols(config.all_protocols)),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=facts.get("provenance", {}),
    )


def _facts(stage: Stage, study: Path) -> JsonObject:
    return read_object(study / stage.path / "stage.json")


class _Results:
    """Reads what the stages left; what is missing is None."""

    def __init__(self, grid: OversightGrid, study: Path, seeds: int) -> None:
        self.grid, self.study, self.seeds = grid, study, seeds
        _, self.test = read_questions(study / grid.rows.path)
        # questions on one passage are right or wrong together, so that intervals draw them together
        self.groups = [normalized(question.passage) or question.question for question in self.test.questions]
        # of the tests alone: nobody learns from what the advisor answers
        shares = self._shares(grid.own_answers, OWN_ANSWERS)
        # the advisor answers once: the same for every seed
        self.own_right = None if shares is None else np.tile(self.test.correctness(shares), (seeds, 1))
        self.ceiling = self._student(CEILING)
        self.blind = ""

    def mean(self, values: Right, *, share: bool = False) -> Estimate:
        """Return a mean over seeds and tests, with its interval."""
        return two_way_mean(values, share=share, groups=self.groups)

    def accuracy(self, right: Right | None) -> Estimate | None:
        """Return the mean of how right answers are; None where there are none."""
        return None if right is None else self.mean(right, share=True)

    def protocols(self, protocols: tuple[ProtocolSpec, ...]) -> list[ProtocolResult]:
        """Return the protocols that were measured, in their order."""
        self.blind = protocols[0].label
        # first among them, as the settings put it there
        blind = self._right(protocols[0])
        measured = [(protocol, right) for protocol in protocols if (right := self._right(protocol)) is not None]
        results = [self._protocol(protocol, right, blind) for protocol, right in measured]
        # on the same questions and seeds: two intervals that overlap say less than their difference does
        against = {
            debate.label: {
                other.label: self.mean(right - other_right)
                for other, other_right in measured
                if other.name in ("consultancy", "informed")
            }
            for debate, right in measured
            if debate.name == "debate"
        }
        return [replace(result, against=against.get(result.label) or None) for result in results]

    def _protocol(self, protocol: ProtocolSpec, right: Right, blind: Right | None) -> ProtocolResult:
        facts = _facts(self.grid.labels[protocol.label], self.study)
        sides = self._by_advisor(protocol)
        is_blind = protocol.name == "blind"
        student, of_blind = self._student(protocol.label), self._student(self.blind)
        return ProtocolResult(
            name=protocol.name,
            label=protocol.label,
            accuracy=self.mean(right, share=True),
            right_advisor=None if sides is None else self.mean(sides[0], share=True),
            wrong_advisor=None if sides is None else self.mean(sides[1], share=True),
            gain=None if is_blind or blind is None else self.mean(right - blind),
            recovered=None
            if is_blind or blind is None or self.own_right is None
            else pgr(blind, right, self.own_right, groups=self.groups),
            label_accuracy=float(facts["right"]),
            student=self.accuracy(student),
            student_gain=None if is_blind or student is None or of_blind is None else self.mean(student - of_blind),
            student_pgr=None
            if student is None or self.ceiling is None
            else pgr(right, student, self.ceiling, groups=self.groups),
            cost=from_json(LabelCost, {name: facts[name] for name in LabelCost.__dataclass_fields__ if name in facts}),
        )

    def _right(self, protocol: ProtocolSpec) -> Right | None:
        """Return how right a protocol is on each test; of a consultancy the mean over right and wrong advisors."""
        sides = self._by_advisor(protocol)
        if sides is not None:
            return np.asarray(np.mean(sides, 0))
        shares = self._shares(self.grid.labels[protocol.label], TEST)
        return None if shares is None else self.test.correctness(shares)

    def _by_advisor(self, protocol: ProtocolSpec) -> tuple[Right, Right] | None:
        """Return how right a consultancy is where its advisor holds the right answer, and where it holds the wrong."""
        shares = self._shares(self.grid.labels[protocol.label], SIDES)
        return None if shares is None else by_advisor(self.test, shares)

    def _student(self, name: str) -> Right | None:
        stage = self.grid.students.get(name)
        shares = None if stage is None else self._shares(stage, TEST)
        return None if shares is None else self.test.correctness(shares)

    def _shares(self, stage: Stage, name: str) -> Right | None:
        file = self.study / stage.path / name
        # a stage is whole or not there
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64) if file.is_file() else None


def by_advisor(test: QuestionSet, shares: Right) -> tuple[Right, Right]:
    """Return how right a consultancy is with right advisors and with wrong ones, each of shape (seeds, tests).

    Args:
        shares: of first answers where the advisor holds the first and the second one, shape (seeds, tests, 2).
    """
    # by the side that the advisor holds first, then by whether that is the right one
    right = np.stack([test.correctness(shares[..., side]) for side in (0, 1)], -1)
    right_sides = np.broadcast_to(test.right, right.shape[:2])[..., None]
    with_right, with_wrong = (
        np.take_along_axis(right, chosen_sides, -1)[..., 0] for chosen_sides in (right_sides, 1 - right_sides)
    )
    return with_right, with_wrong
