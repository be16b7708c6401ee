"""Win rates against temperature: bands, lone points, what others published."""

from __future__ import annotations

import re

from penchant.judges.compare.figures import PUBLISHED, Point, win_rate_picture

ROWS: dict[str, list[Point]] = {
    "DPO": [(1.0, 0.4, 0.3, 0.5), (0.0, 0.6, 0.5, 0.7), (0.5, 0.55, 0.45, 0.65)],
    "PPO": [(0.0, 0.5, 0.4, 0.6), (0.5, 0.45, None, None), (1.0, 0.2, 0.1, 0.3)],
}


def _drawn(svg: str, kind: str) -> int:
    """Groups of a kind that have something in them."""
    return len(re.findall(rf'<g id="{kind}_\d+">\s*<(?:path|defs)', svg))


def test_a_band_where_neighbours_have_intervals_and_a_bar_where_not() -> None:
    assert _drawn(win_rate_picture({"DPO": ROWS["DPO"]}, "t").light, "FillBetweenPolyCollection") == 1
    whole, broken = (win_rate_picture({"m": ROWS[name]}, "t").light for name in ("DPO", "PPO"))
    assert _drawn(whole, "LineCollection") == 0
    assert _drawn(broken, "LineCollection") == 1
    alone = win_rate_picture({"m": [(0.7, 0.5, 0.4, 0.6)]}, "t").light
    assert _drawn(alone, "LineCollection") == 1


def test_the_order_of_points_is_that_of_temperatures() -> None:
    turned = {name: points[::-1] for name, points in ROWS.items()}
    assert win_rate_picture(ROWS, "t") == win_rate_picture(turned, "t")


def test_published_numbers_are_hollow_and_said_to_be_so() -> None:
    """Also those of a name that we have nothing of, in a colour of its own."""
    plain = win_rate_picture(ROWS, "t").light
    beside = win_rate_picture(ROWS, "t", published={"DPO": [(0.0, 0.61)], "Best of 128": [(0.25, 0.6)]}).light
    assert PUBLISHED not in plain
    assert PUBLISHED in beside
    colours = ("#0072b2", "#009e73")  # of the first name, and of the third
    for colour in colours:
        assert re.search(rf"fill: #fefefe; stroke: {colour}", beside)
        assert not re.search(rf"fill: #fefefe; stroke: {colour}", plain)


def test_nothing_to_draw_is_an_empty_figure() -> None:
    assert win_rate_picture({}, "t").png
    assert PUBLISHED not in win_rate_picture({"m": []}, "t", published={"m": []}).light


def test_names_are_text() -> None:
    assert win_rate_picture({"$\\frac{": ROWS["DPO"], "_<b>": ROWS["PPO"]}, "<script>").png
