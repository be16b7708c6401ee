"""One iteration of SPIN: the model answers, learns to tell real answers from its own, and is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penchant.data.load import load_responses
from penchant.data.rendering.renderer import TooLong
from penchant.errors import InputError
from penchant.models.load import load_renderer, stated_context
from penchant.models.settings import ModelConfig
from penchant.rounds.measure import change_of_real_logps, measure_policy
from penchant.rounds.pipeline import Round, RoundEnd
from penchant.rounds.samples import draw_samples
from penchant.typed_json import to_json
from penchant.types import Comparison, PromptGroup, Response

if TYPE_CHECKING:
    from penchant.metrics.estimates import Estimate
    from penchant.models.settings import FrozenModel
    from penchant.rounds.spin import SPIN
    from penchant.rounds.supervisor import Supervisor
    from penchant.runs.run_lines import Row
    from penchant.types import RunResult

START, AFTER = "start", "measured"
"""Names of the files with what the start and an iteration's model write for held-out prompts."""


def play_iteration(config: SPIN, current_round: Round, supervisor: Supervisor) -> RoundEnd:
    """Let the model answer, train it against its answers, and measure it."""
    held_samples, before = _measured_before(config, current_round, supervisor)
    rows = current_round.sides.train

    def draw() -> list[PromptGroup]:
        prompts = [group.prompt for group in rows]
        return draw_samples(
            current_round, prompts, n=config.samples_per_prompt, temperature=config.temperature, purpose="spin"
        )

    generated = current_round.groups("generated.jsonl", draw)
    own_pairs = current_round.groups("own-pairs.jsonl", lambda: against_real(rows, generated))
    counts = count_answers(rows, generated)
    row: Row = {"samples": counts, "before": before.get("estimates")}
    if not own_pairs:
        reason = f"all {counts['samples']} answers of the model are the real ones: nothing is left to tell apart"
        return RoundEnd(row, None, stop_reason=reason)
    # drawn and measured when the model was trained: those of the start alone are drawn in the first iteration
    held_pairs = against_real(current_round.sides.held_out, held_samples)
    # a file without rows cannot be read, and accuracy on answers that are the real ones would mean nothing
    if config.data.held_out and not held_pairs:
        reason = "all answers to held-out prompts are the real ones: nothing is left to tell apart"
        return RoundEnd(row, None, stop_reason=reason)
    if held_pairs:
        current_round.groups("held-out-pairs.jsonl", lambda: held_pairs)
    learned_pairs = current_round.groups("pairs.jsonl", lambda: _with_earlier(config, current_round, own_pairs))
    result = current_round.stage(config.stage(current_round.number))
    _, after = _measured_after(config, current_round, supervisor)
    # the likelihoods are of those rows alone whose prompts leave room for an answer
    sampled = {group.prompt for group in held_samples}
    held_rows = [group for group in current_round.sides.held_out if group.prompt in sampled]
    change = change_of_real_logps(before, after, held_rows)
    accuracy = _accuracy(result)
    row |= {
        "pairs_learned": sum(len(group.comparisons) for group in learned_pairs),
        "accuracy": accuracy,
        "real_logps_change": None if change is None else to_json(change),
        "after": after.get("estimates"),
        "policy": _without_sources(result.metrics["final"]),
    }
    # without the rule the user trains on whatever the likelihood does, and wants the last model
    improved = change.value > 0 if config.stop_likelihood and change is not None else None
    return RoundEnd(row, result, _stop_reason(config, accuracy, change), improved)


