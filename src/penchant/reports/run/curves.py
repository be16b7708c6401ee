"""Select what is drawn of runs: panels of series over steps, and the paths of the reward-KL plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.runs.read import Run

SMOOTH_FROM = 60  # training points: fewer are drawn as they are
MOST_POINTS = 600  # more than a panel has pixels for
MOST_RUNS_WITH_TRAINING = 2  # beyond, training lines would bury the held-out points
REWARD_MODEL = "reward_model"
MOST_BASELINES = 4  # likewise the runs' own references


@dataclass(frozen=True)
class Series:
    """One line or row of points of a panel.

    Attributes:
        label: for the legend; equal labels share an entry.
        role: what it shows, which decides on the colour: `run0`, `run1`, ..., `chosen`, `rejected`,
            `policy`, `reference`.
        kind: `faint` (every training batch), `line` (training, smoothed where it is long), `points`
            (evaluations, with intervals) or `dashed` (evaluations of what does not train: the reference, a
            baseline).
        x: steps.
        y, low, high: in the panel's unit; NaN for an interval that is not known.
    """

    label: str
    role: str
    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One figure over steps: `key` names its file and its sentence, `level` is a line of meaning (chance)."""

    key: str
    title: str
    unit: str
    series: tuple[Series, ...]
    level: float | None = None


@dataclass(frozen=True)
class KlPath:
    """The evaluated checkpoints of a run in the reward-KL plane, as (step, KL in nats, reward), by step."""

    label: str
    role: str
    points: tuple[tuple[int, Estimate, Estimate], ...]
    reference: Estimate | None


@dataclass(frozen=True)
class _Source:
    """Where a series comes from: a key of the training lines, and one of a part of the evaluations.

    Attributes:
        part: of an `EvalPoint`; None where evaluations do not have it.
        key: in that part.
        title: of its own panel, in place of the metric's.
    """

    label: str
    role: str
    train: str | None = None
    part: Literal["held_out", "policy", "reference"] | None = None
    key: str = ""
    title: str = ""


@dataclass(frozen=True)
class _PanelSpec:
    """A panel: the metric that gives its title, unit and level, and what is drawn.

    Attributes:
        title: in place of the metric's, where two sides share the panel. With several runs each side has its own.
    """

    key: str
    metric: str
    sources: tuple[_Source, ...]
    title: str = ""


def _trained(key: str, *baselines: _Source, held_out: bool = False) -> _PanelSpec:
    """Return a panel of training batches, and of held-out data where evaluations measure it too."""
    policy = _Source("policy", "policy", key, "held_out" if held_out else None, key)
    return _PanelSpec(key, key, (policy, *baselines))


def _baseline(key: str) -> _Source:
    """Return a baseline that is measured on held-out data without any model."""
    return _Source(metric(key).label, "reference", part="held_out", key=key)


def _sampled(key: str) -> _PanelSpec:
    """Return a panel of samples, with those of the reference."""
    policy = _Source("policy", "policy", part="policy", key=key)
    return _PanelSpec(key, key, (policy, _Source("reference", "reference", part="reference", key=key)))


def _two_sides(panel: str, title: str, **keys: str) -> _PanelSpec:
    """Return a panel of a metric of each side, by the side's label; the first side gives unit and level."""
    sources = [
        _Source(label, role, key, "held_out", key)
        for (label, key), role in zip(keys.items(), ("chosen", "rejected"), strict=True)
    ]
    return _PanelSpec(panel, sources[0].key, tuple(sources), title)


