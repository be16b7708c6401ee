"""A study's page: its numbers are those of study.json, it stands alone, and nothing in a text gets out of hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from old_folders import unpack
from penchant.config import load_config
from penchant.errors import InputError
from penchant.metrics import Estimate, Evaluations, best_of_n_kl, cluster_mean
from penchant.metrics.efficiency import Scale
from penchant.reports.kit.text import estimate
from penchant.studies.core.report import study_report
from penchant.studies.frontier.figures import frontier_picture, matched_rewards
from penchant.studies.frontier.matched import Contender, common_columns, differences, winner
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.summary import FrontierSummary, Winner
from penchant.studies.frontier.words import collapsed, findings, headline
from penchant.studies.report import report
from penchant.typed_json import from_json, to_json

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"> \u202egnp.exe\x00 & "quotes" </div></article>'
LABELS = {
    "dpo": "DPO",
    "preferred_ft": "Preferred-FT",
    "unlikelihood": "Unlikelihood",
    "ppo": "PPO",
    "ppo_gt": "PPO-GT",
    "best_of_n": "Best-of-N",
}
SETTING = {"dpo": "beta", "unlikelihood": "alpha", "ppo": "target_nats", "ppo_gt": "target_nats", "best_of_n": "N"}
MATCHED = (0.5, 1.0, 2.0, 3.0)
VALUES: dict[str, tuple[float | None, ...]] = {
    "dpo": (0.05, 0.1, 1, 5),
    "preferred_ft": (None,),
    "unlikelihood": (0.05, 1),
    "ppo": (1, 3, 6),
    "ppo_gt": (1, 3, 6),
}
SHARE = {"dpo": 0.75, "preferred_ft": 0.3, "unlikelihood": 0.5, "ppo": 0.55, "ppo_gt": 0.7, "best_of_n": 0.95}
PROMPTS, RESAMPLES = 24, 60


def made_up(seeds: int = 1, text: str = "It was a fine film, and they were glad.", **share: float) -> dict[str, Any]:
    """A study's numbers as the summary writes them; `share` is how much of the limit's gain a method reaches."""
    return deepcopy(_made_up(seeds, text, tuple(sorted(share.items()))))  # a test may change its own


@cache
def _made_up(seeds: int, text: str, shares: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    share = dict(shares)
    rng = np.random.default_rng(0)
    table = np.clip(rng.normal(0.3, 0.4, (PROMPTS, 256)) + rng.normal(0, 0.1, (PROMPTS, 1)), -1, 1)
    scale = Scale.from_rewards(table, MATCHED, resamples=RESAMPLES)
    line, base = scale.limit, table.mean(axis=1)
    methods, contenders, runs = [], [], []
    for name in LABELS:
        wanted = {**SHARE, **share}.get(name, 0.0)
        if name == "best_of_n":
            points = [(float(n), None, float(best_of_n_kl(n))) for n in (1, 2, 4, 8, 16, 32)]
        else:
            points = [(v, 10 * i, 0.4 * i * (1 + j)) for j, v in enumerate(VALUES[name]) for i in range(1, 5)]
        kls = np.array([[kl] * PROMPTS for _, _, kl in points])
        fall = np.array([0.5 if name == "unlikelihood" and v == 1 and s == 40 else 0.0 for v, s, _ in points])
        gain = line.reward_at(kls[:, 0]) - line.reward[0]
        rewards = base + (wanted * gain - fall)[:, None] + rng.normal(0, 0.02, kls.shape)
        of_runs = (
            [[v for v, _, _ in points].index(v) for v, _, _ in points] if name != "best_of_n" else [0] * len(points)
        )
        of_seeds = [Evaluations(kls, rewards + 0.01 * seed, of_runs) for seed in range(seeds)]
        contender = Contender(name, tuple(of_seeds), np.stack([scale.shares(one) for one in of_seeds]))
        contenders += [contender] if name != "best_of_n" else []
        rows = [
            {"value": v, "step": s, "seeds": seeds, "kl_nats": over(kl), "reward": over(reward)}
            for (v, s, _), kl, reward in zip(points, kls, rewards, strict=True)
        ]
        cost = {
            "seconds": 30.0, "training_seconds": 12.5, "preparation_seconds": 8.0, "peak_memory_bytes": 4e8,
            "samples_drawn": 1600, "trained_tokens": 125_000.0, "steps": 30.0, "optimizer_steps": 4321.0,
        }  # fmt: skip
        of_values = dict.fromkeys(v for v, _, _ in points) if name != "best_of_n" else {}
        methods.append(
            {
                "name": name,
                "label": LABELS[name],
                "setting": SETTING.get(name),
                "contender": contender,
                "matched": to_json(contender.shares_at_matched_kls(scale)),
                "points": rows,
                "by_value": [{"value": v, "efficiency": wanted - 0.1 * i} for i, v in enumerate(of_values)],
                "by_seed": [{"seed": seed, "efficiency": wanted + 0.02 * seed} for seed in range(seeds)],
                "seed_deviation": 0.02 if seeds > 1 and name != "best_of_n" else None,
                "cost": None if name == "best_of_n" else cost,
                "runs": {"all": len(of_values) * seeds, "failed": 0, "runaway": 0, "unfinished": 0},
            }
        )
        for value in of_values:
            for seed in range(seeds):
                runs.append(
                    {
                        "method": name, "value": value, "seed": seed, "folder": f"runs/{name}-{value}-{seed}",
                        "status": "done", "reason": "", "seconds": 30.0, "peak_memory_bytes": 4e8,
                        "samples_drawn": 0, "evaluations_lost": 0,
                        "points": [{**row, "repetition": 0.4} for row in rows if row["value"] == value],
                    }
                )  # fmt: skip
    common = common_columns(contenders)
    for method in methods:
        over_common = method.pop("contender").over(common, scale)
        method["efficiency"] = over_common.as_dict() if over_common else None
    column = {"kl_nats": 2.1, "step": 20, "texts": [{"text": text, "reward": 0.62}] * 3}
    return {
        "study": "frontier",
        "config": {
            "model": {"name": "penchant-1.5m"}, "reward": "vader", "max_new_tokens": 24, "sft": None,
            "optimizer": "rmsprop", "clip": 1.0, "epochs": 2,
            **{name: {"learning_rate": 3e-5, "steps": 30, "prompts_per_step": 64, "samples_per_prompt": 4, "updates": 2}
               for name in VALUES},
        },
        "prompts": {"train": 200, "eval": PROMPTS},
        "seeds": list(range(seeds)),
        "reference": {"samples": 256, "reward": over(base)},
        "limit": {
            "kl_nats": line.kl_nats.tolist(), "reward": line.reward.tolist(), "trusted_kl": line.trusted_kl,
            "tolerance": 0.01,
        },
        "matched": {"kl_nats": list(MATCHED), "common": [MATCHED[place] for place in common]},
        "winner": to_json(winner(contenders, common, scale)),
        "search": {"open": False},
        "methods": methods,
        "differences": to_json(differences(contenders, scale)),
        "reward_models": [{"seed": 0, "accuracy": cluster_mean([1, 1, 0, 1], [0, 0, 1, 2]).as_dict()}],
        "runs": runs,
        "failures": [],
        "samples": {
            "target_kl": 2.0,
            "prompts": ["The film is", text, "I saw it"],
            "columns": [
                {**column, "name": "reference", "label": "Reference", "step": None, "kl_nats": 0.0},
                *({**column, "name": n, "label": LABELS[n], "setting": SETTING.get(n), "value": 1.0} for n in LABELS),
            ],
        },
        "cost": {"seconds": 1012.0, "jobs": 2},
        "provenance": {"machine": {"cpu": "AMD EPYC", "cores": 2, "accelerator": None}, "versions": {"torch": "2.13"}},
    }  # fmt: skip


def read(numbers: dict[str, Any]) -> FrontierSummary:
    return from_json(FrontierSummary, numbers)


def over(means: np.ndarray) -> dict[str, Any]:
    return cluster_mean(means, range(len(means))).as_dict()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(numbers)` is a study's folder with them."""

    def put(numbers: dict[str, Any]) -> Path:
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        (folder / "study.json").write_text(json.dumps(numbers))
        return folder

    return put