def without_too_long(config: SPIN, rows: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return demonstrations that training would keep under `overflow=drop`; all of them under another rule.

    Raises:
        InputError: nothing is left.
    """
    data, model = config.data, config.model
    if data.overflow != "drop":
        return list(rows)
    trust = model.trust_remote_code
    renderer = load_renderer(model.name, rendering=data.rendering, trust_remote_code=trust)
    context = stated_context(model.name, trust_remote_code=trust)
    renderer = replace(renderer, max_length=min(filter(None, (data.max_length, context)), default=None))
    # before the split, so that held-out rows are those that can be measured, and nothing is answered in vain
    outcomes = renderer.render_many(list(rows))
    kept = [row for row, outcome in zip(rows, outcomes, strict=True) if not isinstance(outcome, TooLong)]
    if not kept:
        raise InputError(f"{data.path}: each of its {len(rows)} prompts with answers is too long: raise `max_length`")
    return kept


def count_answers(rows: Sequence[PromptGroup], generated: Sequence[PromptGroup]) -> dict[str, int]:
    """Count a model's answers.

    Args:
        rows: prompts with their real answers. generated: prompts with the model's answers.

    Returns:
        `prompts` that were answered and those `without_room`; `samples`, and of these the `repeated` (another one of
        their prompt says the same), the `empty`, the `cut`, and those `as_real`, which say what a real answer says.
    """
    real_texts = {row.prompt: {response.text for response in row.responses} for row in rows}
    answers = [(group, response) for group in generated for response in group.responses]
    samples = sum(response.count for _, response in answers)
    return {
        "prompts": len(generated),
        "without_room": len(rows) - len(generated),
        "samples": samples,
        "repeated": samples - sum(len({response.text for response in group.responses}) for group in generated),
        "empty": sum(response.count for _, response in answers if not response.text.strip()),
        "cut": sum(response.count for _, response in answers if not response.finished),
        "as_real": sum(response.count for group, response in answers if response.text in real_texts[group.prompt]),
    }


def against_real(rows: Sequence[PromptGroup], generated: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return pairs of real answers, which win, and generated ones; answers that say the same as a real one make none.

    Args:
        rows: prompts with their real answers. generated: prompts with the model's answers.
    """
    real_answers = {row.prompt: row.responses for row in rows}
    groups = []
    for group in generated:
        real = real_answers.get(group.prompt, ())
        # by text: with other tokens of the same text there would be nothing to prefer
        texts = {response.text for response in real}
        generated_only: list[Response] = [response for response in group.responses if response.text not in texts]
        comparisons = [
            # as often as both stood there: a demonstration twice in the data, an answer drawn twice
            Comparison(winner, len(real) + loser, weight=float(real[winner].count * response.count))
            for winner in range(len(real))
            for loser, response in enumerate(generated_only)
        ]
        if comparisons:
            groups.append(PromptGroup(group.prompt, (*real, *generated_only), comparisons))
    return groups


def _with_earlier(config: SPIN, current_round: Round, own_pairs: list[PromptGroup]) -> list[PromptGroup]:
    """Return the pairs to learn from, those of earlier iterations first."""
    groups: list[PromptGroup] = []
    for number in range(max(0, current_round.number - config.earlier_rounds), current_round.number):
        groups += load_responses(config.folder(number) / "own-pairs.jsonl", merge=False)
    return [*groups, *own_pairs]


def _measured_before(config: SPIN, current_round: Round, supervisor: Supervisor) -> tuple[list[PromptGroup], Row]:
    """Return what the model that an iteration begins with writes and is measured by."""
    number = current_round.number
    if number == 0:
        return _measured(config, current_round, supervisor, START, config.model, 0)
    # the iteration before has measured it when it had trained it
    earlier_round = Round(
        number - 1, config, current_round.files, current_round.sides, current_round.clock, current_round.warnings
    )
    return _measured_after(config, earlier_round, supervisor)


def _measured_after(config: SPIN, current_round: Round, supervisor: Supervisor) -> tuple[list[PromptGroup], Row]:
    number = current_round.number + 1
    return _measured(config, current_round, supervisor, AFTER, config.policy_before(number), number)


def _measured(
    config: SPIN, current_round: Round, supervisor: Supervisor, name: str, model: ModelConfig, number: int
) -> tuple[list[PromptGroup], Row]:
    """Return a model's samples for held-out prompts and its numbers.

    Args:
        number: of the model: 0 is the start.
    """
    # the start has moved from nothing
    frozen_models: dict[str, FrozenModel] = {}
    if number:
        frozen_models = {"kl_start": config.frozen_start(), "kl_last": config.frozen_before(number - 1)}
    return measure_policy(
        current_round,
        name,
        model,
        frozen_models,
        supervisor,
        n=config.samples_per_prompt,
        temperature=config.temperature,
        number=number,
    )


def _without_sources(final: Row) -> Row:
    """Return final numbers without those by source: there is one held-out source, of which all of them are."""
    held_out = final.get("held_out")
    if not isinstance(held_out, Mapping):
        return final
    return {**final, "held_out": {name: numbers for name, numbers in held_out.items() if name != "by_source"}}


def _accuracy(result: RunResult) -> Mapping[str, object] | None:
    """Return how often an iteration's model tells a held-out real answer from a generated one."""
    final = result.metrics["final"] or {}
    accuracy = final.get("held_out", {}).get("accuracy")
    return accuracy if isinstance(accuracy, Mapping) else None


def _stop_reason(config: SPIN, accuracy: Mapping[str, object] | None, change: Estimate | None) -> str | None:
    """Return why no further iteration is needed; None where one is."""
    margin, interval = config.stop_margin, _interval(accuracy)
    # the whole interval: around one half it lies with few rows, or after a short training, too
    if margin is not None and interval and interval[0] >= 0.5 - margin and interval[1] <= 0.5 + margin:
        return (
            f"real and generated answers cannot be told apart: the accuracy on held-out pairs lies in "
            f"[{interval[0]:.3f}, {interval[1]:.3f}], within 0.5 +- {margin:g}"
        )
    if config.stop_likelihood and change is not None and change.value <= 0:
        # by the mean: where a rise is no longer seen, an interval that holds 0 would let it go on for ever
        bounds = "" if change.low is None else f" [{change.low:.3f}, {change.high:.3f}]"
        return (
            f"the held-out real answers became no likelier: {change.value:+.3f}{bounds} nats per answer; the model "
            "before this iteration is the better one by this"
        )
    return None


def _interval(estimate: Mapping[str, object] | None) -> tuple[float, float] | None:
    """Return the ends of an estimate's interval; None where it has none."""
    low, high = (estimate.get(end) if estimate else None for end in ("low", "high"))
    return (low, high) if isinstance(low, float) and isinstance(high, float) else None
