"""Figures: what is drawn, and that drawing leaves nothing behind."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files

import matplotlib
import numpy as np
import pytest

from penchant.reports.kit.canvas import PALETTE
from penchant.reports.run import curves, figures
from penchant.runs.read import read_runs


def test_panels_of_a_run(make_run):
    drawn = curves.panels(read_runs([make_run()]))
    assert list(drawn) == [
        "loss", "accuracy", "grad_norm", "margin", "logps", "kl", "tokens", "reward", "repetition", "distinct_2",
    ]  # fmt: skip
    assert {series.kind for series in drawn["loss"].series} == {"faint", "line", "points"}
    assert [s.label for s in drawn["logps"].series if s.kind == "points"] == ["chosen", "rejected"]


def test_several_runs_get_a_colour_each_and_panels_of_their_own(make_run):
    drawn = curves.panels(read_runs([make_run("a"), make_run("b", seed=1)]))
    assert {"logps.chosen", "logps.rejected"} <= set(drawn)
    assert "logps" not in drawn
    assert {series.role for series in drawn["kl"].series} == {"run0", "run1"}
    assert "faint" not in {series.kind for panel in drawn.values() for series in panel.series}


def test_a_shared_baseline_is_drawn_once(make_run):
    runs = read_runs([make_run(name, speed=speed, steps=12) for name, speed in (("a", 0.1), ("b", 0.2))])
    dashed = [series for series in curves.panels(runs)["reward"].series if series.kind == "dashed"]
    assert [series.role for series in dashed] == ["reference"]


def test_styles_differ_for_eighteen_runs():
    assert len({figures.run_style(index)[:2] for index in range(18)}) == 18
    assert len({figures.run_style(index)[2] for index in range(6)}) == 6


def test_smoothing_keeps_the_level_and_the_ends():
    assert curves.smoothing_window(59) == 1
    assert curves.smoothing_window(200) == 11
    assert np.allclose(curves._running_mean(np.full(100, 3.0), 11), 3.0)


def test_a_long_run_is_thinned(make_run):
    (run,) = read_runs([make_run(steps=1300, every=650, samples=False, prompts=4)])
    assert max(len(series.x) for series in curves.panels([run])["loss"].series) == curves.MOST_POINTS


@pytest.mark.parametrize("speeds", [(0.1,), (0.1, 0.12, 3.0), tuple(0.02 * k for k in range(1, 13))])
def test_the_plane_shows_every_checkpoint(make_run, speeds):
    runs = read_runs([make_run(f"r{k}", speed=speed, prompts=6) for k, speed in enumerate(speeds)])
    paths = curves.kl_paths(runs)
    assert [[step for step, _, _ in path.points] for path in paths] == [[12, 24, 36, 48, 60, 72]] * len(runs)
    picture = figures.kl_picture(paths, [run.name for run in runs])
    texts = "".join(ET.fromstring(picture.svg).itertext())
    assert "KL from the reference" in texts
    assert ("square-root" in texts) == (max(speeds) == 3.0)
    assert ("step 72" in texts) == (len(speeds) <= 3)


def test_every_colour_of_a_figure_is_one_that_the_page_turns_dark(make_run):
    panels = curves.panels(read_runs([make_run(steps=12, prompts=4)]))
    pictures = [figures.panel_picture(panel, ["run"]) for panel in panels.values()]
    colours = {colour for picture in pictures for colour in re.findall(r'"(#[0-9a-f]{6})"', picture.svg)}
    assert {"#0072b2", "#667080"} <= colours <= set(PALETTE)
    css = files("penchant.reports.kit").joinpath("templates", "page.css").read_text()
    for colour in PALETTE:
        for part in ("stroke", "fill"):
            assert re.search(rf'svg \[{part}="{colour}"\] {{ {part}: var\(--\w+\); }}', css)


@pytest.mark.parametrize("name", ["$\\frac{", "_hidden", "名前 नाम", "$x$ \u202e\ud800", "<b>&amp;", "%s{0}"])
def test_any_name_can_be_drawn_as_it_is(make_run, name):
    runs = read_runs([make_run("a", steps=12, prompts=4), make_run("b", steps=12, prompts=4)])
    picture = figures.panel_picture(curves.panels(runs)["margin"], [name, "b"])
    assert picture.png.startswith(b"\x89PNG")


def test_single_points_and_missing_intervals():
    nan = (float("nan"),)
    for kind in ("faint", "line", "points", "dashed"):
        series = curves.Series("policy", "policy", kind, (1.0,), (2.0,), nan, nan)
        picture = figures.panel_picture(curves.Panel("loss", "Loss", "", (series,)), ["a"])
        assert picture.png.startswith(b"\x89PNG")


def test_the_users_style_is_neither_used_nor_changed(make_run):
    (run,) = read_runs([make_run(steps=12, prompts=4)])
    panel = curves.panels([run])["logps"]
    plain = figures.panel_picture(panel, ["a"])
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30.0, "text.parse_math": True}):
        before = dict(matplotlib.rcParams)
        assert figures.panel_picture(panel, ["a"]) == plain
        assert dict(matplotlib.rcParams) == before


def test_reports_import_neither_torch_nor_pyplot():
    code = (
        "import sys, penchant.reports; "
        "print([m for m in ('torch', 'transformers', 'accelerate', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_wide_figure_is_drawn_again_for_phones(make_run):
    runs = read_runs([make_run(steps=24, prompts=4)])
    plane = figures.kl_picture(curves.kl_paths(runs), ["run"])
    sizes = [float(ET.fromstring(svg).get("width")) for svg in (plane.svg, plane.narrow)]
    assert sizes == pytest.approx([7.4 * 96, 3.45 * 96], abs=0.5)
    assert "KL from the reference" in "".join(ET.fromstring(plane.narrow).itertext())
    # a panel is as narrow as a phone already
    assert figures.panel_picture(curves.panels(runs)["loss"], ["run"]).narrow == ""
