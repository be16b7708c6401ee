"""A study's folder in, one self-contained page out. Reads `study.json` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from penchant.digests import check_files
from penchant.errors import InputError
from penchant.files import make_folder, read_json, write_atomically
from penchant.reports import study_tables
from penchant.reports.annotators import annotators_context, annotators_pictures
from penchant.reports.kit.render import figure_context, render_page
from penchant.reports.kit.study_page import TEMPLATE
from penchant.reports.kit.tables import Tile, flatten
from penchant.reports.kit.text import count, duration, estimate, folded, number, value_only
from penchant.reports.noise import noise_context, noise_pictures
from penchant.reports.study_figures import frontier_picture, spread_picture
from penchant.reports.study_words import (
    BEST_OF_N,
    as_estimate,
    caption,
    findings,
    headline,
    named,
    nats,
)
from penchant.reports.transfer import transfer_context, transfer_pictures
from penchant.reports.weak import weak_context, weak_files, weak_pictures
from penchant.reports.win_rates import win_rate_context, win_rate_pictures

STUDY = "study.json"
TITLE = "Reward against KL: every method on one plot"
WIN_RATES = ("tldr", "dialogue", "judged-transfer")
EXPECTED = {
    "frontier": {"methods", "limit", "runs", "samples", "matched", "winner"},
    "noise": {"methods", "few", "failures"},
    "transfer": {"methods", "domains", "home", "failures"},
    "annotators": {"rows", "all", "judges", "failures"},
    **{kind: {"methods", "domains", "tested_at", "published", "failures"} for kind in WIN_RATES},
    "weak-to-strong": {"cells", "tasks", "weak", "strong", "losses", "failures"},
}
PLAIN = {
    "noise": (noise_pictures, noise_context),
    "transfer": (transfer_pictures, transfer_context),
    "annotators": (annotators_pictures, annotators_context),
    **dict.fromkeys(WIN_RATES, (win_rate_pictures, win_rate_context)),
    "weak-to-strong": (weak_pictures, weak_context),
}
FILES = {"weak-to-strong": weak_files}
"""Tables beside the figures, for a spreadsheet or a paper."""
Numbers = Mapping[str, Any]


def is_study(path: str | Path) -> bool:
    """Whether a folder is a study's."""
    return (Path(path) / STUDY).is_file()


