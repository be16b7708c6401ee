"""A tag is released where the version and the changelog agree with it."""

from __future__ import annotations

import tomllib

import release

from repository import REPOSITORY

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-01

### Added

- A thing.

## [1.1.0] - 2025-01-01

- Another.
"""


def test_notes_are_the_section_of_a_version() -> None:
    assert release.notes_of("1.2.0", CHANGELOG) == "### Added\n\n- A thing."
    assert release.notes_of("1.1.0", CHANGELOG) == "- Another."
    assert release.notes_of("1.2", CHANGELOG) is None
    assert release.notes_of("Unreleased", CHANGELOG) == ""


def test_a_tag_of_another_version_is_refused() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert release.problems_of(f"v{version}", "notes") == []
    assert release.problems_of(version, "notes") == [
        f"the tag is {version}, and the version in pyproject.toml {version}"
    ]
    assert release.problems_of("v0.0.1", None)[1:] == ["CHANGELOG.md has no section for 0.0.1"]
