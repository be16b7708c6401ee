"""The page of a study of win rates. Reads its numbers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penchant.judges.compare.figures import Point, win_rate_picture
from penchant.judges.compare.page import RESULTS
from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import cell, shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, duration, folded, number, p_words
from penchant.studies.core.definition import StudyPage
from penchant.studies.transfer.words import method_name, shown_domain
from penchant.studies.win_rates.words import MET, findings, headline, judge_words, rate_at

LABELS = {"dpo": "DPO", "ppo": "PPO"}
"""Of methods that papers report."""
TITLES = {
    "tldr": "Summaries: who wins against those of the data",
    "dialogue": "Dialogue: who wins against the preferred responses",
    "judged-transfer": "Trained here, judged there: who wins on other domains",
}
CAPTION = (
    "Wins and half of the ties, of all pairs. Hollow markers are the paper's numbers for the method of the same "
    "colour, without an interval: other models, data and judge."
)
Numbers = Mapping[str, Any]


def win_rate_pictures(study: Numbers) -> dict[str, Picture]:
    """A figure a domain, by key."""
    pictures = {}
    for number_, domain in enumerate(study["domains"]):
        names = {method_name(method): method for method in study["methods"]}
        pictures[f"win-rate-{number_}"] = win_rate_picture(
            {name: _rates(method, domain) for name, method in names.items()},
            f"Win rate on {shown_domain(domain)}",
            published={name: _theirs(study, method, domain) for name, method in names.items()},
        )
    return pictures


def win_rate_context(study: Numbers, pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """What the template takes."""
    summary = _summary(study)
    return {
        "title": TITLES[study["study"]],
        "headline": headline(study),
        **shared_context(
            study["config"], study["provenance"], [(one["stage"], one["reason"]) for one in study["failures"]]
        ),
        "section": f"How often each wins against {MET[study['study']]}",
        "methods": [method_name(method) for method in study["methods"]],
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [
            summary,
            *(_domain(study, domain) for domain in study["domains"]),
            _tests(study),
            _theirs_table(study),
        ],
        "legend_tables": [summary],
        "samples": _samples(study),
        "facts": _facts(study),
    }


def _rates(method: Numbers, domain: Numbers) -> list[Point]:
    cells = [one for one in method["cells"] if one["domain"] == domain["name"]]
    rates = ((one["temperature"], one["win_rate"]["rate"]) for one in cells)
    return [
        (temperature, rate["value"], rate["low"], rate["high"])
        for temperature, rate in rates
        if rate["value"] is not None
    ]


def _theirs(study: Numbers, method: Numbers, domain: Numbers) -> list[tuple[float, float]]:
    """Published rates of a method by temperature; those without one are in the table alone."""
    return [
        (one["temperature"], one["rate"])
        for one in study["published"]["rates"]
        if (one["method"], one["own"]) == (method["name"], domain["own"]) and one["temperature"] is not None
    ]


def _summary(study: Numbers) -> Table:
    """Everything about the judged pairs at the temperature of the tests, on the own domain."""
    own = next(domain["name"] for domain in study["domains"] if domain["own"])
    rows = []
    for method in study["methods"]:
        found = next(
            (one for one in method["cells"] if (one["domain"], one["temperature"]) == (own, study["tested_at"])), None
        )
        if found is None:
            continue
        rate = found["win_rate"]
        shares = (cell(rate[key], percent=True) for key in ("rate", "wins", "ties", "losses", "unparseable"))
        longest = cell(found["baselines"]["longest"], percent=True)
        rows.append((method_name(method), *shares, cell(found["length_controlled"], percent=True), longest))
    heads = (
        "method",
        "win rate",
        "wins",
        "ties",
        "losses",
        "no verdict",
        "at equal lengths",
        "by who takes the longer",
    )
    return Table(f"On {own}, at temperature {study['tested_at']:g}.", heads, tuple(rows))


def _domain(study: Numbers, domain: Numbers) -> Table:
    rows = [
        (
            method_name(method),
            *(cell(rate_at(study, method, domain["name"], one), percent=True) for one in study["temperatures"]),
        )
        for method in study["methods"]
    ]
    heads = ("method", *(f"at {one:g}" for one in study["temperatures"]))
    return Table(f"Win rate on {shown_domain(domain)}, by temperature.", heads, tuple(rows))


def _tests(study: Numbers) -> Table:
    rows = [
        (
            f"{method_name(test['one'])} less {method_name(test['other'])}",
            test["domain"],
            cell(test["difference"], percent=True, sign=True),
            p_words(test["p"]),
            p_words(test["p_holm"]),
        )
        for test in study["tests"]
    ]
    caption = (
        f"Differences of win rates on the same prompts, at temperature {study['tested_at']:g}; Holm's correction is "
        "over the pairs of a domain."
    )
    return Table(caption, ("methods", "domain", "difference", "by itself", "by Holm"), tuple(rows))


def _theirs_table(study: Numbers) -> Table:
    """The paper's number beside ours at the same temperature."""
    rows = []
    for one in study["published"]["rates"]:
        domains = [domain for domain in study["domains"] if domain["own"] == one["own"]]
        ours = [
            f"{method_name(method)} on {shown_domain(domain)}: "
            f"{cell(rate_at(study, method, domain['name'], one['temperature']), percent=True)}"
            for method in study["methods"]
            for domain in domains
            if method["name"] == one["method"]
        ]
        at = "its best" if one["temperature"] is None else f"{one['temperature']:g}"
        about = "about " if one["read"] == "plot" else ""
        rows.append((LABELS[one["method"]], at, f"{about}{number(100 * one['rate'], 0)}%", "; ".join(ours) or DASH))
    of = study["published"]
    caption = (
        f"Published ({of['rates'][0]['source']}; {of['setting']}) beside ours, which has another model, data and judge."
    )
    return Table(caption, ("method", "temperature", "published", "ours"), tuple(rows))


