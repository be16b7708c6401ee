"""Measure what a method's runs took, for a study's summary. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from penchant.studies.core.records import read_object
from penchant.studies.core.results import MeasuredRun
from penchant.studies.core.stage import Stage
from penchant.studies.frontier.summary import MethodCost


def cost_of(complete_runs: Sequence[MeasuredRun], study: Path) -> MethodCost | None:
    """Return what a run of a method takes, as means over its complete runs; None without any.

    Peak memory is the most of any run; what has to be there before the runs is a mean over seeds.
    """
    if not complete_runs:
        return None
    results = [run.result for run in complete_runs]
    before = [read_object(study / stage.path / "stage.json") for stage in _prerequisites(complete_runs, "comparisons")]
    reward_models = _prerequisites(complete_runs, "reward_model")
    models = [read_object(study / stage.path / "result.json") for stage in reward_models]
    return MethodCost(
        seconds=_mean(results, "seconds"),
        training_seconds=_mean(results, "training_seconds"),
        # Shared by several runs, and counted for each: a run by itself could not do without.
        preparation_seconds=_mean(before, "seconds") + _mean(models, "seconds"),
        # The most and not a mean: it decides whether a machine suffices.
        peak_memory_bytes=max(result.get("peak_memory_bytes") or 0 for result in results),
        samples_drawn=_mean(results, "samples_drawn") + _mean(before, "samples_drawn"),
        trained_tokens=_mean_of(run.trained_tokens for run in complete_runs),
        steps=_mean(results, "steps"),
        optimizer_steps=_mean_of(run.optimizer_steps for run in complete_runs),
    )


def _mean(records: Sequence[Mapping[str, float | None]], key: str) -> float:
    """Return the mean over the records that have a number; 0 without any."""
    return _mean_of(record.get(key) for record in records)


def _prerequisites(runs: Sequence[MeasuredRun], role: str) -> list[Stage]:
    """Return the stages of a role that runs need, those behind a reward model too, each once."""
    stages: dict[str, Stage] = {}
    for run in runs:
        model = run.stage.needs.get("reward_model")
        # PPO needs a reward model and, through it, the comparisons that others need themselves.
        for needs in (run.stage.needs, model.needs if model else {}):
            if role in needs:
                stages[needs[role].address] = needs[role]
    return list(stages.values())


def _mean_of(values: Iterable[float | None]) -> float:
    numbers = [float(value) for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else 0.0