def study_report(folder: str | Path, out: str | Path) -> Path:
    """Write the page of a study, whichever it is.

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
    numbers = _read(Path(folder))
    figures = target.with_name(f"{target.stem}-figures")
    try:
        pictures, page = _drawn(numbers, figures.name)
    except KeyError as error:
        raise InputError(
            f"{Path(folder) / STUDY} lacks {error}: another version of Penchant wrote it. Start the study again with "
            "its study.yaml, it runs only what is missing"
        ) from error
    make_folder(figures)
    for name, picture in pictures.items():
        write_atomically(figures / f"{name}.png", picture.png, shared=True)
    if numbers["study"] in FILES:
        for name, text in FILES[numbers["study"]](numbers).items():
            write_atomically(figures / name, text.encode("utf-8"), shared=True)
    write_atomically(target, page.encode("utf-8"), shared=True)
    return target


def _drawn(numbers: Numbers, figures: str) -> tuple[dict[str, Any], str]:
    """The figures and the page, which names their folder."""
    if numbers["study"] in PLAIN:
        draw, context = PLAIN[numbers["study"]]
        pictures = draw(numbers)
        return pictures, render_page(TEMPLATE, {"folder": figures, **context(numbers, pictures)})
    pictures = {"frontier": frontier_picture(numbers), "spread": spread_picture(numbers)}
    return pictures, render_page("frontier.html.j2", {"folder": figures, **_context(numbers, pictures)})


def _read(folder: Path) -> dict[str, Any]:
    file = folder / STUDY
    if file.exists():
        check_files(folder, [STUDY])
    try:
        numbers = read_json(file)
    except OSError as error:
        raise InputError(f"{folder} holds no {STUDY}: `penchant study frontier` writes it") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): start the study again, it runs only what is missing") from error
    if isinstance(numbers, dict) and numbers.get("study") == "frontier" and "from_kl" in numbers.get("limit", ()):
        raise InputError(
            f"{file} was written by Penchant 0.3.0.dev0 or older, whose efficiency was averaged over KLs where a "
            "method had no evaluation: it depends on where a sweep's points lie, and is not shown. Start the study "
            f"again with `penchant study frontier {folder / 'study.yaml'} -o {folder}`; what another "
            "version sampled is not reused"
        )
    if not isinstance(numbers, dict) or not EXPECTED.get(numbers.get("study", ""), {STUDY}) <= numbers.keys():
        raise InputError(f"{file} is of another kind or version: start the study again, it runs only what is missing")
    return numbers


def _context(study: Numbers, pictures: Mapping[str, Any]) -> dict[str, Any]:
    machine = {key: value for key, value in study["provenance"].items() if value is not None}
    return {
        "title": TITLE,
        "headline": headline(study),
        "tiles": _tiles(study),
        "failures": study["failures"],
        "methods": [method["label"] for method in study["methods"]],
        "frontier": figure_context("frontier", pictures["frontier"], caption(study)),
        "spread": figure_context(
            "spread",
            pictures["spread"],
            "100% is the limit line, 0% the reference. Marks far apart mean that the setting has to be found first.",
        ),
        "findings": findings(study),
        "efficiencies": study_tables.efficiencies(study),
        "costs": study_tables.costs(study),
        "budget": study_tables.budget(study),
        "samples": _samples(study),
        "facts": study_tables.facts(study),
        "runs": study_tables.runs(study),
        "points": study_tables.points(study),
        "settings": yaml.safe_dump(study["config"], sort_keys=False, allow_unicode=True, width=100),
        "provenance": flatten(machine),
    }


def _tiles(study: Numbers) -> list[Tile]:
    reward = as_estimate(study["reference"]["reward"])
    tiles = [_tile("Reward of the reference", reward, f"{study['reference']['samples']} samples a prompt")]
    winner = named(study, study["winner"]["name"] or "")
    for method, note in ((winner, "of the possible gain"), (named(study, BEST_OF_N), "by the true reward")):
        if method is not None and method["efficiency"]:
            share = as_estimate(method["efficiency"])
            tiles.append(_tile(f"Efficiency of {method['label']}", share, note, percent=True))
    common = study["matched"]["common"]
    where = nats(common) if common else "nowhere"
    tiles.append(Tile("Methods compared at", where, "", "of KL, where all have evaluations on both sides"))
    runs = count(len(study["runs"]), "run")
    tiles.append(Tile("Computing time", duration(study["cost"]["seconds"]), "", f"{runs} and what they need, added up"))
    return tiles


def _tile(label: str, e: Any, note: str, *, percent: bool = False) -> Tile:
    interval = estimate(e, percent=percent).split(" ", 1)[1]
    return Tile(label, value_only(e, percent=percent), interval, note)


def _samples(study: Numbers) -> dict[str, Any] | None:
    shown = study["samples"]
    order = [method["name"] for method in study["methods"]]
    columns: Sequence[Numbers] = shown["columns"]
    if not shown["prompts"]:
        return None
    prompts = []
    for place, prompt in enumerate(shown["prompts"]):
        head, rest = folded(prompt)
        cells = [_cell(study, column, place, order) for column in columns]
        prompts.append({"prompt": head, "prompt_rest": rest, "cells": cells})
    note = (
        f"The first {len(prompts)} of {count(study['prompts']['eval'], 'prompt')} and the first draw of each, from the "
        "evaluation whose KL comes nearest; none was picked by its reward."
    )
    return {"title": f"Samples at about {shown['target_kl']:g} nats", "note": note, "prompts": prompts}


def _cell(study: Numbers, column: Numbers, place: int, order: Sequence[str]) -> dict[str, Any]:
    text = column["texts"][place]
    head, rest = folded(text["text"])
    reference = column["name"] == "reference"
    facts = [] if reference else [f"KL {number(column['kl_nats'])} nats on average"]
    facts += [f"step {column['step']:,}"] if column.get("step") is not None else []
    return {
        "index": order.index(column["name"]) if column["name"] in order else None,
        "who": column["label"] if reference else study_tables.run_name(study, {**column, "method": column["name"]}),
        "mark": f"reward {number(text['reward'], 2)}",
        "head": head or "(empty)",
        "rest": rest,
        "folded": count(len(text["text"]), "character"),
        "facts": " · ".join(facts),
    }
