"""A study's folder in, one self-contained page out. Reads `study.json` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from penchant.digests import check_files
from penchant.errors import InputError
from penchant.files import atomic_write, make_folder, read_json
from penchant.reports.kit.render import render_page
from penchant.studies.core.definition import StudyPage, definition_named
from penchant.studies.core.kinds import resolve
from penchant.studies.core.summary import read_summary

STUDY = "study.json"


def is_study(path: str | Path) -> bool:
    """Return whether a folder is a study's."""
    return (Path(path) / STUDY).is_file()


def study_report(folder: str | Path, out: str | Path) -> Path:
    """Write the page of a study of any kind.

    Args:
        folder: the study's folder.
        out: the HTML file; the figures go as PNG into the folder `<name>-figures` beside it.

    Returns:
        The path of the HTML file. Equal numbers give equal bytes.

    Raises:
        InputError: no `study.json` there, a damaged one or one of another version, or an `out` that is a folder.
    """
    target = Path(out)
    if target.is_dir():
        raise InputError(f"out must be a file such as {target / 'report.html'}, but {target} is a folder")
    summary, page = _read(Path(folder))
    # named after the page, so that two pages in one folder keep their figures apart
    figures = target.with_name(f"{target.stem}-figures")
    pictures = page.pictures(summary)
    html = render_page(page.template, {"folder": figures.name, **_context(summary, page.context(summary, pictures))})
    files = page.files(summary) if page.files else {}
    make_folder(figures)
    for name, picture in pictures.items():
        atomic_write(figures / f"{name}.png", picture.png, shared=True)
    for name, text in files.items():
        atomic_write(figures / name, text.encode("utf-8"), shared=True)
    # the page last, so that a page that is there has its figures beside it
    atomic_write(target, html.encode("utf-8"), shared=True)
    return target


def main_picture(folder: str | Path) -> tuple[str, str]:
    """Return the title of a study's first figure, and the figure as SVG.

    Raises:
        InputError: as `study_report`.
    """
    summary, page = _read(Path(folder))
    picture = next(iter(page.pictures(summary).values()))
    return picture.title, picture.svg


def _context(summary: object, context: Mapping[str, object]) -> Mapping[str, object]:
    """Return what the template is filled with; of a trial, the page says first that its numbers mean nothing."""
    config, headline = getattr(summary, "config", None), context.get("headline")
    limit = config.get("limit") if isinstance(config, Mapping) else None
    if limit is None or not isinstance(headline, Sequence) or isinstance(headline, str):
        return context
    return {**context, "headline": [f"A trial of every stage with limit={limit}: its numbers mean nothing.", *headline]}


def _read(folder: Path) -> tuple[object, StudyPage[object]]:
    """Return the summary of a study and the page that shows it."""
    file = folder / STUDY
    if file.exists():
        check_files(folder, [STUDY])
    try:
        numbers = read_json(file)
    except OSError as error:
        raise InputError(f"{folder} holds no {STUDY}: `penchant study frontier` writes it") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): start the study again, it runs only what is missing") from error
    definition = definition_named(str(numbers.get("study"))) if isinstance(numbers, dict) else None
    page: StudyPage[object] | None = resolve(definition.page) if definition else None
    # before the keys are looked at: a file may have them all, and mean something else by them
    if page is not None and page.refuse:
        page.refuse(folder, numbers)
    if definition is None or page is None:
        raise InputError(f"{file} is of another kind or version: start the study again, it runs only what is missing")
    return read_summary(definition.summary, numbers, file), page
