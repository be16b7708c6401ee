"""Fill in the page of the frontier study from its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from penchant.errors import InputError
from penchant.metrics.catalogue import metric
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, text_cell, texts_of_prompt
from penchant.reports.kit.tables import Tile
from penchant.reports.kit.text import count, duration, number, value_and_interval
from penchant.studies.core.definition import StudyPage
from penchant.studies.core.methods import BEST_OF_N
from penchant.studies.frontier import tables as study_tables
from penchant.studies.frontier.figures import frontier_picture, spread_picture
from penchant.studies.frontier.summary import FrontierSummary, ReferenceTexts, TextColumn
from penchant.studies.frontier.words import caption, findings, headline, nats
from penchant.typed_json import JsonObject

TITLE = "Reward against KL: every method on one plot"


def _pictures(study: FrontierSummary) -> dict[str, Picture]:
    return {"frontier": frontier_picture(study), "spread": spread_picture(study)}


def _refuse_old(folder: Path, numbers: JsonObject) -> None:
    """Refuse numbers that an earlier version wrote, whose efficiencies were not of matched KLs."""
    # The key that only those files have. Other numbers of old folders are read as they are.
    if "from_kl" in numbers.get("limit", ()):
        raise InputError(
            f"{folder / 'study.json'} was written by Penchant 0.3.0.dev0 or older, whose efficiency was averaged over "
            "KLs where a method had no evaluation: it depends on where a sweep's points lie, and is not shown. Start "
            f"the study again with `penchant study frontier {folder / 'study.yaml'} -o {folder}`; what another "
            "version sampled is not reused"
        )


def _context(study: FrontierSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    return {
        **shared_context(study.config, study.provenance),
        "title": TITLE,
        "headline": headline(study),
        "tiles": _tiles(study),
        "failures": study.failures,
        "methods": [method.label for method in study.methods],
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
    }


def _tiles(study: FrontierSummary) -> list[Tile]:
    reward = study.reference.reward
    samples = f"{study.reference.samples} samples per prompt"
    tiles = [Tile("Reward of the reference", *value_and_interval(reward), samples)]
    winner = study.method(study.winner.name)
    # Without a named winner no method that trains gets a tile, however far it leads.
    for method, note in ((winner, "of the possible gain"), (study.method(BEST_OF_N), "by the true reward")):
        if method is not None and method.efficiency:
            parts = value_and_interval(method.efficiency, percent=True)
            tiles.append(Tile(f"Efficiency of {method.label}", *parts, note))
    common = study.matched.common
    where = nats(common) if common else "nowhere"
    tiles.append(Tile("Methods compared at", where, "", "of KL, where all have evaluations on both sides"))
    runs = count(len(study.runs), "run")
    tiles.append(Tile("Computing time", duration(study.cost.seconds), "", f"{runs} and what they need, added up"))
    return tiles


def _samples(study: FrontierSummary) -> dict[str, object] | None:
    texts = study.samples
    order = [method.name for method in study.methods]
    if not texts.prompts:
        return None
    prompts = [
        texts_of_prompt(prompt, [_cell(study, column, index, order) for column in texts.columns])
        for index, prompt in enumerate(texts.prompts)
    ]
    note = (
        f"The first {len(prompts)} of {count(study.prompts.eval or 0, 'prompt')} and the first draw of each, from the "
        "evaluation whose KL comes nearest; none was picked by its reward."
    )
    return {"title": f"Samples at about {texts.target_kl:g} nats", "note": note, "prompts": prompts}


def _cell(study: FrontierSummary, column: TextColumn, prompt: int, order: Sequence[str]) -> dict[str, object]:
    text = column.texts[prompt]
    author, facts = column.label, ""
    if not isinstance(column, ReferenceTexts):
        author = study_tables.run_name(study, column.name, column.value, column.rate)
        facts = f"{metric('kl_nats').label} {number(column.kl_nats)} nats on average"
        facts += f" · step {column.step:,}" if column.step is not None else ""
    # The reference has no mark in the legend.
    index = order.index(column.name) if column.name in order else None
    mark = f"{metric('reward').label} {number(text.reward, 2)}"
    return text_cell(author, text.text, index=index, mark=mark, facts=facts)


PAGE = StudyPage(_pictures, _context, template="frontier.html.j2", refuse=_refuse_old)
