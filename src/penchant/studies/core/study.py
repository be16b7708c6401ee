"""A study, whichever: take its folder, do what is missing, write its numbers. Imports no torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from penchant.cache_use import using_cache
from penchant.config import to_yaml
from penchant.digests import DamagedFile, check_files, write_sums
from penchant.errors import InputError, RunError
from penchant.files import file_above, locked_folder, remove, write_text
from penchant.rich_text import html_table, svg_image
from penchant.session.objects import refuse_session_objects
from penchant.session.store import keep_inputs
from penchant.studies.core.address import summary_version
from penchant.studies.core.checks import check_names, warn_of_earlier_stages
from penchant.studies.core.definition import Grid, StudyDefinition, definition_of
from penchant.studies.core.executor import Workers
from penchant.studies.core.kinds import resolve
from penchant.studies.core.records import read_object
from penchant.studies.core.results import Results
from penchant.studies.core.runner import Progress, run_missing
from penchant.studies.core.settings import Study
from penchant.studies.core.stage import Stage
from penchant.studies.core.trial import as_trial
from penchant.typed_json import JsonObject, to_object

log = logging.getLogger("penchant.studies")
STUDY = "study.json"


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it came.

    Attributes:
        path: its folder. numbers: the content of `study.json`; empty where the reference was not sampled yet.
        failures: (stage, reason) of what failed.
        ran: how many stages this call worked on.
        interrupted: whether somebody asked to stop.
    """

    path: Path
    numbers: JsonObject
    failures: tuple[tuple[str, str], ...]
    ran: int
    interrupted: bool

    def __repr__(self) -> str:
        """Return how it ended and where it lies; all numbers would fill pages."""
        parts = [str(self.path), f"{self.ran} stages run"]
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        parts += ["interrupted"] if self.interrupted else []
        return f"StudyResult({', '.join(parts)})"

    def _repr_html_(self) -> str:
        if not self.numbers:
            return html_table(repr(self), self.failures)
        # by its name: as an import statement it would make every stage of a study depend on how pages are drawn
        title, svg = import_module("penchant.studies.core.report").main_picture(self.path)
        return f"{svg_image(svg, title)}{html_table(repr(self), self.failures)}"


