"""Say in sentences what a frontier shows: who reaches what, who wins if anybody does, what collapsed, what it took."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, duration, estimate, format_share, listing, number, percent, value_only
from penchant.studies.core.methods import BEST_OF_N, setting_words
from penchant.studies.core.settings import TRUE_REWARD_METHODS
from penchant.studies.frontier.summary import FrontierSummary, MethodSummary, RunSummary

FINISHED_STATUSES = ("done", "stopped_early", "runaway")  # of a run's status: then its last point is its end
FELL = 0.5  # of the gain at its best, lost by the end: then a run collapsed


def headline(study: FrontierSummary) -> list[str]:
    """Return what each method reaches where all can be compared, who wins if anybody does, and what is left out.

    Best-of-N is in none of these sentences: it trains nothing, so it stands beside the others.
    """
    if not study.trained:
        return ["No method that trains was evaluated yet."]
    return [*_efficiency_sentences(study), *_left_out(study), _seeds(study), *_unfinished(study)]


def _efficiency_sentences(study: FrontierSummary) -> list[str]:
    ranked = _ranked(study.trained)
    if not ranked:  # a mean over different KLs would compare a method's easy range with another's hard one
        return [
            "At no KL have all methods that train evaluations on both sides, so they cannot be compared as a whole."
        ]
    shares = [f"{method.label} {format_share(share)}" for method, share in ranked]
    sentence = (
        f"Of the gain in reward that is possible at {common_nats(study)} of KL, methods reach: {listing(shares)}."
    )
    return [sentence, _winner(study)] if len(ranked) > 1 else [sentence]


def _ranked(methods: Sequence[MethodSummary]) -> list[tuple[MethodSummary, Estimate]]:
    """Return the methods that have an efficiency, the best first."""
    compared = [(method, method.efficiency) for method in methods if method.efficiency is not None]
    return sorted(compared, key=lambda pair: -pair[1].value)


def _winner(study: FrontierSummary) -> str:
    """Name the winner only where every paired interval over prompts and seeds excludes 0."""
    winner = study.winner
    if winner.name:
        # Unequal searches are named with the winner: a method with more runs had more chances.
        runs = {method.runs.all // len(study.seeds) for method in study.trained}
        unequal = f" They had unequal searches, of {min(runs)} to {max(runs)} runs per seed." * (len(runs) > 1)
        return (
            f"{study.label(winner.name)} lies above each of the others: the intervals of the paired differences, "
            f"over prompts and seeds, exclude 0.{unequal}"
        )
    # The rivals by name: "no winner" alone would hide that the others are clearly behind.
    if winner.close:
        rivals = listing(study.label(name) for name in winner.close)
        return f"No winner is named: {study.label(winner.leader or '')} and {rivals} cannot be told apart here."
    return f"No winner is named: {winner.reason}."


def _left_out(study: FrontierSummary) -> list[str]:
    """Say which methods cannot be compared, and why."""
    sentences = []
    for method in study.trained:
        # Of several KLs the reason is often one and the same, such as a seed without an evaluation: it is said once.
        reasons = dict.fromkeys(row.reason for row in method.matched if row.reason)
        if method.efficiency is None and all(row.share is None for row in method.matched):
            sentences.append(f"{method.label} is {'; '.join(reasons)}.")
    return sentences


def common_nats(study: FrontierSummary) -> str:
    """Return the KLs at which all methods are compared, as words: `0.5, 1 and 2 nats`."""
    return nats(study.matched.common)


def nats(kls: Sequence[float]) -> str:
    """Return KLs as words: `0.5, 1 and 2 nats`."""
    return f"{listing(f'{kl:g}' for kl in kls)} {'nat' if list(kls) == [1] else 'nats'}"


def _unfinished(study: FrontierSummary) -> list[str]:
    """Say which runs are missing from the comparison because they did not come to their end."""
    left = {method.label: method.runs.unfinished for method in study.trained}
    runs = [f"{count(number, 'run')} of {label}" for label, number in left.items() if number]
    return [f"Unfinished, and in none of these numbers: {listing(runs)}."] if runs else []


def _compare(study: FrontierSummary, first: MethodSummary, second: MethodSummary) -> str:
    """Compare two methods by their paired difference, in words that its interval supports."""
    kls, gap = study.difference(first.name, second.name)
    if gap is None:
        return "there is no KL with evaluations of both on either side, so the two cannot be compared."
    if not gap.has_interval:  # nothing can be claimed of it, so the reason stands in the interval's place
        return f"at {nats(kls)} they differ by {_points(gap)}."
    if gap.above(0):
        return f"at {nats(kls)} {first.label} lies above by {_points(gap)}, on the same prompts."
    if gap.below(0):
        return f"at {nats(kls)} {second.label} lies above by {_points(gap.negated())}, on the same prompts."
    return f"at {nats(kls)} the two cannot be told apart (a difference of {_points(gap)} on the same prompts)."


def _points(gap: Estimate) -> str:
    # A difference of shares is in points: "5% above" would read as a ratio.
    return f"{format_share(gap).replace('%', '')} percentage points"


def _seeds(study: FrontierSummary) -> str:
    seeds = len(study.seeds)
    prompts = count(study.prompts.eval or 0, "evaluation prompt")
    if seeds == 1:  # the interval is then of prompts alone
        text = f"The intervals are for other prompts than these {prompts}"
        # said already where it is why no winner is named
        is_said = len(_ranked(study.trained)) > 1 and study.winner.reason.startswith("one seed ")
        return f"{text}." if is_said else f"{text}, and say nothing of how another seed would have trained."
    return f"{count(seeds, 'seed')}: the intervals are for other prompts than these {prompts} and for other seeds."


def findings(study: FrontierSummary) -> list[str]:
    """Return what else the plot shows, a sentence or two each."""
    sentences = [
        *(_dpo_and_ppo(study, name) for name in ("ppo", *TRUE_REWARD_METHODS)),
        *_losing_methods(study),
        _best_of_n(study),
        *_collapses(study),
        _training_costs(study),
    ]
    return [text for text in sentences if text]


def _dpo_and_ppo(study: FrontierSummary, name: str) -> str:
    dpo, ppo = study.method("dpo"), study.method(name)
    if dpo is None or ppo is None:
        return ""
    objective = "the learned reward" if name == "ppo" else "the true reward itself, which DPO never sees"
    return f"DPO against {ppo.label} (which maximises {objective}): {_compare(study, dpo, ppo)}"


def _best_of_n(study: FrontierSummary) -> str:
    best = study.method(BEST_OF_N)
    if best is None:
        return ""
    shares = [f"{format_share(row.share)} at {row.kl_nats:g}" for row in best.matched if row.share]
    outcome = f"reaches {listing(shares)} nats" if shares else "cannot be compared here"
    return (
        f"Best-of-N by the true reward {outcome}, drawn at the upper bound of its KL. It trains nothing, so it is not "
        "ranked with the others, and it needs N samples for every answer."
    )


def _collapses(study: FrontierSummary) -> list[str]:
    sentences, calm = [], []
    for method in study.trained:
        fallen = [run for run in study.runs if run.method == method.name and collapsed(study, run)]
        if fallen:
            sentences.append(_collapse(study, method, fallen))
        # A method is called calm only if some run of it came to its end.
        elif any(run.points and run.status in FINISHED_STATUSES for run in study.runs if run.method == method.name):
            calm.append(method.label)
        if method.runs.runaway:
            sentences.append(f"{count(method.runs.runaway, 'run')} of {method.label} ended early: the KL ran away.")
    if calm:
        sentences.append(
            f"No run of {listing(calm)} clearly lost half of its gain again or clearly ended below the reference."
        )
    return sentences


def _losing_methods(study: FrontierSummary) -> list[str]:
    """Name methods that only lost reward."""
    # By the values: no interval is needed to say where evaluations lie.
    base = study.reference.reward.value
    names = [
        method.label
        for method in study.trained
        if method.points and all(point.reward.value < base for point in method.points)
    ]
    return [f"Every evaluation of {listing(names)} lies below the reference."] if names else []


def collapsed(study: FrontierSummary, run: RunSummary) -> bool:
    """Return whether a run that ended is clearly below the reference there, or lost most of what it had gained."""
    if not run.points or run.status not in FINISHED_STATUSES:
        return False
    base, last = study.reference.reward, run.points[-1].reward
    # "Clearly": the intervals lie apart. The best of noisy evaluations is above the last by luck alone.
    best = max((point.reward for point in run.points), key=lambda reward: reward.value)
    gain = best.value - base.value
    return last.below(base) or (last.below(best) and gain > 0 and best.value - last.value > FELL * gain)


def _collapse(study: FrontierSummary, method: MethodSummary, fallen: Sequence[RunSummary]) -> str:
    # One run stands for all that collapsed: the worst.
    worst = min(fallen, key=lambda run: run.points[-1].reward.value)
    last = worst.points[-1]
    where = listing(
        dict.fromkeys(words for run in fallen if (words := setting_words(method.setting, run.value, run.rate)))
    )
    repeats = last.repetition
    loops = f", and {percent(repeats)} of 4-grams repeat" if repeats is not None and repeats > 0.1 else ""
    return (
        f"{method.label} collapsed{f' at {where}' if where else ''}: the worst run ends at a reward of "
        f"{estimate(last.reward)} and {number(last.kl_nats.value)} nats (the reference has "
        f"{value_only(study.reference.reward)}){loops}."
    )


def _training_costs(study: FrontierSummary) -> str:
    """Compare what a run of the cheapest and of the dearest method cost."""
    costs = [(method.cost, method.label) for method in study.trained if method.cost]
    if len(costs) < 2:
        return ""
    (cheap, cheap_label), (dear, dear_label) = (
        pick(costs, key=lambda pair: pair[0].training_seconds) for pick in (min, max)
    )
    if cheap.training_seconds <= 0 or cheap is dear:
        return ""
    return (
        f"A run of {cheap_label} trained {duration(cheap.training_seconds)}, one of {dear_label} "
        f"{duration(dear.training_seconds)}, evaluations not counted; {cheap_label} saw "
        f"{number(cheap.samples_drawn, 0)} samples in all, {dear_label} {number(dear.samples_drawn, 0)}."
    )


def caption(study: FrontierSummary) -> str:
    """Return the caption that says how to read the plot."""
    limit, reference = study.limit, study.reference
    return (
        "Each small mark is an evaluation, thin lines join those of one setting. Large marks are what methods reach at "
        "the matched KLs (dotted), with 95% intervals: interpolated between evaluations on both sides, the best run "
        "chosen on one half of the prompts and measured on the other. The limit is estimated from "
        f"{count(reference.samples, 'sample')} of the reference for each prompt. It is trusted up to "
        f"{number(limit.trusted_kl)} nats (solid): there it is too low by about "
        f"{100 * limit.tolerance:g}% of the gain, or less, judged by what halves and quarters of the samples lack. "
        "Beyond, it is too low by more (dashed), and methods may cross it."
    )


def terminal_lines(study: FrontierSummary) -> list[str]:
    """Return the methods with their efficiency, best first, and the winner if there is one."""
    if not study.matched.common:
        return headline(study)
    lines = [f"share of the possible gain in reward at {common_nats(study)} of KL:"]
    for method, share in _ranked(study.methods):
        lines.append(f"  {method.label:<14} {estimate(share, decimals=2)}{_seconds(method)}")
    return [*lines, *headline(study)[1:]]


def _seconds(method: MethodSummary) -> str:
    cost = method.cost
    return f"  {cost.training_seconds:.0f} s of training per run" if cost else "  no training"
