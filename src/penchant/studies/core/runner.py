"""Runs the stages that are missing, each after what it needs, several at once; failures stop only what needs them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penchant.digests import DamagedFile, check_files, read_sums, warn_without_digests
from penchant.files import remove, write_text
from penchant.runs.progress import Advance, progress_bar
from penchant.studies.core.executor import Outcome, Workers
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.stage import Stage
from penchant.studies.core.stage_settings import is_evaluated

log = logging.getLogger("penchant.studies")

# statuses of a run that came to an end; one whose KL ran away is a finding, no failure
COMPLETE = ("done", "stopped_early", "runaway")
FAILED = "failed"


@dataclass
class Progress:
    """The state of every stage.

    Attributes:
        outcomes: of the stages that have one, by address.
        ran: stages that this call worked on, by address.
        interrupted: somebody asked to stop.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    interrupted: bool = False

    def failures(self, stages: Sequence[Stage]) -> list[tuple[Stage, str]]:
        """Return the stages that failed, with the reason."""
        outcomes = [(stage, self.outcomes.get(stage.address)) for stage in stages]
        return [(stage, outcome.reason) for stage, outcome in outcomes if outcome is not None and outcome.failed]

    def can_start(self, stage: Stage) -> bool:
        """Return whether all that a stage needs has come to its end without a failure."""
        outcomes = [self.outcomes.get(need.address) for need in stage.needs.values()]
        return all(outcome is not None and not outcome.failed for outcome in outcomes)


