"""Summarize the runs of a study of wrong labels. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, paired_difference
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.results import MeasuredRun, Point, aligned, provenance_of, read_run
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import PromptCounts, cost_of_stages, failures_of
from penchant.studies.noise.grid import LEARNERS, Cell, NoiseGrid
from penchant.studies.noise.settings import NoiseConfig
from penchant.studies.noise.summary import FewPoint, FewSummary, LearnerSummary, NoisePoint, NoiseSummary
from penchant.typed_json import JsonObject

LABELS = {
    "dpo": "DPO",
    "cdpo": "cDPO (told the share)",
    "robust": "Robust DPO (told the share)",
    "ipo": "IPO",
    "reward_model": "Reward model",
}


def summarize_noise(config: NoiseConfig, grid: NoiseGrid, study: Path, reasons: Mapping[str, str]) -> NoiseSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    methods = [_method(learner, grid, study) for learner in LEARNERS]
    stages = grid.stages()
    return NoiseSummary(
        study=config.method,
        config=config.recorded(),
        prompts=PromptCounts(
            read_object(study / grid.prompts.path / "stage.json").get("train"),
            read_object(study / grid.unseen_comparisons.path / "stage.json").get("prompts"),
        ),
        # A wrong label changes no number of comparisons, so any share's stage says it.
        comparisons=read_object(study / grid.before[-1].path / "stage.json").get("comparisons"),
        seeds=tuple(config.seeds),
        reference=_reference(grid, study),
        methods=tuple(method for method in methods if method.points),
        few=_summarize_few_comparisons(config, grid, study),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance_of((cell.run for cell in grid.cells), study),
    )


def _method(learner: str, grid: NoiseGrid, study: Path) -> LearnerSummary:
    by_share: dict[float, list[Cell]] = {}
    for cell in grid.cells:
        if cell.learner == learner:
            by_share.setdefault(cell.share, []).append(cell)
    points = []
    for share, cells in by_share.items():
        if point := _point(share, cells, study):
            # Learners are told apart by the paired difference on the same comparisons; their own intervals overlap
            # by far.
            dpo = [cell for cell in grid.cells if cell.learner == "dpo" and cell.share == share]
            first = next(iter(by_share.values()))
            points.append(
                replace(point, above_dpo=_paired_gap(cells, dpo, study), above_first=_paired_gap(cells, first, study))
            )
    return LearnerSummary(learner, LABELS[learner], tuple(points))


def _point(share: float, cells: Sequence[Cell], study: Path) -> NoisePoint | None:
    """Return accuracy on unseen comparisons and true reward at the end, over seeds; None where none was judged yet."""
    judgements = [facts for cell in cells if (facts := _read_judgement(cell, study))]
    if not judgements:
        return None
    right = [value for facts in judgements for value in facts["right"]]
    prompts = [number for facts in judgements for number in facts["prompt"]]
    ends = [run.points[-1] for cell in cells if (run := _read(cell.run, study)).points]
    return NoisePoint(
        share=share,
        seeds=len(judgements),
        # Comparisons of one prompt share its responses, and seeds share the prompts: a prompt is one cluster over both.
        accuracy=cluster_mean(right, prompts, share=True),
        reward=_mean_reward(ends) if ends else None,
        kl_nats=_mean_kl(ends) if ends else None,
    )


def _mean_reward(ends: Sequence[Point]) -> Estimate:
    """Return the mean reward over seeds; the samples of one prompt form one cluster."""
    return cluster_mean(np.concatenate([end.reward for end in ends]), _prompts_of(ends))


def _mean_kl(ends: Sequence[Point]) -> Estimate:
    # Said not to be a share: small KLs may all lie between 0 and 1, and their mean is no rate.
    return cluster_mean(np.concatenate([end.kl_nats for end in ends]), _prompts_of(ends), share=False)


def _prompts_of(ends: Sequence[Point]) -> list[int]:
    return [prompt for end in ends for prompt in range(len(end.reward))]


def _paired_gap(cells: Sequence[Cell], baseline_cells: Sequence[Cell], study: Path) -> Estimate | None:
    """Return the paired difference of two accuracies on the same unseen comparisons, seed by seed.

    None for itself, and where no seed has both.
    """
    if [cell.judgement.address for cell in cells] == [cell.judgement.address for cell in baseline_cells]:
        return None
    facts_by_seed, baseline_by_seed = (
        {cell.judgement.seed: _read_judgement(cell, study) for cell in group} for group in (cells, baseline_cells)
    )
    pairs = [
        (facts, baseline_by_seed[seed]) for seed, facts in facts_by_seed.items() if facts and baseline_by_seed.get(seed)
    ]
    if not pairs:
        return None
    # Seed by seed, since comparisons and training differ between seeds; the judged prompts are the same.
    right, other = ([value for pair in pairs for value in pair[side]["right"]] for side in (0, 1))
    return paired_difference(right, other, [number for facts, _ in pairs for number in facts["prompt"]], share=True)


def _read_judgement(cell: Cell, study: Path) -> JsonObject:
    return read_object(study / cell.judgement.path / "stage.json")


def _read(stage: Stage, study: Path) -> MeasuredRun:
    # without prompts to compare with: this study samples no reference of its own
    return read_run(stage, study, None, "")


def _reference(grid: NoiseGrid, study: Path) -> Estimate | None:
    """Return the reference's reward, as the first run that was evaluated says."""
    # Every run evaluates the reference with the same prompts and draws, so the first that did so speaks for all.
    for cell in grid.cells:
        for row in read_lines(study / cell.run.path / "metrics.jsonl"):
            estimate = ((row.get("samples") or {}).get("reference") or {}).get("reward")
            if estimate:
                return Estimate.from_dict(estimate)
    return None


