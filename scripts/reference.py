"""Write the reference of every command, setting and layout: `docs/reference/commands.md`, `settings.md` and others.

    python scripts/reference.py            # write the pages
    python scripts/reference.py --check    # exit with 1 where a page is not what the code says

The text comes from the parsers of the command line, from the configuration classes (a field's type, limits, default
and docstring) and from the table of layouts. So a page is changed by changing these, never by hand. A test runs
`--check`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reference_pages.commands import commands_page
from reference_pages.layouts import layouts_page
from reference_pages.other_libraries import other_libraries_page
from reference_pages.settings import settings_page

PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "layouts.md": layouts_page,
    "other-libraries.md": other_libraries_page,
}
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"


def main() -> int:
    """Write the pages, or compare them with what would be written."""
    parser = argparse.ArgumentParser(description="Write the reference of every command, setting and layout.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is out of date")
    options = parser.parse_args()
    stale = [name for name, page in PAGES.items() if not _is_current(FOLDER / name, page())]
    if options.check:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run python scripts/reference.py", file=sys.stderr)
        return 1 if stale else 0
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