def _samples(study: Numbers) -> dict[str, Any] | None:
    """The first prompts of the own domain with what was met, and each method's first response."""
    if not study["examples"]:
        return None
    prompts = []
    for shown in study["examples"]:
        head, rest = folded(shown["prompt"])
        cells = [_text(None, "The data", "", shown["met"])]
        for index, text in enumerate(shown["texts"]):
            cells.append(_text(index, method_name(text), RESULTS[text["outcome"]], text["text"]))
        prompts.append({"prompt": head, "prompt_rest": rest, "cells": cells})
    note = (
        f"The first {count(len(prompts), 'prompt')} and the first response of each at temperature "
        f"{study['tested_at']:g}, with what the judge made of it; none was picked by its verdict."
    )
    return {"title": "Responses side by side", "note": note, "prompts": prompts}


def _text(index: int | None, who: str, mark: str, text: str) -> dict[str, Any]:
    head, rest = folded(text)
    shown = {"head": head or "(empty)", "rest": rest, "folded": count(len(text), "character")}
    return {"index": index, "who": who, "mark": mark, **shown, "facts": ""}


def _facts(study: Numbers) -> list[tuple[str, str]]:
    config, on = study["config"], study["trained_on"]
    cost = study["cost"]
    domains = [
        (shown_domain(domain), f"{count(domain.get('prompts') or 0, 'prompt')}{_left_out(domain)}")
        for domain in study["domains"]
    ]
    compared = count(on.get("comparisons") or 0, "comparison")
    asked = f"{count(cost['verdicts'], 'verdict')}, {cost['judge_tokens']:,} tokens, {duration(cost['judge_seconds'])}"
    return [
        ("Model", described(str(config["model"]["name"]))),
        ("Trained on", f"{compared} of {count(on.get('prompts') or 0, 'prompt')}{_left_out(on)}"),
        *domains,
        ("Judge", judge_words(study)),
        ("Judged", asked),
        *shared_facts(study["seeds"], study["provenance"], study["cost"]["seconds"]),
    ]


def _left_out(part: Numbers) -> str:
    """What was done to the rows, as far as it changes what the numbers are about."""
    words = {
        "also_trained_on": "left out since they are trained on",
        "prompts_cut": "cut from the left",
        "prompts_too_long": "left out as too long",
        "responses_too_long": "responses left out as too long",
        "responses_empty": "responses left out as empty",
    }
    said = [f"{number(part[key], 0)} {text}" for key, text in words.items() if part.get(key)]
    return f" ({', '.join(said)})" if said else ""


PAGE = StudyPage(
    expected=frozenset({"methods", "domains", "tested_at", "published", "failures"}),
    pictures=win_rate_pictures,
    context=win_rate_context,
)
