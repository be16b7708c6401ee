"""Go through rounds: one folder and one lock for all, a folder per round, and what is there is not done again.

A method in rounds says what one round does (`Play`); everything that rounds share is here and in the modules beside:
`sides` (rows, split once), `samples` (a policy's samples), `clock` (seconds by part), `settings`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.config import Config
from penchant.methods import train
from penchant.rounds.clock import EVALUATION, TRAINING, RoundClock
from penchant.rounds.settings import RoundsConfig
from penchant.rounds.sides import Sides, begin_rounds, end_if_planned
from penchant.train.settings import RunConfig
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.runs.run_folder import RunFolder
    from penchant.runs.run_lines import Row

log = logging.getLogger("penchant.rounds")


@dataclass
class Round:
    """One round while it is played.

    Attributes:
        number: of the round, counted from 0.
        config: of all rounds.
        files: the folder of all rounds, which knows the digests of what is finished.
        sides: the rows of all rounds.
        clock: the seconds of the round, by part.
        warnings: what a user should know of it; they end up in `result.json`.
    """

    number: int
    config: RoundsConfig
    files: RunFolder
    sides: Sides
    clock: RoundClock
    warnings: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Return the folder of the round."""
        return self.config.folder(self.number)

    def warn(self, sentence: str) -> None:
        """Say a sentence now, and keep it for the result."""
        sentence = f"round {self.number + 1}: {sentence}"
        log.warning("%s", sentence)
        self.warnings.append(sentence)

    def is_done(self, name: str) -> bool:
        """Return whether a file of the round is finished.

        Raises:
            DamagedFile: it is not what was finished.
        """
        return self.files.check_listed(f"{self.folder.name}/{name}")

    def mark_done(self, *names: str) -> None:
        """Say that files of the round are finished: from now on they are checked, and not made again."""
        self.files.list_files(*(f"{self.folder.name}/{name}" for name in names))

    def groups(self, name: str, make: Callable[[], list[PromptGroup]]) -> list[PromptGroup]:
        """Return the groups in a file of the round, which is made where it is not finished.

        Raises:
            DamagedFile: the file is not what was finished. What `make` raises, too.
        """
        from penchant.data.write import write_groups

        file = self.folder / name
        # the digest comes after the file: what a kill left half-made is made again
        if not self.is_done(name):
            write_groups(make(), file)
            self.mark_done(name)
        # also what was just made: a resumed round must not see anything else than one that was not stopped
        return read_groups(file)

    def numbers(self, name: str, make: Callable[[], Row]) -> Row:
        """Return the numbers in a JSON file of the round, which is made where it is not finished.

        Raises:
            DamagedFile: the file is not what was finished. What `make` raises, too.
        """
        from penchant.runs.run_folder import read_json

        if not (self.folder / name).exists() or not self.is_done(name):
            self.files.write_json(f"{self.folder.name}/{name}", make())
        return read_json(self.folder / name)

    def stage(self, stage: RunConfig) -> RunResult:
        """Run a stage from its start, or from where it stopped; return its result at once where it is done.

        Raises:
            StageInterrupted: it was interrupted, so that nothing may build on it.
        """
        config_file = Path(stage.out or "") / "config.yaml"
        with self.clock.stage() as seconds:
            result = train(stage, resume=config_file.exists())
            seconds[TRAINING] = float(result.metrics.get("training_seconds") or 0.0)
            seconds[EVALUATION] = float(result.metrics.get("evaluation_seconds") or 0.0)
        if result.metrics["status"] == "interrupted":
            raise StageInterrupted(result)
        return result


def read_groups(file: Path) -> list[PromptGroup]:
    """Return the groups in a file of a round; none where it is empty, as a round may leave it."""
    from penchant.data.load import load_responses

    # to its reader a file without rows is a mistake of the user's
    return load_responses(file, merge=False, media=True) if file.stat().st_size else []


class StageInterrupted(Exception):
    """Raised where a stage was interrupted. Caught by `run_rounds` alone."""

    def __init__(self, result: RunResult) -> None:
        super().__init__("a stage was interrupted")
        self.result = result


@dataclass(frozen=True)
class RoundEnd:
    """What a round came to.

    Attributes:
        row: its numbers, for `result.json`.
        result: of the run that trained its policy; None where the round trained nothing.
        stop_reason: why no further round is played; None where the next one may be.
        improved: whether its policy is better than the one that it began with, by what stops the rounds; None where
            that was not measured.
    """

    row: Row
    result: RunResult | None
    stop_reason: str | None = None
    improved: bool | None = None


Play = Callable[[Round], RoundEnd]
"""Plays one round. What is finished of it is read, not done again."""


