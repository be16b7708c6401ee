"""Fill tables and tiles of the page of runs: what was run, how runs compare, every evaluation, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.models.builtin import described
from penchant.reports.kit.tables import Mark, Table, Tile, flatten
from penchant.reports.kit.text import DASH, count, duration, estimate, gibibytes, number, recorded, value_and_interval
from penchant.reports.run.summary import Summary
from penchant.reports.run.versus import state
from penchant.runs.read import EvalPoint, Run, finite

MOST_DIFFERENCES = 40


def tiles(s: Summary) -> list[Tile]:
    """Return tiles of the numbers that matter in a single run, as far as it measured them."""
    # No tile stands for a number that was not measured: a zero or a dash would be read as one.
    cards = []
    if reward := s.policy("reward"):
        cards.append(_tile(f"Mean {metric('reward').label}", "reward", reward, s.reference("reward"), "reference"))
    tokens = s.policy("tokens")
    if kl := s.policy("kl_nats"):
        per_token = f"{number(kl.value / tokens.value)} per token" if tokens and tokens.value > 0 else ""
        cards.append(Tile(f"{metric('kl_nats').title}, {metric('kl_nats').unit}", *value_and_interval(kl), per_token))
    # One of these: a method of comparisons, of labels or of neither; its accuracy says more than its loss.
    if accuracy := s.held_out_estimate("accuracy"):
        cards.append(_held_out_tile("accuracy", accuracy, s.held_out_estimate("longest_wins"), "longest wins"))
    elif labels := s.held_out_estimate("label_accuracy"):
        good = s.held_out_estimate("desirable_share")
        cards.append(_held_out_tile("label_accuracy", labels, good, "labels that are good"))
    elif loss := s.held_out_estimate("loss"):
        cards.append(_held_out_tile("loss", loss, s.held_out_estimate("loss", last=False), "at the start"))
    if tokens:
        label = f"{metric('tokens').label.capitalize()}, {metric('tokens').unit}"
        cards.append(_tile(label, "tokens", tokens, s.reference("tokens"), "reference"))
    return cards


def _held_out_tile(key: str, measured: Estimate, baseline: Estimate | None, against: str) -> Tile:
    return _tile(_held_out(key), key, measured, baseline, against)


def _held_out(key: str) -> str:
    return f"Held-out {metric(key).label}"


def _tile(label: str, key: str, measured: Estimate, baseline: Estimate | None, against: str) -> Tile:
    """Return a tile with both on one scale: of shares 0 to 1, of others as far as the two reach."""
    is_share = metric(key).is_share
    ends = [end for e in (measured, baseline) if e is not None for end in (e.value, e.low, e.high) if end is not None]
    low, high = (0.0, 1.0) if is_share else (min(ends), max(ends))
    width = (high - low) or 1.0
    # A margin on both sides, so that no mark lies on the edge; shares end where they end.
    low, width = (low, width) if is_share else (low - 0.08 * width, 1.16 * width)

    def position(value: float | None, fallback: float) -> float:
        return round(100 * ((fallback if value is None else value) - low) / width, 1)

    marks = tuple(
        Mark(kind, position(e.low, e.value), position(e.value, e.value), position(e.high, e.value))
        for kind, e in (("reference", baseline), ("policy", measured))
        if e is not None
    )
    note = f"{against} {estimate(baseline, percent=is_share)}" if baseline else ""
    parts = value_and_interval(measured, percent=is_share)
    # Tiles of shares are accuracies, and their tick is at one half, what a coin gets.
    return Tile(label, *parts, note, marks if baseline else (), 50.0 if is_share else None)


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what was run, as (label, text); what the files do not say is left out."""
    rows = [
        ("Method", _method(run)),
        ("Model", _model(run)),
        ("Data", _data(run)),
        ("Training", _training(run)),
        ("Samples", _sampling(run)),
        ("Machine", _machine(run)),
        ("Started", str(run.provenance.get("started") or "")),
    ]
    return [(label, text) for label, text in rows if text]


def _method(run: Run) -> str:
    loss = run.setting("loss")
    parts = [run.method]
    if isinstance(loss, Mapping):
        parts.append(f"loss {loss.get('name', '')} ({_settings(loss, omitted='name')})")
    elif loss is not None:
        parts.append(f"loss {loss}")
    # The seed that ran, where the run noted it; else the one that was asked for.
    seed = run.provenance.get("seed", run.setting("seed"))
    return ", ".join(parts if seed is None else [*parts, f"seed {seed}"])


def _settings(table: Mapping[str, object], *, omitted: str = "") -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if key != omitted and value is not None)


def _sampling(run: Run) -> str:
    settings = run.setting("evaluate", "samples")
    return _settings(settings) if isinstance(settings, Mapping) else ""


