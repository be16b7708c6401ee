"""Warn of a run's numbers by rules, each with its threshold, what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from penchant.metrics.estimates import FEWEST_CLUSTERS, Estimate
from penchant.reports.kit.text import count, estimate, format_share, listing, number, percent, signed
from penchant.reports.run.curves import training_mean
from penchant.reports.run.rounds import stop_sentence
from penchant.reports.run.summary import Summary
from penchant.runs.lengthening import lengthening_sentences
from penchant.runs.movement import moved_advice, standstill
from penchant.runs.read import EvalPoint, Run, finite

Severity = Literal["serious", "caution", "note"]

# Thresholds say where to look; they are no tests. They have names, so that sentences judge by the same ones.
KL_RUNAWAY_NATS = 25.0  # per response; in small frontiers the text holds to about 15 and breaks from 50
KL_WATCH_NATS = 10.0  # below this a steep rise is only a start
KL_ACCELERATION = 2.0  # last rise per step over the mean rise per step before it
REPETITION_RISE = 0.05  # share of 4-grams, beyond the reference, with intervals apart
REPETITION_SERIOUS = 0.20
LENGTH_DRIFT = 0.30  # of the reference's mean length
CONTRADICTIONS = 0.05  # of the comparisons
OVERFIT_RISE = 0.05  # of the lowest held-out loss
CHOSEN_FALL_PER_TOKEN = 0.5  # nats: each token of a chosen response lost 40% of its probability
CUT_SHARE = 0.5  # of the sampled responses did not end by themselves
CHANCE = 0.5

_ORDER: dict[Severity, int] = {"serious": 0, "caution": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One warning: `title` and `advice` depend on the rule alone, `detail` holds this run's numbers."""

    rule: str
    severity: Severity
    title: str
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Group:
    """A warning with every run that it concerns, as (run's name, detail)."""

    severity: Severity
    title: str
    advice: str
    details: tuple[tuple[str, str], ...]


def findings(summary: Summary) -> list[Finding]:
    """Return everything worth a warning in a run, the serious first."""
    warnings = [finding for rule in _RULES for finding in rule(summary)]
    return sorted(warnings, key=lambda finding: _ORDER[finding.severity])


def grouped(summaries: Sequence[Summary]) -> list[Group]:
    """Group the warnings of all runs, one entry per rule and severity, the serious first."""
    # Title and advice depend on the rule alone, so they make the key: twelve runs give one warning with twelve details.
    groups: dict[tuple[Severity, str, str], list[tuple[str, str]]] = {}
    for summary in summaries:
        for finding in findings(summary):
            key = (finding.severity, finding.title, finding.advice)
            groups.setdefault(key, []).append((summary.run.name, finding.detail))
    ordered = sorted(groups.items(), key=lambda item: _ORDER[item[0][0]])
    return [Group(*key, tuple(details)) for key, details in ordered]


def _unfinished(s: Summary) -> Iterator[Finding]:
    status = s.run.result.get("status") if s.run.result else None
    # A killed run writes no result.json, and one that still goes on has none yet: a report cannot tell them apart.
    if s.run.result is None:
        yield Finding(
            "unfinished",
            "serious",
            "The run has not ended",
            f"There is no complete result.json. What follows is as of step {s.run.last_step():,}.",
            "It is still running, or was killed. If it was killed, start it again.",
        )
    elif status == "interrupted":
        detail = f"It was interrupted at step {s.run.last_step():,}."
        # An old evaluation would be taken for the state at the end of the run.
        evaluated = max((point.step for point in s.run.evals), default=0)
        if evaluated < s.run.last_step():
            when = f"of step {evaluated:,}" if evaluated else "from before the first step"
            detail += f" Its last evaluation is {when}: what it learned since is not measured."
        yield Finding("interrupted", "caution", "The run was interrupted", detail, "Its numbers are not final.")
    elif status == "stopped_early" and (rounds_ended := stop_sentence(s.run)):
        # the steps and the checkpoint are those of the last round, which came to its own end
        yield Finding("stopped_early", "note", "The rounds ended before their number", rounds_ended)
    elif status == "stopped_early":
        best = finite((s.run.result or {}).get("best_step"))
        metric = (s.run.result or {}).get("best_metric")
        best_words = f"its best {metric}" if isinstance(metric, str) else "its lowest held-out loss"
        checkpoint_note = "" if best is None else f"; {best_words} was at step {best:,.0f}, which the checkpoint holds"
        detail = f"It stopped at step {s.run.last_step():,}{checkpoint_note}."
        yield Finding("stopped_early", "note", "The run stopped before its planned end", detail)


