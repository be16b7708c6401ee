"""Say where a run spent much of its time on evaluation. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

LARGEST_SHARE = 1 / 3
"""Of a run's time, that evaluation takes without a word."""
SHORT_S = 10.0
"""Evaluations that take less together keep nobody waiting, whatever their share: those of a first try."""


def evaluation_share(result: Mapping[str, object], evaluate: Mapping[str, object]) -> str:
    """Return how much of a run's time its evaluations took, and which settings change that; empty where it is little.

    Args:
        result: a `result.json`. Those of earlier versions lack the time, and say nothing.
        evaluate: the settings below `evaluate` of the run.
    """
    evaluated, trained, total = (
        value if isinstance(value := result.get(key), int | float) else 0.0
        for key in ("evaluation_seconds", "training_seconds", "seconds")
    )
    # a resumed run was longer than its last session, whose time `seconds` is
    total = max(total, evaluated + trained)
    if evaluated < SHORT_S or evaluated <= LARGEST_SHARE * total:
        return ""
    every_steps, samples = evaluate.get("every_steps"), evaluate.get("samples")
    advice = [f"evaluate less often (evaluate.every_steps, now {every_steps})"] if every_steps else []
    if isinstance(samples, Mapping):
        # the number that is chosen for small data is the fewest that give an interval: below it, none are better
        advice.append("draw for fewer prompts (evaluate.samples.max_prompts) or none (evaluate.samples=null)")
    else:
        advice.append("hold out fewer rows (data.held_out)")
    return (
        f"evaluation took {evaluated:.0f} s, {evaluated / total:.0%} of the run; to shorten it, {', or '.join(advice)}"
    )
