"""Every metric's name, unit, direction and format, stated once for axes, tables, sentences and terminals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from penchant.errors import InputError, did_you_mean
from penchant.metrics.directions import HIGHER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number: how it is called and printed.

    Attributes:
        key: its key in files, such as `kl_nats`.
        title: its name above a figure.
        label: its name inside a sentence or a line, such as `label accuracy`; the title in lower case if not given.
        column: its name above a table's column, with the unit where a reader needs it; the title if not given.
        unit: what follows a number in a sentence; empty for shares and plain numbers.
        axis: the unit in full, at an axis; the unit if not given.
        is_share: whether it is printed in percent.
        level: a value that means something, such as the accuracy of chance; drawn as a line.
    """

    key: str
    title: str
    label: str = ""
    column: str = ""
    unit: str = ""
    axis: str = ""
    is_share: bool = False
    level: float | None = None

    def __post_init__(self) -> None:
        # only the first letter: names such as "KL" stay as they are
        object.__setattr__(self, "label", self.label or self.title[0].lower() + self.title[1:])
        object.__setattr__(self, "column", self.column or self.title)

    @property
    def higher_is_better(self) -> bool | None:
        """Whether more of it is better; None where neither is."""
        return HIGHER_IS_BETTER.get(self.key)

    @property
    def axis_unit(self) -> str:
        """The unit at an axis."""
        return self.axis or self.unit


_share = partial(Metric, is_share=True)
_TRAINED = (
    Metric("loss", "Loss", column="Held-out loss"),
    _share("accuracy", "Accuracy", axis="share of comparisons", level=0.5),
    _share("longest_wins", "Longest wins"),
    _share("label_accuracy", "Label accuracy", axis="share of labels"),
    _share("desirable_share", "Good labels"),
    Metric("margin", "Margin", column="Margin, nats", unit="nats", level=0.0),
    Metric("mean_logps", "Mean log-probability", column="Mean, nats", unit="nats per token"),
    Metric("chosen_logps", "Chosen log-probability", column="Chosen, nats", unit="nats"),
    Metric("rejected_logps", "Rejected log-probability", column="Rejected, nats", unit="nats"),
    Metric("chosen_reward", "Chosen responses' reward", "chosen reward", "Chosen reward, nats", "nats"),
    Metric("rejected_reward", "Rejected responses' reward", "rejected reward", "Rejected reward, nats", "nats"),
    Metric(
        "desirable_log_ratio",
        "Good responses' log-ratio",
        "log-ratio of good responses",
        "Good, log-ratio, nats",
        unit="nats",
        level=0.0,
    ),
    Metric(
        "undesirable_log_ratio",
        "Bad responses' log-ratio",
        "log-ratio of bad responses",
        "Bad, log-ratio, nats",
        unit="nats",
        level=0.0,
    ),
    Metric("true_reward", "True reward of the rollouts", "true reward", "True reward"),
    Metric("kl_coefficient", "Coefficient of the KL penalty", "coefficient", "KL coefficient"),
    _share("clip_fraction", "Clipped tokens", "share of clipped tokens", axis="share of tokens"),
    _share(
        "explained_variance",
        "Variance of the returns that the values explain",
        "explained share",
        "Explained variance",
        axis="share",
        level=0.0,
    ),
    Metric("grad_norm", "Gradient norm", axis="before clipping"),
)
_SAMPLED = (
    Metric("reward", "Reward"),
    Metric("kl_nats", "KL from the reference", "KL", "KL, nats", "nats", axis="nats per response"),
    Metric("tokens", "Length of sampled responses", "length", "Tokens", "tokens"),
    _share("repetition", "Repetition", axis="share of 4-grams"),
    _share("distinct_2", "Variety", column="Distinct 2-grams", axis="share of distinct 2-grams"),
    _share("finished", "Ended by itself"),
)
# tables of judgments have their columns in lower case
_JUDGMENTS = (
    _share("rate", "Win rate", column="win rate", level=0.5),
    _share("high", "Win rate at most", "at most", "at most"),
    _share("wins", "Wins", column="wins"),
    _share("ties", "Ties", column="ties"),
    _share("losses", "Losses", column="losses"),
    _share("unparseable", "No verdict", "unparseable", "no verdict"),
    _share("length_controlled", "At equal lengths", column="at equal lengths", level=0.5),
    _share("flipped", "Winner changed with the order", "winner changed", "winner changed with the order"),
    _share("first_place", "First response named", column="first response named"),
    _share("longest", "If the longer one won", "longest", "if the longer one won"),
    _share("random", "If a coin decided", "random", "if a coin decided"),
)
_AGREEMENT = (
    _share("raw", "Share of the same verdicts", "the same", "the same"),
    Metric("kappa", "Cohen's kappa", "kappa", level=0.0),
    Metric("alpha", "Krippendorff's alpha", "alpha", level=0.0),
)
_WEAK = (
    Metric("pgr", "Performance gap recovered", "PGR", "PGR", level=0.0),
    _share("calibration_error", "Calibration error", column="calibration error"),
    Metric("brier", "Brier score", "Brier score"),
)
METRICS = {metric.key: metric for metric in (*_TRAINED, *_SAMPLED, *_JUDGMENTS, *_AGREEMENT, *_WEAK)}
"""Every metric by its key."""


def metric(key: str) -> Metric:
    """Return how a metric is called and printed.

    Raises:
        InputError: no metric has this key; the nearest known key is named.
    """
    if key not in METRICS:
        raise InputError(f"there is no metric {key!r}{did_you_mean(key, METRICS)}")
    return METRICS[key]
