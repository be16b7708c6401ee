"""Sentences follow the numbers, and each number brings its interval."""

from __future__ import annotations

import json
import re

import pytest

from penchant.reports.run.phrases import state_reason_once
from penchant.reports.run.sentences import headline, sentences
from penchant.reports.run.summary import summarize
from penchant.runs.read import read_runs


def told(*paths):
    summaries = [summarize(run) for run in read_runs(paths)]
    return headline(summaries), sentences(summaries)


def test_the_headline_has_reward_kl_accuracy_and_its_baseline(make_run):
    (reward, accuracy), _ = told(make_run())
    assert re.match(r"DPO took the mean reward from [\d.]+ \[.*?\] \(reference\) to [\d.]+ \[.*?\] in 72 steps", reward)
    assert "KL of 7.3 [" in reward
    assert "(paired by prompt)" in reward
    assert re.search(r"\d+% \[\d+%, \d+%\] of 144 held-out comparisons \(24 prompts\)", accuracy)
    assert "always picking the longer response is right in" in accuracy


def test_a_change_that_may_be_chance_says_so(make_run):
    assert "which may be chance" in told(make_run(gain=0.0))[0][0]


def test_a_change_over_few_prompts_has_no_interval_and_may_be_chance(make_run):
    text = told(make_run(gain=0.3, prompts=6))[0][0]
    assert re.search(r"The change is \+[\d.]+ \(paired by prompt\)", text)
    assert text.endswith("which may be chance. No number here has an interval: 6 prompts.")


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("from 0.1 [no interval: 2 prompts] to 0.3 [no interval: 2 prompts].",
         "from 0.1 to 0.3. No number here has an interval: 2 prompts."),
        # one number, two reasons, or an interval among them: each keeps its own
        ("it is 0.1 [no interval: 2 prompts].", None),
        ("from 0.1 [no interval: 2 prompts] to 0.3 [no interval: 7 steps].", None),
        ("from 0.1 [no interval: 2 prompts] to 0.3 [0.2, 0.4].", None),
        ("from 0.1 [0.0, 0.2] to 0.3 [0.0, 0.2].", None),
    ],
)  # fmt: skip
def test_why_there_are_no_intervals_is_said_once(text: str, stated: str | None) -> None:
    assert state_reason_once(text) == (stated or text)


def test_words_turn_with_the_numbers(make_run):
    up = told(make_run("up"))[1]
    down = told(make_run("down", learns=-0.15, gain=-0.3))[1]
    assert "held-out margin rose from 0.00" in up["margin"]
    assert "held-out margin fell from 0.00" in down["margin"]
    assert "mean reward rose" in up["reward"]
    assert "mean reward fell" in down["reward"]
    assert "over 72 steps" in up["margin"]
    assert "The highest" not in up["reward_kl"]
    assert up["reward_kl"].startswith("6 checkpoints evaluated")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no sign of that"),
        ({"speed": 1.1}, "signs of that: the fall is"),
        ({"repeat": 0.3}, "signs of that: repetition is"),
        ({"samples": False}, "it cannot be told"),
        ({"samples": False, "held_out": False}, "it cannot be told"),
    ],
)
def test_whether_a_falling_chosen_logp_is_bad(make_run, changes, words):
    text = told(make_run(**changes))[1]["logps_meaning"]
    assert "common with losses on differences" in text
    assert words in text
    assert "`loss.nll_weight`" in text


def test_an_anchor_that_is_set_is_named(make_run):
    path = make_run(steps=24)
    config = (path / "config.yaml").read_text().replace("nll_weight: 0.0", "nll_weight: 0.2")
    (path / "config.yaml").write_text(config)
    assert "`loss.nll_weight: 0.200`" in told(path)[1]["logps_meaning"]


def test_sft_and_runs_without_evaluation(make_run):
    lines, texts = told(make_run("sft", method="sft", samples=False))
    assert lines[0].startswith("The held-out loss fell from 3.")
    assert "mean_logps" in texts
    assert "margin" not in texts
    (line,), _ = told(make_run("bare", method="sft", samples=False, held_out=False))
    assert "nothing was evaluated on held-out data" in line


def test_an_empty_run_has_no_numbers(tmp_path):
    (tmp_path / "config.yaml").write_text("method: dpo\n")
    assert told(tmp_path) == (["The run left no numbers yet."], {})


def test_annotators(make_run):
    path = make_run(steps=12)
    line = '{"kind": "eval", "step": 12, "held_out": {"accuracy": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 90,'
    line += (
        ' "clusters": 30}, "by_annotator": {"ann": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 50, "clusters": 3}}}}'
    )
    with (path / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    assert "By annotator: ann 70% [no interval: 3 prompts]." in told(path)[1]["accuracy"]


def test_several_runs_name_the_ends_and_the_overlap(make_run):
    lines, texts = told(make_run("far", speed=0.2), make_run("near", speed=0.05), make_run("mid", speed=0.19))
    assert lines[0].startswith("Highest mean reward: far with")
    assert "the interval of mid overlaps with it" in lines[0]
    assert "far is highest" in texts["kl"]
    assert "near lowest" in texts["kl"]
    assert "It fell in 3 of 3 runs." in texts["logps_meaning"]


def test_a_run_measured_only_at_its_start_is_not_ranked(make_run):
    # killed before its second evaluation
    cut = make_run("cut", speed=0.2)
    lines = (cut / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["kind"] == "train" or json.loads(line)["step"] == 0]
    (cut / "metrics.jsonl").write_text("".join(kept))
    (cut / "result.json").unlink()
    headline, _ = told(cut, make_run("near", speed=0.05), make_run("far", speed=0.4))
    assert headline[0].startswith("Highest mean reward: far with")
    assert not any("cut" in line or "others" in line for line in headline)


def test_runs_with_equal_gradients_name_no_highest(make_run):
    _, texts = told(make_run("one"), make_run("two"))
    assert re.fullmatch(r"Over the last tenth of training all runs are at .*\.", texts["grad_norm"])


def test_every_estimate_brings_its_interval(make_run):
    """Numbers that the samples or held-out data measured are never printed bare."""
    _, texts = told(make_run())
    for key in ("reward", "margin", "accuracy", "reward_kl", "repetition", "distinct_2"):
        bare = re.sub(r"−?[\d.,]+%? \[[^\]]*\]", "", texts[key])
        bare = re.sub(
            r"(\d+ steps?|step \d+|\d+ checkpoints|\d+ held-out comparisons|\d+ prompts|Chance is 50%)", "", bare
        )
        bare = re.sub(r"(4-grams|2-grams|KL 0|average|averages \d+)", "", bare)
        # means of a few training steps say that these are too few, once for both
        bare = re.sub(
            r"from [\d.]+ to [\d.]+%?( nats)? \(means of the first and last , too few for an interval\)", "", bare
        )
        bare = re.sub(r"\+[\d.]+ \[[^\]]*\]|first and last \d+", "", bare)
        assert not re.search(r"\d", bare), (key, bare)