def _lengthened(s: Summary) -> Iterator[Finding]:
    sentences = lengthening_sentences((s.run.result or {}).get("lengthened"))
    if sentences:
        detail = f"It was {', then '.join(sentences)}."
        yield Finding("lengthened", "note", "The run was made longer after it had ended", detail)


def _not_finite(s: Summary) -> Iterator[Finding]:
    if s.run.non_finite:
        yield Finding(
            "non_finite",
            "serious",
            "Numbers that are not finite",
            f"{count(s.run.non_finite, 'number')} in metrics.jsonl were NaN or infinite and are not drawn.",
            "Training has diverged: lower the learning rate, or look for broken rows.",
        )


def _kl(s: Summary) -> Iterator[Finding]:
    path = [(point.step, kl) for point in s.run.evals if (kl := point.policy.get("kl_nats"))]
    if not path:
        return
    step, last = path[-1]
    title = "KL is running away from the reference"
    advice = (
        "The policy has left the text that the reward was measured on. Lower the learning rate, raise "
        "`loss.beta` (in kto `beta`), or take an earlier checkpoint; read the samples before trusting the reward."
    )
    if last.value > KL_RUNAWAY_NATS:
        detail = f"{estimate(last)} nats per response at step {step:,} (the mark is {KL_RUNAWAY_NATS:.0f})."
        yield Finding("kl_runaway", "serious", title, detail, advice)
    # Below the mark the speed counts: of three or more evaluations, the last rise against the mean rise before it.
    elif len(path) > 2 and last.value > KL_WATCH_NATS:
        (before_step, before), (first_step, first) = path[-2], path[0]
        rise = (last.value - before.value) / max(1, step - before_step)
        previous_rise = (before.value - first.value) / max(1, before_step - first_step)
        # After a fall or a standstill any rise is many times the one before, and tells nothing.
        if rise > KL_ACCELERATION * previous_rise > 0:
            detail = (
                f"{estimate(last)} nats at step {step:,}; it last rose by {number(rise)} nats per step, "
                f"against {number(previous_rise)} before."
            )
            yield Finding("kl_growth", "caution", "KL rises faster and faster", detail, advice)


def _standstill(s: Summary) -> Iterator[Finding]:
    if not s.run.last_step():  # the start itself has not moved by definition
        return
    kl, pair = s.policy("kl_nats"), s.held_pair("loss")
    first, last = (pair[0].value, pair[1].value) if pair else (None, None)
    sampled_step = s.sampled.step if s.sampled else 0
    if sentence := standstill(kl.value if kl and sampled_step else None, first, last):
        yield Finding(
            "standstill",
            "caution",
            "The model hardly moved",
            f"After {count(s.run.last_step(), 'step')} {sentence}.",
            f"What else differs is chance. To move it, {moved_advice(s.run.method)}.",
        )


def _repetition(s: Summary) -> Iterator[Finding]:
    policy, reference = s.policy("repetition"), s.reference("repetition")
    if policy is None or reference is None or policy.value - reference.value < REPETITION_RISE:
        return
    # Without intervals the rise alone decides: few prompts are no reason for silence.
    if policy.has_interval and reference.has_interval and not policy.above(reference):
        return
    yield Finding(
        "repetition",
        "serious" if policy.value > REPETITION_SERIOUS else "caution",
        "The policy repeats itself",
        f"{format_share(policy)} of its 4-grams occur earlier in the same response, against "
        f"{format_share(reference)} for the reference.",
        "Read the samples below: a reward can rise while the text breaks. Fewer steps or a larger beta help.",
    )


def _length(s: Summary) -> Iterator[Finding]:
    policy, reference = s.policy("tokens"), s.reference("tokens")
    if policy is None or reference is None or reference.value <= 0:
        return
    # The reference's length and not the data's: both are cut at the same limit.
    drift = policy.value / reference.value - 1
    if abs(drift) > LENGTH_DRIFT:
        yield Finding(
            "length",
            "caution",
            "Responses became much longer" if drift > 0 else "Responses became much shorter",
            f"{estimate(policy)} tokens against {estimate(reference)} for the reference ({signed(100 * drift, 0)}%).",
            "Part of the change in reward may be length. Compare at like lengths, or use a length-normalised loss.",
        )


