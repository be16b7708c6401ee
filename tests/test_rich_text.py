"""Short forms of groups, settings and results, in a terminal and in a notebook."""

from __future__ import annotations

import base64
import inspect
import pydoc
import re
from pathlib import Path

import pytest

import penchant as pt
from penchant.config import Config
from penchant.config.descriptions import describe_field
from penchant.config.schema import summary_of
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.rich_text import Interval, estimate_rows, interval_bars, shorten


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


@pytest.mark.parametrize("config", [pt.DPO, pt.KTO, pt.PPO, pt.SFT, pt.RewardModel, pt.OnlineRLHF, pt.WeakTrain])
def test_help_names_every_setting_with_its_text(config: type[Config]) -> None:
    text = pydoc.plain(pydoc.render_doc(config))
    assert summary_of(config).splitlines()[0] in text
    settings = text[text.index("Settings, by name:") :]
    words = re.sub(r"\s+", "", re.sub(r"(?m)^ \|", "", settings))
    for name in config.model_fields:
        assert re.search(rf"(?m)^ \|  +{name}[.:]", settings), name
        assert re.sub(r"\s+", "", describe_field(config, name)) in words, name


def test_notebooks_and_the_docstring_show_the_same_and_other_classes_their_own_text() -> None:
    assert inspect.getdoc(pt.DPO) == inspect.cleandoc(str(pt.DPO.__doc__))
    assert "loss.beta: a number above 0 (default 0.1)" in str(pt.DPO.__doc__)
    # the command line shows the sentence alone
    sentence = "Train a policy from comparisons, without a reward model and without reinforcement learning."
    assert summary_of(pt.DPO) == sentence
    assert pt.losses.Sigmoid.__doc__ == summary_of(pt.losses.Sigmoid)
    assert str(pt.losses.Sigmoid.__doc__).startswith("DPO (Rafailov et al. 2023)")


def test_a_result_shows_how_it_ended_and_its_numbers_before_and_after() -> None:
    def line(value: float) -> dict[str, object]:
        return {"step": 0, "held_out": {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 9}}}

    run = pt.RunResult(
        "dpo",
        Path("runs/a"),
        {"status": "done", "steps": 3, "first": line(0.5), "final": line(0.75), "warnings": ["few"]},
    )
    assert repr(run) == "RunResult(dpo, done after 3 steps, runs/a)"
    assert repr(pt.RunResult("dpo", run.path, {"status": "done", "steps": 1})).endswith("after 1 step, runs/a)")
    row = "<td>held_out accuracy</td><td>0.5 [0.4, 0.6]</td><td>0.75 [0.65, 0.85]</td><td><img src="
    assert row in run._repr_html_()
    assert "<td>warning</td><td></td><td>few</td>" in run._repr_html_()
    assert estimate_rows({"loss": {"value": 1.0, "low": None, "reason": "no interval: 1 prompt"}}) == [
        ("loss", Interval(1.0), "1 no interval: 1 prompt")
    ]


def drawing(html: str) -> str:
    """The SVG inside of an image."""
    content = re.search(r"base64,([^\"]+)", html)
    assert content
    return base64.b64decode(content.group(1)).decode()


def test_intervals_are_drawn_on_one_scale_with_a_line_at_0() -> None:
    svg = drawing(interval_bars([Interval(0.0, -1.0, 1.0), Interval(3.0)]))
    # the scale goes from -1 to 3 over 148 pixels; the second has no interval, and its point is the last one
    assert re.findall(r'x1="([\d.]+)" x2="([\d.]+)"', svg) == [("43.0", "43.0"), ("6.0", "80.0")]
    assert re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg) == [("43.0", "6.0"), ("154.0", "18.0")]
    assert drawing(interval_bars([Interval(2.0)])).count("<circle") == 1
    assert interval_bars([Interval(float("nan"))]) == ""
    assert re.findall(r'cx="([\d.]+)"', drawing(interval_bars([Interval(0.25)], (0, 1)))) == ["43.0"]


def test_an_estimate_shows_its_interval_or_why_there_is_none() -> None:
    loss = Estimate(0.00312, 0.00201, 0.00408, 40, 12)
    assert repr(loss) == "Estimate(0.00312 [0.00201, 0.00408], n=40, clusters=12)"
    assert repr(Estimate(0.5, None, None, 4, 2, "no interval: 2 prompts")) == (
        "Estimate(0.5 (no interval: 2 prompts), n=4, clusters=2)"
    )
    undefined = Coefficient(None, None, None, 4, 2, "all <say> the same")
    assert repr(undefined) == "Coefficient(undefined: all <say> the same, n=4, clusters=2)"
    assert undefined._repr_html_() == "<code>Coefficient(undefined: all &lt;say&gt; the same, n=4, clusters=2)</code>"
    assert "0.00312 [0.00201, 0.00408]" in loss._repr_html_()
    assert drawing(loss._repr_html_()).count("<circle") == 1