def _part(run: Run, key: str) -> Mapping[str, object]:
    # A damaged or foreign file may have anything in this place.
    value = run.provenance.get(key)
    return value if isinstance(value, Mapping) else {}


def _model(run: Run) -> str:
    model = _part(run, "model")
    model_name = model.get("name") or run.setting("model")
    parts = [described(model_name)] if isinstance(model_name, str) else []
    total, trained = finite(model.get("parameters")), finite(model.get("trainable_parameters"))
    if total:
        parts.append(f"{_millions(total)} parameters")
        if trained is not None and trained < total:  # adapters
            parts.append(f"{_millions(trained)} trained ({number(100 * trained / total)}%)")
    return ", ".join([*parts, *([str(model["dtype"])] if model.get("dtype") else [])])


def _millions(n: float) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if n >= unit:
            return f"{number(n / unit)}{name}"
    return f"{n:.0f}"


# What was taken out of the data or changed in it; a count of 0 is not shown.
_SPOILED = {
    "contradictions": "contradicting",
    "dropped_too_long": "dropped as too long",
    "truncated": "truncated",
    "unstable_boundaries": "with a token across the boundary of prompt and response",
}


def _data(run: Run) -> str:
    data = _part(run, "data")
    listed = data.get("sources")
    paths = (
        [str(source.get("path")) for source in listed if isinstance(source, Mapping)]
        if isinstance(listed, list)
        else []
    )
    path = data.get("path") or " + ".join(paths)
    nouns = (
        ("groups", "prompt"),
        ("comparisons", "comparison"),
        ("responses", "response"),
        ("ties", "tie"),
        ("desirable", "good label"),
        ("undesirable", "bad label"),
    )
    counts = [count(n, noun) for key, noun in nouns if (n := run.data(key))]
    held_out_count = run.data("held_out_groups")
    counts += [f"{count(held_out_count, 'prompt')} held out"] if held_out_count else []
    counts += [f"{n:,} {label}" for key, label in _SPOILED.items() if (n := run.data(key))]
    return ", ".join([*([str(path)] if path else []), *counts, *([rule] if (rule := rating_rule(run)) else [])])


def rating_rule(run: Run) -> str:
    """Return by which rule the ratings of a run's data became comparisons; nothing where it has no ratings."""
    table = run.result.get("data") if run.result else None
    rules = table.get("ratings") if isinstance(table, Mapping) else None
    if not isinstance(rules, Mapping) or not rules:
        return ""
    margin = finite(run.setting("data", "margin"))
    # a margin of 0 makes no ties that the ratings themselves are not
    threshold = f", ties where nearer than {margin:g}" if margin else ""
    return f"compared by {' or '.join(map(str, rules))}{threshold}"


def _training(run: Run) -> str:
    result = run.result or {}
    seconds, memory = finite(result.get("seconds")), finite(result.get("peak_memory_bytes"))
    if seconds is None and run.train:  # it has not ended: the steps so far say how long they took
        seconds = sum(point.values.get("seconds", 0.0) for point in run.train) or None
    # The median step, as a few slow ones would pull a mean.
    speeds = sorted(p.values["tokens_per_s"] for p in run.train if "tokens_per_s" in p.values)
    parts = [count(run.last_step(), "step")]
    parts += [f"in {duration(seconds)}"] if seconds else []
    text = " ".join(parts)
    text += f", {number(speeds[len(speeds) // 2], 0)} tokens per second" if speeds else ""
    return text + (f", peak memory {gibibytes(memory)}" if memory else "")


def _machine(run: Run) -> str:
    machine = _part(run, "machine")
    cores = finite(machine.get("cores"))
    devices = [machine.get("accelerator"), machine.get("cpu")]
    return ", ".join([*(str(part) for part in devices if part), *([count(int(cores), "core")] if cores else [])])


