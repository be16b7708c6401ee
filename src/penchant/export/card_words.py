"""Texts of a card made fit for strangers: no secrets, no folders of this machine, no marks that break a table."""

from __future__ import annotations

import os
import re

from penchant.clean_text import clean
from penchant.redact import hide_credentials, redact
from penchant.reports.kit.text import number

_PATH = re.compile(r"(?<![\w.:/~])(?:~|/|[A-Za-z]:\\)(?:[^\s/\\'\"`|<>()\[\]{},;]*[/\\])+([^\s/\\'\"`|<>()\[\]{},;]*)")
"""An absolute path; its last name stays."""
_TOKEN = re.compile(r"\b(?:hf|sk|ghp|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}")
SECRET_VARIABLES = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text for others: without secrets, and with the last names alone of this machine's paths."""
    secrets = [value for name, value in os.environ.items() if SECRET_VARIABLES.search(name) and len(value) >= 8]
    text = redact(hide_credentials(text), secrets)
    return _PATH.sub(lambda match: match.group(1) or "[folder]", _TOKEN.sub("[secret]", text))


def as_code(text: str) -> str:
    """Return a name of anybody's as code in a line of Markdown or a cell of a table."""
    return f"`{' '.join(clean(text).split()).replace('`', '′').replace('|', '∣')}`"


def cell(text: str) -> str:
    """Return a text as it stands in a cell of a table."""
    return redacted(" ".join(clean(text).split())).replace("|", "∣").replace("<", "&lt;")


def size_text(size: int) -> str:
    """Return a size in bytes, kB, MB or GB (powers of 1,000, as hubs count)."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{number(size / unit)} {name}"
    return f"{size} bytes"
