"""Win rates against temperature: bands, lone points, what others published."""

from __future__ import annotations

import re

from penchant.judges.compare.figures import PUBLISHED, Point, win_rate_picture

ROWS: dict[str, list[Point]] = {
    "DPO": [(1.0, 0.4, 0.3, 0.5), (0.0, 0.6, 0.5, 0.7), (0.5, 0.55, 0.45, 0.65)],
    "PPO": [(0.0, 0.5, 0.4, 0.6), (0.5, 0.45, None, None), (1.0, 0.2, 0.1, 0.3)],
}


def bands(svg: str) -> int:
    return svg.count('fill-opacity="0.15"')


def bars(svg: str) -> int:
    """Return how many paths have the look of error bars, which all have one path."""
    return len(re.findall(r' d="M[^"]*" stroke="#0072b2"/>', svg))


def test_a_band_where_neighbours_have_intervals_and_a_bar_where_not() -> None:
    whole, broken = (win_rate_picture({"m": ROWS[name]}, "t").svg for name in ("DPO", "PPO"))
    assert (bands(whole), bars(whole)) == (1, 0)
    assert bars(broken) == 1
    alone = win_rate_picture({"m": [(0.7, 0.5, 0.4, 0.6)]}, "t").svg
    assert bars(alone) == 1


def test_the_order_of_points_is_that_of_temperatures() -> None:
    turned = {name: points[::-1] for name, points in ROWS.items()}
    assert win_rate_picture(ROWS, "t") == win_rate_picture(turned, "t")


def test_published_numbers_are_hollow_and_said_to_be_so() -> None:
    """Also those of a name that we have nothing of, in a colour of its own."""
    plain = win_rate_picture(ROWS, "t").svg
    beside = win_rate_picture(ROWS, "t", published={"DPO": [(0.0, 0.61)], "Best of 128": [(0.25, 0.6)]}).svg
    assert PUBLISHED not in plain
    assert PUBLISHED in beside
    colours = ("#0072b2", "#009e73")  # of the first name, and of the third
    for colour in colours:
        assert f'fill="#fefefe" stroke="{colour}"' in beside
        assert f'fill="#fefefe" stroke="{colour}"' not in plain


def test_nothing_to_draw_is_an_empty_figure() -> None:
    assert win_rate_picture({}, "t").png
    assert PUBLISHED not in win_rate_picture({"m": []}, "t", published={"m": []}).svg


def test_names_are_text() -> None:
    assert win_rate_picture({"$\\frac{": ROWS["DPO"], "_<b>": ROWS["PPO"]}, "<script>").png
