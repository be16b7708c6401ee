"""What a release needs to know: whether a tag fits the version, and what the changelog says of it.

python scripts/release.py check v0.4.0    # ends with 1 where the tag, the version and the changelog differ
python scripts/release.py notes v0.4.0    # prints the section of the changelog
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("check", "notes"))
    parser.add_argument("tag", help="such as v0.4.0")
    arguments = parser.parse_args()
    version = arguments.tag.removeprefix("v")
    notes = notes_of(version, (REPOSITORY / "CHANGELOG.md").read_text())
    problems = problems_of(arguments.tag, notes)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    if arguments.action == "notes":
        print(notes)
    return 0


def problems_of(tag: str, notes: str | None) -> list[str]:
    """Return why a tag cannot be released."""
    metadata = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    problems = []
    if tag != f"v{metadata['version']}":
        problems.append(f"the tag is {tag}, and the version in pyproject.toml {metadata['version']}")
    if notes is None:
        problems.append(f"CHANGELOG.md has no section for {tag.removeprefix('v')}")
    return problems


def notes_of(version: str, changelog: str) -> str | None:
    """Return the text of a version's section; None where there is none."""
    section = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return section[1].strip() if section else None


if __name__ == "__main__":
    sys.exit(main())
