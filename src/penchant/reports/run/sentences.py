"""Say in plain sentences what the numbers of a run show: the headline, and one passage per figure.

Each number has its interval; where a run lacks one, its sentence is left out. Several runs get those of `across`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import NAME, count, estimate, format_share, listing, number, short, signed, verb
from penchant.reports.run.about import method_label
from penchant.reports.run.across import ACROSS, headline_across
from penchant.reports.run.curves import kl_paths, smoothing_window, training_mean, training_pair
from penchant.reports.run.findings import CHOSEN_FALL_PER_TOKEN, KL_RUNAWAY_NATS, REPETITION_RISE
from penchant.reports.run.phrases import (
    WHY_CHOSEN_FALLS,
    capital,
    chosen_anchor,
    format_metric,
    from_to,
    held_out,
    state_reason_once,
    training_movement,
)
from penchant.reports.run.summary import Summary


def headline(summaries: Sequence[Summary]) -> list[str]:
    """Return the one or two sentences at the top of the page."""
    if len(summaries) > 1:
        return headline_across(summaries)
    (s,) = summaries
    # Of a run that measured none of these its loss is all that can be said.
    lines = [text for text in (_reward_headline(s), _accuracy_headline(s) or _labels_headline(s)) if text]
    return [state_reason_once(line) for line in lines or [_loss_headline(s) or "The run left no numbers yet."]]


def sentences(summaries: Sequence[Summary]) -> dict[str, str]:
    """Return one passage for each panel's key, only where there are numbers.

    Besides the panels there are `reward_kl` for the plane, and `logps_meaning`: whether a falling chosen
    log-probability is bad.
    """
    if len(summaries) > 1:
        passages = {key: make(summaries) for key, make in ACROSS.items()}
    else:
        passages = {key: make(summaries[0]) for key, make in _SINGLE.items()}
    return {key: state_reason_once(text) for key, text in passages.items() if text}


def _reward_headline(s: Summary) -> str:
    reward, reference, kl = s.policy("reward"), s.reference("reward"), s.policy("kl_nats")
    if reward is None or s.sampled is None:
        return ""
    distance = f", at a KL of {estimate(kl)} nats per response from the reference" if kl else ""
    steps = count(s.sampled.step, "step")
    if reference is None:
        return f"After {steps} the mean reward is {estimate(reward)}{distance}."
    text = (
        f"{method_label(s.run)} took the mean reward from {estimate(reference)} (reference) "
        f"to {estimate(reward)} in {steps}{distance}."
    )
    if s.gain is None:
        return text
    gain = s.gain.estimate
    pairing = " (paired by prompt)" if s.gain.paired else ""
    # The two intervals above may overlap where that of the paired difference excludes 0: it alone decides.
    chance = "" if gain.above(0) or gain.below(0) else ", which may be chance"
    return f"{text} The change is {estimate(gain, sign=True)}{pairing}{chance}."


def _accuracy_headline(s: Summary) -> str:
    accuracy, longest = s.held_out_estimate("accuracy"), s.held_out_estimate("longest_wins")
    if accuracy is None:
        return ""
    text = (
        f"It ranks the chosen response first in {format_share(accuracy)} of {held_out(accuracy, 'held-out comparison')}"
    )
    # A policy that learned length alone would have this accuracy, so the two stand side by side.
    if longest is not None:
        text += f"; always picking the longer response is right in {format_share(longest)}"
    return f"{text}."


def _labels_headline(s: Summary) -> str:
    accuracy = s.held_out_estimate("label_accuracy")
    return f"It agrees with {_labels_agreed(s, accuracy)}." if accuracy is not None else ""


def _labels_agreed(s: Summary, accuracy: Estimate) -> str:
    """Say how many labels it agrees with: `64% [58%, 70%] of 96 held-out labels (24 prompts), 50% ...`."""
    text = f"{format_share(accuracy)} of {held_out(accuracy, 'held-out label')}"
    good = s.held_out_estimate("desirable_share")
    return text if good is None else f"{text}, {format_share(good)} of which are good"


def _loss_headline(s: Summary) -> str:
    held_out_pair = s.held_pair("loss")
    if held_out_pair and s.held_last:
        return f"The held-out loss {from_to(*held_out_pair)} in {count(s.held_last.step, 'step')}."
    pair = training_pair(s.run, "loss")
    if pair is None:
        return ""
    steps = count(s.run.last_step(), "step")
    return f"The training loss {from_to(*pair)} in {steps}; nothing was evaluated on held-out data."


def _held_and_training(key: str) -> Callable[[Summary], str]:
    """Say how a metric moved on held-out data and on training batches."""
    name = metric(key).label

    def make(s: Summary) -> str:
        parts = []
        if (pair := s.held_pair(key)) and s.held_last:
            parts.append(f"the held-out {name} {from_to(*pair, key)} over {count(s.held_last.step, 'step')}")
        # One evaluation shows a level and no movement.
        elif (latest := s.held_out_estimate(key)) and s.held_last:
            parts.append(f"the held-out {name} is {format_metric(latest, key)} at step {s.held_last.step:,}")
        if trained := training_pair(s.run, key):
            subject = "it" if parts else f"the {name}"
            parts.append(f"on training batches {subject} {training_movement(trained, key)}")
        if not parts:
            return ""
        # The figure itself does not say how much it smooths.
        window = smoothing_window(sum(key in point.values for point in s.run.train))
        smooth = f" The bold training line averages {window} steps." if window > 1 else ""
        return f"{capital('; '.join(parts))}.{smooth}"

    return make


def _accuracy(s: Summary) -> str:
    accuracy, longest = s.held_out_estimate("accuracy"), s.held_out_estimate("longest_wins")
    if accuracy is None or s.held_last is None:
        # Without held-out data, training batches are all that there is.
        return _held_and_training("accuracy")(s)
    text = (
        f"At step {s.held_last.step:,} the chosen response ranks first in {format_share(accuracy)} of "
        f"{held_out(accuracy, 'held-out comparison')}{_from_start(s, 'accuracy')}. Chance is 50%"
    )
    text += f"; “longest wins” gets {format_share(longest)}." if longest else "."
    # Hundreds of annotators would bury the sentence: the first eight, in the order of the data.
    by = list(s.held_last.by_annotator.items())
    if by:
        breakdown = listing(f"{short(name, NAME)} {format_share(e)}" for name, e in by[:8])
        text += f" By annotator: {breakdown}{f', and {len(by) - 8} more' if len(by) > 8 else ''}."
    if s.held_last.calibration:
        breakdown = listing(f"{format_share(e)} where {level:.0%} sure" for level, e in s.held_last.calibration)
        text += f" By its confidence: {breakdown}."
    return text


def _from_start(s: Summary, key: str) -> str:
    """Say what a held-out share was at the first evaluation; empty where that is the last one too."""
    pair = s.held_pair(key)
    return f", from {format_share(pair[0])} at the start" if pair else ""


def _rewards(s: Summary) -> str:
    """Say what reward chosen and rejected responses get, and what length has to do with it."""
    chosen, rejected = s.held_out_estimate("chosen_reward"), s.held_out_estimate("rejected_reward")
    if chosen is None or rejected is None:
        return ""
    chosen_text, rejected_text = (format_metric(e, "chosen_reward") for e in (chosen, rejected))
    text = f"Held-out chosen responses get {chosen_text}, rejected ones {rejected_text}."
    length = s.held_out_estimate("length_correlation")
    if length is None:
        # The pair losses see differences within a prompt alone: a constant added to all rewards changes nothing.
        return f"{text} (Only differences within a prompt mean something.)"
    return (
        f"{text} Within a prompt, reward and length correlate by {estimate(length)} (0: no relation; 1: the reward is "
        "the length)."
    )


def _rollout_reward(s: Summary) -> str:
    """Say how the optimised reward moved, and how the reward that it stands for did."""
    parts = []
    for key, name in (("reward", "what is optimised"), ("true_reward", "what it stands for")):
        if pair := training_pair(s.run, key):
            parts.append(f"{name} {from_to(*pair)}")
    # Either may rise in a good run: only both together show whether the reward is gamed.
    if len(parts) < 2:
        return f"{capital(parts[0])}." if parts else ""
    return (
        f"{capital('; '.join(parts))}. Where the first goes on rising and the second falls, "
        "the policy games the reward."
    )


def _label_accuracy(s: Summary) -> str:
    accuracy = s.held_out_estimate("label_accuracy")
    if accuracy is None or s.held_last is None:
        return _held_and_training("label_accuracy")(s)
    labels = f"{_labels_agreed(s, accuracy)}{_from_start(s, 'label_accuracy')}"
    return (
        f"At step {s.held_last.step:,} the policy agrees with {labels}. It agrees "
        "where it made a good response likelier than the reference point, or a bad one less likely. Calling all of "
        "them good, or all bad, agrees as often as that is the label."
    )


Path = tuple[Estimate, Estimate]
"""A number at the first and at the last point."""
_LOGPS = ("chosen_logps", "rejected_logps")


def _side_paths(s: Summary, keys: tuple[str, str]) -> tuple[Path, Path, bool] | None:
    """Return how the metrics of both sides moved, and whether on held-out data; None where one was not measured.

    Held-out data come first, as training batches are of other rows at the start than at the end.
    """
    for pair_of, is_held_out in ((s.held_pair, True), (partial(training_pair, s.run), False)):
        chosen, rejected = map(pair_of, keys)
        if chosen is not None and rejected is not None:
            return chosen, rejected, is_held_out
    return None


def _two_sides(keys: tuple[str, str], noun: str, first: str, second: str) -> Callable[[Summary], str]:
    """Return a function that says how the metrics of both sides moved; `noun` is what is held out."""

    def make(s: Summary) -> str:
        paths = _side_paths(s, keys)
        if paths is None:
            return ""
        chosen, rejected, is_held_out = paths
        where = f"On held-out {noun}" if is_held_out else "On training batches"
        return f"{where} the {first} {from_to(*chosen, keys[0])}, and that of {second} {from_to(*rejected, keys[1])}."

    return make


def _meaning(s: Summary) -> str:
    """Say whether the chosen log-probability fell, why that is common, and what this run's other numbers say."""
    paths = _side_paths(s, _LOGPS)
    if paths is None:
        return ""
    chosen, rejected, _ = paths
    # Both may fall: the losses only ask that the rejected fall further.
    if verb(*chosen) != "fell":
        movement = "became less likely" if verb(*rejected) == "fell" else "did not become less likely either"
        return f"Chosen responses did not become less likely; rejected ones {movement}."
    return f"{WHY_CHOSEN_FALLS} {_evidence(s, chosen)} {chosen_anchor(s.run)}"


