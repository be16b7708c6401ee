"""What papers report of the same comparisons, to stand beside ours. Nobody measured it here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

DPO_PAPER = "Rafailov et al. 2023, arXiv:2305.18290"
SETTING = {
    "tldr": "GPT-J, TL;DR posts, judged by GPT-4 against the posts' own summaries",
    "dialogue": "Pythia-2.8B, Anthropic HH, judged by GPT-4 against the preferred responses",
    "judged-transfer": "GPT-J trained on TL;DR, tested on CNN/DailyMail, judged by GPT-4 against the highlights",
}


@dataclass(frozen=True)
class Published:
    """A win rate that a paper prints.

    Attributes:
        method: as ours is called. rate: 0 to 1, without an interval, as they print none.
        temperature: of the samples; None where they give the best one.
        own: whether it is of the domain that was trained on.
        read: how exactly: `text`, `table`, or `plot` where it was read off a figure.
    """

    study: str
    method: str
    temperature: float | None
    rate: float
    own: bool
    read: str
    source: str = DPO_PAPER


_ALL = (
    Published("tldr", "dpo", 0.0, 0.61, own=True, read="text"),
    Published("tldr", "ppo", 0.0, 0.57, own=True, read="text"),
    Published("dialogue", "dpo", None, 0.60, own=True, read="plot"),
    Published("judged-transfer", "dpo", 0.0, 0.36, own=False, read="table"),
    Published("judged-transfer", "dpo", 0.25, 0.31, own=False, read="table"),
    Published("judged-transfer", "ppo", 0.0, 0.26, own=False, read="table"),
    Published("judged-transfer", "ppo", 0.25, 0.23, own=False, read="table"),
)


def published(study: str) -> dict[str, Any]:
    """A study's published numbers as plain values: their `setting`, and `rates`."""
    return {"setting": SETTING[study], "rates": [asdict(one) for one in _ALL if one.study == study]}
