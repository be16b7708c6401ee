"""Compare runs with one of them: what differs in their settings, and by how much their numbers differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from penchant.errors import InputError
from penchant.files import locked_file
from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import independent_difference, paired_difference
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, recorded
from penchant.reports.run.summary import Summary, is_comparable, shown_samples
from penchant.runs.held_out_rows import HELD_OUT_FILE, read_held_out_rows
from penchant.runs.read import Run, distinct_names, read_runs

SAMPLED = ("reward", "kl_nats", "tokens")
"""Numbers of single draws, which pair by prompt."""
HELD_OUT = ("accuracy", "label_accuracy", "loss")
"""Numbers of held-out rows, which pair by the content of the rows; older runs keep the mean alone."""


@dataclass(frozen=True)
class UnreadRun:
    """A folder that is no run, or one that cannot be read."""

    path: Path
    reason: str


def read_each(paths: Sequence[str]) -> tuple[tuple[Run, ...], list[UnreadRun]]:
    """Read run directories; one that cannot be read does not keep the others.

    Raises:
        InputError: none can be read.
    """
    runs: dict[Path, Run] = {}
    unread = []
    for path in paths:
        try:
            runs |= {run.path.resolve(): run for run in read_runs([path])}
        except InputError as error:
            unread.append(UnreadRun(Path(path), str(error)))
    if not runs:
        raise InputError("; ".join(run.reason for run in unread) or "there is no run to compare")
    # each was read alone, where its folder's name is enough
    names = distinct_names([run.path for run in runs.values()])
    return tuple(replace(run, name=name) for run, name in zip(runs.values(), names, strict=True)), unread


def state(run: Run) -> str:
    """Return how a run stands: as its result says, `running`, or where it stopped without one."""
    if run.result:
        return str(run.result.get("status") or "ended")
    if _is_locked(run.path):
        return "running"
    step = run.last_step()
    return f"stopped after step {step:,} without a result" if step else "failed before the first step"


def _is_locked(folder: Path) -> bool:
    lock = folder / ".lock"
    # a run removes its lock at the end; one that was killed leaves the file, which nobody holds
    if not lock.is_file() or lock.is_symlink():
        return False
    try:
        with locked_file(lock):
            return False
    except BlockingIOError:
        return True
    except OSError:  # somebody else's folder, which cannot be locked from here
        return False


def versus_table(summaries: Sequence[Summary]) -> Table | None:
    """Return by how much each run's numbers differ from those of the first; None where they share none."""
    first = summaries[0]
    rows: list[tuple[str, ...]] = [
        (
            other.run.name,
            metric(key).column,
            text,
            f"not paired: {reason}" if reason else "paired",
            _verdict(difference),
        )
        for other in summaries[1:]
        for key, difference, reason in differences_from(other, first)
        for text in (recorded(difference, percent=metric(key).is_share, sign=True),)
    ]
    # numbers of a start would read as those of an end
    unmeasured = [s.run.name for s in summaries if s.is_unmeasured]
    rows += [
        (other.run.name, "all", DASH, f"{' and '.join(missing)} not evaluated since the start", DASH)
        for other in summaries[1:]
        if (missing := [name for name in dict.fromkeys((other.run.name, first.run.name)) if name in unmeasured])
    ]
    if not rows:
        return None
    caption = (
        f"Each run minus {first.run.name}, with 95% intervals. Samples of the same prompts are paired, and so are "
        "held-out rows of the same content; where that is not possible the intervals are wider. Where two runs "
        "have other rewards, losses or references, the numbers of these mean another thing and are left out."
    )
    return Table(caption, ("Run", "Number", f"Minus {first.run.name}", "Prompts", "Differs"), tuple(rows))


