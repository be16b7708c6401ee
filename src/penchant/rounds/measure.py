"""What a policy between two rounds writes for held-out prompts, and how likely it finds their real answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penchant.data.options import RenderOptions
from penchant.data.rendering.renderer import Rendered
from penchant.data.settings import PromptsConfig, RowsConfig
from penchant.engine.reference import Reference, sequence_kl
from penchant.engine.score import token_budget
from penchant.judges.contract import Question
from penchant.metrics.estimates import Estimate, Interval
from penchant.metrics.intervals import cluster_mean, mean_within, paired_difference
from penchant.metrics.win_rate import win_rate
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.rounds.clock import EVALUATION
from penchant.rounds.pipeline import Round
from penchant.rounds.samples import draw_samples
from penchant.rounds.supervisor import Supervisor
from penchant.runs.part_seconds import timed_part
from penchant.thoughts import shown_text
from penchant.train.evaluation.estimates import NEVER_NEGATIVE, NEVER_POSITIVE
from penchant.train.inputs.reference_table import load_reference
from penchant.typed_json import to_json
from penchant.types import PromptGroup, prompt_text

if TYPE_CHECKING:
    from penchant.models.settings import FrozenModel
    from penchant.runs.run_lines import Row


def measure_policy(
    current_round: Round,
    name: str,
    model: ModelConfig,
    frozen_models: dict[str, FrozenModel],
    supervisor: Supervisor,
    *,
    n: int,
    temperature: float,
    number: int,
) -> tuple[list[PromptGroup], Row]:
    """Return samples of a policy for the held-out prompts, and what is measured on them; both are kept in the round.

    Args:
        name: of the files: `NAME.jsonl` has the samples, `NAME.json` the numbers.
        model: the policy.
        frozen_models: by name of the measure, the models whose KL from the policy is measured.
        supervisor: its reward scores the samples, its judge compares them with the real answers.
        n: samples per prompt. temperature: of sampling. number: which of the policies it is, which fixes the draws.

    Returns:
        The samples; and `real_logps`, the summed log-probability of each real answer where there are some, with
        `estimates`.
    """
    rows = current_round.sides.held_out
    if not rows:
        return [], {}

    def draw() -> list[PromptGroup]:
        prompts = [group.prompt for group in rows]
        purpose = f"held-out|{number}"
        return draw_samples(current_round, prompts, n=n, temperature=temperature, purpose=purpose, model=model)

    samples = current_round.groups(f"{name}.jsonl", draw)

    def measure() -> Row:
        with current_round.clock.part(EVALUATION):
            with timed_part("loading"):
                policy = load_policy(model, rendering=_rendering(current_round.config.data))
            # a prompt without room was not sampled; of its real answer no number would stand beside another
            sampled = {group.prompt for group in samples}
            real = [group for group in rows if group.prompt in sampled and group.responses]
            logps = [total for group_logps in policy.score(real) for total in group_logps.tolist()]
            estimates: dict[str, Estimate | Interval] = {}
            # prompts alone have no real answers
            if logps:
                estimates["real_logps"] = mean_within(logps, _clusters(real), NEVER_POSITIVE, weights=_counts(real))
            estimates |= _sample_estimates(samples, real, supervisor)
            # one after the other: a frozen model is let go before the next one is loaded
            for measure_name, frozen in frozen_models.items():
                estimates[measure_name] = _kl(policy, frozen, samples)
            return {"real_logps": logps, "estimates": {key: to_json(value) for key, value in estimates.items()}}

    return samples, current_round.numbers(f"{name}.json", measure)


def _rendering(data: PromptsConfig) -> RenderOptions:
    """Return how real answers are rendered: as in training, which may cut their prompts."""
    if isinstance(data, RowsConfig) and data.overflow == "truncate_prompt":
        return replace(data.rendering, max_length=data.max_length, overflow=data.overflow)
    return data.rendering


def change_of_real_logps(before: Row, after: Row, rows: Sequence[PromptGroup]) -> Estimate | None:
    """Return by how much the held-out real answers became likelier, in nats per answer, paired answer by answer.

    Args:
        before, after: numbers of `measure_policy`. rows: the held-out rows that were sampled.
    """
    first, last = before.get("real_logps"), after.get("real_logps")
    if not isinstance(first, list) or not isinstance(last, list) or not first:
        return None
    # by pairs: answers differ far more in their likelihood than an iteration changes one
    return paired_difference(last, first, _clusters(rows), weights=_counts(rows), share=False)


def _sample_estimates(
    samples: Sequence[PromptGroup], real: Sequence[PromptGroup], supervisor: Supervisor
) -> dict[str, Estimate | Interval]:
    """Estimate what samples are: how long, whether they ended, what the reward or the judge says of them."""
    clusters, counts = _clusters(samples), _counts(samples)
    # one number per different response, which counts as often as it was drawn
    responses = [response for group in samples for response in group.responses]
    lengths = [float(len(response.token_ids or ())) for response in responses]
    ends = [float(response.finished) for response in responses]
    estimates: dict[str, Estimate | Interval] = {
        "tokens": mean_within(lengths, clusters, NEVER_NEGATIVE, weights=counts),
        "finished": cluster_mean(ends, clusters, weights=counts, share=True),
    }
    if supervisor.reward:
        scores = [score for group in supervisor.scores(samples, real) for score in group.scores or ()]
        estimates["reward"] = cluster_mean(scores, clusters, weights=counts)
    if supervisor.judge is not None:
        answers = supervisor.answers(_against_real(samples, real))
        # each is asked about once, and stands for every time that it was drawn
        drawn = [
            (answer.outcome, key) for answer, key, n in zip(answers, clusters, counts, strict=True) for _ in range(n)
        ]
        rate = win_rate([outcome for outcome, _ in drawn], [key for _, key in drawn]).rate
        if rate.interval is not None:
            estimates["win_rate"] = rate.interval
    return estimates


def _against_real(samples: Sequence[PromptGroup], real: Sequence[PromptGroup]) -> list[Question]:
    """Return each different sample against the first real answer to its prompt."""
    real_answers = {group.prompt: group.responses[0] for group in real}
    pairs = []
    for group in samples:
        for response in group.responses:
            a, b = (shown_text(text, thoughts=False) for text in (response, real_answers[group.prompt]))
            pairs.append(Question(prompt_text(group.prompt), a, b))
    return pairs


def _kl(policy: Policy, frozen: FrozenModel, samples: Sequence[PromptGroup]) -> Estimate:
    """Estimate the KL of a policy from a frozen model along its samples, in nats per response."""
    with timed_part("loading"):
        other = load_reference(frozen, policy)
    # whatever limit the training data has, what was sampled is scored whole
    renderer = replace(policy.renderer, max_length=None, every_turn=False, thoughts="score")
    rendered: list[Rendered] = [renderer.render(group) for group in samples]
    # exact over the vocabulary at each position, as in the evaluations of runs
    budget = token_budget(policy.scorer.device, rendered)
    kls = sequence_kl(policy.scorer, Reference(other.scorer, False), rendered, budget=budget)
    totals = [float(total) for row in kls for total in row]
    return mean_within(totals, _clusters(samples), NEVER_NEGATIVE, weights=_counts(samples))


def _clusters(groups: Sequence[PromptGroup]) -> list[int]:
    """Return the number of its prompt for every response."""
    return _per_response(groups, lambda number, _: number)


def _counts(groups: Sequence[PromptGroup]) -> list[int]:
    """Return how often every response stands for one."""
    return _per_response(groups, lambda _, count: count)


def _per_response(groups: Sequence[PromptGroup], make: Callable[[int, int], int]) -> list[int]:
    return [make(number, response.count) for number, group in enumerate(groups) for response in group.responses]
