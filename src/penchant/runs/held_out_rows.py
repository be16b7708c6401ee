"""What each held-out row gave at the last evaluation of a run, by content, so that two runs can be paired by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from penchant.files import atomic_write, read_file, read_json, remove
from penchant.runs.run_folder import RunFolder
from penchant.runs.run_lines import finite
from penchant.typed_json import from_json, to_object

HELD_OUT_FILE = "held_out.json"
"""The file of a run directory that holds them. Runs of version 0.3 and before have none."""
BEST = "best"
"""The folder of a run with its best weights, and with the rows of their evaluation."""


@dataclass(frozen=True)
class HeldOutRows:
    """The held-out rows of an evaluation: columns of equal length.

    Attributes:
        keys: of each row, a digest of its content; the same row has the same key in every run.
        prompts: a digest of each row's prompt, over which intervals are resampled.
        weights: of each row in the means.
        values: by the name of a number, what each row gave; null where it has none, as a tie has no right answer.
        step: after which the evaluation was done.
    """

    keys: tuple[str, ...]
    prompts: tuple[str, ...]
    weights: tuple[float, ...]
    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    step: int = 0


def content_digest(content: object) -> str:
    """Return a short digest of what a row says, by the text of its parts."""
    return sha256(repr(content).encode(errors="surrogatepass")).hexdigest()[:16]


def numbered(digests: Sequence[str]) -> tuple[str, ...]:
    """Return digests with a number behind those that came before, so that equal rows have keys of their own."""
    seen: Counter[str] = Counter()
    keys = []
    for digest in digests:
        seen[digest] += 1
        keys.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return tuple(keys)


def write_held_out_rows(folder: RunFolder, rows: HeldOutRows) -> None:
    """Write the rows of the latest evaluation in the place of those of an earlier one."""
    if folder.writes:
        # the digest is written before the file: after a kill between the two an old file would look damaged
        remove(folder.path / HELD_OUT_FILE)
    # on one line: with a line per value the file would be three times as large
    folder.write(HELD_OUT_FILE, json.dumps(finite(to_object(rows))) + "\n")


def keep_best_rows(folder: RunFolder) -> None:
    """Keep a copy of the latest evaluation's rows beside the best weights, which are of the same step."""
    if (content := _content(folder.path)) is not None:
        atomic_write(folder.path / BEST / HELD_OUT_FILE, content)


def restore_best_rows(folder: RunFolder) -> None:
    """Put the rows of the best weights in the place of the last ones; nothing where an earlier version kept none."""
    if (content := _content(folder.path / BEST)) is not None:
        remove(folder.path / HELD_OUT_FILE)
        folder.write(HELD_OUT_FILE, content.decode())


def _content(folder: Path) -> bytes | None:
    file = folder / HELD_OUT_FILE
    return read_file(file) if file.exists() else None


def read_held_out_rows(folder: Path) -> HeldOutRows | None:
    """Return the rows of a run; None for a run of an earlier version, or without held-out rows.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    try:
        rows = from_json(HeldOutRows, read_json(folder / HELD_OUT_FILE), HELD_OUT_FILE)
    except FileNotFoundError:
        return None
    except (OSError, KeyError) as error:
        raise ValueError(str(error)) from error
    lengths = {len(column) for column in (rows.keys, rows.prompts, rows.weights, *rows.values.values())}
    if len(lengths) != 1 or len(set(rows.keys)) != len(rows.keys):
        raise ValueError("its columns do not fit together")
    return rows
