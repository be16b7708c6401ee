"""What the runs and stages of a study measured, as arrays by prompt. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from penchant.config.yaml_text import load as load_yaml
from penchant.errors import InputError
from penchant.files import read_file
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.limit import limit_line
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.runner import COMPLETE, FAILED
from penchant.studies.core.stage import Stage
from penchant.studies.core.stage_settings import PPORunSettings
from penchant.typed_json import JsonObject

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceSamples:
    """Samples of the reference: prompts as text, rewards of shape (prompts, N), texts alike."""

    prompts: tuple[str, ...]
    rewards: Numbers
    texts: tuple[tuple[str, ...], ...]

    @cached_property
    def trusted_kl(self) -> float:
        """The KL in nats up to which the limit line of these samples is trusted."""
        return limit_line(self.rewards).trusted_kl

    @classmethod
    def read(cls, folder: Path) -> ReferenceSamples:
        """Read the samples from the stage's folder.

        Raises:
            InputError: it is damaged.
        """
        rows = read_lines(folder / "samples.jsonl")
        try:
            rewards = np.load(folder / "rewards.npy")
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} is damaged ({error}): delete it, and the study makes it again") from error
        texts = tuple(tuple(row["texts"]) for row in rows)
        # `read_lines` stops at a damaged line without an error, so only the shapes show that rows are missing
        if rewards.shape != (len(texts), len(texts[0]) if texts else 0):
            raise InputError(f"{folder} is damaged: delete it, and the study makes it again")
        return cls(tuple(row["prompt"] for row in rows), rewards, texts)


@dataclass(frozen=True)
class Point:
    """One evaluation of a run: mean KL in nats and mean reward of each prompt, and its first texts.

    `number` counts the run's evaluations from 0, those that were lost too: the same of every seed go together.
    """

    number: int
    step: int
    kl_nats: Numbers
    reward: Numbers
    texts: tuple[str, ...]
    first_rewards: tuple[float, ...]
    repetition: float | None


@dataclass(frozen=True)
class MeasuredRun:
    """A run of the grid as far as it came.

    Attributes:
        status: that of its result (`interrupted` too), `failed`, or `missing`.
        reason: why it failed.
        points: evaluations after the first step, in order; those with numbers that are not finite are left out.
    """

    stage: Stage
    folder: Path
    status: str
    reason: str
    result: Mapping[str, Any]
    points: tuple[Point, ...]
    lost_evaluations: int

    @property
    def complete(self) -> bool:
        """True where the run came to its end; means leave out those that did not."""
        return self.status in COMPLETE

    @property
    def unfinished(self) -> bool:
        """True where it has neither come to its end nor failed: missing, interrupted."""
        return not self.complete and self.status != FAILED

    @cached_property
    def trained_tokens(self) -> float:
        """The number of tokens that the model learned from, counted once per pass (rollouts: those of responses)."""
        rows = [row for row in read_lines(self.folder / "metrics.jsonl") if row.get("kind") == "train"]
        pairs = [(row.get("tokens_per_s"), row.get("seconds")) for row in rows]
        # rates are of unique tokens without padding: a prompt that several responses share counts once
        once = sum(rate * seconds for rate, seconds in pairs if rate is not None and seconds is not None)
        settings = self.stage.settings
        # a row's tokens are those of the rollout, and PPO goes over them as often as `updates` says
        return float(once) * (settings.updates if isinstance(settings, PPORunSettings) else 1)

    @cached_property
    def optimizer_steps(self) -> int:
        """The number of updates: one per step, or per minibatch of each pass over a step's rollout."""
        steps = int(self.result.get("steps") or 0)  # rounds, of PPO
        try:
            config = load_yaml(read_file(self.folder / "config.yaml").decode("utf-8"))
            # a round of few prompts cannot be cut into more parts than it has prompts
            parts = min(config.get("minibatches", 1), config.get("prompts_per_step", 1))
            return steps * int(config.get("updates", 1)) * int(parts)
        except (OSError, AttributeError, yaml.YAMLError):
            return steps


