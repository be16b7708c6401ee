"""Write parts of drafted settings as YAML: texts, comments and names of new folders. Imports no torch."""

from __future__ import annotations

import itertools
import json
import textwrap
from pathlib import Path

from penchant.clean_text import clean

WIDTH = 100


def new_folder(name: str) -> str:
    """Return a name that no folder has: training refuses one that holds another run."""
    numbers = itertools.count(2)
    free = name
    while Path(free).exists():
        free = f"{name}-{next(numbers)}"
    return free


def stem_of(path: str) -> str:
    """Return the name of a file without its endings, as part of a folder's name."""
    name = Path(path).name.partition(".")[0]
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name).strip("-")
    return safe or "first"


def yaml_text(value: str) -> str:
    """Return a text as YAML has it: plain where nothing in it means something."""
    is_plain = value.isascii() and value[:1].isalpha() and all(sign.isalnum() or sign in "-_./" for sign in value)
    return (
        value
        if is_plain and value.lower() not in ("null", "true", "false", "yes", "no", "on", "off")
        else json.dumps(value)
    )


def comment(text: str, indent: str = "") -> list[str]:
    """Return a text as lines of comments."""
    # names in messages come from files: a line break of theirs would end the comment
    line = " ".join(clean(text).split())
    return textwrap.wrap(line, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip
