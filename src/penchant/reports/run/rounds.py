"""The rounds of a run: what each came to, as a table and as figures over the rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, duration, percent, recorded
from penchant.reports.run.curves import Panel, Series
from penchant.runs.read import Run, finite, read_estimate

Path = tuple[str, ...]
ROUNDS_TITLE = "Round by round"
OVERHEAD = ("loading", "other")
"""Parts of a round that are neither sampling, comparing, training, the reference nor evaluation."""


@dataclass(frozen=True)
class _Measure:
    """A number of every round.

    Attributes:
        key: of its figure. title: above it. unit: at its axis.
        paths: where a round's row has it; of several the first that is there.
        start: where the first row has that of the start, before any round.
        metric: whose format it has; its level is drawn.
    """

    key: str
    title: str
    unit: str
    paths: tuple[Path, ...]
    metric: str
    start: tuple[Path, ...] = ()


_POLICY, _REFERENCE = ("policy", "samples", "policy"), ("policy", "samples", "reference")
_MEASURES = (
    _Measure("round_accuracy", "Real told from generated", "share of held-out pairs", (("accuracy",),), "accuracy"),
    _Measure(
        "round_real_logps",
        "Likelihood of held-out real answers",
        "nats per answer",
        (("after", "real_logps"),),
        "chosen_logps",
        start=(("before", "real_logps"),),
    ),
    _Measure(
        "round_reward",
        "Reward",
        "",
        (("after", "reward"), (*_POLICY, "reward")),
        "reward",
        start=(("before", "reward"), (*_REFERENCE, "reward")),
    ),
    _Measure(
        "round_win_rate",
        "Win rate against real answers",
        "share of pairs",
        (("after", "win_rate"),),
        "rate",
        start=(("before", "win_rate"),),
    ),
    _Measure("round_kl_start", "KL from the start", "nats per response", (("after", "kl_start"),), "kl_nats"),
    _Measure("round_kl_last", "KL from the round before", "nats per response", (("after", "kl_last"),), "kl_nats"),
    _Measure("round_kl", "KL from the reference", "nats per response", ((*_POLICY, "kl_nats"),), "kl_nats"),
    _Measure(
        "round_reward_model",
        "Accuracy of the reward model",
        "share of held-out pairs",
        (("reward_model", "held_out", "accuracy"),),
        "accuracy",
    ),
    _Measure(
        "round_judge",
        "Accuracy of the self-judge",
        "share of comparisons",
        (("judge", "accuracy"),),
        "accuracy",
        start=(("judge_before", "accuracy"),),
    ),
    _Measure(
        "round_judge_kappa",
        "Kappa of the self-judge with people",
        "",
        (("judge", "kappa"),),
        "kappa",
        start=(("judge_before", "kappa"),),
    ),
    _Measure(
        "round_judge_longer",
        "The self-judge takes the longer answer",
        "share of verdicts",
        (("judge", "takes_longer"),),
        "rate",
        start=(("judge_before", "takes_longer"),),
    ),
    _Measure(
        "round_judge_first",
        "The self-judge names the first answer",
        "share of verdicts",
        (("judge", "first_place"),),
        "rate",
        start=(("judge_before", "first_place"),),
    ),
    _Measure("round_answer_tokens", "Length of answers", "tokens", (("lengths", "tokens"),), "tokens"),
    _Measure("round_chosen_longer", "Chosen answers longer by", "tokens", (("lengths", "chosen_longer_by"),), "tokens"),
    _Measure(
        "round_tokens",
        "Length of samples",
        "tokens",
        (("after", "tokens"), (*_POLICY, "tokens")),
        "tokens",
        start=(("before", "tokens"), (*_REFERENCE, "tokens")),
    ),
)
_COUNTS: tuple[tuple[str, Path, bool], ...] = (
    ("New prompts", ("prompts", "new"), False),
    ("Distinct pairs of words in them", ("prompts", "distinct_2"), True),
    ("of these unseen before", ("prompts", "fresh_2"), True),
    ("Answers without a score", ("scores", "unscored"), False),
)
"""Numbers without an interval: the column's head, where a round's row has it, and whether it is a share."""
ROUND_KEYS = tuple(measure.key for measure in _MEASURES)
"""The keys of the figures over rounds."""


def round_panels(run: Run) -> dict[str, Panel]:
    """Return a panel for every number that two rounds have, or the start and a round."""
    panels = {}
    for measure in _MEASURES:
        points = list(_points(run, measure))
        if len(points) > 1:
            number, estimates = zip(*points, strict=True)
            series = Series(
                "policy",
                "policy",
                "points",
                tuple(map(float, number)),
                tuple(e.value for e in estimates),
                # NaN stands for an end that nobody knows
                tuple(float("nan") if e.low is None else e.low for e in estimates),
                tuple(float("nan") if e.high is None else e.high for e in estimates),
            )
            level = metric(measure.metric).level
            panels[measure.key] = Panel(measure.key, measure.title, measure.unit, (series,), level)
    return panels


def round_table(run: Run) -> Table | None:
    """Return a table with a row per round; None for a run without rounds."""
    rows = _rows(run)
    if not rows:
        return None
    # what no round measured would be dashes from top to bottom
    measures = [measure for measure in _MEASURES if any(_read(row, measure.paths) for row in rows)]
    seconds = _seconds(run)
    counts = [entry for entry in _COUNTS if any(finite(_lookup(row, entry[1])) is not None for row in rows)]
    heads = ("Round", "Samples", "Pairs", *(measure.title for measure in measures), *(head for head, _, _ in counts))
    # runs of earlier versions have rounds without their seconds
    heads += ("Time", "of it neither sampling nor learning") if seconds else ()
    body = []
    for number, row in enumerate(rows):
        cells = [str(number + 1), _count(row, ("samples", "samples")), _pairs(row)]
        for measure in measures:
            estimate = _read(row, measure.paths)
            cells.append(recorded(estimate, percent=metric(measure.metric).is_share) if estimate else DASH)
        cells += [_share(row, path) if is_share else _count(row, path) for _, path, is_share in counts]
        cells += _time(seconds[number]) if number < len(seconds) else [DASH, DASH] if seconds else []
        body.append(tuple(cells))
    return Table("What each round came to, with 95% intervals.", heads, tuple(body))


def stop_sentence(run: Run) -> str:
    """Return why the rounds ended before their number; empty where they did not."""
    reason = (run.result or {}).get("stop_reason")
    return f"Stopped after round {len(_rows(run))}: {reason}." if isinstance(reason, str) and reason else ""


def _rows(run: Run) -> list[Mapping[str, object]]:
    """Return the rows of all rounds; what is no row is left out."""
    rows = (run.result or {}).get("rounds")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _points(run: Run, measure: _Measure) -> Iterator[tuple[int, Estimate]]:
    """Yield the number of each round that has a measure, and its estimate; 0 is the start."""
    rows = _rows(run)
    # the start is measured once, before the first round
    if rows and (start := _read(rows[0], measure.start)):
        yield 0, start
    for number, row in enumerate(rows, start=1):
        if estimate := _read(row, measure.paths):
            yield number, estimate


def _read(row: Mapping[str, object], paths: Sequence[Path]) -> Estimate | None:
    """Return the estimate at the first path that leads to one."""
    return next((estimate for path in paths if (estimate := read_estimate(_lookup(row, path)))), None)


def _lookup(row: Mapping[str, object], path: Path) -> object:
    node: object = row
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _count(row: Mapping[str, object], path: Path) -> str:
    number = finite(_lookup(row, path))
    return DASH if number is None else f"{number:,.0f}"


def _share(row: Mapping[str, object], path: Path) -> str:
    share = finite(_lookup(row, path))
    return DASH if share is None else percent(share)


def _pairs(row: Mapping[str, object]) -> str:
    """Return how many pairs a round learned from, or that it was skipped."""
    return "none: skipped" if row.get("skipped") else _count(row, ("pairs_learned",))


def _seconds(run: Run) -> list[dict[str, float]]:
    """Return the seconds of each round by part."""
    # a file of somebody else's may hold anything: what is no number of seconds is left out
    rounds = (run.result or {}).get("round_seconds")
    parts = [row for row in rounds if isinstance(row, dict)] if isinstance(rounds, list) else []
    return [{name: seconds for name, entry in row.items() if (seconds := finite(entry)) is not None} for row in parts]


def _time(seconds: Mapping[str, float]) -> list[str]:
    """Return how long a round took, and the share of it that went into nothing that was asked for."""
    total = sum(seconds.values())
    return [duration(total), percent(sum(seconds.get(part, 0.0) for part in OVERHEAD) / total) if total else DASH]