def run_missing(
    stages: Sequence[Stage], study: Path, workers: Workers, *, jobs: int = 1, progress: Progress | None = None
) -> Progress:
    """Run the stages that are missing, each after those that it needs.

    Args:
        stages: each after what it needs.
        study: the study's folder.
        jobs: how many stages run at once, each with its share of the threads.
        progress: where stages stand already, which is then carried on.

    The first Ctrl-C lets running stages write checkpoints and stops; the second one kills them.

    Raises:
        RunError: the worker process is gone, or a failure cannot be recorded (a full disk).
    """
    progress = Progress() if progress is None else progress
    # what is done is known by its folder alone, whose name ends in the address: no database that could disagree
    for stage in stages:
        if stage.address not in progress.outcomes and is_complete(stage, study):
            progress.outcomes[stage.address] = Outcome("done")
    waiting = [stage for stage in stages if stage.address not in progress.outcomes]
    if not waiting:
        return progress
    # all jobs together take no more threads than there are: several that take all are slower than one after the other
    threads = max(1, available_threads() // jobs)
    with progress_bar("study", len(stages), "stages", done=len(stages) - len(waiting)) as advance:
        _work_off(waiting, progress, study, workers, jobs, threads, advance)
    return progress


def _work_off(
    waiting: list[Stage], progress: Progress, study: Path, workers: Workers, jobs: int, threads: int, advance: Advance
) -> None:
    running: dict[int, Stage] = {}
    while waiting or running:
        try:
            startable = [stage for stage in waiting if progress.can_start(stage)]
            for stage in startable[: 0 if progress.interrupted else jobs - len(running)]:
                waiting.remove(stage)
                advance(0, f"{stage.label} ...")
                running[workers.give(stage, study, threads=threads)] = stage
            # at once, so that the bar and the record are right even where nothing else is left to run
            for stage in [stage for stage in waiting if _broken_need(stage, progress)]:
                waiting.remove(stage)
                _record_outcome(progress, study, stage, Outcome(FAILED, _broken_need(stage, progress)))
                advance(1, f"{stage.label}: not possible")
            # what still waits was kept back by an interrupt alone: the rest was removed above
            if not running:
                return
            number, outcome = workers.wait()
        except KeyboardInterrupt:
            if progress.interrupted:
                raise  # the second Ctrl-C: `Workers` ends the processes on its way out
            progress.interrupted = True
            log.warning("stopping: what runs writes a checkpoint first (Ctrl-C again to stop at once)")
            workers.interrupt()
            continue
        stage = running.pop(number)
        if progress.interrupted and (outcome.failed or outcome.status == "interrupted"):
            continue  # no record of a failure: the next call goes on with it
        if outcome.status == "interrupted":
            outcome = Outcome(FAILED, "it was interrupted from outside")
        _record_outcome(progress, study, stage, outcome)
        advance(1, _progress_text(stage, study, outcome))
        if outcome.failed:
            log.warning("%s failed: %s", stage.label, outcome.reason)


def _broken_need(stage: Stage, progress: Progress) -> str:
    """Name the first failed stage that a stage cannot do without; empty where no need failed."""
    for need in stage.needs.values():
        outcome = progress.outcomes.get(need.address)
        if outcome is not None and outcome.failed:
            # the root of the chain: stages in between failed for nothing of their own
            return _broken_need(need, progress) or f"it needs {need.label}, which failed"
    return ""


def _record_outcome(progress: Progress, study: Path, stage: Stage, outcome: Outcome) -> None:
    progress.outcomes[stage.address] = outcome
    progress.ran.append(stage.address)
    record = study / "failed" / f"{stage.label}-{stage.address}.json"
    if outcome.failed:
        write_text(record, json.dumps({"stage": stage.label, "reason": outcome.reason}, indent=2) + "\n")
    elif record.exists():  # of an earlier call; where `failed` cannot be a folder, `unlink` alone would raise
        record.unlink(missing_ok=True)


def _progress_text(stage: Stage, study: Path, outcome: Outcome) -> str:
    """Return what the progress bar says of a stage that ended."""
    result = read_object(study / stage.path / "result.json") if stage.is_run else {}
    samples = (result.get("final") or {}).get("samples")
    if not samples or "reward" not in samples["policy"]:
        return f"{stage.label}: {outcome.status}"
    reward, kl = (samples["policy"][name]["value"] for name in ("reward", "kl_nats"))
    return f"{stage.label}: reward {reward:.2f} at {kl:.1f} nats" if None not in (reward, kl) else stage.label


# -- what is there ------------------------------------------------------------------------------------------------


def is_complete(stage: Stage, study: Path) -> bool:
    """Return whether a stage's folder holds all that the study needs of it."""
    folder = study / stage.path
    if not _is_intact(folder):
        return False
    if not stage.is_run:
        return bool(read_object(folder / "stage.json"))
    if (folder / "result.json").exists() and not (folder / "checkpoint").is_dir():
        remove(folder)  # every run leaves one; without it nothing can be resumed or built on
        return False
    if read_object(folder / "result.json").get("status") not in COMPLETE:
        return False
    if not is_evaluated(stage.settings):  # it samples nothing; what others need is its model
        return (folder / "checkpoint").is_dir()
    # a run that was measured lacks nothing only where every evaluation has all of its samples
    evaluated = {row["step"] for row in read_lines(folder / "metrics.jsonl") if row.get("kind") == "eval"}
    sampled: dict[int, int] = {}
    for row in read_lines(folder / "samples.jsonl"):
        sampled[row["step"]] = sampled.get(row["step"], 0) + 1
    if evaluated and evaluated == set(sampled) and len(set(sampled.values())) == 1:
        return True
    remove(folder)  # somebody damaged it; it says that it is done, so it cannot be resumed
    return False


def _is_intact(folder: Path) -> bool:
    """Return whether a stage's files still have the digests that they were written with."""
    if not folder.is_dir():
        return False
    try:
        sums = read_sums(folder)
        if sums is None:
            warn_without_digests(folder.parent)
        else:
            # files of a run may be gone (old checkpoints are), those of another stage may not
            check_files(folder, [name for name in sums if (folder / name).exists() or "stage.json" in sums])
    except DamagedFile as error:
        log.warning("%s. It is done again", error)
        return False
    return True


def available_threads() -> int:
    """Return how many threads all stages together may use."""
    # of a container or a `taskset`, not of the machine; macOS has no such call
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    thread_limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(thread_limit)) if thread_limit.isdigit() and int(thread_limit) > 0 else cores