_PANELS = (
    _trained("loss", held_out=True),
    _trained("accuracy", _baseline("longest_wins"), held_out=True),
    _trained("label_accuracy", _baseline("desirable_share"), held_out=True),
    _trained("mean_logps"),
    _two_sides(
        "rewards",
        "Reward of chosen and rejected responses",
        chosen="chosen_reward",
        rejected="rejected_reward",
    ),
    _PanelSpec(
        "rollout_reward",
        "true_reward",
        (
            # Training lines call it `reward`, as evaluations call that of samples.
            _Source("optimised", "policy", "reward", title="Optimised reward of the rollouts"),
            _Source("true", "chosen", "true_reward"),
        ),
        "Reward of the rollouts",
    ),
    *map(_trained, ("kl_coefficient", "clip_fraction", "explained_variance", "grad_norm")),
    _trained("margin", held_out=True),
    _two_sides(
        "logps",
        "Chosen and rejected log-probability",
        chosen="chosen_logps",
        rejected="rejected_logps",
    ),
    _two_sides(
        "log_ratios",
        "Log-ratio to the reference of good and bad responses",
        good="desirable_log_ratio",
        bad="undesirable_log_ratio",
    ),
    # The reference is at a KL of 0 by definition, and has no line of its own.
    _PanelSpec("kl", "kl_nats", (_Source("policy", "policy", "kl_nats", "policy", "kl_nats"),)),
    *map(_sampled, ("tokens", "reward", "repetition", "distinct_2")),
)
SIDES = {spec.key: tuple(f"{spec.key}.{source.label}" for source in spec.sources) for spec in _PANELS if spec.title}
"""The panels that one of two sides becomes with several runs, by its key."""


def panels(runs: Sequence[Run]) -> dict[str, Panel]:
    """Return every panel that has something to show, by key, in the order of the page.

    With several runs the colour tells the run, so the panel of chosen and rejected becomes two, `logps.chosen` and
    `logps.rejected`, and the other panels of two sides likewise.
    """
    built: dict[str, Panel] = {}
    for spec in _PANELS:
        measured = metric(spec.metric)
        unit, level = measured.axis_unit, measured.level
        if spec.title and len(runs) > 1:
            for source in spec.sources:
                key, title = f"{spec.key}.{source.label}", source.title or metric(source.train or spec.metric).title
                _add(built, Panel(key, title, unit, _all_series(runs, (source,)), level))
        else:
            _add(built, Panel(spec.key, spec.title or measured.title, unit, _all_series(runs, spec.sources), level))
    return built


def _add(built: dict[str, Panel], panel: Panel) -> None:
    if any(series.kind != "dashed" for series in panel.series):  # a baseline alone tells nothing
        built[panel.key] = panel


def _all_series(runs: Sequence[Run], sources: Sequence[_Source]) -> tuple[Series, ...]:
    with_training = len(runs) <= MOST_RUNS_WITH_TRAINING
    series = [
        line
        for index, run in enumerate(runs)
        for source in sources
        for line in _run_series(
            run, source, source.role if len(runs) == 1 else f"run{index}", with_training=with_training
        )
    ]
    if len(runs) == 1:
        return tuple(series)
    # Every batch of several runs would bury the lines.
    return tuple(_distinct_dashed([s for s in series if s.kind != "faint"]))


def _distinct_dashed(series: Sequence[Series]) -> list[Series]:
    """Show a baseline that all runs share once, in the reference's colour; leave out too many different ones."""
    solid = [s for s in series if s.kind != "dashed"]
    # Compared as text: an interval that is not known is NaN, which equals nothing, not even itself.
    different = {str((s.y[-1], s.low[-1])) for s in series if s.kind == "dashed"}
    if len(different) != 1:
        return solid if len(different) > MOST_BASELINES else list(series)
    # From the run that went furthest, so that the line crosses the whole panel.
    longest = max((s for s in series if s.kind == "dashed"), key=lambda s: s.x[-1])
    shared = Series(longest.label, "reference", "dashed", longest.x, longest.y, longest.low, longest.high)
    return [*solid, shared]


def _run_series(run: Run, source: _Source, role: str, *, with_training: bool) -> list[Series]:
    evaluated = _evaluated(run, source)
    # A reward model is no policy.
    label = "reward model" if run.method == REWARD_MODEL and source.label == "policy" else source.label
    series: list[Series] = []
    # A run that was never evaluated shows its training line however many runs there are: it has nothing else.
    if source.train and (with_training or not evaluated):
        series += _training(run, source.train, label, role)
    if evaluated:
        kind = "dashed" if source.role == "reference" else "points"
        x, estimates = zip(*evaluated, strict=True)
        low = tuple(float("nan") if e.low is None else e.low for e in estimates)
        high = tuple(float("nan") if e.high is None else e.high for e in estimates)
        series.append(Series(label, role, kind, x, tuple(e.value for e in estimates), low, high))
    return series


def _evaluated(run: Run, source: _Source) -> list[tuple[float, Estimate]]:
    if source.part is None:
        return []
    measured: list[Mapping[str, Estimate]] = [getattr(point, source.part) for point in run.evals]
    return [
        (float(point.step), part[source.key])
        for point, part in zip(run.evals, measured, strict=True)
        if source.key in part
    ]


def _training(run: Run, key: str, label: str, role: str) -> list[Series]:
    pairs = [(point.step, point.values[key]) for point in run.train if key in point.values]
    if not pairs:
        return []
    x, y = (np.asarray(column, dtype=float) for column in zip(*pairs, strict=True))
    if len(x) < SMOOTH_FROM:
        return [Series(label, role, "line", tuple(x), tuple(y))]
    smooth = _running_mean(y, smoothing_window(len(y)))
    return [
        Series(label, role, kind, *(tuple(_binned(column)) for column in (x, values)))
        for kind, values in (("faint", y), ("line", smooth))
    ]


def smoothing_window(points: int) -> int:
    """Return how many training steps the bold line averages: a twentieth of the run, an odd number."""
    # Odd, so that a step is the centre of its window.
    return points // 20 // 2 * 2 + 1 if points >= SMOOTH_FROM else 1


def _running_mean(y: np.ndarray, window: int) -> np.ndarray:
    """Return the centred mean; at the ends over what is there, so that nothing is invented beyond the run."""
    ones = np.ones(window)
    # Sums by counts: at both ends the window holds fewer steps.
    return np.asarray(np.convolve(y, ones, "same") / np.convolve(np.ones_like(y), ones, "same"))


def _binned(column: np.ndarray) -> list[float]:
    # Means of equal parts and not every k-th point, which would show noise as if it were the curve.
    parts = np.array_split(column, min(len(column), MOST_POINTS))
    return [float(part.mean()) for part in parts]


def kl_paths(runs: Sequence[Run]) -> tuple[KlPath, ...]:
    """Return the paths of runs whose evaluations have both a reward and a KL, without step 0: the reference itself."""
    paths = []
    for index, run in enumerate(runs):
        points = tuple(
            (point.step, point.policy["kl_nats"], point.policy["reward"])
            for point in run.evals
            if point.step > 0 and {"kl_nats", "reward"} <= set(point.policy)
        )
        references = [point.reference["reward"] for point in run.evals if "reward" in point.reference]
        if points:
            role = "policy" if len(runs) == 1 else f"run{index}"
            paths.append(KlPath(run.name, role, points, references[-1] if references else None))
    return tuple(paths)


def training_mean(run: Run, key: str, *, last: bool) -> Estimate | None:
    """Return the mean of a training number over the first or last tenth of the steps; its interval resamples steps."""
    values = [point.values[key] for point in run.train if key in point.values]
    if not values:
        return None
    # A tenth, and not single batches: the first and the last batch differ by their rows more than by training.
    size = max(1, len(values) // 10)
    window = values[-size:] if last else values[:size]
    return cluster_mean(window, range(len(window)), share=False, unit="step")


def training_pair(run: Run, key: str) -> tuple[Estimate, Estimate] | None:
    """Return the means of the first and of the last steps; None where the run does not report this."""
    start, end = (training_mean(run, key, last=last) for last in (False, True))
    return (start, end) if start is not None and end is not None else None
