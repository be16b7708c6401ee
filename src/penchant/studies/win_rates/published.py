"""Hold the win rates that papers report of the same comparisons. Nobody measured them here."""

from __future__ import annotations

from dataclasses import dataclass

DPO_PAPER = "Rafailov et al. 2023, arXiv:2305.18290"
SETTING = {
    "tldr": "GPT-J, TL;DR posts, judged by GPT-4 against the posts' own summaries",
    "dialogue": "Pythia-2.8B, Anthropic HH, judged by GPT-4 against the preferred responses",
    "judged-transfer": "GPT-J trained on TL;DR, tested on CNN/DailyMail, judged by GPT-4 against the highlights",
}


@dataclass(frozen=True)
class PublishedRate:
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

    @property
    def words(self) -> str:
        """The rate as pages print it."""
        return f"{'about ' if self.read == 'plot' else ''}{100 * self.rate:.0f}%"


@dataclass(frozen=True)
class PublishedRates:
    """The report of a paper on a study: with which models, data and judge, and the rates."""

    setting: str
    rates: tuple[PublishedRate, ...]


# Papers print these without an interval. The page says that only the order of the methods may be compared.
_ALL = (
    PublishedRate("tldr", "dpo", 0.0, 0.61, own=True, read="text"),
    PublishedRate("tldr", "ppo", 0.0, 0.57, own=True, read="text"),
    # Read off a figure, at the best of its temperatures.
    PublishedRate("dialogue", "dpo", None, 0.60, own=True, read="plot"),
    PublishedRate("judged-transfer", "dpo", 0.0, 0.36, own=False, read="table"),
    PublishedRate("judged-transfer", "dpo", 0.25, 0.31, own=False, read="table"),
    PublishedRate("judged-transfer", "ppo", 0.0, 0.26, own=False, read="table"),
    PublishedRate("judged-transfer", "ppo", 0.25, 0.23, own=False, read="table"),
)


def published(study: str) -> PublishedRates:
    """Return the published rates of a study."""
    return PublishedRates(SETTING[study], tuple(rate for rate in _ALL if rate.study == study))
