"""Short forms of groups, settings and results, in a terminal and in a notebook."""

from __future__ import annotations

import pydoc
from pathlib import Path

import penchant as pt
from penchant.config.schema import summary_of
from penchant.rich_text import estimate_rows, shorten


def test_texts_are_shown_on_a_line() -> None:
    assert shorten("a\n b") == "a b"
    assert shorten("x" * 100, 10) == "x" * 9 + "…"


def test_a_group_shows_its_prompt_and_what_there_is() -> None:
    group = pt.PromptGroup("Say <b>it</b>. " * 20, ["yes", "<i>no</i>"], [pt.Comparison(0, 1)], scores=[1, 0.5])
    assert repr(group).startswith("PromptGroup('Say <b>it</b>. Say")
    assert repr(group).endswith("…', 2 responses, 1 comparisons, scores)")
    assert len(repr(group)) < 120
    html = group._repr_html_()
    assert "<td>0</td><td>yes</td><td>1</td><td>1</td>" in html
    assert "&lt;i&gt;no&lt;/i&gt;" in html
    assert "<i>" not in html


def test_settings_show_what_differs_from_the_defaults() -> None:
    config = pt.DPO(model="m", data={"path": "d", "ties": "half"}, loss=pt.losses.IPO(tau=0.2), epochs=1)
    shown = "DPO(model=ModelConfig(name='m'), data=DataConfig(path='d', ties='half'), loss=IPO(tau=0.2))"
    assert repr(config) == shown


def test_help_shows_the_text_of_every_setting() -> None:
    text = pydoc.plain(pydoc.render_doc(pt.DPO))
    assert "Train a policy from comparisons, without a reward model" in text
    assert "Settings, by name:" in text
    assert "loss.beta: a number above 0 (default 0.1)" in text
    assert "Peak learning rate." in text
    # the command line shows the sentence alone
    assert (
        summary_of(pt.DPO)
        == "Train a policy from comparisons, without a reward model and without reinforcement learning."
    )


def test_a_result_shows_how_it_ended_and_its_numbers_before_and_after() -> None:
    def line(value: float) -> dict[str, object]:
        return {"step": 0, "held_out": {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 9}}}

    run = pt.RunResult(
        "dpo",
        Path("runs/a"),
        {"status": "done", "steps": 3, "first": line(0.5), "final": line(0.75), "warnings": ["few"]},
    )
    assert repr(run) == "RunResult(dpo, done after 3 steps, runs/a)"
    row = "<td>held_out accuracy</td><td>0.5 [0.4, 0.6]</td><td>0.75 [0.65, 0.85]</td>"
    assert row in run._repr_html_()
    assert "<td>warning</td><td></td><td>few</td>" in run._repr_html_()
    assert estimate_rows({"loss": {"value": 1.0, "low": None, "reason": "no interval: 1 prompt"}}) == [
        ("loss", "1 no interval: 1 prompt")
    ]