def read_run(stage: Stage, study: Path, prompts: Sequence[str] | None, reason: str) -> MeasuredRun:
    """Read what a run left behind.

    Args:
        prompts: of the evaluation; a step that lacks one of them is left out. None takes those that are there.
        reason: why it failed, or empty.
    """
    folder = study / stage.path
    result = read_object(folder / "result.json")
    by_step: dict[int, list[JsonObject]] = {}
    for row in read_lines(folder / "samples.jsonl"):
        by_step.setdefault(int(row["step"]), []).append(row)
    repetition = {
        row["step"]: ((row.get("samples") or {}).get("policy") or {}).get("repetition", {}).get("value")
        for row in read_lines(folder / "metrics.jsonl")
        if row.get("kind") == "eval"
    }
    # before the first step every run is the reference, which has samples of its own
    later = [(step, rows) for step, rows in sorted(by_step.items()) if step > 0]
    evaluations = [
        _point(number, step, rows, prompts, repetition.get(step)) for number, (step, rows) in enumerate(later)
    ]
    points = tuple(point for point in evaluations if point is not None)
    # a run that failed may have the result of an earlier try
    status = "failed" if reason else str(result.get("status", "missing"))
    return MeasuredRun(stage, folder, status, reason, result, points, len(evaluations) - len(points))


@dataclass(frozen=True)
class Results:
    """The measurements of a study so far.

    Attributes:
        folder: the study's.
        reasons: why stages failed, by address.
        done: addresses of the stages that did not.
    """

    folder: Path
    reasons: Mapping[str, str]
    done: frozenset[str]

    def has_ended(self, stage: Stage) -> bool:
        """Return whether a stage is done or has failed."""
        return stage.address in self.done or stage.address in self.reasons

    def reference(self, stage: Stage) -> ReferenceSamples:
        """Return the reference's samples.

        Raises:
            InputError: they are damaged.
        """
        return ReferenceSamples.read(self.folder / stage.path)

    def run(self, stage: Stage, prompts: Sequence[str] | None) -> MeasuredRun:
        """Return what a run left behind, as `read_run` does."""
        return read_run(stage, self.folder, prompts, self.reasons.get(stage.address, ""))


def aligned(runs: Sequence[MeasuredRun]) -> list[list[Point]]:
    """Return the evaluations that all of these runs have, in order, each as the points of the runs."""
    # by number and not by step: PPO's steps are rounds, and seeds differ in how many comparisons they have
    by_number = [{point.number: point for point in run.points} for run in runs]
    shared = set.intersection(*map(set, by_number)) if by_number else set()
    return [[points[number] for points in by_number] for number in sorted(shared)]


def _point(
    number: int,
    step: int,
    rows: Sequence[Mapping[str, Any]],
    prompts: Sequence[str] | None,
    repetition: float | None,
) -> Point | None:
    if prompts is not None and [row["prompt"] for row in rows] != list(prompts):
        return None
    # a mean over draws that lacks one of them would not be the mean of this prompt: `_mean` gives NaN, and the point is
    # lost and counted
    means = {
        name: np.array([_mean([draw.get(name) for draw in row["policy"]]) for row in rows])
        for name in ("kl_nats", "reward")
    }
    if not all(np.isfinite(column).all() for column in means.values()):
        return None
    firsts = [row["policy"][0] for row in rows]
    return Point(
        number,
        step,
        means["kl_nats"],
        means["reward"],
        tuple(str(draw["text"]) for draw in firsts),
        tuple(float(draw["reward"]) for draw in firsts),
        repetition,
    )


def over_prompts(means: Numbers) -> Estimate:
    """Return the mean of the prompts' means, shape (prompts,), with its interval."""
    return cluster_mean(means, range(len(means)))


def _mean(values: Sequence[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if len(present) == len(values) else float("nan")


def facts_of(stage: Stage, study: Path) -> JsonObject:
    """Return the content of a stage's `stage.json`; empty where the stage is not done."""
    return read_object(study / stage.path / "stage.json")


def seconds_of(stage: Stage, study: Path) -> float:
    """Return the seconds that a stage took; 0 where it has not ended."""
    facts = read_object(study / stage.path / "result.json") if stage.is_run else facts_of(stage, study)
    return float(facts.get("seconds") or 0.0)


def provenance_of(stages: Iterable[Stage], study: Path) -> JsonObject:
    """Return machine and versions as the first run with a provenance states them."""
    for stage in stages:
        record = read_object(study / stage.path / "provenance.json")
        if record:
            return {name: record.get(name) for name in ("machine", "versions", "model", "started")}
    return {}