def run_study(config: Study, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run the stages that a study lacks, and write its numbers.

    Args:
        config: what to compare; its class says which study it is.
        jobs: runs at once; each gets its share of the threads.
        workers: processes to use, to share them between studies.

    A stage that failed is recorded, and what does not need it goes on; a later call tries it again.

    Raises:
        InputError: a folder that holds something else, a prompt file that does not exist; an endpoint that is to judge
            has no key, before anything is trained.
        RunError: the worker process is gone, or the disk is full; what is done stays.
    """
    definition = definition_of(type(config))
    config = as_trial(config)
    refuse_session_objects(config.recorded(), "a study")
    grid: Grid = resolve(definition.grid)(config)
    if definition.prepare:
        resolve(definition.prepare)(config, grid)
    stages = grid.stages()
    # before the folder is made, so that a mistyped name leaves nothing behind
    check_names(stages)
    folder = Path(config.out or Path("runs") / config.method).expanduser().resolve()
    with _study_folder(folder):
        keep_inputs(folder, config.recorded())
        for leftover in (folder / "stages").glob(".*.new"):  # a process that was killed built it
            remove(leftover)
        warn_of_earlier_stages(folder, stages)
        # without `out`: the folder may be moved, and the same settings give the same file
        write_text(folder / "study.yaml", to_yaml(config.replace(out=None)))
        started = time.monotonic()
        with contextlib.nullcontext(workers) if workers else Workers() as team:
            progress = run_missing(stages, folder, team, jobs=jobs)
            while definition.grow and not progress.interrupted:
                grid = resolve(definition.grow)(config, results_of(progress, stages, folder))
                grown = grid.stages()
                # equal results give equal stages, so a study that was stopped goes on as if it had not been
                if {stage.address for stage in grown} <= {stage.address for stage in stages}:
                    break
                stages = grown
                run_missing(stages, folder, team, jobs=jobs, progress=progress)
        # the clock of this call, which says nothing of the stages that an earlier one did
        clock = {"last_call_seconds": time.monotonic() - started, "jobs": jobs}
        numbers = _numbers(config, definition, grid, folder, progress, clock)
    failures = tuple((stage.label, reason) for stage, reason in progress.failures(stages))
    return StudyResult(folder, numbers, failures, len(progress.ran), progress.interrupted)


def results_of(progress: Progress, stages: Sequence[Stage], folder: Path) -> Results:
    """Return the results of the stages that have ended."""
    reasons = {stage.address: reason for stage, reason in progress.failures(stages)}
    done = frozenset(address for address, outcome in progress.outcomes.items() if not outcome.failed)
    return Results(folder, reasons, done)


def _numbers(
    config: Study,
    definition: StudyDefinition,
    grid: Grid,
    folder: Path,
    progress: Progress,
    clock: Mapping[str, float],
) -> JsonObject:
    """Return the content of `study.json`; empty where no required stage has ended.

    It is made anew where a stage came, failed or changed, and where the code that summarizes changed.
    """
    stages = grid.stages()
    outcomes = [progress.outcomes.get(stage.address) for stage in grid.required]
    if all(outcome is None or outcome.failed for outcome in outcomes):
        return {}
    present = _kept_numbers(folder)
    # lists and no tuples, for they are compared with what JSON gives back
    standing = [[stage.address, bool(progress.outcomes.get(stage.address))] for stage in stages]
    key = {"standing": standing, "code": summary_version(definition.summarize)}
    unchanged = all(present.get(name) == value for name, value in key.items())
    if unchanged and not progress.ran and present.get("config") == config.recorded():
        return present
    reasons = {stage.address: reason for stage, reason in progress.failures(stages)}
    numbers = {**to_object(resolve(definition.summarize)(config, grid, folder, reasons)), **key}
    # a call that found everything done keeps the time of the one that did the work
    before = present.get("cost", {})
    numbers["cost"] |= {name: before[name] for name in clock if name in before} if not progress.ran else clock
    # NaN is no JSON: it fails here, and not when somebody reads the file
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # the digest before the file: after a kill between the two the file is missing, and never present and unlisted
    try:
        write_sums(folder, {STUDY: hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()})
    except OSError as error:
        raise RunError(f"cannot write into {folder}: {error.strerror}; what is done stays") from error
    write_text(folder / STUDY, text)
    return numbers


def _kept_numbers(folder: Path) -> JsonObject:
    """Return the numbers that an earlier call wrote; empty where there are none, or damaged ones."""
    if not (folder / STUDY).exists():
        return {}
    try:
        check_files(folder, [STUDY])
    except DamagedFile as error:
        log.warning("%s. It is made anew", error)
        return {}
    return read_object(folder / STUDY)


@contextlib.contextmanager
def _study_folder(folder: Path) -> Iterator[None]:
    """Make the study's folder where it is missing, and lock it for this process while the block lasts.

    Raises:
        InputError: it is a file, holds something else, or another process works in it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"out={folder} is a file; a study needs a folder")
    if (file := file_above(folder)) is not None:
        raise InputError(f"out={folder}: {file} is a file; a study needs a folder in a folder")
    entries = [entry for entry in folder.iterdir() if entry.name != ".lock"] if folder.is_dir() else []
    # before the lock is made, so that a folder that is refused stays as it was
    if entries and not (folder / "study.yaml").exists():
        raise InputError(f"out={folder} holds something else than a study: choose another folder with -o")
    with contextlib.ExitStack() as lock_stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock_stack.enter_context(locked_folder(folder))
            lock_stack.enter_context(using_cache(folder))
        except BlockingIOError:
            raise InputError(f"another process is working in {folder}: wait for it, or choose another folder") from None
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; choose another folder with -o") from error
        yield
