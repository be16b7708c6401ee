"""Read by which method a run was trained, without a reader of YAML: the command line asks before it loads one."""

from __future__ import annotations

import re
from pathlib import Path

_METHOD = re.compile(r"^method:\s*['\"]?(.+?)['\"]?\s*$", re.MULTILINE)


def recorded_method(folder: Path) -> str:
    """Return the method that the configuration of a run names; empty where there is none, or it names none."""
    try:
        text = (folder.expanduser() / "config.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = _METHOD.search(text)
    return match[1] if match else ""
