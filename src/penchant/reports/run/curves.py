"""From runs to what is drawn: panels of series over steps, and the paths of the reward-KL plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.runs.read import EvalPoint, Run

SMOOTH_FROM = 60  # training points: fewer are drawn as they are
MOST_POINTS = 600  # more than a panel has pixels for
MOST_RUNS_WITH_TRAINING = 2  # beyond, training lines would bury the held-out points
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
    """Where a series comes from: a key of the training lines and one of the evaluations."""

    label: str
    role: str
    train: str | None = None
    held_out: str | None = None
    sampled: str | None = None
    fixed: str | None = None  # a key of held_out or, as "reference.x", of the reference's samples
    title: str = ""  # of its own panel, in place of the metric's


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


def _policy(key: str, *, train: bool = True, held_out: bool = False, sampled: bool = False) -> _Source:
    return _Source("policy", "policy", key if train else None, key if held_out else None, key if sampled else None)


def _reference(key: str) -> _Source:
    return _Source("reference", "reference", fixed=f"reference.{key}")


def _sampled(panel: str, key: str) -> _PanelSpec:
    """Return a panel of samples, with those of the reference."""
    return _PanelSpec(panel, key, (_policy(key, train=False, sampled=True), _reference(key)))


_PANELS = (
    _PanelSpec("loss", "loss", (_policy("loss", held_out=True),)),
    _PanelSpec(
        "accuracy",
        "accuracy",
        (_policy("accuracy", held_out=True), _Source("longest wins", "reference", fixed="longest_wins")),
    ),
    _PanelSpec(
        "label_accuracy",
        "label_accuracy",
        (_policy("label_accuracy", held_out=True), _Source("good labels", "reference", fixed="desirable_share")),
    ),
    _PanelSpec("mean_logps", "mean_logps", (_policy("mean_logps"),)),
    _PanelSpec(
        "rewards",
        "chosen_reward",
        (
            _Source("chosen", "chosen", "chosen_reward", "chosen_reward"),
            _Source("rejected", "rejected", "rejected_reward", "rejected_reward"),
        ),
        "Reward of chosen and rejected responses",
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
    _PanelSpec("kl_coefficient", "kl_coefficient", (_policy("kl_coefficient"),)),
    _PanelSpec("clip_fraction", "clip_fraction", (_policy("clip_fraction"),)),
    _PanelSpec("explained_variance", "explained_variance", (_policy("explained_variance"),)),
    _PanelSpec("grad_norm", "grad_norm", (_policy("grad_norm"),)),
    _PanelSpec("margin", "margin", (_policy("margin", held_out=True),)),
    _PanelSpec(
        "logps",
        "chosen_logps",
        (
            _Source("chosen", "chosen", "chosen_logps", "chosen_logps"),
            _Source("rejected", "rejected", "rejected_logps", "rejected_logps"),
        ),
        "Chosen and rejected log-probability",
    ),
    _PanelSpec(
        "log_ratios",
        "desirable_log_ratio",
        (
            _Source("good", "chosen", "desirable_log_ratio", "desirable_log_ratio"),
            _Source("bad", "rejected", "undesirable_log_ratio", "undesirable_log_ratio"),
        ),
        "Log-ratio to the reference of good and bad responses",
    ),
    _PanelSpec("kl", "kl_nats", (_policy("kl_nats", sampled=True),)),
    _sampled("tokens", "tokens"),
    _sampled("reward", "reward"),
    _sampled("repetition", "repetition"),
    _sampled("distinct_2", "distinct_2"),
)


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
    series: list[Series] = []
    for index, run in enumerate(runs):
        for source in sources:
            role = source.role if len(runs) == 1 else f"run{index}"
            series += _run_series(run, source, role, with_training=len(runs) <= MOST_RUNS_WITH_TRAINING)
    if len(runs) == 1:
        return tuple(series)
    return tuple(_distinct_dashed([s for s in series if s.kind != "faint"]))


def _distinct_dashed(series: Sequence[Series]) -> list[Series]:
    """Show a baseline that all runs share once, in the reference's colour; leave out too many different ones."""
    solid = [s for s in series if s.kind != "dashed"]
    different = {str((s.y[-1], s.low[-1])) for s in series if s.kind == "dashed"}
    if len(different) != 1:
        return solid if len(different) > MOST_BASELINES else list(series)
    longest = max((s for s in series if s.kind == "dashed"), key=lambda s: s.x[-1])
    shared = Series(longest.label, "reference", "dashed", longest.x, longest.y, longest.low, longest.high)
    return [*solid, shared]


def _run_series(run: Run, source: _Source, role: str, *, with_training: bool) -> list[Series]:
    evaluated = _evaluated(run, source)
    series: list[Series] = []
    if source.train and (with_training or not evaluated):
        series += _training(run, source.train, source.label, role)
    if evaluated:
        kind = "dashed" if source.fixed else "points"
        x, estimates = zip(*evaluated, strict=True)
        low = tuple(float("nan") if e.low is None else e.low for e in estimates)
        high = tuple(float("nan") if e.high is None else e.high for e in estimates)
        series.append(Series(source.label, role, kind, x, tuple(e.value for e in estimates), low, high))
    return series


def _evaluated(run: Run, source: _Source) -> list[tuple[float, Estimate]]:
    def pick(point: EvalPoint) -> Estimate | None:
        if source.held_out:
            return point.held_out.get(source.held_out)
        if source.sampled:
            return point.policy.get(source.sampled)
        if source.fixed and source.fixed.startswith("reference."):
            return point.reference.get(source.fixed.removeprefix("reference."))
        return point.held_out.get(source.fixed) if source.fixed else None

    return [(float(point.step), e) for point in run.evals if (e := pick(point)) is not None]


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
    return points // 20 // 2 * 2 + 1 if points >= SMOOTH_FROM else 1


def _running_mean(y: np.ndarray, window: int) -> np.ndarray:
    """Return the centred mean; at the ends over what is there, so that nothing is invented beyond the run."""
    ones = np.ones(window)
    return np.asarray(np.convolve(y, ones, "same") / np.convolve(np.ones_like(y), ones, "same"))


def _binned(column: np.ndarray) -> list[float]:
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
    size = max(1, len(values) // 10)
    window = values[-size:] if last else values[:size]
    return cluster_mean(window, range(len(window)), share=False, unit="step")
