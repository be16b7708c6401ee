"""A study's folder in, one self-contained page out. Reads `study.json` and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from penchant.errors import InputError
from penchant.reports.annotators import annotators_context, annotators_pictures
from penchant.reports.noise import noise_context, noise_pictures
from penchant.reports.plain_study import TEMPLATE
from penchant.reports.render import figure_context, render_page, write_file
from penchant.reports.samples import folded
from penchant.reports.study_figures import frontier_picture, spread_picture
from penchant.reports.study_words import (
    BEST_OF_N,
    as_estimate,
    caption,
    findings,
    headline,
    named,
    setting_name,
    trained,
)
from penchant.reports.tables import DASH, Table, Tile, flatten
from penchant.reports.transfer import transfer_context, transfer_pictures
from penchant.reports.words import count, duration, estimate, listing, number, value_only

STUDY = "study.json"
TITLE = "Reward against KL: every method on one plot"
EXPECTED = {
    "frontier": {"methods", "limit", "runs", "samples"},
    "noise": {"methods", "few", "failures"},
    "transfer": {"methods", "domains", "home", "failures"},
    "annotators": {"rows", "all", "judges", "failures"},
}
PLAIN = {
    "noise": (noise_pictures, noise_context),
    "transfer": (transfer_pictures, transfer_context),
    "annotators": (annotators_pictures, annotators_context),
}
GIB = 2**30
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
        InputError: no `study.json` there, a damaged one, or an `out` that is a folder.
    """
    target = Path(out)
    if target.is_dir():
        raise InputError(f"out must be a file such as {target / 'report.html'}, but {target} is a folder")
    numbers = _read(Path(folder))
    figures = target.with_name(f"{target.stem}-figures")
    if numbers["study"] in PLAIN:
        draw, context = PLAIN[numbers["study"]]
        pictures = draw(numbers)
        page = render_page(TEMPLATE, {"folder": figures.name, **context(numbers, pictures)})
    else:
        pictures = {"frontier": frontier_picture(numbers), "spread": spread_picture(numbers)}
        page = render_page("study.html.j2", {"folder": figures.name, **_context(numbers, pictures)})
    figures.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        write_file(figures / f"{name}.png", picture.png)
    write_file(target, page.encode("utf-8"))
    return target


def _read(folder: Path) -> dict[str, Any]:
    file = folder / STUDY
    try:
        numbers = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no {STUDY}: `penchant study frontier` writes it") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): start the study again, it runs only what is missing") from error
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
        "comparison": _comparison(study),
        "budget": _budget(study),
        "samples": _samples(study),
        "facts": _facts(study),
        "runs": _runs(study),
        "points": _points(study),
        "settings": yaml.safe_dump(study["config"], sort_keys=False, allow_unicode=True, width=100),
        "provenance": flatten(machine),
    }


def _tiles(study: Numbers) -> list[Tile]:
    reward = as_estimate(study["reference"]["reward"])
    ranked = sorted(trained(study), key=lambda method: -method["efficiency"]["value"])
    tiles = [_tile("Reward of the reference", reward, f"{study['reference']['samples']} samples a prompt")]
    for method in ranked[:1]:
        share = as_estimate(method["efficiency"])
        tiles.append(_tile(f"Efficiency of {method['label']}", share, "share of the possible gain", percent=True))
    best = named(study, BEST_OF_N)
    if best is not None:
        share = as_estimate(best["efficiency"])
        tiles.append(_tile("Efficiency of Best-of-N", share, "by the true reward", percent=True))
    runs = count(len(study["runs"]), "run")
    tiles.append(Tile("Computing time", duration(study["cost"]["seconds"]), "", f"{runs} and what they need, added up"))
    return tiles


def _tile(label: str, e: Any, note: str, *, percent: bool = False) -> Tile:
    interval = estimate(e, percent=percent).split(" ", 1)[1]
    return Tile(label, value_only(e, percent=percent), interval, note)


# -- tables -------------------------------------------------------------------------------------------------------


def _comparison(study: Numbers) -> Table:
    several = len(study["seeds"]) > 1
    heads = ("efficiency", "one setting alone", *(["spread over seeds"] if several else []), "best reward in range")
    costs = (
        "training, a run",
        "optimizer steps, a run",
        "needs before",
        "peak memory",
        "samples drawn",
        "tokens learned from",
        "runs",
    )
    rows = [(method["label"], *_of_method(study, method, several), *_of_cost(method)) for method in study["methods"]]
    caption = f"Efficiency is averaged over KL {study['limit']['from_kl']:g} to {study['limit']['to_kl']:.3g}"
    caption += (
        f" nats; costs are means over a method's runs that ended, peak memory is the most of any.{_shared(study)}"
    )
    return Table(caption, ("method", *heads, *costs), tuple(rows))