def _evidence(s: Summary, chosen: Path) -> str:
    """Name the signs of harm among this run's numbers, or say that there are none, or that nothing was measured."""
    bad: list[str] = []
    good: list[str] = []
    # Each sign goes to one of the lists by the threshold of its warning, so that page and warning agree.
    tokens = s.held_out_estimate("chosen_tokens") or training_mean(s.run, "chosen_tokens", last=True)
    if tokens is not None and tokens.value > 0:
        fall = (chosen[0].value - chosen[1].value) / tokens.value
        (bad if fall > CHOSEN_FALL_PER_TOKEN else good).append(f"the fall is {number(fall)} nats per token")
    if s.gain is not None and s.gain.estimate.has_interval:
        gain = f"the reward changed by {estimate(s.gain.estimate, sign=True)}"
        (good if s.gain.estimate.above(0) else bad).append(gain)
    if (kl := s.policy("kl_nats")) is not None:
        (bad if kl.value > KL_RUNAWAY_NATS else good).append(f"KL is {estimate(kl)} nats")
    policy, reference = s.policy("repetition"), s.reference("repetition")
    if policy is not None and reference is not None:
        comparison = f"{format_share(policy)} against {format_share(reference)} for the reference"
        (bad if policy.value - reference.value >= REPETITION_RISE else good).append(f"repetition is {comparison}")
    if bad:
        return f"Here there are signs of that: {listing(bad)}."
    # A loss cannot tell where the probability went; only samples can.
    if s.sampled is None:
        return "Here no samples were measured, so it cannot be told: draw some and read them."
    return f"Here there is no sign of that: {listing(good)}."


