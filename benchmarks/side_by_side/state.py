"""The results file, which is also what a stopped benchmark continues from: it is written after every single run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

FORMAT = 1
METHOD = 1  # raised when a worker measures in another way: earlier runs then count no more

Run = dict[str, Any]


def stamp(**parts: Any) -> str:
    """A digest of what a run's numbers depend on."""
    return hashlib.sha256(json.dumps([METHOD, parts], sort_keys=True).encode()).hexdigest()[:12]


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}")
    building.write_text(text)
    os.replace(building, path)


class CodeChanged(Exception):
    """Penchant's sources changed while a run was measured, so nobody knows what it measured."""


class State:
    """All rows with their runs, in one JSON file.

    Args:
        path: the file.
        code: says the digest of Penchant's sources as they are now.
        fresh: forget what the file holds.

    Attributes:
        content: `machine`, and `rows` by name: `settings`, `code`, `commit`, `command`, `versions`, `date`,
            `failed` (why, or null) and `runs`, each with `stamp`, `part`, what tells it from others of the part,
            and `result`.
    """

    def __init__(self, path: Path, *, code: Callable[[], str], fresh: bool = False) -> None:
        self.path, self.code = path, code
        known = json.loads(path.read_text()) if path.exists() and not fresh else {}
        self.content: dict[str, Any] = known if known.get("format") == FORMAT else {"format": FORMAT, "rows": {}}

    def tell(self, **facts: Any) -> None:
        """Facts about the whole benchmark."""
        self.content.update(facts)
        self.save()

    def open_row(self, name: str, *, settings: dict[str, Any], versions: dict[str, str], threads: int) -> RowState:
        """A row to be measured: what is known of it stays if code, settings, libraries and threads are the same.

        Runs of the peer alone do not depend on our code, so they stay when only that changed.
        """
        code = self.code()
        theirs = stamp(row=name, settings=settings, versions=versions, threads=threads)
        both = stamp(row=name, settings=settings, versions=versions, threads=threads, code=code)
        runs = [run for run in self.content["rows"].get(name, {}).get("runs", []) if run["stamp"] in (theirs, both)]
        entry = {
            "settings": settings,
            "code": code,
            "commit": self.content.get("commit"),
            "command": self.content.get("command"),
            "versions": versions,
            "date": f"{datetime.now():%Y-%m-%d %H:%M}",
            "failed": None,
            "runs": runs,
        }
        self.content["rows"][name] = entry
        return RowState(self, entry, both=both, theirs=theirs)

    def save(self) -> None:
        """Put all on disk."""
        write(self.path, json.dumps(self.content, indent=1) + "\n")


class RowState:
    """One row's runs."""

    def __init__(self, state: State, entry: dict[str, Any], *, both: str, theirs: str) -> None:
        self.state, self.entry, self._both, self._theirs = state, entry, both, theirs

    def once(self, part: str, measure: Callable[[], Any], *, peer_only: bool = False, **which: Any) -> Any:
        """The result of a run: the one that is known, or `measure` now, kept at once.

        Args:
            part: of the row, such as `speed`.
            which: tells this run from others of the part, such as `side` and `repeat`.
            peer_only: it does not depend on our code.

        Raises:
            CodeChanged: our code is not what it was when the row was opened; the run is not kept.
        """
        key = {"stamp": self._theirs if peer_only else self._both, "part": part, **which}
        for run in self.entry["runs"]:
            if key == {name: value for name, value in run.items() if name != "result"}:
                return run["result"]
        result = measure()
        if not peer_only and self.state.code() != self.entry["code"]:
            raise CodeChanged("Penchant's sources changed during this run: it was not kept; run the row again")
        self.entry["runs"].append({**key, "result": result})
        self.state.save()
        return result

    def failed(self, why: str) -> None:
        """The row could not be measured to its end."""
        self.entry["failed"] = why
        self.state.save()
