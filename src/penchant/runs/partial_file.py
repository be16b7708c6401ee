"""A file of lines that takes long to make: what is done is kept beside it, and a killed command goes on from there.

`NAME.partial` lies beside the file. Its first line says what the lines depend on: the settings, and digests of the
model and the data. Each line has a digest of its own, so that a flipped byte is found. The file itself appears whole,
when all lines are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penchant.data.write import check_name, write_lines
from penchant.digests import DamagedFile
from penchant.errors import InputError, RunError, RunMismatchError
from penchant.files import APPEND, atomic_write, locked_file, open_safely, parse_object, read_file

log = logging.getLogger("penchant")

DIGEST_LENGTH = 16  # hexadecimal digits before each line


@dataclass(frozen=True)
class Origin:
    """The settings and inputs that the lines of a file depend on.

    Attributes:
        command: what makes them, such as `sample`.
        settings: values by name; a change of one is named.
        inputs: digests by what they are of, such as "the model".
    """

    command: str
    settings: Mapping[str, object]
    inputs: Mapping[str, str]

    def changes_since(self, start: Mapping[str, object]) -> list[str]:
        """Return what differs from the first line of a partial file, by name."""
        # as JSON holds it: a tuple is a list there
        present = json.loads(json.dumps(self._as_json()))
        changed = [] if start.get("command") == self.command else ["the command"]
        for part in ("settings", "inputs"):
            before, now = start.get(part), present[part]
            # a damaged first line may hold anything
            before = before if isinstance(before, dict) else {}
            changed += sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        return changed

    def _as_json(self) -> dict[str, object]:
        return {"command": self.command, "settings": dict(self.settings), "inputs": dict(self.inputs)}

    def line(self) -> bytes:
        """Return the first line of a partial file."""
        return json.dumps(self._as_json(), ensure_ascii=False, sort_keys=True).encode(errors="replace")


@dataclass
class PartialFile:
    """The lines of a file so far, made by `open_partial`.

    Attributes:
        out: the file that they become.
        lines: without line breaks, in their order.
    """

    out: Path
    lines: list[bytes] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file that keeps the lines until all are there."""
        return partial_path(self.out)

    def append(self, lines: Sequence[bytes]) -> None:
        """Keep the lines of a further chunk.

        Raises:
            RunError: they cannot be written.
        """
        try:
            with open_safely(self.path, APPEND) as file:
                file.write(b"".join(_with_digest(line) for line in lines))
                file.flush()
                # a chunk may be minutes of work: it is to outlast a power cut
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error.strerror or error}). What is done stays: make room, and give "
                "the same command with --resume"
            ) from error
        self.lines += lines

    def finish(self) -> None:
        """Write the file whole, and remove what was kept beside it.

        Raises:
            RunError: it cannot be written; the lines stay where they are.
        """
        # whole first, then the removal: a kill between them loses nothing, and resuming goes on here
        write_lines((line + b"\n" for line in self.lines), self.out)
        self.remove()

    def remove(self) -> None:
        """Remove what was kept, once the file is written."""
        self.path.unlink(missing_ok=True)


def partial_path(out: Path) -> Path:
    """Return where the lines of a file lie until all are there."""
    return out.with_name(f"{out.name}.partial")


def check_startable(out: Path, *, resume: bool) -> bool:
    """Return whether there is something to do, before the work that `open_partial` comes after.

    Returns:
        False where the file is complete and `resume` asks to go on.

    Raises:
        InputError: a name where our own JSONL could not be written; lines of an earlier start are there and `resume`
            is not asked for.
        RunMismatchError: there is nothing to resume.
    """
    check_name(out)
    path = partial_path(out)
    if not resume:
        if path.exists():
            raise InputError(
                f"{path} holds what an earlier start did of {out}: go on with --resume, delete it, or choose another "
                "out="
            )
        return True
    if path.exists():
        return True
    if out.exists():
        log.warning("%s is complete: nothing to resume", out)
        return False
    raise RunMismatchError(f"nothing to resume: there is no {path}")


@contextlib.contextmanager
def open_partial(out: Path, origin: Origin, *, resume: bool, chunk: int, total: int) -> Iterator[PartialFile]:
    """Yield the lines that are there, and keep other processes from the file until the block ends.

    Args:
        out: the file to make.
        origin: what its lines depend on.
        resume: go on with the lines of an earlier start.
        chunk: lines that are computed together: what lies in one batch may decide a last digit, so that an incomplete
            chunk is computed anew.
        total: lines of the whole file.

    Raises:
        InputError: another process makes the file, or as `check_startable`.
        RunMismatchError: what the lines depend on has changed.
        DamagedFile: a line is not what was written.
        RunError: the file cannot be written.
    """
    path = partial_path(out)
    with contextlib.ExitStack() as stack:
        try:
            # before anything is read: two commands would append to one file
            stack.enter_context(locked_file(out.with_name(f".{out.name}.lock"), remove_after=True))
            # again, under the lock: another process may have finished the file since
            check_startable(out, resume=resume)
            lines = _resumed(path, origin) if resume else []
            # a complete file has its last, shorter chunk whole
            if len(lines) != total:
                lines = lines[: len(lines) // chunk * chunk]
            # written anew at each start: a last line that a kill cut short goes
            atomic_write(path, b"".join(map(_with_digest, [origin.line(), *lines])))
        except BlockingIOError:
            raise InputError(f"another process is making {out}: wait for it, or choose another out=") from None
        except OSError as error:
            raise RunError(f"{path} cannot be written ({error.strerror or error})") from error
        yield PartialFile(out, lines)


def _with_digest(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:DIGEST_LENGTH].encode() + b" " + line + b"\n"


def _resumed(path: Path, origin: Origin) -> list[bytes]:
    """Return the lines of an earlier start that had the same origin."""
    first, *lines = _checked_lines(path)
    start = parse_object(first)
    if start is None:
        raise DamagedFile(f"{path} does not say what it is made of: delete it, and start anew")
    # lines of two models in one file would look like one result
    if changed := origin.changes_since(start):
        raise RunMismatchError(
            f"{', '.join(changed)} changed since {path} was begun: go on with what it began with, or delete it (or "
            "choose another out=) to start anew"
        )
    return lines


def _checked_lines(path: Path) -> list[bytes]:
    """Return the whole lines of a partial file, without their digests; one that a kill cut short is left out."""
    # behind the last line break stands nothing, or what a kill cut short
    *whole_lines, _ = read_file(path).split(b"\n")
    lines = []
    for number, content in enumerate(whole_lines, start=1):
        line = content[DIGEST_LENGTH + 1 :]
        if _with_digest(line) != content + b"\n":
            raise DamagedFile(f"{path}:{number} is not what was written: delete the file, and start anew")
        lines.append(line)
    if not lines:
        raise DamagedFile(f"{path} is empty: delete it, and start anew")
    return lines


@contextlib.contextmanager
def explain_stop(partial: PartialFile, unit: str) -> Iterator[None]:
    """Say where the work so far lies, and how to go on, where Ctrl-C ends it.

    Args:
        unit: what a line is, in the plural.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"{len(partial.lines)} {unit} are in {partial.path}; continue with the same command and --resume",
            file=sys.stderr,
        )
        raise
