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
from penchant.runs.read import Run, distinct_names, read_runs

SAMPLED = ("reward", "kl_nats", "tokens")
"""Numbers of single draws, which pair by prompt."""
HELD_OUT = ("accuracy", "label_accuracy", "loss")
"""Numbers of which a run keeps the mean alone."""


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
        f"Each run minus {first.run.name}, with 95% intervals. Samples of the same prompts are paired. Of held-out "
        "numbers a run keeps the mean alone, so their intervals are wider than pairing would make them. Where two runs "
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
            # two runs on the same rows would pair, but no run keeps what each row gave
            differences.append((key, independent_difference(a, b), "runs keep the mean alone"))
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
