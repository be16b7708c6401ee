"""Write commits into the table, and nothing else of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

COMMIT = re.compile(r"[0-9a-f]{40}")


def with_pins(text: str, pins: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of the table with commits filled in.

    Args:
        pins: by id, the commit of each field (`revision`, `parquet`). What is no commit is refused.
    """
    for fields in pins.values():
        if wrong := [commit for commit in fields.values() if not COMMIT.fullmatch(commit)]:
            raise ValueError(f"expected a commit of 40 hexadecimal digits, got {wrong[0]!r}")
    lines = text.splitlines(keepends=True)
    entry = ""
    for place, line in enumerate(lines):
        if match := re.match(r"- id: (\S+)", line):
            entry = match[1]
        elif (match := re.match(r"  (revision|parquet): ", line)) and match[1] in pins.get(entry, {}):
            lines[place] = f'  {match[1]}: "{pins[entry][match[1]]}"\n'
    return "".join(lines)
