"""The run directory: what every run leaves behind, written so that a kill at any moment leaves it usable.

`config.yaml` (runs again as it is), `inputs/` (what a Python session handed over), `provenance.json`, `metrics.jsonl`,
`samples.jsonl`, `result.json`, `checkpoint/`.
`SHA256SUMS` has the digests of the files that are written once. A digest is written before its file: after a kill
between the two the file is missing, never unlisted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from penchant.config import Config, load_config, to_yaml
from penchant.config.loading import read_yaml
from penchant.digests import SUMS, DamagedFile, check_files, listed_digest, read_sums, write_sums
from penchant.errors import InputError, RunError, RunMismatchError
from penchant.files import atomic_write, exists, file_above, read_file, remove
from penchant.files import read_json as load_json
from penchant.runs.lengthening import FILE as LENGTHENED
from penchant.runs.lengthening import Lengthening, read_lengthenings, with_another
from penchant.runs.provenance import RunRecord
from penchant.runs.recorded_settings import LENGTHS, RESTARTS, differing_settings, flat_settings
from penchant.runs.run_lines import Digest, Row, RunLines, finite, read_rows
from penchant.runs.run_lock import check_lock_file, run_lock
from penchant.session.objects import code_warnings, log_code_warnings
from penchant.session.store import INPUTS, keep_inputs
from penchant.typed_json import from_json, to_json

BEGINS = ("config.yaml", "provenance.json")
"""The files that a run begins with."""
LINES = ("metrics.jsonl", "samples.jsonl")
ENDED = ("done", "stopped_early", "runaway")
"""What `result.json` says of a run that is not resumed."""
ENDS = ("result.json", *LINES)
"""The files that have a digest once the run has ended."""


class RunFolder:
    """A run directory: checked when made, written to from `open` on, this process's own until `close`.

    Args:
        path: the directory; `runs/METHOD-DATE-TIME` if None.
        config: the run's configuration.
        resume: continue the run that lies there; its configuration must be the same.
        writes: False on all processes but the main one, which then only know the path.
        resumable: False for a command without `--resume`, whose messages must not name it.
        extendable: the run to resume may have been shorter; `shorter_config` then has its settings, and `lengthen` is
            called once it is clear that the run can be lengthened.

    Raises:
        InputError: the directory holds another run, or cannot be used.
        RunMismatchError: there is none to resume, or the configuration to resume with is another.
    """

    def __init__(
        self,
        path: str | None,
        config: Config,
        *,
        resume: bool = False,
        writes: bool = True,
        resumable: bool = True,
        extendable: bool = False,
    ) -> None:
        made_up = Path("runs") / f"{config.method}-{datetime.now():%Y%m%d-%H%M%S}"
        self.path = Path(path).expanduser() if path else made_up
        self.config, self.resume, self.writes = config, resume, writes
        self._restart_folder = None if resumable else self.path
        self._extendable = extendable
        self.shorter_config: Config | None = None
        # of code that only a Python session has; then what was wrong with the files of a resumed run
        self.warnings = (log_code_warnings if writes else code_warnings)(config.recorded())
        self._lock = contextlib.ExitStack()
        self._lines = {name: RunLines(self.path / name) for name in LINES}
        if writes:
            self._check_first()

    def open(self) -> None:
        """Make the directory and lock it for this process.

        Called once data and model are known to be good, so that bad input leaves nothing behind.

        Raises:
            InputError: it cannot be made, or another process works in it.
        """
        if not self.writes:
            return
        new = not self.path.exists()
        # the lock comes first: between the look when the object was made and now, another run may have taken the folder
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(run_lock(self.path))
            if self.resume:
                self._check_resumable()  # another process may have lengthened it since the first look
                # a result of an earlier session must not stand beside lines that go on after it
                if self.shorter_config is None:
                    self._forget_end()
            else:
                self._check_empty()  # another run may have come and gone since the first look
                self._begin()
        except (OSError, RunError, InputError) as error:
            self.close()
            # only a folder that was made here is removed, and only while it is empty
            if new:
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            # already a message for the user; what the system says is none
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"cannot write to the run directory {self.path}: {error}; choose another with out="
            ) from error

    def _begin(self) -> None:
        """Write the configuration, or nothing."""
        try:
            with self._writing(INPUTS):
                keep_inputs(self.path, self.config.recorded())
            self.write("config.yaml", to_yaml(self.config))
        except RunError:
            self._remove_beginning()
            raise

    def _remove_beginning(self) -> None:
        # the folder was empty when it was opened: what is listed was written since
        listed = [name for name in read_sums(self.path) or () if "/" not in name]
        for name in (*BEGINS, *LINES, *listed, SUMS, INPUTS):
            with contextlib.suppress(OSError):
                remove(self.path / name)

    def _check_first(self) -> None:
        try:
            check_lock_file(self.path)
            self._check_resumable() if self.resume else self._check_empty()
        except OSError as error:  # a name that is too long, or a folder that others may not look into
            raise InputError(f"cannot use the run directory {self.path}: {error}; choose another with out=") from error

    def _check_empty(self) -> None:
        if exists(self.path) and not self.path.is_dir():
            raise InputError(f"out={self.path} is a file; a run needs a directory")
        if (parent := file_above(self.path)) is not None:
            raise InputError(
                f"out={self.path}: {parent} is a file, and a run's directory cannot lie in it: choose another"
            )
        # a killed process leaves its lock file; the lock itself went with it
        if self.path.exists() and any(entry.name != ".lock" for entry in self.path.iterdir()):
            contents = "another run" if (self.path / "config.yaml").exists() else "other files"
            choices = "choose another directory" + ("," if self._restart_folder is None else " or") + " delete it"
            resume = (
                ", or continue that run with --resume (resume=True in Python)" if self._restart_folder is None else ""
            )
            raise InputError(f"out={self.path} already holds {contents}: {choices}{resume}")

    def _check_resumable(self) -> None:
        file = self.path / "config.yaml"
        if not exists(file):
            raise RunMismatchError(f"nothing to resume in {self.path}: it holds no config.yaml")
        # a flipped bit in a setting would otherwise read as another setting
        check_files(self.path, [name for name in BEGINS if (self.path / name).exists()])
        if read_sums(self.path) is None:
            _check_complete(file, type(self.config))
        saved = load_config(type(self.config), file)
        differing = differing_settings(saved, self.config)
        self.shorter_config = (
            saved if differing and self._extendable and set(differing) <= {*LENGTHS, RESTARTS} else None
        )
        if differing and self.shorter_config is None:
            command = self.config.command or f"train {self.config.method}"
            raise RunMismatchError(
                f"the configuration differs from that of the run in {self.path} in {', '.join(differing)}: resume "
                f"with the same one, or leave it out: penchant {command} --resume out={self.path}"
            )

    def lengthen(self, step: int) -> None:
        """Make the run as long as its new settings say; the result of its old end goes.

        A kill at any moment leaves the run as it was, or lengthened and to be resumed.

        Args:
            step: the steps done.
        """
        if self.shorter_config is None or not self.writes:
            return
        before, after = flat_settings(self.shorter_config), flat_settings(self.config)
        changed = differing_settings(self.shorter_config, self.config)
        lengthening = Lengthening(step, *({name: values.get(name) for name in changed} for values in (before, after)))
        records = with_another(read_lengthenings(self.path), lengthening)
        self.write_json(LENGTHENED, {"lengthened": to_json(records)})
        # before the settings: a result beside longer settings would say that the longer run has ended
        self._forget_end()
        self.write("config.yaml", to_yaml(self.config))

    def close(self) -> None:
        """Release the lock, for other processes."""
        self._lock.close()

    def discard(self) -> None:
        """Undo `open`, where bad input shows only later.

        Removed are the files that a run begins with, and the directory if it is empty then.
        """
        self._remove_beginning()
        self.close()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def write(self, name: str, text: str) -> None:
        """Write a whole file, atomically.

        Raises:
            RunError: it cannot be written (full disk, no permission); nothing half-written is left.
        """
        if not self.writes:
            return
        with self._writing(name):
            # the digest before the file: after a kill between the two the file is missing, never unlisted
            self._list({name: hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()})
            # only now: until the run has ended its lines still grow
            if name == "result.json":
                self._list({line: listed_digest(self.path / line) for line in LINES if (self.path / line).exists()})
            atomic_write(self.path / name, text)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Turn the failure to write a file into the error that says what is intact."""
        try:
            yield
        except OSError as error:
            raise cannot_write(self.path / name, error, restart_folder=self._restart_folder) from error

    def _list(self, sums: Mapping[str, str]) -> None:
        """Put digests into `SHA256SUMS`. A run of an earlier version, which has none, gets those of its beginning."""
        present = read_sums(self.path)
        if present is None:
            present = {name: listed_digest(self.path / name) for name in BEGINS if (self.path / name).exists()}
        write_sums(self.path, {**present, **sums})

    def list_files(self, *names: str) -> None:
        """Put the digests of files that somebody else wrote into `SHA256SUMS`.

        Raises:
            RunError: they cannot be read or written.
        """
        with self._writing(SUMS):
            self._list({name: listed_digest(self.path / name) for name in names})

    def check_listed(self, name: str) -> bool:
        """Check a file against its digest; return whether it has one.

        Raises:
            DamagedFile: it is not what was listed.
        """
        # a file is listed once it is complete: until then there is nothing to compare with
        if name not in (read_sums(self.path) or {}):
            return False
        check_files(self.path, [name])
        return True

    def _forget_end(self) -> None:
        """Remove the result of an earlier session and the digests that came with it."""
        sums = read_sums(self.path)
        if sums is not None and sums.keys() & set(ENDS):
            write_sums(self.path, {name: digest for name, digest in sums.items() if name not in ENDS})
        remove(self.path / "result.json")

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Write a JSON file, atomically; what is not finite becomes null."""
        self.write(name, json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n")

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Append one line to a JSONL file."""
        if not self.writes:
            return
        with self._writing(name):
            self._lines[name].append(json.dumps(finite(row), ensure_ascii=False))

    def rows(self, name: str) -> list[Row]:
        """Return the lines of a JSONL file. Damaged ones, and a last one that a kill cut short, are left out."""
        return read_rows(self.path / name)

    def provenance(self) -> RunRecord | None:
        """Return the record that the run began with, or None where a kill came before it.

        Raises:
            InputError: it is damaged, or missing although the run has a checkpoint.
        """
        file = self.path / "provenance.json"
        if not file.exists():
            # it is written before the first step: a run that has a checkpoint had it
            if (self.path / "checkpoint").exists():
                raise DamagedFile(
                    f"{file} is missing: what the run began with is not known. Put back a copy, or start a new run"
                )
            return None
        record = read_json(file)
        try:
            return from_json(RunRecord, record)
        except (KeyError, ValueError) as error:
            raise DamagedFile(
                f"{file} does not say what the run began with ({error}): put back a copy, or start a new run"
            ) from error

    def line_digests(self) -> dict[str, Digest]:
        """Return the digests of the lines so far, for a checkpoint."""
        return {name: lines.digest() for name, lines in self._lines.items()}

    def rewind(self, step: int, written: Mapping[str, Digest] | None = None) -> None:
        """Forget the lines after a step, which the resumed run writes again.

        Args:
            written: digests of the lines up to the step, as the checkpoint has them.
        """
        for name, lines in self._lines.items():
            with self._writing(name):
                self.warnings += lines.rewind(step, (written or {}).get(name))


def read_json(path: Path) -> Row:
    """Return the object in a JSON file of a run.

    Raises:
        DamagedFile: it holds none, or cannot be read.
    """
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{path} cannot be read ({error}): put back a copy, or start a new run") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{path} holds no JSON object: put back a copy, or start a new run")
    return content


def _check_complete(file: Path, config: type[Config]) -> None:
    """Refuse the configuration of an earlier version if its end is missing: what is missing would be a default.

    Raises:
        DamagedFile: it is cut short.
    """
    loaded = load_config(config, file)
    _, lines = read_yaml(file)
    # settings are written in the order of their class: a file that was cut lacks the last one
    last = list(flat_settings(loaded))[-1]
    if not read_file(file).endswith(b"\n") or last not in lines:
        raise DamagedFile(f"{file} is cut short ({last} is missing): put back a good copy, or start a new run")


def finished(path: str | None, config: Config, *, extendable: bool = False) -> Row | None:
    """Return the result of the run in a directory if it came to its end, else None.

    Args:
        extendable: the settings may make it longer; then it has not come to its end.

    Raises:
        RunMismatchError: there is no run to resume, or its configuration is another.
    """
    folder = RunFolder(path, config, resume=True, extendable=extendable)
    file = folder.path / "result.json"
    if folder.shorter_config is not None or not file.exists():
        return None
    check_files(folder.path, ["result.json"])
    try:
        result = read_json(file)
    except DamagedFile as error:
        raise DamagedFile(f"{file} is damaged: delete it, and resuming ends the run again") from error
    # an interrupted run has a result too, and is resumed from its checkpoint
    return result if result.get("status") in ENDED else None


def cannot_write(path: Path, error: Exception, *, restart_folder: Path | None = None) -> RunError:
    """Return the error for a file that cannot be written, such as on a full disk.

    Args:
        restart_folder: the folder that a command which cannot be resumed would find filled.
    """
    advice = "What was written before is intact; make room and continue with --resume"
    if restart_folder is not None:
        advice = f"Make room, remove {restart_folder}, and give the same command again"
    return RunError(f"cannot write {path}: {error}. {advice}")
