"""Draw a study of kinds: what each kind gained alone and together, and what was kept."""

from __future__ import annotations

from dataclasses import replace

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, run_style, style
from penchant.studies.kinds.grid import TOGETHER
from penchant.studies.kinds.summary import KindResult, KindsSummary

WIDTH, ROW = 5.6, 0.5
LEGEND = ("learned alone", "learned together")


def kinds_pictures(study: KindsSummary) -> dict[str, Picture]:
    """Return a figure of the gains; none where nothing was learned yet."""
    kinds = [kind for kind in study.kinds if kind.results]
    return {"gains": _gains(kinds)} if kinds else {}


def _gains(kinds: list[KindResult]) -> Picture:
    with style():
        figure, axes = blank(WIDTH, 1.2 + ROW * len(kinds))
        axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        # alone and together side by side, not one on the other
        for index, aside in ((0, -0.12), (1, 0.12)):
            color, _, marker = run_style(index)
            points = [
                (row + aside, gain) for row, kind in enumerate(kinds) if (gain := _scaled(kind, index)) is not None
            ]
            if points:
                heights, gains = zip(*points, strict=True)
                values = [gain.value for gain in gains]
                axes.errorbar(
                    values, heights, xerr=error_arms(gains), color=color, marker=marker, markersize=6, linestyle="none"
                )
        axes.set_yticks(range(len(kinds)), [kind.name for kind in kinds])
        # the first kind at the top, as in the tables
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.set_xlabel("gain, as a share of the mean reward before", loc="right")
        return export(figure, "What was preferred, after learning", list(LEGEND))


def _scaled(kind: KindResult, index: int) -> Estimate | None:
    """Return a gain as a share of the reward before: rewards of kinds have units of their own."""
    result = kind.by(kind.name if index == 0 else TOGETHER)
    scale = abs(kind.before.value)
    # a sentiment may be 0 before, of which nothing is a share
    if result is None or scale < 1e-6:
        return None
    gain = result.gain
    low, high = (None if end is None else end / scale for end in (gain.low, gain.high))
    return replace(gain, value=gain.value / scale, low=low, high=high)
