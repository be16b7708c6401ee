"""Phrase what the sentences on one run and on several share: units, movements, samples' sizes."""

from __future__ import annotations

import re

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import NAME, count, estimate, number, same_when_printed, short, verb
from penchant.runs.read import Run

WHY_CHOSEN_FALLS = (
    "A falling chosen log-probability is common with losses on differences such as DPO's: they only ask "
    "that rejected responses fall further, and text that resembles both sinks with them. It is bad when the "
    "probability goes to text that nobody chose: the reward does not rise, KL runs away, or samples repeat "
    "themselves."
)


def name(run: Run) -> str:
    """Return a run's name, short enough for a sentence."""
    return short(run.name, NAME)


def held_out(e: Estimate, noun: str) -> str:
    """Format the size of a held-out sample: `144 held-out comparisons (24 prompts)`."""
    return f"{count(e.n, noun)} ({count(e.clusters, 'prompt')})"


def format_metric(e: Estimate, key: str) -> str:
    """Format an estimate of a metric: a share in percent, anything else with its unit."""
    measured = metric(key)
    unit = f" {measured.unit}" if measured.unit else ""
    return f"{estimate(e, percent=measured.is_share)}{unit}"


def from_to(a: Estimate, b: Estimate, key: str = "loss") -> str:
    """Say how a metric moved: `rose from 0.14 [0.07, 0.21] to 0.36 [0.28, 0.44] nats`."""
    # "Rose from 0.31 to 0.31" is never written.
    if same_when_printed(a, b):
        return f"stayed at {format_metric(b, key)}"
    return f"{verb(a, b)} from {estimate(a, percent=metric(key).is_share)} to {format_metric(b, key)}"


def training_movement(trained: tuple[Estimate, Estimate], key: str) -> str:
    """Say how the mean of a metric moved between the first and the last training batches."""
    text, (_, end) = from_to(*trained, key), trained
    # of one step there is no mean to speak of
    if end.n < 2:
        return text
    steps = f"means of the first and last {end.n} steps"
    # said once, where both numbers lack an interval for the same reason, and as what it is: too few steps
    bracket = f" [{end.reason}]"
    if end.low is None and end.reason.startswith("no interval: ") and text.count("[") == text.count(bracket):
        return f"{text.replace(bracket, '')} ({steps}, too few for an interval)"
    return f"{text} ({steps})"


def chosen_anchor(run: Run) -> str:
    """Say what keeps chosen responses likely: the setting of the run, or that there is one."""
    # other losses have no such term, and then the setting is what may help
    weight = run.setting("loss", "nll_weight")
    if isinstance(weight, (int, float)) and weight > 0:
        return f"The run holds the chosen responses with `loss.nll_weight: {number(float(weight))}`."
    return "`loss.nll_weight` above 0 keeps chosen responses likely."


def capital(text: str) -> str:
    """Raise the first letter and leave the others as they are."""
    return text[:1].upper() + text[1:]


_BRACKETS = re.compile(r" \[([^]]*)\]")


def state_reason_once(text: str) -> str:
    """Say once why numbers have no interval, where that is so of all of a text and for one reason.

    `rose from 0.1 [no interval: 2 prompts] to 0.3 [no interval: 2 prompts].` becomes
    `rose from 0.1 to 0.3. No number here has an interval: 2 prompts.`
    """
    brackets = _BRACKETS.findall(text)
    # An interval among them would make "no number here" a lie, and of two reasons each has its place.
    if len(brackets) < 2 or len(set(brackets)) > 1 or not brackets[0].startswith("no interval: "):
        return text
    reason = brackets[0].removeprefix("no interval: ")
    return f"{_BRACKETS.sub('', text)} No number here has an interval: {reason}."