class Page(HTMLParser):
    """The elements of a page and its text, with a check that they nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(self.html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def assert_stands_alone(page: Page) -> None:
    names = [name for name, _ in page.elements]
    assert not {"iframe", "object", "link", "form", "img", "image", "foreignobject"} & set(names)
    assert names.count("script") == 1  # ours, which saves figures: `tests/reports/run/test_page.py` has its hash
    for _, attrs in page.elements:
        assert not any(key.startswith("on") or key == "style" for key in attrs)
        assert not {"src", "srcset"} & attrs.keys()
        # a link leads to a part of the page, or saves what it holds
        assert (attrs.get("href") or "#").startswith("data:" if "download" in attrs else "#")
    assert "http" not in re.sub(r"http-equiv", "", page.html)
    policy = next(attrs["content"] for name, attrs in page.elements if name == "meta" and attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def shown(numbers: dict[str, Any], *, percent: bool = False) -> str:
    return estimate(Estimate.from_dict(numbers), percent=percent)


def test_the_page_has_the_numbers_of_the_study(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up()
    out = study_report(write(numbers), tmp_path / "page.html")
    page = Page(out)
    assert_stands_alone(page)
    flat = " ".join(page.text.split())
    for method in numbers["methods"]:
        for share in (method["efficiency"], *(row["share"] for row in method["matched"] if row["share"])):
            value, interval = shown(share, percent=True).split(" ", 1)
            assert f"{value} {interval}" in flat or f"{value}{interval}" in flat, method["label"]
        assert all(row["reason"] in flat for row in method["matched"])
        for point in method["points"]:
            value, interval = shown(point["reward"]).split(" ", 1)
            assert f"{value}{interval}" in flat or f"{value} {interval}" in flat
    assert shown(numbers["reference"]["reward"]).split(" ")[0] in flat
    for words in (
        "16 min 52 s",
        "AMD EPYC",
        "penchant-1.5m",
        "vader",
        "one seed tells too little of how another would have trained",
        "7,680 samples",
        "of the comparisons of unseen prompts",
    ):
        assert words in flat, words
    figures = sorted(path.name for path in (tmp_path / "page-figures").iterdir())
    assert figures == ["frontier.png", "spread.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page-figures", "page.html", "study"]
    assert len([1 for name, _ in page.elements if name == "article"]) == 3


def test_equal_numbers_give_equal_bytes_and_report_takes_a_study(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(made_up())
    one = study_report(folder, tmp_path / "one" / "page.html")
    other = report([folder], tmp_path / "other" / "page.html")
    assert one.read_bytes() == other.read_bytes()
    assert report(folder, tmp_path / "third.html").exists()


def test_hostile_texts_are_shown_and_do_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up(text=HOSTILE)
    numbers["failures"] = [{"stage": HOSTILE, "reason": HOSTILE}]
    numbers["config"]["model"]["name"] = HOSTILE
    numbers["runs"][0]["folder"] = HOSTILE
    page = Page(study_report(write(numbers), tmp_path / "page.html"))
    assert_stands_alone(page)
    assert "<script>alert(1)</script>" in page.text  # as text
    assert "\u202e" not in page.html
    assert "\x00" not in page.html
    assert "⟨U+202E⟩" in page.text


def test_several_seeds_failures_and_what_is_missing(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up(seeds=3)
    numbers["failures"] = [{"stage": "ppo-target-nats-3-seed-1", "reason": "the loss of step 3 is not finite"}]
    numbers["methods"][3]["runs"]["failed"] = 1
    page = Page(study_report(write(numbers), tmp_path / "page.html"))
    flat = " ".join(page.text.split())
    assert "3 seeds: the intervals are for other prompts than these 24 evaluation prompts and for other seeds" in flat
    assert "±2.0 points" in flat
    assert "the loss of step 3 is not finite" in flat
    assert "1 failed" in flat
    numbers = made_up()
    numbers |= {"methods": [], "differences": [], "runs": [], "reward_models": [], "provenance": {}}
    numbers["samples"] = {"target_kl": 2.0, "prompts": [], "columns": []}
    page = Page(study_report(write(numbers), tmp_path / "empty.html"))
    assert "No method that trains was evaluated yet" in page.text


def test_of_one_seed_no_winner_is_named_and_of_three_only_a_clear_one() -> None:
    one = headline(read(made_up()))
    assert one[0].startswith("Of the gain in reward that is possible at 0.5 and 1 nats of KL, methods reach: DPO ")
    assert one[1] == "No winner is named: one seed tells too little of how another would have trained."
    assert one[2] == "The intervals are for other prompts than these 24 evaluation prompts."
    assert headline(read(made_up(seeds=2)))[1].startswith("No winner is named: 2 seeds tell too little")
    clear = made_up(seeds=3)
    assert clear["winner"]["name"] == "dpo"
    named = headline(read(clear))[1]
    assert named.startswith("DPO lies above each of the others: the intervals of the paired differences")
    assert named.endswith("They had unequal searches, of 1 to 4 runs per seed.")
    for method in clear["methods"]:
        method["runs"]["all"] = 6
    assert headline(read(clear))[1].endswith("exclude 0.")
    near = made_up(seeds=3, ppo_gt=0.7500001, dpo=0.75)
    assert near["winner"]["name"] is None
    assert headline(read(near))[1].endswith("cannot be told apart here.")


def test_few_prompts_name_no_winner_for_want_of_an_interval() -> None:
    table = np.random.default_rng(0).random((6, 2048))
    scale = Scale.from_rewards(table, (1.0,), resamples=60)
    methods = []
    for name, share in (("dpo", 0.9), ("ppo", 0.3)):
        kls = np.array([[0.5] * 6, [1.5] * 6])
        gain = scale.limit.reward_at(kls) - scale.limit.reward[0]
        seeds = [Evaluations(kls, table.mean(axis=1) + share * gain + 0.001 * seed) for seed in range(3)]
        methods.append(Contender(name, tuple(seeds), np.stack([scale.shares(one) for one in seeds])))
    assert winner(methods, [0], scale) == Winner(name=None, reason="no interval: 6 prompts")


def test_methods_are_compared_in_pairs_as_far_as_the_interval_goes() -> None:
    above = made_up(ppo=0.9)
    (said,) = [sentence for sentence in findings(read(above)) if sentence.startswith("DPO against PPO ")]
    assert "at 0.5, 1 and 2 nats PPO lies above by " in said
    (said,) = [text for text in findings(read(made_up(ppo=0.7500001, dpo=0.75))) if text.startswith("DPO against PPO ")]
    assert "the two cannot be told apart (a difference of" in said


def test_what_has_no_points_on_both_sides_is_not_compared(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up()
    for row in numbers["methods"][1]["matched"]:
        row |= {"share": None, "reason": f"not comparable: no point between {row['kl_nats']:g} and 3.4 nats"}
    numbers["methods"][1]["efficiency"] = None
    said = " ".join(headline(read(numbers)))
    assert "Preferred-FT is not comparable: no point between 0.5 and 3.4 nats; not comparable: no point" in said
    flat = " ".join(Page(study_report(write(numbers), tmp_path / "page.html")).text.split())
    assert "not comparable: no point between 2 and 3.4 nats" in flat
    numbers["matched"]["common"] = []
    for method in numbers["methods"]:
        method["efficiency"] = None
    assert headline(read(numbers))[0].startswith("At no KL have all methods that train evaluations on both sides")
    assert "nowhere" in Page(study_report(write(numbers), tmp_path / "none.html")).text


def test_a_study_of_the_old_efficiency_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "study") / "study"
    with pytest.raises(
        InputError, match=r"0.3.0.dev0 or older, .* Start the study again with `penchant study frontier "
    ):
        study_report(folder, tmp_path / "page.html")
    assert load_config(FrontierConfig, folder / "study.yaml").search is None  # as it was, it can be started again


def test_a_collapse_is_named_and_nothing_else_is() -> None:
    numbers = made_up()
    fallen = {(run.method, run.value) for run in read(numbers).runs if collapsed(read(numbers), run)}
    assert fallen == {("unlikelihood", 1)}
    said = " ".join(findings(read(numbers)))
    assert "Unlikelihood collapsed at alpha 1: the worst run ends at a reward of" in said
    assert "40% of 4-grams repeat" in said
    assert "No run of DPO, Preferred-FT, PPO and PPO-GT clearly lost half of its gain again or clearly ended" in said
    for run in numbers["runs"]:
        if run["method"] == "ppo":
            run["points"] = []
        if run["method"] == "ppo_gt":
            run["status"] = "interrupted"
    assert "No run of DPO and Preferred-FT clearly lost" in " ".join(findings(read(numbers)))


def test_unfinished_runs_are_named_at_the_top(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up(seeds=3)
    assert "Unfinished" not in " ".join(headline(read(numbers)))
    numbers["methods"][0]["runs"]["unfinished"] = 2
    numbers["methods"][0]["points"][0]["seeds"] = 1
    assert headline(read(numbers))[-1] == "Unfinished, and in none of these numbers: 2 runs of DPO."
    flat = " ".join(Page(study_report(write(numbers), tmp_path / "page.html")).text.split())
    assert "(2 unfinished)" in flat
    assert "(1 of 3 seeds)" in flat


def test_a_method_that_only_lost_is_named() -> None:
    numbers = made_up()
    assert "Every evaluation of" not in " ".join(findings(read(numbers)))
    base = numbers["reference"]["reward"]["value"]
    for point in numbers["methods"][1]["points"]:
        point["reward"] = {**point["reward"], "value": base - 0.01}
    assert "Every evaluation of Preferred-FT lies below the reference." in findings(read(numbers))


def test_budgets_times_and_claims_are_said_in_full(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = made_up()
    numbers["config"]["ppo_gt"] = {**numbers["config"]["ppo_gt"], "updates": 1}
    numbers["methods"][4]["cost"] = {**numbers["methods"][4]["cost"], "steps": 7.0}
    numbers["config"]["batch_size"] = 32
    searched = deepcopy(numbers)
    searched["config"]["search"] = {"least": 2, "most": 3, "steps": 128}
    items = "A step is over 32 items: DPO learns from each comparison; Preferred-FT and Unlikelihood learn from each"
    assert items in Page(study_report(write(searched), tmp_path / "searched.html")).text
    page = Page(study_report(write(numbers), tmp_path / "page.html"))
    flat = " ".join(page.text.split())
    assert "PPO draws 7,680 samples of its own in 30 rounds and goes twice over each." in flat
    assert "PPO-GT draws 1,792 samples of its own in 7 rounds and goes once over each." in flat
    assert "optimizer steps per run" in flat
    assert "4,321" in flat
    assert "DPO learns from each comparison; Preferred-FT and Unlikelihood learn from each distinct winner" in flat
    assert flat.count("Up to 2 runs at once shared the machine's cores") == 2
    assert "peak memory is the most of any" in flat
    picture = frontier_picture(read(numbers)).svg
    assert "estimated limit" in picture
    assert "no policy gets above" not in picture
    numbers["cost"]["jobs"] = 1
    alone = Page(study_report(write(numbers), tmp_path / "alone.html"))
    assert "One run at a time" in " ".join(alone.text.split())


def test_large_marks_stand_where_the_share_of_the_gain_is() -> None:
    numbers = made_up()
    method, limit = numbers["methods"][0], numbers["limit"]
    kl, matched = matched_rewards(read(numbers).methods[0], read(numbers))[1]
    gain = np.interp(1.0, limit["kl_nats"], limit["reward"]) - limit["reward"][0]
    assert kl == 1
    assert matched.value == pytest.approx(limit["reward"][0] + method["matched"][1]["share"]["value"] * gain)
    assert matched.below(matched.value + gain)
    assert matched.above(matched.value - gain)


@pytest.mark.parametrize("kl", [3.0, 90.0], ids=["near", "far"])
def test_the_axis_fits_what_was_reached(kl: float) -> None:
    numbers = made_up()
    numbers["methods"][2]["points"][-1]["kl_nats"] = {"value": kl, "low": kl, "high": kl, "n": 24, "clusters": 24}
    picture = frontier_picture(read(numbers))
    assert ("logarithmic beyond" in picture.svg) == (kl > 8)
    assert picture.png.startswith(b"\x89PNG")


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study\.json"):
        study_report(tmp_path, tmp_path / "page.html")
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        study_report(tmp_path, tmp_path / "page.html")
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="another kind or version"):
        study_report(tmp_path, tmp_path / "page.html")
    numbers = made_up()
    del numbers["methods"][0]["label"]
    (tmp_path / "study.json").write_text(json.dumps(numbers))
    with pytest.raises(
        InputError, match=r"lacks 'label': another version .* with its study.yaml, it runs only what is missing"
    ):
        study_report(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(InputError, match="is a folder"):
        study_report(tmp_path, tmp_path)