def _cut(s: Summary) -> Iterator[Finding]:
    finished = s.policy("finished")
    if finished is not None and finished.value < 1 - CUT_SHARE:
        yield Finding(
            "cut",
            "note",
            "Most samples were cut at the length limit",
            f"{format_share(finished)} ended by themselves.",
            "Lengths, repetition and KL are those of the first tokens only.",
        )


def _contradictions(s: Summary) -> Iterator[Finding]:
    contradictions, comparisons = s.run.data("contradictions"), s.run.data("comparisons")
    if contradictions and comparisons and contradictions / comparisons > CONTRADICTIONS:
        yield Finding(
            "contradictions",
            "caution",
            "The data contradicts itself",
            f"{count(contradictions, 'contradiction')} among {count(comparisons, 'comparison')} "
            f"({percent(contradictions / comparisons)}): the same pair of responses was judged both ways.",
            "No policy can agree with both. Clean the labels, or use a loss that expects noise "
            "(`loss.label_smoothing`).",
        )


def _accuracy(s: Summary) -> Iterator[Finding]:
    accuracy, longest = s.held_out_estimate("accuracy"), s.held_out_estimate("longest_wins")
    if accuracy is None:
        return
    size = f"{count(accuracy.n, 'comparison')} of {count(accuracy.clusters, 'prompt')}"
    accuracy_text = f"{format_share(accuracy)} on {size}"
    if accuracy.below(CHANCE):
        yield Finding(
            "below_chance",
            "serious",
            "Held-out accuracy is below chance",
            f"{accuracy_text}.",
            "Chosen and rejected may be swapped, in the data or for a part of it.",
        )
    elif not accuracy.above(CHANCE):
        yield Finding(
            "chance",
            "caution",
            "Held-out accuracy is not distinguishable from chance",
            f"{accuracy_text}: {'the interval holds 50%' if accuracy.has_interval else 'too few prompts to say'}.",
            "Hold out more prompts for a narrower interval, train longer, or see how noisy the labels are.",
        )
    # Checked besides chance, since an accuracy far above one half may come from length alone.
    if longest is not None and longest.value > CHANCE and not _better(accuracy, longest.value):
        yield Finding(
            "longest_wins",
            "caution",
            "No better than always picking the longer response",
            f"{accuracy_text}; the longer response is the chosen one in {format_share(longest)}.",
            "The policy may have learned length. Look at the lengths of chosen and rejected responses.",
        )


def _labels(s: Summary) -> Iterator[Finding]:
    accuracy, good = s.held_out_estimate("label_accuracy"), s.held_out_estimate("desirable_share")
    if accuracy is None or good is None:
        return
    blind = max(good.value, 1 - good.value)  # the accuracy of always giving the more frequent label
    if not accuracy.above(blind):
        yield Finding(
            "label_chance",
            "caution",
            "No better on held-out labels than always saying the same",
            f"{format_share(accuracy)} of {count(accuracy.n, 'label')} of {count(accuracy.clusters, 'prompt')}; the "
            f"more frequent one is {percent(blind)}.",
            "Hold out more prompts for a narrower interval, train longer, or see how noisy the labels are. Where good "
            "and bad labels are far apart in number, weigh them (`desirable_weight`, `undesirable_weight`).",
        )


def _better(accuracy: Estimate, baseline: float) -> bool:
    """Return whether an accuracy is above a baseline, by its interval where it has one."""
    return accuracy.above(baseline) if accuracy.has_interval else accuracy.value > baseline


def _reward(s: Summary) -> Iterator[Finding]:
    if s.gain is None:
        return
    # Paired where the texts are there: most of what prompts differ by is common to policy and reference.
    gain, pairing = s.gain.estimate, "paired by prompt" if s.gain.paired else "the two means taken as independent"
    detail = f"{estimate(gain, sign=True)} against the reference ({pairing}, {count(gain.clusters, 'prompt')})."
    if gain.below(0):
        advice = "The policy got worse at what is measured: look at the data's labels and at the learning rate."
        yield Finding("reward_fell", "serious", "The reward fell", detail, advice)
    elif not gain.above(0):
        evidence = "Zero lies in the interval." if gain.has_interval else "Without an interval nobody knows."
        advice = f"{evidence} Evaluate on more prompts before calling it a gain or a loss."
        yield Finding("reward_flat", "caution", "The change of reward may be chance", detail, advice)