def _kl(s: Summary) -> str:
    kl, tokens = s.policy("kl_nats"), s.policy("tokens")
    if kl is None or s.sampled is None:
        return ""
    text = f"The policy is {estimate(kl)} nats per response away from the reference at step {s.sampled.step:,}"
    if tokens is not None and tokens.value > 0:
        # Per token as well: a KL is a sum over tokens, so longer responses alone raise it.
        text += f", {number(kl.value / tokens.value)} nats for each of its {estimate(tokens)} tokens"
    path = [(point.step, e) for point in s.run.evals if (e := point.policy.get("kl_nats")) is not None]
    # The last KL may hide that the policy went out and came back.
    step, top = max(path, key=lambda item: item[1].value)
    if step != s.sampled.step:
        text += f"; it was farthest at step {step:,}, {estimate(top)}"
    return f"{text}."


def _tokens(s: Summary) -> str:
    policy, reference, finished = s.policy("tokens"), s.reference("tokens"), s.policy("finished")
    if policy is None:
        return ""
    text = f"Sampled responses have {estimate(policy)} tokens"
    if reference is not None and reference.value > 0:
        drift = signed(100 * (policy.value / reference.value - 1), 0)
        text += f", against {estimate(reference)} for the reference ({drift}%)"
    if finished is not None:
        text += f"; {format_share(finished)} ended by themselves, the others were cut"
    # The data's own lengths, or a reader would blame the method for what the data prefers.
    chosen, rejected = s.held_out_estimate("chosen_tokens"), s.held_out_estimate("rejected_tokens")
    if chosen is not None and rejected is not None:
        text += f". In the data chosen responses have {estimate(chosen)}, rejected ones {estimate(rejected)}"
    return f"{text}."


