"""Tell every metric's name, unit, direction and format once, for axes, tables, sentences and terminals."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number: how it is called and printed.

    Attributes:
        key: its key in files, such as `kl_nats`.
        title: its name above a figure.
        label: its name inside a sentence or a line, such as `label accuracy`.
        column: its name above a table's column, with the unit where a reader needs it.
        unit: what follows a number in a sentence; empty for shares and plain numbers.
        axis: the unit in full, at an axis; the unit if not given.
        is_share: whether it is printed in percent.
        higher_is_better: None where neither is.
        level: a value that means something, such as the accuracy of chance; drawn as a line.
    """

    key: str
    title: str
    label: str
    column: str
    unit: str = ""
    axis: str = ""
    is_share: bool = False
    higher_is_better: bool | None = None
    level: float | None = None

    @property
    def axis_unit(self) -> str:
        """The unit at an axis."""
        return self.axis or self.unit


_TRAINED = (
    Metric("loss", "Loss", "loss", "Held-out loss", higher_is_better=False),
    Metric(
        "accuracy",
        "Accuracy",
        "accuracy",
        "Accuracy",
        axis="share of comparisons",
        is_share=True,
        higher_is_better=True,
        level=0.5,
    ),
    Metric("longest_wins", "Longest wins", "longest wins", "Longest wins", is_share=True),
    Metric(
        "label_accuracy",
        "Label accuracy",
        "label accuracy",
        "Label accuracy",
        axis="share of labels",
        is_share=True,
        higher_is_better=True,
    ),
    Metric("desirable_share", "Good labels", "good labels", "Good labels", is_share=True),
    Metric("margin", "Margin", "margin", "Margin, nats", unit="nats", higher_is_better=True, level=0.0),
    Metric("mean_logps", "Mean log-probability", "mean log-probability", "Mean, nats", unit="nats per token"),
    Metric("chosen_logps", "Chosen log-probability", "chosen log-probability", "Chosen, nats", unit="nats"),
    Metric("rejected_logps", "Rejected log-probability", "rejected log-probability", "Rejected, nats", unit="nats"),
    Metric("chosen_reward", "Chosen responses' reward", "chosen reward", "Chosen reward, nats", unit="nats"),
    Metric("rejected_reward", "Rejected responses' reward", "rejected reward", "Rejected reward, nats", unit="nats"),
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
    Metric("true_reward", "True reward of the rollouts", "true reward", "True reward", higher_is_better=True),
    Metric("kl_coefficient", "Coefficient of the KL penalty", "coefficient", "KL coefficient"),
    Metric(
        "clip_fraction",
        "Clipped tokens",
        "share of clipped tokens",
        "Clipped tokens",
        axis="share of tokens",
        is_share=True,
    ),
    Metric(
        "explained_variance",
        "Variance of the returns that the values explain",
        "explained share",
        "Explained variance",
        axis="share",
        is_share=True,
        higher_is_better=True,
        level=0.0,
    ),
    Metric("grad_norm", "Gradient norm", "gradient norm", "Gradient norm", axis="before clipping"),
)
_SAMPLED = (
    Metric("reward", "Reward", "reward", "Reward", higher_is_better=True),
    Metric("kl_nats", "KL from the reference", "KL", "KL, nats", unit="nats", axis="nats per response"),
    Metric("tokens", "Length of sampled responses", "length", "Tokens", unit="tokens"),
    Metric("repetition", "Repetition", "repetition", "Repetition", axis="share of 4-grams", is_share=True),
    Metric("distinct_2", "Variety", "variety", "Distinct 2-grams", axis="share of distinct 2-grams", is_share=True),
    Metric("finished", "Ended by itself", "ended by itself", "Ended by itself", is_share=True),
)
_JUDGMENTS = (
    Metric("rate", "Win rate", "win rate", "win rate", is_share=True, higher_is_better=True, level=0.5),
    Metric("high", "Win rate at most", "at most", "at most", is_share=True),
    Metric("wins", "Wins", "wins", "wins", is_share=True, higher_is_better=True),
    Metric("ties", "Ties", "ties", "ties", is_share=True),
    Metric("losses", "Losses", "losses", "losses", is_share=True, higher_is_better=False),
    Metric("unparseable", "No verdict", "unparseable", "no verdict", is_share=True, higher_is_better=False),
    Metric(
        "length_controlled",
        "At equal lengths",
        "at equal lengths",
        "at equal lengths",
        is_share=True,
        higher_is_better=True,
        level=0.5,
    ),
    Metric(
        "flipped", "Winner changed with the order", "winner changed", "winner changed with the order", is_share=True
    ),
    Metric("first_place", "First response named", "first response named", "first response named", is_share=True),
    Metric("longest", "By who takes the longer", "longest", "by who takes the longer", is_share=True),
    Metric("random", "By a coin", "random", "by a coin", is_share=True),
)
_AGREEMENT = (
    Metric("raw", "Share of the same verdicts", "the same", "the same", is_share=True, higher_is_better=True),
    Metric("kappa", "Cohen's kappa", "kappa", "Cohen's kappa", higher_is_better=True, level=0.0),
    Metric("alpha", "Krippendorff's alpha", "alpha", "Krippendorff's alpha", higher_is_better=True, level=0.0),
)
_WEAK = (
    Metric("pgr", "Performance gap recovered", "PGR", "PGR", higher_is_better=True, level=0.0),
    Metric(
        "calibration_error",
        "Calibration error",
        "calibration error",
        "calibration error",
        is_share=True,
        higher_is_better=False,
    ),
    Metric("brier", "Brier score", "Brier score", "Brier score", higher_is_better=False),
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
