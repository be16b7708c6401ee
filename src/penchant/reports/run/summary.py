"""Summarize a run for sentences, warnings and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from penchant.losses.settings import ORPO, ChosenNLL, SimPO
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import paired_difference
from penchant.runs.read import EvalPoint, Run, SampledPrompt

REFERENCE_FREE = {loss.model_fields["name"].default for loss in (SimPO, ORPO, ChosenNLL)}
"""Losses whose value is of the policy alone."""


@dataclass(frozen=True)
class Change:
    """Policy minus reference. `paired`: from the same prompts and seeds; else from two separate means."""

    estimate: Estimate
    paired: bool


@dataclass(frozen=True)
class Summary:
    """The first and the last numbers of a run; the last are those of the weights that it keeps.

    Attributes:
        held_first, held_last: the first and last evaluation on held-out data, the same where there is one. Where early
            stopping kept the weights of an earlier step, that step's evaluation is the last.
        sampled: the last evaluation that drew samples, in the same sense.
        gain: change of the mean reward against the reference there.
    """

    run: Run
    held_first: EvalPoint | None
    held_last: EvalPoint | None
    sampled: EvalPoint | None
    gain: Change | None

    @property
    def measured_step(self) -> int | None:
        """The step of the last evaluation, of which the numbers are; None where there is none."""
        steps = [point.step for point in (self.held_last, self.sampled) if point is not None]
        return max(steps, default=None)

    @property
    def is_unmeasured(self) -> bool:
        """True where steps were taken and nothing was evaluated since: the numbers are those of the start."""
        # early stopping may have kept the start itself, whose numbers are then those of the model
        return self.measured_step == 0 and self.run.last_step() > 0 and kept_step(self.run) != 0

    def held_out_estimate(self, key: str, *, last: bool = True) -> Estimate | None:
        """Return a held-out number at the last (or first) evaluation; None where it was not measured."""
        point = self.held_last if last else self.held_first
        return point.held_out.get(key) if point else None

    def held_pair(self, key: str) -> tuple[Estimate, Estimate] | None:
        """Return a held-out number at the first and at the last evaluation; None where these are the same."""
        first, last = self.held_out_estimate(key, last=False), self.held_out_estimate(key)
        # With one evaluation there is no movement to speak of.
        if first is None or last is None or self.held_first is self.held_last:
            return None
        return first, last

    def policy(self, key: str) -> Estimate | None:
        """Return a number of the policy's samples at the last evaluation that drew some."""
        return self.sampled.policy.get(key) if self.sampled else None

    def reference(self, key: str) -> Estimate | None:
        """Return a number of the reference's samples at the last evaluation that drew some."""
        return self.sampled.reference.get(key) if self.sampled else None


def summarize(run: Run) -> Summary:
    """Return the first and last evaluations of a run, and its change of reward."""
    # numbers of weights that nobody has any more would stand beside the model that the run leaves
    end = kept_step(run)
    evals = [point for point in run.evals if end is None or point.step <= end]
    held_out_points = [point for point in evals if point.held_out]
    sampled = [point for point in evals if point.policy]
    last = sampled[-1] if sampled else None
    return Summary(
        run=run,
        held_first=held_out_points[0] if held_out_points else None,
        held_last=held_out_points[-1] if held_out_points else None,
        sampled=last,
        gain=_gain(run, last) if last else None,
    )


def kept_step(run: Run) -> int | None:
    """Return the step whose weights a run with early stopping has put in place of the last; None for any other run."""
    result = run.result or {}
    if run.setting("early_stopping") is None or result.get("status") not in ("done", "stopped_early"):
        return None
    final = result.get("final")
    step = final.get("step") if isinstance(final, Mapping) else None
    return step if isinstance(step, int) else None


def shown_samples(run: Run) -> tuple[SampledPrompt, ...]:
    """Return the samples of the weights that the run keeps, else the last ones, in the order of the file."""
    end = kept_step(run)
    last = max((sample.step for sample in run.samples if end is None or sample.step <= end), default=0)
    return tuple(sample for sample in run.samples if sample.step == last)


def is_comparable(key: str, run: Run, other: Run) -> bool:
    """Return whether a number means the same in two runs: one reward, one loss, one reference."""
    return _scale(key, run) == _scale(key, other)


def _scale(key: str, run: Run) -> object:
    """Return what the meaning of a number depends on besides the model."""
    if key == "reward":
        return run.setting("evaluate", "samples", "reward")
    if key == "loss":
        return run.method, run.setting("loss"), run.setting("beta"), _loss_reference(run)
    return _reference(run) if key == "kl_nats" else None


def _loss_reference(run: Run) -> object:
    """Return the reference that a loss compares with; None for one that has none."""
    loss = run.setting("loss")
    name = loss.get("name") if isinstance(loss, Mapping) else None
    return _reference(run) if run.method in ("dpo", "kto") and name not in REFERENCE_FREE else None


def _reference(run: Run) -> object:
    """Return the reference by its weights: a name may lead elsewhere on another machine."""
    reference = run.provenance.get("reference")
    return reference.get("fingerprint") if isinstance(reference, Mapping) else None


def _gain(run: Run, point: EvalPoint) -> Change | None:
    policy, reference = point.policy.get("reward"), point.reference.get("reward")
    if policy is None or reference is None:
        return None
    # Policy and reference drew with the same seeds, so draws pair by their place.
    pairs = [
        (drawn_policy.reward, drawn_reference.reward, sample.prompt)
        for sample in run.samples
        if sample.step == point.step
        for drawn_policy, drawn_reference in zip(sample.policy, sample.reference, strict=False)
        if drawn_policy.reward is not None and drawn_reference.reward is not None
    ]
    if pairs and len(pairs) == policy.n:  # fewer texts than were measured would answer another question
        policy_rewards, reference_rewards, prompts = zip(*pairs, strict=True)
        return Change(paired_difference(policy_rewards, reference_rewards, prompts), paired=True)
    return Change(_unpaired(policy, reference), paired=False)


def _unpaired(a: Estimate, b: Estimate) -> Estimate:
    """Return the difference of two means as if they were independent: wider than pairing would give, never too sure."""
    value, n, clusters = a.value - b.value, min(a.n, b.n), min(a.clusters, b.clusters)
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, n, clusters, a.reason or b.reason or "no interval")
    # Half-widths of independent means add in quadrature, each side by itself, as intervals need not be symmetric.
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - down, value + up, n, clusters)
