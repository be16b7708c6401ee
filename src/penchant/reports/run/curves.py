"""From runs to what is drawn: panels of series over steps, and the paths of the reward-KL plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


_PANELS: tuple[tuple[str, str, str, float | None, tuple[_Source, ...]], ...] = (
    ("loss", "Loss", "", None, (_Source("policy", "policy", "loss", "loss"),)),
    (
        "accuracy",
        "Accuracy",
        "share of comparisons",
        0.5,
        (
            _Source("policy", "policy", "accuracy", "accuracy"),
            _Source("longest wins", "reference", fixed="longest_wins"),
        ),
    ),
    (
        "label_accuracy",
        "Label accuracy",
        "share of labels",
        None,
        (
            _Source("policy", "policy", "label_accuracy", "label_accuracy"),
            _Source("good labels", "reference", fixed="desirable_share"),
        ),
    ),
    (
        "mean_logps",
        "Mean log-probability",
        "nats per token",
        None,
        (_Source("policy", "policy", "mean_logps"),),
    ),
    (
        "rewards",
        "Reward of chosen and rejected responses",
        "nats",
        None,
        (
            _Source("chosen", "chosen", "chosen_reward", "chosen_reward"),
            _Source("rejected", "rejected", "rejected_reward", "rejected_reward"),
        ),
    ),
    (
        "rollout_reward",
        "Reward of the rollouts",
        "",
        None,
        (_Source("optimised", "policy", "reward"), _Source("true", "chosen", "true_reward")),
    ),
    ("kl_coefficient", "Coefficient of the KL penalty", "", None, (_Source("policy", "policy", "kl_coefficient"),)),
    ("clip_fraction", "Clipped tokens", "share of tokens", None, (_Source("policy", "policy", "clip_fraction"),)),
    (
        "explained_variance",
        "Variance of the returns that the values explain",
        "share",
        0.0,
        (_Source("policy", "policy", "explained_variance"),),
    ),
    ("grad_norm", "Gradient norm", "before clipping", None, (_Source("policy", "policy", "grad_norm"),)),
    ("margin", "Margin", "nats", 0.0, (_Source("policy", "policy", "margin", "margin"),)),
    (
        "logps",
        "Chosen and rejected log-probability",
        "nats",
        None,
        (
            _Source("chosen", "chosen", "chosen_logps", "chosen_logps"),
            _Source("rejected", "rejected", "rejected_logps", "rejected_logps"),
        ),
    ),
    (
        "log_ratios",
        "Log-ratio to the reference of good and bad responses",
        "nats",
        0.0,
        (
            _Source("good", "chosen", "desirable_log_ratio", "desirable_log_ratio"),
            _Source("bad", "rejected", "undesirable_log_ratio", "undesirable_log_ratio"),
        ),
    ),
    (
        "kl",
        "KL from the reference",
        "nats per response",
        None,
        (_Source("policy", "policy", "kl_nats", sampled="kl_nats"),),
    ),
    (
        "tokens",
        "Length of sampled responses",
        "tokens",
        None,
        (
            _Source("policy", "policy", sampled="tokens"),
            _Source("reference", "reference", fixed="reference.tokens"),
        ),
    ),
    (
        "reward",
        "Reward",
        "",
        None,
        (
            _Source("policy", "policy", sampled="reward"),
            _Source("reference", "reference", fixed="reference.reward"),
        ),
    ),
    (
        "repetition",
        "Repetition",
        "share of 4-grams",
        None,
        (
            _Source("policy", "policy", sampled="repetition"),
            _Source("reference", "reference", fixed="reference.repetition"),
        ),
    ),
    (
        "distinct_2",
        "Variety",
        "share of distinct 2-grams",
        None,
        (
            _Source("policy", "policy", sampled="distinct_2"),
            _Source("reference", "reference", fixed="reference.distinct_2"),
        ),
    ),
)

_TWO_SIDED = {
    "logps": "log-probability",
    "log_ratios": "responses' log-ratio",
    "rewards": "responses' reward",
    "rollout_reward": "reward of the rollouts",
}


def panels(runs: Sequence[Run]) -> dict[str, Panel]:
    """Every panel that has something to show, by key, in the order of the page.

    With several runs the colour tells the run, so the panel of chosen and rejected becomes two, `logps.chosen` and
    `logps.rejected`, and the other panels of two sides likewise.
    """
    built: dict[str, Panel] = {}
    for key, title, unit, level, sources in _PANELS:
        if key in _TWO_SIDED and len(runs) > 1:
            for source in sources:
                name = f"{source.label.capitalize()} {_TWO_SIDED[key]}"
                _add(built, Panel(f"{key}.{source.label}", name, unit, _all_series(runs, (source,)), level))
        else:
            _add(built, Panel(key, title, unit, _all_series(runs, sources), level))
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
    """Runs that share a baseline show it once, in the reference's colour; too many of them are left out."""
    own = [s for s in series if s.kind != "dashed"]
    different = {str((s.y[-1], s.low[-1])) for s in series if s.kind == "dashed"}
    if len(different) != 1:
        return own if len(different) > MOST_BASELINES else list(series)
    longest = max((s for s in series if s.kind == "dashed"), key=lambda s: s.x[-1])
    shared = Series(longest.label, "reference", "dashed", longest.x, longest.y, longest.low, longest.high)
    return [*own, shared]


def _run_series(run: Run, source: _Source, role: str, *, with_training: bool) -> list[Series]:
    evaluated = _evaluated(run, source)
    found: list[Series] = []
    if source.train and (with_training or not evaluated):
        found += _training(run, source.train, source.label, role)
    if evaluated:
        kind = "dashed" if source.fixed else "points"
        x, estimates = zip(*evaluated, strict=True)
        low = tuple(float("nan") if e.low is None else e.low for e in estimates)
        high = tuple(float("nan") if e.high is None else e.high for e in estimates)
        found.append(Series(source.label, role, kind, x, tuple(e.value for e in estimates), low, high))
    return found


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
    """How many training steps the bold line averages: a twentieth of the run, an odd number."""
    return points // 20 // 2 * 2 + 1 if points >= SMOOTH_FROM else 1


def _running_mean(y: np.ndarray, window: int) -> np.ndarray:
    """Centred mean; at the ends over what is there, so that nothing is invented beyond the run."""
    ones = np.ones(window)
    return np.asarray(np.convolve(y, ones, "same") / np.convolve(np.ones_like(y), ones, "same"))


def _binned(column: np.ndarray) -> list[float]:
    parts = np.array_split(column, min(len(column), MOST_POINTS))
    return [float(part.mean()) for part in parts]


def kl_paths(runs: Sequence[Run]) -> tuple[KlPath, ...]:
    """The runs whose evaluations have both a reward and a KL, less step 0: the reference itself."""
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
    """Mean of a training number over the first or last tenth of the steps; its interval resamples steps."""
    values = [point.values[key] for point in run.train if key in point.values]
    if not values:
        return None
    size = max(1, len(values) // 10)
    window = values[-size:] if last else values[:size]
    return cluster_mean(window, range(len(window)), share=False, unit="step")