def _overfitting(s: Summary) -> Iterator[Finding]:
    path = [(point, loss) for point in s.run.evals if (loss := point.held_out.get("loss"))]
    # Of two evaluations the first is the start: no minimum lies between them.
    if len(path) < 3:
        return
    (best, lowest), (final, last) = min(path, key=lambda item: item[1].value), path[-1]
    loss_near_best, final_loss = _loss_near(s.run, best), training_mean(s.run, "loss", last=True)
    # Where the training loss does not fall meanwhile, the run gets worse at both: that is no overfitting.
    if loss_near_best is None or final_loss is None or final_loss.value >= loss_near_best:
        return
    if last.value > lowest.value + OVERFIT_RISE * abs(lowest.value):
        yield Finding(
            "overfitting",
            "caution",
            "Overfitting: held-out loss rises while training loss falls",
            f"Held-out loss was lowest at step {best.step:,}, {estimate(lowest)}, and is {estimate(last)} at "
            f"step {final.step:,}; training loss went from {number(loss_near_best)} to {number(final_loss.value)} "
            "meanwhile.",
            "Stop earlier, or take the checkpoint with the lowest held-out loss.",
        )


def _loss_near(run: Run, point: EvalPoint) -> float | None:
    """Return the mean training loss around an evaluation, over as many steps as `training_mean` takes."""
    losses = [(abs(p.step - point.step), p.values["loss"]) for p in run.train if "loss" in p.values]
    nearest = [loss for _, loss in sorted(losses)[: max(1, len(losses) // 10)]]
    return sum(nearest) / len(nearest) if nearest else None


def _chosen_fall(s: Summary) -> Iterator[Finding]:
    pair, tokens = s.held_pair("chosen_logps"), s.held_out_estimate("chosen_tokens")
    if pair is None or tokens is None or tokens.value <= 0:
        return
    # Per token, since a sum over a long response falls far by a little at each.
    fall = (pair[0].value - pair[1].value) / tokens.value
    if fall > CHOSEN_FALL_PER_TOKEN:
        yield Finding(
            "chosen_fall",
            "caution",
            "Chosen responses became much less likely",
            f"{estimate(pair[0])} to {estimate(pair[1])} nats per held-out response: {number(fall)} per token.",
            "A fall this deep moves probability to text that nobody chose. Set `loss.nll_weight` above 0 to hold it.",
        )


def _few_prompts(s: Summary) -> Iterator[Finding]:
    held_out, sampled = s.held_out_estimate("accuracy") or s.held_out_estimate("loss"), s.policy("tokens")
    small_samples = [
        f"{label} {count(e.clusters, 'prompt')}"
        for label, e in (("held-out numbers on", held_out), ("samples on", sampled))
        if e is not None and 0 < e.clusters < FEWEST_CLUSTERS
    ]
    if small_samples:
        yield Finding(
            "few_prompts",
            "caution",
            "Too few prompts for intervals",
            f"This run has {listing(small_samples)}.",
            f"Fewer than {FEWEST_CLUSTERS} prompts do not show how much prompts differ. Evaluate on more.",
        )


def _from_run(s: Summary) -> Iterator[Finding]:
    warnings = s.run.result.get("warnings") if s.run.result else None
    for text in warnings if isinstance(warnings, list) else []:
        yield Finding("run", "caution", "Said by the run itself", str(text))
    for text in s.run.notes:
        yield Finding("missing", "note", "Missing or damaged files", text)


# In the order of the page within one severity: `sorted` keeps it.
_RULES: tuple[Callable[[Summary], Iterator[Finding]], ...] = (
    _unfinished,
    _lengthened,
    _not_finite,
    _kl,
    _standstill,
    _repetition,
    _reward,
    _accuracy,
    _labels,
    _few_prompts,
    _overfitting,
    _chosen_fall,
    _length,
    _contradictions,
    _from_run,
    _cut,
)
