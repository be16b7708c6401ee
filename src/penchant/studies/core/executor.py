"""Processes that do a study's stages, several at once; this side imports no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from penchant.errors import RunError
from penchant.files import make_folder
from penchant.module_path import safe_path
from penchant.studies.core.message import Answer, StageMessage
from penchant.studies.core.stage import Stage
from penchant.typed_json import from_json, to_object


@dataclass(frozen=True)
class Outcome:
    """The end of a stage: a status (`done`, `stopped_early`, `runaway`, `interrupted`), or why it failed."""

    status: str
    reason: str = ""

    @property
    def failed(self) -> bool:
        """True where the stage raised an error or its process died."""
        return self.status == "failed"


class Workers:
    """A context that does stages in processes of their own.

    The server that forks them starts with the first stage. Several studies may share it.
    """

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._job_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def give(self, stage: Stage, study: Path, *, threads: int) -> int:
        """Start a stage and return the number that `wait` gives back with its outcome."""
        self._job_count += 1  # unique among all studies that share these processes, as an address is not
        message = stage_message(stage, study, self._job_count, threads)
        make_folder(Path(message.log).parent)
        self._say(to_object(message))
        return self._job_count

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next stage to end; return its number and its outcome.

        Raises:
            RunError: the server is gone.
        """
        assert self._server is not None
        assert self._server.stdout is not None
        # blocks until some stage ends; nothing at all means that the server is gone, and its end of the pipe
        line = self._server.stdout.readline()
        if not line:
            raise RunError(
                f"the process that does the work ended with {self._server.wait()} (out of memory?): start the same "
                "command again, with fewer --jobs"
            )
        answer = from_json(Answer, json.loads(line))
        # an answer has a status or an error, never both
        return answer.id, Outcome(answer.status or "failed", answer.error or "")

    def interrupt(self) -> None:
        """Ask every running stage to come to a stop: runs with a checkpoint."""
        self._say({"interrupt": True})

    def close(self) -> None:
        """Ask what still runs to stop, and wait for it."""
        # the end of its input asks the server to stop what runs, and it ends with the last of them
        server, self._server = self._server, None
        if server is not None:
            assert server.stdin is not None
            server.stdin.close()
            # takes as long as the last run needs to write its checkpoint
            server.wait()
            assert server.stdout is not None
            server.stdout.close()

    def _say(self, message: Mapping[str, object]) -> None:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "penchant.studies.core.fork_server"],  # -P: no current folder on its path
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on once
                # no file of the current folder may stand for a module in a worker
                env={**os.environ, "PYTHONPATH": os.pathsep.join(safe_path())},
            )
        assert self._server.stdin is not None
        try:
            self._server.stdin.write(json.dumps(message).encode() + b"\n")
            self._server.stdin.flush()
        except BrokenPipeError:
            raise RunError(
                "the process that does the work is gone (out of memory?): start the same command again"
            ) from None


def stage_message(stage: Stage, study: Path, number: int = 0, threads: int = 1) -> StageMessage:
    """Return a stage of a study as it travels to the process that does it."""
    # a worker cannot tell by the kind alone: annotators, noise and sweeps have their own settings of a run of DPO
    kind = type(stage.settings)
    return StageMessage(
        id=number,
        kind=stage.kind,
        settings_class=f"{kind.__module__}:{kind.__qualname__}",
        settings=to_object(stage.settings),
        inputs=stage.inputs,
        needs={role: str(study / need.path) for role, need in stage.needs.items()},
        folder=str(study / stage.path),
        log=str(study / "logs" / f"{stage.label}-{stage.address}.log"),
        threads=threads,
    )
