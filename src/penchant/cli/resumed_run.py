"""Words of `penchant train --resume`: the run's folder as people type it, and the method that the run itself names.

Imports no settings: it is asked before any command is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penchant.runs.recorded_method import recorded_method

RESUME = "--resume"
OUT_FLAGS = ("-o", "--out")


def with_run_and_method(words: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Return what stands behind `train`, with the folder to resume as `out=` and its method in front.

    `train --resume RUN`, `train RUN --resume`, `train --resume=RUN` and `train dpo --resume RUN` are
    `train METHOD --resume out=RUN`. Words without `--resume`, or without a run, stay as they are.
    """
    rest = [part for word in words for part in _split_flag(word)]
    if RESUME not in rest:
        return list(words)
    start = 1 if rest and rest[0] in methods else 0
    for index, word in enumerate(rest[start:], start):
        # a folder of that name that is no run stays, to be refused by its name
        is_value = index > 0 and rest[index - 1] in OUT_FLAGS
        if not (word.startswith("-") or "=" in word or is_value) and recorded_method(Path(word)):
            rest[index] = f"out={word}"
    folders = _folders(rest)
    if start or not folders:
        return rest
    method = recorded_method(Path(folders[-1]))
    return [method, *rest] if method in methods else rest


def _split_flag(word: str) -> list[str]:
    flag, equals, folder = word.partition("=")
    return [RESUME, f"out={folder}"] if flag == RESUME and equals and folder else [word]


def _folders(words: Sequence[str]) -> list[str]:
    """Return what `out=DIRECTORY`, `-o DIRECTORY` and `--out DIRECTORY` name."""
    folders = []
    for index, word in enumerate(words):
        key, equals, folder = word.partition("=")
        if equals and key in ("out", "--out"):
            folders.append(folder.strip("'\""))
        elif word in OUT_FLAGS and index + 1 < len(words):
            folders.append(words[index + 1])
    return folders