def comparison(summaries: Sequence[Summary]) -> Table:
    """Compare runs, one row per run: what no run measured, or all share, takes no column."""

    def held_out(key: str) -> list[str]:
        return [recorded(s.held_out_estimate(key), percent=metric(key).is_share) for s in summaries]

    def sampled(key: str) -> list[str]:
        return [recorded(s.policy(key), percent=metric(key).is_share) for s in summaries]

    results = [s.run.result or {} for s in summaries]
    # of a run that was killed the numbers are older than its last step
    measured = [s.measured_step for s in summaries]
    is_older = any(step not in (None, s.run.last_step()) for step, s in zip(measured, summaries, strict=True))
    columns: dict[str, list[str]] = {
        "Run": [s.run.name for s in summaries],
        "Method": [s.run.method for s in summaries],
        "Status": [state(s.run) for s in summaries],
        "Steps": [f"{s.run.last_step():,}" for s in summaries],
        "Measured at step": [DASH if step is None or not is_older else f"{step:,}" for step in measured],
        metric("reward").column: sampled("reward"),
        "Change": [recorded(s.gain.estimate if s.gain else None, sign=True) for s in summaries],
        metric("kl_nats").column: sampled("kl_nats"),
        _held_out("accuracy"): held_out("accuracy"),
        _held_out("label_accuracy"): held_out("label_accuracy"),
        metric("longest_wins").column: held_out("longest_wins"),
        _held_out("loss"): held_out("loss"),
        metric("tokens").column: sampled("tokens"),
        metric("repetition").column: sampled("repetition"),
        "Time": [duration(seconds) if (seconds := finite(r.get("seconds"))) else DASH for r in results],
        "Peak memory": [gibibytes(memory) if (memory := finite(r.get("peak_memory_bytes"))) else DASH for r in results],
    }
    # What all runs share goes into the caption: a column of equal cells costs the width that numbers need.
    shared = [head for head in ("Method", "Status", "Steps") if len(set(columns[head])) == 1]
    shared_facts = [f"{head.lower()} {columns.pop(head)[0]}" for head in shared]
    shown_columns = {head: cells for head, cells in columns.items() if any(cell != DASH for cell in cells)}
    note = f" All runs: {', '.join(shared_facts)}." if shared_facts else ""
    rows = tuple(zip(*shown_columns.values(), strict=True))
    return Table(f"At the last evaluation of each run, with 95% intervals.{note}", tuple(shown_columns), rows)


_PAIRS = ("margin", "chosen_logps", "rejected_logps", "desirable_log_ratio", "undesirable_log_ratio")
_EVALUATED = {
    "held_out": ("loss", "accuracy", "label_accuracy", *_PAIRS),
    "policy": ("reward", "kl_nats", "tokens", "distinct_2", "repetition", "finished"),
}
"""The columns of the table of evaluations, by the part of an `EvalPoint`."""


def evaluations(run: Run) -> Table | None:
    """Return a table of every evaluated checkpoint with every number; None where nothing was evaluated."""
    columns = [
        (part, metric(key))
        for part, keys in _EVALUATED.items()
        for key in keys
        # A column that no evaluation measured would be dashes from top to bottom.
        if any(key in getattr(point, part) for point in run.evals)
    ]
    if not columns:
        return None

    def row(point: EvalPoint) -> tuple[str, ...]:
        cells = (recorded(getattr(point, part).get(column.key), percent=column.is_share) for part, column in columns)
        return (f"{point.step:,}", *cells)

    heads = ("Step", *(measured.column for _, measured in columns))
    return Table("Every evaluated checkpoint, with 95% intervals.", heads, tuple(map(row, run.evals)))


def sources(run: Run) -> Table | None:
    """Return a table of the held-out numbers of each source at the last evaluation; None for data of one source."""
    last = run.evals[-1] if run.evals else None
    if last is None or not last.by_source:
        return None
    parts = last.by_source
    columns = [metric(key) for key in _EVALUATED["held_out"] if any(key in part for part in parts.values())]
    counts = run.result.get("data") if run.result else None
    by_name = counts.get("sources") if isinstance(counts, Mapping) else None
    heads = ("Source", "Passes per epoch", *(measured.column for measured in columns))

    def passes(name: str) -> str:
        table = by_name.get(name) if isinstance(by_name, Mapping) else None
        number = finite(table.get("passes_per_epoch")) if isinstance(table, Mapping) else None
        return DASH if number is None else f"{number:.3g}"

    rows = tuple(
        (name, passes(name), *(recorded(part.get(column.key), percent=column.is_share) for column in columns))
        for name, part in parts.items()
    )
    return Table(f"Held-out prompts of each source after step {last.step:,}, with 95% intervals.", heads, rows)


def differences(runs: Sequence[Run]) -> Table | None:
    """Return a table of the settings in which runs differ, one row per setting; None where there are none."""
    flat = [flatten(run.config) for run in runs]
    # Runs lie in folders of their own, so `out` always differs and says nothing.
    keys = dict.fromkeys(key for table in flat for key in table if key != "out")
    rows = [(key, *values) for key in keys if len(set(values := tuple(table.get(key, DASH) for table in flat))) > 1]
    if not rows:
        return None
    omission = f" {len(rows) - MOST_DIFFERENCES} more are not shown." if len(rows) > MOST_DIFFERENCES else ""
    heads = ("Setting", *(run.name for run in runs))
    return Table(f"Settings in which the runs differ.{omission}", heads, tuple(rows[:MOST_DIFFERENCES]))
