"""Axes of figures: what stands at their ticks."""

from __future__ import annotations

import pytest

from penchant.reports.kit.canvas import blank, percent_axis


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ((0.0, 0.05, 0.1), ["0%", "5%", "10%"]),
        # rounded to whole percents, two of these would be 18% and 13%, and the last two below one number
        ((0.125, 0.15, 0.175), ["12.5%", "15.0%", "17.5%"]),
        ((0.97, 0.975, 0.98), ["97.0%", "97.5%", "98.0%"]),
    ],
)
def test_ticks_are_written_as_they_lie(ticks: tuple[float, ...], labels: list[str]) -> None:
    _, axes = blank(3, 2)
    axes.set_xlim(ticks[0], ticks[-1])
    axes.set_xticks(ticks)
    percent_axis(axes.xaxis)
    assert [axes.xaxis.get_major_formatter()(tick, None) for tick in ticks] == labels
