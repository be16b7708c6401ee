"""The reference of commands and settings is what the code says."""

from __future__ import annotations

import subprocess
import sys

from repository import REPOSITORY

FOLDER = REPOSITORY / "docs" / "reference"


def test_the_committed_pages_are_what_the_script_writes() -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_tables_have_a_value_a_default_and_a_meaning_for_every_setting() -> None:
    rows = [line for page in ("commands.md", "settings.md") for line in (FOLDER / page).read_text().splitlines()]
    settings = [line.replace(r"\|", "").strip("|").split("|") for line in rows if line.startswith("| `")]
    assert len(settings) > 500
    assert not [cells for cells in settings if not all(cell.strip() for cell in cells)]