def differences_from(run: Summary, first: Summary) -> list[tuple[str, Estimate, str]]:
    """Return the differences of a run's last numbers from another's.

    Returns:
        By number: its key, run minus the other, and why it is not paired by prompt; empty where it is. Nothing where
        one of the two was not evaluated since its start.
    """
    if run.is_unmeasured or first.is_unmeasured:
        return []
    # what only one of the two measured is in the table of runs, and has no difference
    differences = []
    for key in SAMPLED:
        paired, reason = _paired(key, run.run, first.run)
        a, b = run.policy(key), first.policy(key)
        if not is_comparable(key, run.run, first.run):
            continue
        if paired is not None:
            differences.append((key, paired, ""))
        elif a is not None and b is not None:
            differences.append((key, independent_difference(a, b), reason))
    for key in HELD_OUT:
        a, b = run.held_out_estimate(key), first.held_out_estimate(key)
        if a is not None and b is not None and is_comparable(key, run.run, first.run):
            paired, reason = _paired_rows(key, run, first)
            differences.append((key, independent_difference(a, b) if paired is None else paired, reason))
    return differences


def _paired(key: str, run: Run, first: Run) -> tuple[Estimate | None, str]:
    """Return the difference of the mean over shared prompts; None, and why, where fewer than all are shared."""
    a, b = _by_prompt(key, run), _by_prompt(key, first)
    if not a or not b:
        return None, "the samples of one run are not there"
    shared, count = a.keys() & b.keys(), max(len(a), len(b))
    # a mean over a part of the prompts would be another number than the table of runs shows
    if len(shared) < count:
        return None, f"{len(shared)} of {count} prompts are shared"
    prompts = sorted(shared)
    return paired_difference([a[prompt] for prompt in prompts], [b[prompt] for prompt in prompts], prompts), ""


def _paired_rows(key: str, run: Summary, first: Summary) -> tuple[Estimate | None, str]:
    """Return the difference of a held-out mean over rows of the same content; None, and why, where it cannot be."""
    try:
        a, b = _held_out_rows(key, run), _held_out_rows(key, first)
    except ValueError as error:
        return None, f"{HELD_OUT_FILE} cannot be read ({error})"
    if a is None or b is None:
        return None, "runs keep the mean alone"
    shared, count = a.keys() & b.keys(), max(len(a), len(b))
    # a mean over a part of the rows would be another number than the table of runs shows
    if len(shared) < count:
        return None, f"{len(shared)} of {count} held-out rows are shared"
    # in the order of the rows: the draws of an interval follow the order of its prompts
    rows = [(a[key_of_row], b[key_of_row]) for key_of_row in a]
    # tokens weigh, and another tokenizer counts others
    if any(of_run.weight != of_first.weight for of_run, of_first in rows):
        return None, "the held-out rows weigh differently"
    difference = paired_difference(
        [of_run.value for of_run, _ in rows],
        [of_first.value for _, of_first in rows],
        [of_run.prompt for of_run, _ in rows],
        weights=[of_run.weight for of_run, _ in rows],
        share=metric(key).is_share,
    )
    return difference, ""


@dataclass(frozen=True)
class _RowValue:
    """What a held-out row gave, with its weight and a digest of its prompt."""

    value: float
    weight: float
    prompt: str


def _held_out_rows(key: str, run: Summary) -> dict[str, _RowValue] | None:
    """Return by row what it gave to a number at the last evaluation; None where the run does not keep that.

    Raises:
        ValueError: its file is damaged.
    """
    rows, last = read_held_out_rows(run.run.path), run.held_last
    # of another step after a kill between an evaluation's two files
    if rows is None or last is None or rows.step != last.step or key not in rows.values:
        return None
    columns = zip(rows.keys, rows.values[key], rows.weights, rows.prompts, strict=True)
    return {name: _RowValue(value, weight, prompt) for name, value, weight, prompt in columns if value is not None}


def _by_prompt(key: str, run: Run) -> Mapping[str, float]:
    """Return the mean of a number over the last draws of each prompt; nothing where a draw lacks it."""
    values = defaultdict(list)
    for sample in shown_samples(run):
        for draw in sample.policy:
            value = getattr(draw, key)
            if value is None:
                return {}
            values[sample.prompt].append(float(value))
    return {prompt: mean(numbers) for prompt, numbers in values.items()}


def _verdict(difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return DASH
    if difference.low > 0:
        return "yes, higher"
    return "yes, lower" if difference.high < 0 else "not shown"


def unread_table(unread: Sequence[UnreadRun]) -> Table | None:
    """Return the folders that could not be read, and why."""
    if not unread:
        return None
    rows = tuple((str(run.path), run.reason) for run in unread)
    return Table("Folders that are no run, or cannot be read.", ("Folder", "Reason"), rows)
