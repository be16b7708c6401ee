"""Answer what was mistyped behind a command with the line that is meant, to be copied as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.config.fields import TAG
from penchant.config.problems import nearest_settings
from penchant.config.schema import Schema

if TYPE_CHECKING:
    from penchant.cli.arguments import Command


DATA_ENDINGS = (".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".xlsx", ".txt", ".gz", ".zst", ".sqlite")
"""Of files that hold rows and no settings; JSON may hold either."""


def line_to_copy(words: Sequence[str]) -> str:
    """Return words as a line of their own that a shell reads back."""
    return f"\n  penchant {shlex.join(words)}"


def corrected_line(words: Sequence[str], corrections: Mapping[str, str]) -> str:
    """Return the line with wrong settings put right; nothing where one of them was not typed.

    Args:
        words: all that was typed.
        corrections: by dotted path what is meant, a path or `path=value`: of `SettingsError`.
    """
    left, corrected = dict(corrections), []
    for word in words:
        key, equals, value = word.partition("=")
        # `loss=dpo` is short for `loss.name=dpo`, by which the message calls it
        path = next((path for path in (key, f"{key}.{TAG}") if equals and path in left), None)
        if path is None:
            corrected.append(word)
            continue
        meant, value_meant, choice = left.pop(path).partition("=")
        corrected.append(f"{key}={choice}" if value_meant else f"{meant}={value}")
    # what stands in a file of settings is mended there
    return "" if left or not corrections else f"did you mean this?{line_to_copy(corrected)}"


def explain_flags(command: Command, flags: Sequence[str], unknown: Sequence[str], typed: Sequence[str]) -> str:
    """Return what is meant by flags that there are not: settings, which are written without dashes, or flags.

    Args:
        command: that they were typed behind.
        flags: the long flags that it has.
        unknown: words that it has no use for, the first flag of which is explained.
        typed: all words, of which the line to copy is made.
    """
    flag = next(word for word in unknown if word.startswith("-"))
    advice, meant = _flag_advice(command.settings, flags, flag, typed)
    if not meant:
        return advice
    line = _without_dashes(command.settings, flags, [word for word in unknown if word.startswith("--")], typed)
    return advice + (f"\ndid you mean this?{line_to_copy(line)}" if line else "")


def _flag_advice(
    settings: type[Schema], flags: Sequence[str], flag: str, typed: Sequence[str]
) -> tuple[str, str | None]:
    """Return what to say of a flag, and the setting that is meant by it where only one can be."""
    # a flag of ours comes first: `--resme` is nearer to it than to any setting
    nearest, near_flags = _settings_meant(settings, flags, flag)
    if near_flags:
        return f"; did you mean {' or '.join(near_flags)}?", None
    if not nearest and flag in ("--dry-run", "--dry_run") and "--print-config" in flags:
        # whoever knows it from training tries it everywhere
        return "; only penchant train METHOD has it: --print-config shows what this command would run with", None
    if not nearest:
        return "; there is no such flag, and no such setting: --help-all lists them", None
    value = _value_of(flag, typed) or "VALUE"
    forms = " or ".join(f"{key}={value}" for key in nearest)
    return f"; a setting is written without dashes: {forms}", nearest[0] if len(nearest) == 1 else None


def _settings_meant(settings: type[Schema], flags: Sequence[str], flag: str) -> tuple[list[str], list[str]]:
    name = flag.lstrip("-").partition("=")[0].replace("-", "_")
    if name.partition(".")[0] in settings.model_fields:
        return [name], []  # whoever reads a nested setting names what is wrong below its first key
    long_flags = {long_flag.lstrip("-"): long_flag for long_flag in flags}
    nearest = nearest_settings(settings, name, long_flags)
    return nearest, [long_flags[key] for key in nearest if key in long_flags]


def _value_of(flag: str, typed: Sequence[str]) -> str:
    """Return the value of a flag: behind its `=`, or the next word, which argparse may have taken for a positional."""
    _, equals, value = flag.partition("=")
    following = typed[typed.index(flag) + 1 :][:1]
    return value if equals else next((word for word in following if not word.startswith("-")), "")


def _without_dashes(
    settings: type[Schema], flags: Sequence[str], unknown: Sequence[str], typed: Sequence[str]
) -> list[str]:
    """Return the typed words with flags written as settings; none where one of them cannot be."""
    words: list[str] = []
    skip = False  # the next word, which is the value of the flag before it
    for word in typed:
        if skip:
            skip = False
        elif word not in unknown:
            words.append(word)
        else:
            _, meant = _flag_advice(settings, flags, word, typed)
            value = _value_of(word, typed)
            if meant is None or not value:
                return []
            words.append(f"{meant}={value}")
            skip = "=" not in word
    return words


def explain_bare_words(settings: type[Schema], words: Sequence[str], typed: Sequence[str]) -> str:
    """Return what to say of a file of data that was typed without `data=`; nothing where there is none."""
    files = [word for word in words if "=" not in word and Path(word).suffix in DATA_ENDINGS]
    has_data = any(word.startswith("data") for word in words if "=" in word)
    if len(files) != 1 or has_data or "data" not in settings.model_fields or not Path(files[0]).is_file():
        return ""
    line = [f"data={word}" if word == files[0] else word for word in typed]
    return f"{files[0]} is a file, and here a file is a setting; did you mean this?{line_to_copy(line)}"