def _shared(study: Numbers) -> str:
    """Whether runs were measured side by side; empty where it is not known."""
    jobs = study["cost"].get("jobs")
    if jobs is None:
        return ""
    if jobs == 1:
        return " One run at a time had the machine's cores to itself."
    return f" Up to {jobs} runs at once shared the machine's cores, so each took longer than it would have alone."


def _of_method(study: Numbers, method: Numbers, several: bool) -> list[str]:
    alone = [one["efficiency"] for one in method["by_value"]]
    ends = [f"{number(100 * share, 0)}%" for share in (min(alone, default=0.0), max(alone, default=0.0))]
    cells = [estimate(as_estimate(method["efficiency"]), percent=True)]
    cells.append(f"{ends[0]} to {ends[1]}" if len(alone) > 1 else DASH)
    if several:
        deviation = method["seed_deviation"]
        cells.append(DASH if deviation is None else f"±{number(100 * deviation, 1)} points")
    best = method["best"]
    if best is None:
        return [*cells, DASH]
    below = ", below the reference" if best["reward"]["value"] < study["reference"]["reward"]["value"] else ""
    return [*cells, f"{value_only(as_estimate(best['reward']))} at {number(best['kl_nats']['value'])} nats{below}"]


def _of_cost(method: Numbers) -> list[str]:
    cost = method["cost"]
    if cost is None:
        return [DASH, DASH, DASH, DASH, "N an answer" if method["name"] == BEST_OF_N else DASH, DASH, DASH]
    runs = method["runs"]
    words = {"failed": "failed", "runaway": "ran away", "unfinished": "unfinished"}
    bad = [f"{runs[what]} {word}" for what, word in words.items() if runs.get(what)]
    return [
        duration(cost["training_seconds"]),
        number(cost["optimizer_steps"], 0) if cost.get("optimizer_steps") else DASH,
        duration(cost["preparation_seconds"]) if cost["preparation_seconds"] else DASH,
        f"{number(cost['peak_memory_bytes'] / GIB, 2)} GiB",
        number(cost["samples_drawn"], 0),
        number(cost["trained_tokens"], 0) if cost["trained_tokens"] else DASH,
        f"{runs['all']}{f' ({listing(bad)})' if bad else ''}",
    ]


def _budget(study: Numbers) -> str:
    """What is equal for all and what is not."""
    config = study["config"]
    shared = f"{config['optimizer']}, clip {config['clip']:g}"
    names = [method["label"] for method in trained(study) if not method["name"].startswith("ppo")]
    said = []
    if names:
        goes = "goes" if len(names) == 1 else "go"
        said.append(f"{listing(names)} {goes} {_times(config['epochs'])} over the same comparisons.")
    said += _units(study)
    for method in trained(study):
        if method["name"] not in ("ppo", "ppo_gt") or not config.get(method["name"]):
            continue
        ppo = config[method["name"]]
        drawn = ppo["steps"] * ppo["prompts_per_step"] * ppo["samples_per_prompt"]
        said.append(
            f"{method['label']} draws {number(drawn, 0)} samples of its own in {count(ppo['steps'], 'round')} and goes "
            f"{_times(ppo['updates'])} over each."
        )
    rates = [
        f"{method['label']} {config[method['name']]['learning_rate']:g}"
        for method in trained(study)
        if config.get(method["name"])
    ]
    return (
        f"Equal for all: start, prompts, evaluation prompts and seeds ({shared}). {' '.join(said)} Learning rates: "
        f"{listing(rates)}. Training time leaves evaluations out; “needs before” is sampling and ranking the "
        "comparisons and, for PPO, fitting the reward model."
    )


