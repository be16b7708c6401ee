"""From the verdicts of a study of annotators to its summary. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, paired_difference
from penchant.studies.annotators.grid import LEARNERS, AnnotatorsGrid, LeftOut
from penchant.studies.annotators.settings import AnnotatorsConfig
from penchant.studies.annotators.summary import Agreement, AnnotatorRow, AnnotatorsSummary, JudgeName, PairedDifference
from penchant.studies.core.results import facts_of, provenance_of
from penchant.studies.core.summary import cost_of_stages, failures_of

LABELS = {"dpo": "DPO (implicit reward)", "reward_model": "Reward model"}


@dataclass(frozen=True)
class Verdicts:
    """Comparisons that the left-out annotator decided on held-out prompts.

    Attributes:
        prompt: of each comparison. agrees: whether each judge says the same, by judge; half for a tie, None where
            the judge said nothing.
    """

    prompt: list[str]
    agrees: Mapping[str, Sequence[float | None]]


def summarize_annotators(
    config: AnnotatorsConfig, grid: AnnotatorsGrid, study: Path, reasons: Mapping[str, str]
) -> AnnotatorsSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages, annotators = grid.stages(), list(dict.fromkeys(cell.annotator for cell in grid.cells))
    verdicts = {name: _verdicts([cell for cell in grid.cells if cell.annotator == name], study) for name in annotators}
    facts = [facts_of(cell.train, study) for cell in grid.cells]
    return AnnotatorsSummary(
        study=config.method,
        config=config.recorded(),
        annotators=tuple(annotators),
        seeds=tuple(config.seeds),
        # every stage reads the same data, and those that failed have no facts
        too_long=max((part.get("too_long", 0) for part in facts), default=0),
        skipped_rows=max((part.get("skipped_rows", 0) for part in facts), default=0),
        judges=tuple(
            JudgeName(name, LABELS[name]) for name in LEARNERS if any(name in cell.learners for cell in grid.cells)
        ),
        rows=tuple(
            AnnotatorRow(name, _trained_on(grid, name, study), _agreement([verdicts[name]]))
            for name in annotators
            if verdicts[name].prompt
        ),
        all=_agreement(list(verdicts.values())),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance_of((run for cell in grid.cells for run, _ in cell.learners.values()), study),
    )


def _trained_on(grid: AnnotatorsGrid, annotator: str, study: Path) -> int | None:
    """Return the number of comparisons that a run without this annotator learns from."""
    # of the first seed: others split the prompts in another way, and their counts differ by a few
    cell = next(cell for cell in grid.cells if cell.annotator == annotator)
    comparisons = facts_of(cell.train, study).get("comparisons")
    return None if comparisons is None else int(comparisons)


def _verdicts(cells: Sequence[LeftOut], study: Path) -> Verdicts:
    """Return the verdicts of all seeds together."""
    prompt: list[str] = []
    agrees: dict[str, list[float | None]] = {}
    for cell in cells:
        facts = facts_of(cell.held_out, study)
        if not facts:
            continue
        size = len(facts["prompt"])
        verdicts: dict[str, Sequence[float | None]] = {"longer": facts["longer"], "others": _mean(facts["same"], size)}
        for learner, (_, judgement) in cell.learners.items():
            right = facts_of(judgement, study).get("right", ())
            # a judgement that has not ended has no verdicts, and its column stays empty
            if len(right) == size:
                verdicts[learner] = right
        # columns stay as long as `prompt`: what one seed lacks is None there, and left out of means
        for name in agrees.keys() | verdicts.keys():
            agrees.setdefault(name, [None] * len(prompt)).extend(verdicts.get(name, [None] * size))
        prompt += facts["prompt"]
    return Verdicts(prompt, agrees)


def _mean(agreements: Mapping[str, Sequence[float | None]], size: int) -> list[float | None]:
    """Return, per comparison, the share of the other annotators with a verdict who say the same."""
    shares: list[float | None] = []  # None where nobody else decided the pair
    for index in range(size):
        present = [value for column in agreements.values() if (value := column[index]) is not None]
        shares.append(sum(present) / len(present) if present else None)
    return shares


def _agreement(parts: Sequence[Verdicts]) -> Agreement:
    """Return the agreement of each judge, and how it differs between each learner and the others, and length.

    Differences are on the same comparisons; intervals resample prompts.
    """
    # all annotators and seeds pooled; a prompt that several of them saw is one cluster
    prompts = [prompt for part in parts for prompt in part.prompt]
    columns = {
        name: [value for part in parts for value in part.agrees.get(name, [None] * len(part.prompt))]
        for name in ("others", "longer", *LEARNERS)
    }
    # against people, and against the rule that a model may have learned in place of what they prefer
    pairs = [(learner, baseline) for learner in LEARNERS for baseline in ("others", "longer")]
    return Agreement(
        comparisons=len(prompts),
        prompts=len(set(prompts)),
        agreement={name: _estimate(prompts, column) for name, column in columns.items()},
        differences=tuple(
            PairedDifference(learner, baseline, difference)
            for learner, baseline in pairs
            if (difference := _difference(prompts, columns[learner], columns[baseline])) is not None
        ),
    )


def _estimate(prompts: Sequence[str], column: Sequence[float | None]) -> Estimate | None:
    pairs = [(value, prompt) for value, prompt in zip(column, prompts, strict=True) if value is not None]
    if not pairs:
        return None
    values, clusters = zip(*pairs, strict=True)
    return cluster_mean(values, clusters, share=True)


def _difference(
    prompts: Sequence[str], column: Sequence[float | None], baseline: Sequence[float | None]
) -> Estimate | None:
    triples = [
        (a, b, prompt)
        for a, b, prompt in zip(column, baseline, prompts, strict=True)
        if a is not None and b is not None
    ]
    if not triples:
        return None  # they never decided the same comparison
    first, second, clusters = zip(*triples, strict=True)
    return paired_difference(first, second, clusters, share=True)