def _reward(s: Summary) -> str:
    reward, reference = s.policy("reward"), s.reference("reward")
    if reward is None or reference is None or s.sampled is None:
        return ""
    text = f"The mean reward {from_to(reference, reward)} at step {s.sampled.step:,}"
    if s.gain is not None:
        pairing = "paired by prompt and seed" if s.gain.paired else "the two means taken as independent"
        text += f"; the difference is {estimate(s.gain.estimate, sign=True)} ({pairing})"
    return f"{text}."


def _share_of_samples(key: str, noun: str) -> Callable[[Summary], str]:
    def make(s: Summary) -> str:
        policy, reference = s.policy(key), s.reference(key)
        if policy is None:
            return ""
        against = f", against {format_share(reference)} for the reference" if reference else ""
        return f"{format_share(policy)} of {noun}{against}."

    return make


def _grad_norm(s: Summary) -> str:
    pairs = [(p.values["grad_norm"], p.step) for p in s.run.train if "grad_norm" in p.values]
    if not pairs:
        return ""
    # The median and the maximum: one exploding step would make any mean meaningless.
    middle, (largest, step) = sorted(pairs)[len(pairs) // 2][0], max(pairs)
    return f"The gradient norm has a median of {number(middle)} and a maximum of {number(largest)}, at step {step:,}."


def _reward_kl(s: Summary) -> str:
    paths = kl_paths([s.run])
    if not paths:
        return ""
    (path,) = paths
    step, kl, best = max(path.points, key=lambda point: point[2].value)
    text = (
        f"{count(len(path.points), 'checkpoint')} evaluated: the highest mean reward is {estimate(best)} at "
        f"a KL of {estimate(kl)} nats (step {step:,})"
    )
    text += f"; the reference, at KL 0, has {estimate(path.reference)}." if path.reference else "."
    # The best of several evaluations is better by luck too, so the end is said beside it.
    last_step, last_kl, last = path.points[-1]
    if last_step != step:
        text += f" Training on to step {last_step:,} gave {estimate(last)} at {estimate(last_kl)} nats."
    return text


_SINGLE: dict[str, Callable[[Summary], str]] = {
    "reward_kl": _reward_kl,
    "logps": _two_sides(_LOGPS, "comparisons", "log-probability of chosen responses", "rejected ones"),
    "logps_meaning": _meaning,
    "kl": _kl,
    "tokens": _tokens,
    "accuracy": _accuracy,
    "label_accuracy": _label_accuracy,
    "log_ratios": _two_sides(
        ("desirable_log_ratio", "undesirable_log_ratio"),
        "labels",
        "log-ratio of good responses to the reference",
        "bad ones",
    ),
    "rewards": _rewards,
    "rollout_reward": _rollout_reward,
    "grad_norm": _grad_norm,
    **{key: _held_and_training(key) for key in ("loss", "margin", "mean_logps")},
    **{key: _held_and_training(key) for key in ("kl_coefficient", "clip_fraction", "explained_variance")},
    "reward": _reward,
    "repetition": _share_of_samples("repetition", "sampled 4-grams occur earlier in the same response"),
    "distinct_2": _share_of_samples("distinct_2", "the 2-grams in a sampled response are distinct"),
}
