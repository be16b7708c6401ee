"""The page of a study of wrong labels: its numbers, its sentences, hostile text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from penchant.studies.noise.summary import NoiseSummary
from penchant.studies.noise.words import findings, headline
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div>'
LABELS = {"dpo": "DPO", "robust": "Robust DPO (told the share)", "ipo": "IPO", "reward_model": "Reward model"}


def about(value: float, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 600, "clusters": 40}


def made_up(**accuracy: tuple[float, ...]) -> dict[str, Any]:
    """Numbers as the summary writes them; accuracies at 0, 20 and 40% flipped."""
    told = {
        "dpo": (0.8, 0.79, 0.6),
        "robust": (0.8, 0.79, 0.7),
        "ipo": (0.78, 0.7, 0.62),
        "reward_model": (0.81, 0.8, 0.5),
    }
    given = {**told, **accuracy}
    methods = [
        {
            "name": name,
            "label": label,
            "points": [
                {
                    "share": share,
                    "seeds": 1,
                    "accuracy": about(value),
                    "above_dpo": None if name == "dpo" else about(value - given["dpo"][place], 0.03),
                    "above_first": about(value - given[name][0], 0.03) if place else None,
                    "reward": None if name == "reward_model" else about(value - 0.3),
                    "kl_nats": None if name == "reward_model" else about(2.0),
                }
                for place, (share, value) in enumerate(zip((0.0, 0.2, 0.4), given[name], strict=True))
            ],
        }
        for name, label in LABELS.items()
    ]
    few = [
        {"step": 10 * i, "epoch": 10.0 * i, "reward": about(reward), "kl_nats": about(5.0 * i), "seen_accuracy": seen}
        for i, reward, seen in ((1, 0.4, 0.8), (2, 0.5, 0.96), (3, 0.3, 1.0))
    ]
    return {
        "study": "noise",
        "config": {"model": {"name": "penchant-0.5m"}, "reward": "vader"},
        "prompts": {"train": 200, "eval": 40},
        "comparisons": 2400,
        "seeds": [0],
        "reference": about(0.15),
        "methods": methods,
        "few": {"prompts": 16, "epochs": 30, "points": few, "fall": about(-0.2, 0.02)},
        "failures": [],
        "cost": {"seconds": 300.0},
        "provenance": {"machine": {"cpu": "AMD EPYC", "cores": 2}},
    }


def read(numbers: dict[str, Any]) -> NoiseSummary:
    return from_json(NoiseSummary, numbers)


def test_the_page_has_the_numbers(page: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    html = page(made_up())
    for words in ("Wrong labels", "79%", "[77%, 81%]", "0.50", "penchant-0.5m", "2,400 comparisons", "5 min 00 s"):
        assert words in html, words
    assert "http" not in html.replace("http-equiv", "")
    assert sorted(path.name for path in (tmp_path / "page-figures").iterdir()) == [
        "accuracy.png",
        "few.png",
        "reward.png",
    ]


def test_hostile_text_does_nothing_and_what_is_missing_is_left_out(page: Callable[[dict[str, Any]], str]) -> None:
    numbers = made_up()
    numbers["failures"] = [{"stage": HOSTILE, "reason": HOSTILE}]
    numbers["config"]["model"]["name"] = HOSTILE
    html = page(numbers)
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html
    numbers |= {"methods": [], "few": None, "reference": None, "provenance": {}}
    assert "DPO was not judged yet" in page(numbers)


def test_sentences_go_as_far_as_the_intervals() -> None:
    said = " ".join([*headline(read(made_up())), *findings(read(made_up()))])
    assert "DPO puts the better response first in 80% [78%, 82%] of unseen comparisons with none of its labels" in said
    assert (
        "At 40% flipped, DPO has an accuracy of 60%. Robust DPO (told the share) is above it, Reward model is below it "
        "and IPO is not to be told apart from it" in said
    )
    assert "DPO is clearly worse from 40% flipped on: 80% to 60%" in said
    assert "IPO is clearly worse from 20% flipped on" in said
    assert "it has 96% of them right after seeing them 20 times" in said  # as its table says, not the threshold
    assert "ends at 0.30 [0.28, 0.32], below its best after 20 times (a change of −0.20 [−0.22, −0.18] since" in said
    assert "measured on the other): it overfits." in said
    assert "told apart from it, by paired differences on the same comparisons" in said
    near = made_up()  # intervals that overlap by far, and a paired difference that does not hold 0
    near["methods"][2]["points"][2]["above_dpo"] = about(0.02, 0.01)
    near["few"]["fall"] = about(-0.01, 0.02)
    near["methods"][0]["points"][1]["above_first"] = about(-0.01, 0.005)
    said = " ".join(findings(read(near)))
    assert "Robust DPO (told the share) and IPO are above it and Reward model is below it, by" in said
    assert "DPO is clearly worse from 20% flipped on" in said
    assert "0.32], not clearly below its best after 20 times" in said
    assert "it overfits" not in said
    near["config"]["labels"] = "random"
    assert "At 40% drawn at random, DPO has" in " ".join(findings(read(near)))
    calm = " ".join(findings(read(made_up(dpo=(0.8, 0.8, 0.79)))))
    assert "DPO: no loss that these intervals could show." in calm