def _summarize_few_comparisons(config: NoiseConfig, grid: NoiseGrid, study: Path) -> FewSummary | None:
    """Return true reward and KL along a run that sees few comparisons many times, with its accuracy on just those."""
    runs = [run for stage in grid.few_runs if (run := _read(stage, study)).points]
    if config.few is None or not runs:  # left out, or not evaluated yet
        return None
    points, rewards = [], []
    for ends in aligned(runs):
        rewards.append(np.mean([end.reward for end in ends], axis=0))
        step = ends[0].step
        # Over all batches since the evaluation before: one batch has few of the comparisons.
        seen = [
            row["accuracy"]
            for run in runs
            for row in read_lines(run.folder / "metrics.jsonl")
            if row.get("kind") == "train" and step - _window(runs[0]) < row["step"] <= step and "accuracy" in row
        ]
        points.append(
            FewPoint(
                step=step,
                # by the share of the run's steps; without a result yet, this step counts as the last one
                epoch=config.few.epochs * step / max(1, int(runs[0].result.get("steps") or step)),
                reward=_mean_reward(ends),
                kl_nats=_mean_kl(ends),
                seen_accuracy=sum(seen) / len(seen) if seen else None,
            )
        )
    return FewSummary(config.few.prompts, config.few.epochs, tuple(points), _fall(np.array(rewards)))


def _fall(rewards: NDArray[np.float64]) -> Estimate | None:
    """Return the change of the true reward from its best evaluation to the last; None with one evaluation or prompt.

    The best of noisy evaluations is above the last by luck, so it is chosen on one half of the prompts and the change
    measured on the other, and the other way round.

    Args:
        rewards: (evaluations, prompts).
    """
    evaluations, prompts = rewards.shape
    if evaluations < 2 or prompts < 2:
        return None
    # A split of its own for each number of prompts, and the same at every call.
    half = np.random.default_rng(prompts).permutation(prompts) < prompts // 2
    change = np.empty(prompts)
    for chosen in (half, ~half):
        best = int(rewards[:, chosen].mean(axis=1).argmax())
        change[~chosen] = rewards[-1, ~chosen] - rewards[best, ~chosen]
    return cluster_mean(change, range(prompts), share=False)


def _window(run: MeasuredRun) -> int:
    """Return the number of steps between two evaluations."""
    steps = [0, *(point.step for point in run.points)]
    return max(1, steps[1] - steps[0])