def _units(study: Numbers) -> list[str]:
    """Why methods that see the same comparisons take another number of optimizer steps."""
    units = {
        "comparison": ("dpo",),
        "distinct winner": ("preferred_ft", "unlikelihood"),
        "distinct winner and loser": ("kto",),
    }
    own = {
        unit: [method["label"] for method in trained(study) if method["name"] in names] for unit, names in units.items()
    }
    parts = [
        f"{listing(labels)} learn{'s' * (len(labels) == 1)} from each {unit}" for unit, labels in own.items() if labels
    ]
    if len(parts) < 2:
        return []
    return [f"Optimizer steps differ all the same: {'; '.join(parts)} once a pass, so few winners mean few steps."]


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _runs(study: Numbers) -> Table:
    rows = []
    for run in study["runs"]:
        last = run["points"][-1] if run["points"] else None
        rows.append(
            (
                _name(study, run),
                str(run["seed"]),
                run["status"] if not run["evaluations_lost"] else f"{run['status']}, evaluations lost",
                DASH if last is None else estimate(as_estimate(last["reward"])),
                DASH if last is None else estimate(as_estimate(last["kl_nats"])),
                DASH if run["seconds"] is None else duration(run["seconds"]),
                run["folder"],
            )
        )
    columns = ("run", "seed", "status", "reward at the end", "KL at the end, nats", "seconds in all", "folder")
    return Table("Every run, as it ended.", columns, tuple(rows))


def _points(study: Numbers) -> Table:
    rows = [
        (
            _name(study, {"method": method["name"], "value": point["value"]}),
            DASH if point["step"] is None else f"{point['step']:,}",
            estimate(as_estimate(point["kl_nats"])),
            estimate(as_estimate(point["reward"])) + _fewer(study, point),
        )
        for method in study["methods"]
        for point in method["points"]
    ]
    return Table("What the plot draws; means over seeds.", ("point", "step", "KL, nats", "reward"), tuple(rows))


def _fewer(study: Numbers, point: Numbers) -> str:
    """A word on a point that not every seed has."""
    seeds = point["seeds"]
    return f" ({seeds} of {count(len(study['seeds']), 'seed')})" if seeds and seeds < len(study["seeds"]) else ""


def _name(study: Numbers, row: Numbers) -> str:
    method = named(study, row["method"])
    label = method["label"] if method else row["method"]
    if row["method"] == BEST_OF_N and row["value"] is not None:
        return f"Best-of-{row['value']:g}"
    if row["value"] is None or method is None or not method["setting"]:
        return label
    return f"{label}, {setting_name(method['setting'])} {row['value']:g}"


def _facts(study: Numbers) -> list[tuple[str, str]]:
    config, prompts = study["config"], study["prompts"]
    machine = study["provenance"].get("machine") or {}
    accelerator = machine.get("accelerator")
    where = f"{machine.get('cpu', 'unknown')}, {machine.get('cores', '?')} cores" + (
        f", {accelerator}" if accelerator else ""
    )
    facts = [
        ("Model", str(config["model"]["name"]) + ("" if config["sft"] is None else ", fine-tuned first")),
        ("True reward", str(config["reward"])),
        ("Prompts", f"{number(prompts['train'] or 0, 0)} to train on, {prompts['eval']} others to measure on"),
        ("Responses", f"up to {count(config['max_new_tokens'], 'token')}, at temperature 1, from the whole vocabulary"),
        ("Seeds", listing(map(str, study["seeds"]))),
        ("Machine", where),
        ("Time", f"{duration(study['cost']['seconds'])} of computing, all stages and runs together.{_shared(study)}"),
    ]
    accuracies = [model["accuracy"] for model in study["reward_models"] if model["accuracy"]]
    if accuracies:
        shown = listing(estimate(as_estimate(accuracy), percent=True) for accuracy in accuracies)
        facts.insert(3, ("Reward model", f"held-out accuracy {shown}"))
    return facts


# -- samples ------------------------------------------------------------------------------------------------------


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
    return {"target": f"{shown['target_kl']:g}", "note": note, "prompts": prompts}


def _cell(study: Numbers, column: Numbers, place: int, order: Sequence[str]) -> dict[str, Any]:
    text = column["texts"][place]
    head, rest = folded(text["text"])
    reference = column["name"] == "reference"
    facts = [] if reference else [f"KL {number(column['kl_nats'])} nats on average"]
    facts += [f"step {column['step']:,}"] if column.get("step") is not None else []
    return {
        "index": order.index(column["name"]) if column["name"] in order else None,
        "who": column["label"] if reference else _name(study, {"method": column["name"], "value": column["value"]}),
        "reward": number(text["reward"], 2),
        "head": head or "(empty)",
        "rest": rest,
        "folded": count(len(text["text"]), "character"),
        "facts": " · ".join(facts),
    }
