"""The seconds of a round by what they were spent on, kept beside the round for whoever resumes it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penchant.files import atomic_write, read_json
from penchant.runs.part_seconds import collect_seconds, timed_part

FILE = "seconds.json"
SAMPLING, TRAINING, EVALUATION, OTHER = "sampling", "training", "evaluation", "other"
"""Parts of a round. Runs of its stages add `loading` and `reference`; `other` is all that has no name."""


class RoundClock:
    """The seconds of one round, by part. Those of a killed process count up to its last finished part.

    Args:
        folder: of the round.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.seconds = _read_seconds(self.file)
        # a finished round is gone through again when later ones are resumed: that is no time of its own
        self.is_finished = OTHER in self.seconds
        self._started = time.monotonic()
        self._earlier_seconds = sum(self.seconds.values())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds of a `with` block to a part of the round."""
        if self.is_finished:
            yield
            return
        with collect_seconds(self.seconds), timed_part(name):
            yield
        self._keep()

    @contextmanager
    def stage(self) -> Iterator[dict[str, float]]:
        """Yield a mapping for the seconds of a run's own parts, which are added to the round's when the block ends."""
        run_seconds: dict[str, float] = {}
        with collect_seconds({} if self.is_finished else self.seconds):
            yield run_seconds
        if not self.is_finished:
            for name, duration in run_seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + duration
            self._keep()

    def finish(self) -> dict[str, float]:
        """Keep and return the seconds of a round that has ended, with what none of its parts took."""
        if not self.is_finished:
            spent = sum(self.seconds.values()) - self._earlier_seconds
            # the training of a resumed stage was in part that of an earlier process, and may be more than passed here
            self.seconds[OTHER] = max(0.0, time.monotonic() - self._started - spent)
            self._keep()
            self.is_finished = True
        return dict(self.seconds)

    def _keep(self) -> None:
        if self.file.parent.exists():
            atomic_write(self.file, json.dumps({"seconds": self.seconds}, indent=2) + "\n")


def _read_seconds(file: Path) -> dict[str, float]:
    """Return the seconds of an earlier process; none where they cannot be read, since no number but these is lost."""
    try:
        content = read_json(file)["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    items = content.items() if isinstance(content, dict) else ()
    return {name: float(count) for name, count in items if isinstance(count, int | float) and math.isfinite(count)}
