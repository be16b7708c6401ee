"""Read the templates and style sheets that pages are made of. Imports nothing, so `penchant collect` starts fast."""

from __future__ import annotations

from importlib.resources import files


def read_packaged(name: str) -> str:
    """Return the text of a template, style sheet or script of this package."""
    return files("penchant.reports.kit").joinpath("templates", name).read_text(encoding="utf-8")


def shared_css() -> str:
    """Return the colours, the sizes of text and the tables for phones, which all pages of Penchant have alike."""
    return read_packaged("shared.css")