def run_rounds(
    config: RoundsConfig,
    sides: Sides,
    inputs: Mapping[str, str],
    play: Play,
    *,
    resume: bool,
    finish: Callable[[list[RoundEnd]], Row] | None = None,
) -> RunResult:
    """Play all rounds, or those that are left.

    Args:
        inputs: digests of all that decides the rounds.
        finish: gives further numbers of all rounds together.

    Returns:
        The result of the last policy that was trained, or of the best one where rounds say which is better. Its metrics
        also have `rounds`, the numbers of each round, `round_seconds`, `stop_reason` where the rounds ended before
        their number, `policy_path` (in the folder, or the name of the start), and `best_round` (0 for the start)
        where rounds say which is better.

    Raises:
        InputError: a folder in which other settings or inputs were used, or that another process works in; and what
            `play` raises.
        RunError: a stage had to stop; what was done before it stays.
    """
    from penchant.runs.run_folder import RunFolder

    started = time.monotonic()
    # a folder that holds rounds is gone on with: the same command is the way to do so, with or without `resume`
    folder = RunFolder(config.out, config, resume=resume or (config.path / "config.yaml").exists())
    end_if_planned(config, sides)
    # one lock for all rounds: otherwise two processes would train the same stages
    folder.open()
    try:
        begin_rounds(config, folder, sides, inputs)
        ends: list[RoundEnd] = []
        seconds: list[dict[str, float]] = []
        warnings: list[str] = []
        interrupted: RunResult | None = None
        for number in range(config.rounds):
            log.info("round %d of %d", number + 1, config.rounds)
            config.folder(number).mkdir(parents=True, exist_ok=True)
            current_round = Round(number, config, folder, sides, RoundClock(config.folder(number)), warnings)
            try:
                ends.append(play(current_round))
            except StageInterrupted as stop:
                interrupted = stop.result
                break
            seconds.append(current_round.clock.finish())
            if ends[-1].stop_reason:
                log.warning("stopped after round %d of %d: %s", number + 1, config.rounds, ends[-1].stop_reason)
                break
        metrics = _metrics(config, ends, interrupted)
        best = _best_round(ends) if interrupted is None else None
        metrics["policy_path"] = _policy_path(config, len(ends) if best is None else best)
        if best is not None:
            metrics |= _best_metrics(config, ends, best)
            warnings += _best_warning(best, len(ends))
        metrics |= {"rounds": [end.row for end in ends], "round_seconds": seconds}
        metrics["warnings"] = [*_warnings(metrics, sides), *warnings]
        metrics["seconds"] = time.monotonic() - started
        # interrupted rounds get no result file, so that the same command continues them
        if interrupted is None:
            metrics |= finish(ends) if finish is not None else {}
            folder.write_json("result.json", metrics)
        return RunResult(config.method, config.path, metrics)
    finally:
        folder.close()


def _warnings(metrics: Row, sides: Sides) -> list[str]:
    """Return the warnings of the run that numbers are of."""
    from penchant.train.prepare import NOTHING_HELD_OUT

    recorded = metrics.get("warnings")
    warnings = [str(sentence) for sentence in recorded] if isinstance(recorded, list) else []
    # a stage is given rows to train on alone: the rounds have split theirs before
    return [sentence for sentence in warnings if not (sides.held_out and sentence == NOTHING_HELD_OUT)]


def _best_round(ends: list[RoundEnd]) -> int | None:
    """Return how many rounds lie before the best policy, 0 for the start; None where no round measured that."""
    if all(end.improved is None for end in ends):
        return None
    # one that was not measured, or that trained nothing, is no worse than the one before
    return max((number for number, end in enumerate(ends, start=1) if end.improved is not False), default=0)


def _policy_path(config: RoundsConfig, number: int) -> str:
    """Return where the policy before a round lies: in the folder of all rounds, or the name that was given."""
    policy = Path(config.policy_before(number).name)
    # relative, so that a folder that was moved still names its own
    return str(policy.relative_to(config.path) if policy.is_relative_to(config.path) else policy)


def _best_metrics(config: RoundsConfig, ends: list[RoundEnd], best: int) -> Row:
    """Return the numbers of the best policy in place of the last one's."""
    row: Row = {"best_round": best}
    trained = [(number, end.result) for number, end in enumerate(ends, start=1) if end.result is not None]
    if not trained or trained[-1][0] <= best:
        return row
    if earlier := [result for number, result in trained if number <= best]:
        return dict(earlier[-1].metrics) | {"method": config.method} | _stopped(ends) | row
    # of the start the first stage has measured what it began with
    return row | {"final": trained[0][1].metrics["first"]}


def _best_warning(best: int, count: int) -> list[str]:
    if best == count:
        return []
    policy = f"the policy of round {best}" if best else "the start"
    return [f"{policy} is better than that of round {count}: the final numbers and `policy_path` are of {policy}"]


def _stopped(ends: list[RoundEnd]) -> Row:
    """Return that rounds ended before their number, and why; nothing where they did not."""
    reason = ends[-1].stop_reason if ends else None
    return {"status": "stopped_early", "stop_reason": reason} if reason else {}


def _metrics(config: Config, ends: list[RoundEnd], interrupted: RunResult | None) -> Row:
    """Return the numbers of the last run that there is, under the name of the method in rounds."""
    results = [end.result for end in ends if end.result is not None]
    if interrupted is not None:
        results.append(interrupted)
    # a round may train nothing, and so may all of them
    untrained: Row = {"status": "done", "steps": 0, "first": None, "final": None, "warnings": []}
    metrics = dict(results[-1].metrics) if results else untrained
    if interrupted is None:
        metrics |= _stopped(ends)
    return metrics | {"method": config.method}
