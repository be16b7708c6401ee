"""The run directory: what every run leaves behind, written so that a kill at any moment leaves it usable.

`config.yaml` (runs again as it is), `provenance.json`, `metrics.jsonl`, `samples.jsonl`, `result.json`, `checkpoint/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from penchant.config import Config, load_config, to_yaml
from penchant.errors import InputError, OtherRun, RunError


class RunFolder:
    """A run directory: checked when made, written to from `open` on, this process's own until `close`.

    Args:
        path: the directory; `runs/METHOD-DATE-TIME` if None.
        config: the run's configuration.
        resume: continue the run that lies there; its configuration must be the same.
        writes: False on all processes but the main one, which then only know the path.

    Raises:
        InputError: the directory holds another run.
        OtherRun: there is none to resume, or the configuration to resume with is another.
    """

    def __init__(self, path: str | None, config: Config, *, resume: bool = False, writes: bool = True) -> None:
        made_up = Path("runs") / f"{config.method}-{datetime.now():%Y%m%d-%H%M%S}"
        self.path = Path(path).expanduser() if path else made_up
        self.config, self.resume, self.writes = config, resume, writes
        self._lock: Any = None
        if writes:
            self._check_resumable() if resume else self._check_empty()

    def open(self) -> None:
        """Make the directory and take it. Called once data and model are known to be good, so that bad input leaves
        nothing behind.

        Raises:
            InputError: it cannot be made, or another process works in it.
        """
        if not self.writes:
            return
        new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            if self.resume:
                (self.path / "result.json").unlink(missing_ok=True)  # it speaks of the earlier session
            else:
                self._check_empty()  # another run may have come and gone since the first look
                self.write("config.yaml", to_yaml(self.config))
        except (OSError, RunError, InputError) as error:
            self.close()
            if new:
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"cannot write to the run directory {self.path}: {error}; choose another with out="
            ) from error

    def _check_empty(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"out={self.path} is a file; a run needs a directory")
        if self.path.exists() and any(entry.name != ".lock" for entry in self.path.iterdir()):
            what = "another run" if (self.path / "config.yaml").exists() else "other files"
            raise InputError(
                f"out={self.path} already holds {what}: choose another directory, delete it, or continue that run "
                "with --resume"
            )

    def _check_resumable(self) -> None:
        file = self.path / "config.yaml"
        if not file.exists():
            raise OtherRun(f"nothing to resume in {self.path}: it holds no config.yaml")
        saved, given = (_settings(config) for config in (load_config(type(self.config), file), self.config))
        differing = sorted(name for name in saved.keys() | given.keys() if saved.get(name) != given.get(name))
        if differing:
            raise OtherRun(
                f"the configuration differs from that of the run in {self.path} in {', '.join(differing)}: resume "
                f"with the same one, or leave it out: penchant train {self.config.method} --resume out={self.path}"
            )

    def _take_lock(self) -> None:
        """One run in a directory: the lock goes with the process, however that ends."""
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise InputError(
                f"another process is working in {self.path}: wait for it, or choose another out="
            ) from None

    def close(self) -> None:
        """Let others in."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # before it is let go: afterwards it may be another's
                (self.path / ".lock").unlink()
            self._lock.close()
            self._lock = None

    def discard(self) -> None:
        """Take back `open`, where bad input shows only later: the files that a run begins with, and the directory if
        it is empty then."""
        for name in ("config.yaml", "provenance.json"):
            (self.path / name).unlink(missing_ok=True)
        self.close()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    # -- files --------------------------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        """A whole file, atomically.

        Raises:
            RunError: it cannot be written (full disk, no permission); nothing half-written is left.
        """
        if not self.writes:
            return
        target, temporary = self.path / name, self.path / f".{name}.tmp"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise cannot_write(target, error) from error

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """A JSON file, atomically; what is not finite becomes null."""
        self.write(name, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """One line of a JSONL file."""
        if not self.writes:
            return
        try:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(row), ensure_ascii=False) + "\n")
        except OSError as error:
            raise cannot_write(self.path / name, error) from error

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a JSONL file; a last line that a kill cut short is left out."""
        path = self.path / name
        if not path.exists():
            return []
        rows = []
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def provenance(self) -> dict[str, Any] | None:
        """The record that the run began with, or None where a kill came before it."""
        try:
            began: dict[str, Any] = json.loads((self.path / "provenance.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return began

    def rewind(self, step: int) -> None:
        """Forget the lines after a step, which the resumed run writes again."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            if (self.path / name).exists():
                kept = [row for row in self.rows(name) if row["step"] <= step]
                self.write(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))


def finished(path: str | None, config: Config) -> dict[str, Any] | None:
    """The result of the run in a directory if it came to its end, else None.

    Raises:
        OtherRun: there is no run to resume, or its configuration is another.
    """
    folder = RunFolder(path, config, resume=True)
    file = folder.path / "result.json"
    if not file.exists():
        return None
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result if result["status"] in ("done", "stopped_early", "runaway") else None


def _settings(config: Config) -> dict[str, Any]:
    """Every setting by dotted path, without `out`: a run may be moved, or named in another way."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                walk(f"{prefix}{name}.", value)
            elif prefix + name != "out":
                flat[prefix + name] = value

    walk("", config.model_dump(mode="json"))
    return flat


def cannot_write(path: Path, error: Exception) -> RunError:
    """The message for a full disk and its like."""
    return RunError(
        f"cannot write {path}: {error}. What was written before is intact; make room and continue with --resume"
    )


def _finite(value: Any) -> Any:
    """JSON knows no NaN: it becomes null. Text that is no valid Unicode keeps its place as a question mark."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
