"""Texts of a card made fit for strangers: no secrets, no folders of this machine, no marks that break a table."""

from __future__ import annotations

import os
import re

from penchant.clean_text import clean
from penchant.redact import hide_credentials, redact

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
