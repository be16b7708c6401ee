"""Processes that do a study's stages, several at once; this side imports no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from penchant.errors import RunError
from penchant.files import make_folder
from penchant.module_path import safe_path
from penchant.studies.core.stage import Stage
from penchant.typed_json import JsonObject


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
    """A context that stages can be given to. Starts its server with the first; several studies may share it."""

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
        """Start a stage; returns the number that `wait` will give back with its outcome."""
        self._job_count += 1
        log = study / "logs" / f"{stage.label}-{stage.address}.log"
        make_folder(log.parent)
        job = {
            "kind": stage.kind,
            "settings": {**stage.settings, **stage.extent},
            "inputs": stage.inputs,
            "needs": {role: str(study / need.path) for role, need in stage.needs.items()},
            "folder": str(study / stage.path),
        }
        self._say({"id": self._job_count, "job": job, "threads": threads, "log": str(log)})
        return self._job_count

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next stage to end; return its number and its outcome.

        Raises:
            RunError: the server is gone.
        """
        assert self._server is not None
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise RunError(
                f"the process that does the work ended with {self._server.wait()} (out of memory?): start the same "
                "command again, with fewer --jobs"
            )
        answer = json.loads(line)
        if "error" in answer:
            return answer["id"], Outcome("failed", answer["error"])
        return answer["id"], Outcome(answer["status"])

    def interrupt(self) -> None:
        """Ask every running stage to come to a stop: runs with a checkpoint."""
        self._say({"interrupt": True})

    def close(self) -> None:
        """Ask what still runs to stop, and wait for it."""
        server, self._server = self._server, None
        if server is not None:
            assert server.stdin is not None
            server.stdin.close()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()

    def _say(self, message: JsonObject) -> None:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "penchant.studies.core.fork_server"],  # -P: no current folder on its path
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on once
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
