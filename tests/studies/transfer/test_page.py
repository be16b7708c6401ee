"""The page of a study of transfer: its numbers, its sentences, hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penchant.studies.transfer.summary import TransferSummary
from penchant.studies.transfer.words import findings, headline
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div>'
LABELS = {"dpo": "DPO", "unlikelihood": "Unlikelihood", "preferred_ft": "Preferred-FT", "best_of_n": "Best-of-N"}
DOMAINS = ("film reviews", "news", "tweets")


def about(value: float, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 600, "clusters": 40}


def method(name: str, own: float, news: float, tweets: float, cold: float = 1.0) -> dict[str, Any]:
    """Changes at temperature 1; those at 0 are `cold` times as large."""
    cells, carried = [], []
    for temperature, factor in ((0.0, cold), (1.0, 1.0)):
        for domain, change in zip(DOMAINS, (own, news, tweets), strict=True):
            kl = about(2.0) if temperature == 1 else None
            reward, one = about(0.1 + factor * change), about(factor * change)
            cells.append({"domain": domain, "temperature": temperature, "reward": reward, "change": one, "kl_nats": kl})
        away = factor * (news + tweets) / 2
        lost = about(factor * own - away, 0.03)
        carried.append({"temperature": temperature, "own": about(factor * own), "others": about(away), "lost": lost})
    settings = {"dpo": ("beta", 0.1), "unlikelihood": ("alpha", 0.5), "best_of_n": ("N", 16.0)}
    setting, value = settings.get(name, (None, None))
    return {
        "name": name,
        "label": LABELS[name],
        "setting": setting,
        "value": value,
        "seeds": 1,
        "cells": cells,
        "carried": carried,
        "at_home": carried[-1],
    }


def made_up(*methods: dict[str, Any]) -> dict[str, Any]:
    """Numbers as the summary writes them."""
    if not methods:
        methods = (
            method("dpo", 0.3, 0.2, 0.1),
            method("unlikelihood", 0.1, 0.1, 0.1),
            method("preferred_ft", 0.01, -0.1, 0.0),
            method("best_of_n", 0.4, 0.42, 0.38, cold=0.0),
        )
    return {
        "study": "transfer",
        "config": {"model": {"name": "penchant-0.5m"}, "reward": "vader"},
        "prompts": {"train": 200},
        "domains": [
            {"name": name, "own": name == DOMAINS[0], "prompts": 40, "also_trained_on": 3 * (name == "tweets")}
            for name in DOMAINS
        ],
        "temperatures": [0.0, 1.0],
        "home": 1.0,
        "seeds": [0],
        "reference": [
            {"domain": name, "temperature": temperature, "reward": about(0.1)}
            for name in DOMAINS
            for temperature in (0.0, 1.0)
        ],
        "methods": list(methods),
        "failures": [],
        "cost": {"seconds": 300.0},
        "provenance": {"machine": {"cpu": "AMD EPYC", "cores": 2}},
    }


def read(numbers: dict[str, Any]) -> TransferSummary:
    return from_json(TransferSummary, numbers)


def test_the_page_has_a_table_a_method(page: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    html = page(made_up())
    for words in (
        "Transfer: how much of the gain carries over to other domains",
        "DPO (beta 0.1): mean true reward by temperature",
        "Best-of-N (N 16): mean true reward by temperature",
        "film reviews (own)",
        "tweets, change",
        "+0.30",
        "[+0.28, +0.32]",
        "after leaving out 3 whose text is trained on",
        "200 prompts",
    ):
        assert words in html, words
    assert "http" not in html.replace("http-equiv", "")
    assert sorted(path.name for path in (tmp_path / "page-figures").iterdir()) == [
        "carry.png",
        "domains.png",
        "temperature.png",
    ]


def test_hostile_text_does_nothing_and_what_is_missing_is_left_out(page: Callable[[dict[str, Any]], str]) -> None:
    text = json.dumps(made_up()).replace('"tweets"', json.dumps(HOSTILE))
    numbers = json.loads(text)
    numbers["failures"] = [{"stage": HOSTILE, "reason": HOSTILE}]
    numbers["config"]["model"]["name"] = HOSTILE
    numbers["methods"][2]["cells"][-1]["change"] = about(-0.5)  # then a sentence names the domain
    html = page(numbers)
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html
    numbers |= {"methods": [], "provenance": {}, "reference": []}
    assert "No method that trains was measured on two domains yet." in page(numbers)
    alone = made_up(method("dpo", 0.3, 0.2, 0.1) | {"cells": [], "carried": [], "at_home": None})
    assert "No method that trains was measured on two domains yet." in page(alone)


def test_sentences_go_as_far_as_the_intervals() -> None:
    said = " ".join([*headline(read(made_up())), *findings(read(made_up()))])
    assert "DPO (beta 0.1) raises the true reward by +0.30 [+0.28, +0.32] on its own domain and by +0.15" in said
    assert "part of the gain carries over (less by +0.15 [+0.12, +0.18])" in said
    assert "Unlikelihood (alpha 0.5): +0.10 [+0.08, +0.12] on its own domain" in said
    assert "the gain carries over, as far as these intervals tell" in said
    assert (
        "Preferred-FT: +0.01 [−0.01, +0.03] on its own domain, −0.05 [−0.07, −0.03] on the others; it does not" in said
    )
    assert "Unlikelihood (alpha 0.5) loses least on other domains" in said
    assert "clearly less than the others" in said
    assert "Preferred-FT makes the reward worse on news (−0.10 [−0.12, −0.08])." in said
    assert "Temperature does not change the gain on other domains" in said


def test_the_other_verdicts() -> None:
    harm = " ".join(findings(read(made_up(method("dpo", 0.3, -0.2, -0.2), method("unlikelihood", 0.29, -0.2, -0.2)))))
    assert "it does harm on other domains" in harm
    assert "cannot be told apart from it (intervals overlap). A method that gains little has little to lose." in harm
    assert "no gain shows on other domains" in " ".join(findings(read(made_up(method("dpo", 0.3, 0.01, 0.0)))))
    assert "the gain is even larger on other domains" in " ".join(findings(read(made_up(method("dpo", 0.1, 0.3, 0.3)))))
    warm = " ".join(findings(read(made_up(method("dpo", 0.3, 0.2, 0.1, cold=0.2)))))
    assert "On other domains DPO (beta 0.1) gains less at 0 (+0.03 [+0.01, +0.05]) than at 1 (+0.15" in warm
    flat = headline(read(made_up(method("dpo", 0.0, 0.0, 0.0))))[0]
    assert flat.startswith("No method that trains clearly gains on its own domain at temperature 1")
