"""Say in sentences which of several runs is ahead, by how much, and whether the intervals let anyone say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, format_share, value_only, verb
from penchant.reports.run.curves import training_mean
from penchant.reports.run.phrases import WHY_CHOSEN_FALLS, format_metric, name
from penchant.reports.run.summary import Summary, is_comparable

Sentence = Callable[[Sequence[Summary]], str]
# Metrics of samples; the others that are compared here are of held-out data.
_SAMPLED = {"reward", "kl_nats", "tokens", "repetition", "distinct_2"}


def headline_across(summaries: Sequence[Summary]) -> list[str]:
    """Return at most two sentences on which run is ahead, by reward and accuracy, or else by loss."""
    # Loss comes last: losses of different methods are on different scales.
    sentences = [text for key in ("reward", "accuracy", "loss") if (text := best(summaries, key))]
    if sentences:
        return sentences[:2]
    is_measured = any(summary.held_last or summary.sampled for summary in summaries)
    reason = "of which no number compares all" if is_measured else "none of them evaluated"
    return [f"{count(len(summaries), 'run')}, {reason}."]


def best(summaries: Sequence[Summary], key: str) -> str:
    """Say which run is ahead in `reward`, `accuracy` or `loss`, and whose intervals overlap with its own."""
    ranked = _ranked(summaries, key)
    # of two rewards, or losses of two methods, the higher number is not the better one
    if not ranked or not all(is_comparable(key, ranked[0][0].run, other.run) for other, _ in ranked):
        return ""
    first, top = ranked[0]
    name_of_metric = f"{'mean' if key in _SAMPLED else 'held-out'} {metric(key).label}"
    extreme = "Lowest" if _low_is_good(key) else "Highest"
    text = f"{extreme} {name_of_metric}: {name(first.run)} with {format_metric(top, key)}"
    if key == "reward":
        # Runs may start from different references, so a reward says little without its own.
        kl, reference = first.policy("kl_nats"), first.reference("reward")
        text += f" at a KL of {estimate(kl)} nats" if kl else ""
        text += f", from {estimate(reference)} for its reference" if reference else ""
    if key == "accuracy" and (longest := first.held_out_estimate("longest_wins")):
        text += f" (longest wins: {format_share(longest)})"
    # Without an interval nothing is excluded, so such a run counts as close: nobody is called better by its mean.
    close = [other for other, e in ranked[1:] if not (top.above(e) or top.below(e))]
    if len(close) == 1:
        text += f"; the interval of {name(close[0].run)} overlaps with it"
    elif close:
        text += f"; the intervals of {len(close)} other runs overlap with it"
    return f"{text}."


def _ranked(summaries: Sequence[Summary], key: str) -> list[tuple[Summary, Estimate]]:
    measured = [
        (s, e)
        for s in summaries
        # the numbers of a run that was not evaluated since its start are those of the model it started from
        if not s.is_unmeasured and (e := s.policy(key) if key in _SAMPLED else s.held_out_estimate(key)) is not None
    ]
    return sorted(measured, key=lambda item: item[1].value, reverse=not _low_is_good(key))


def _low_is_good(key: str) -> bool:
    # `is False`: where no direction is better it is None, and then the highest comes first.
    return metric(key).higher_is_better is False


def _ends(key: str) -> Sentence:
    """Return a function that says where the highest and the lowest of the runs ended."""

    def make(summaries: Sequence[Summary]) -> str:
        ranked = _ranked(summaries, key)
        if not ranked:  # no evaluation has it, as is so of gradients and of what rollouts measure
            return _training_ends(summaries, key)
        (a, first), (b, last) = ranked[0], ranked[-1]
        if len(ranked) == 1:
            return f"Only {name(a.run)} measured it: {format_metric(first, key)} at its last evaluation."
        # By the printed digits: "highest 0.31, lowest 0.31" would claim what nobody can see.
        if value_only(first) == value_only(last):
            return f"{'Both' if len(ranked) == 2 else f'All {len(ranked)}'} runs end at {format_metric(first, key)}."
        ends = ("lowest", "highest") if _low_is_good(key) else ("highest", "lowest")
        return (
            f"At the last evaluation {name(a.run)} is {ends[0]}, {format_metric(first, key)}, "
            f"and {name(b.run)} {ends[1]}, {format_metric(last, key)}."
        )

    return make


def _training_ends(summaries: Sequence[Summary], key: str) -> str:
    measured = [(s, e) for s in summaries if (e := training_mean(s.run, key, last=True)) is not None]
    if not measured:
        return ""
    (a, first), (b, last) = (pick(measured, key=lambda item: item[1].value) for pick in (max, min))
    if len(measured) > 1 and value_only(first) == value_only(last):
        return f"Over the last tenth of training all runs are at {format_metric(first, key)}."
    return (
        f"Over the last tenth of training {name(a.run)} is highest, {format_metric(first, key)}, "
        f"and {name(b.run)} lowest, {format_metric(last, key)}."
    )


def _fallen(summaries: Sequence[Summary]) -> str:
    pairs = [pair for s in summaries if (pair := s.held_pair("chosen_logps"))]
    fell = sum(verb(*pair) == "fell" for pair in pairs)
    return f"It fell in {fell} of {count(len(pairs), 'run')}. {WHY_CHOSEN_FALLS}" if fell else ""


def _plane(summaries: Sequence[Summary]) -> str:
    sentence = best(summaries, "reward")
    return f"{sentence} Up and to the left is better: more reward for less drift." if sentence else ""


ACROSS: dict[str, Sentence] = {
    "reward_kl": _plane,
    "logps_meaning": _fallen,
    "kl": _ends("kl_nats"),
    "logps.chosen": _ends("chosen_logps"),
    "logps.rejected": _ends("rejected_logps"),
    "log_ratios.good": _ends("desirable_log_ratio"),
    "log_ratios.bad": _ends("undesirable_log_ratio"),
    "rewards.chosen": _ends("chosen_reward"),
    "rewards.rejected": _ends("rejected_reward"),
    "rollout_reward.true": _ends("true_reward"),
    **{key: _ends(key) for key in ("loss", "accuracy", "label_accuracy", "margin", "mean_logps", "grad_norm")},
    **{key: _ends(key) for key in ("clip_fraction", "explained_variance")},
    **{key: _ends(key) for key in ("tokens", "reward", "repetition", "distinct_2")},
}
"""The sentence for each panel by its key, and for the plane; a panel that is not here has none."""
