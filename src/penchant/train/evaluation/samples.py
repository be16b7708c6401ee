"""Samples of policy and reference for the same prompts and seeds, and what is measured on them.

Every number is an estimate with a 95% interval that resamples prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from penchant.data.rendering.renderer import Rendered
from penchant.engine.generate import Sampling
from penchant.engine.reference import Reference, sequence_kl
from penchant.engine.score import DEFAULT_BUDGET
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, mean_within
from penchant.metrics.text import distinct_n, repetition
from penchant.models.policy import Policy
from penchant.rewards import Reward, score_groups
from penchant.runs.progress import progress_bar
from penchant.train.evaluation.estimates import BOUNDS
from penchant.typed_json import OMITTED
from penchant.types import Prompt, PromptGroup, Response, prompt_text

SHARE_OF_SAMPLES: dict[str, bool | None] = {
    "distinct_2": True,
    "repetition": True,
    "finished": True,
    "reward": None,  # some rewards are 0 or 1, and then their mean is a share
}
"""Whether the mean over samples is a share, which has an exact interval; of what is not in `BOUNDS`."""


@dataclass(frozen=True)
class Sample:
    """A sampled response: its length in tokens, whether the model ended it, and its reward and KL where measured."""

    text: str
    tokens: float
    finished: bool
    reward: Annotated[float | None, OMITTED] = None
    kl_nats: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True)
class SampleRow:
    """A line of samples.jsonl: the samples of one prompt after a step, draw by draw of both models."""

    step: int
    prompt: str
    policy: tuple[Sample, ...]
    reference: tuple[Sample, ...]


@dataclass
class SampleEvaluation:
    """Samples of the policy against samples of the reference, prompt by prompt, draw by draw.

    Attributes:
        rows: the prompts to sample for, with the columns that the reward reads. sampling: how, the same for both.
        reward: the true reward of (prompt, response) texts, or None.
        reference: what the policy is compared with; given once it is loaded.
        budget: tokens of one forward pass.
    """

    policy: Policy
    rows: Sequence[PromptGroup]
    sampling: Sampling
    reward: Reward | None
    reference: Reference | None = None
    budget: int = DEFAULT_BUDGET
    _of_reference: list[list[Response]] | None = field(default=None, init=False)
    _reference_columns: dict[str, list[float]] = field(default_factory=dict, init=False)

    @property
    def prompts(self) -> list[Prompt]:
        """Return what to sample for."""
        return [row.prompt for row in self.rows]

    def run(self, step: int) -> tuple[dict[str, dict[str, Estimate]], list[SampleRow]]:
        """Return estimates for policy and reference after a step, and one row of samples per prompt."""
        assert self.reference is not None
        # the reference never changes, so its samples and their rewards are computed once for all evaluations
        if self._of_reference is None:
            with self.reference.active() as scorer:
                # the policy's own renderer: both models answer the same tokens
                frozen = Policy(scorer.model, self.policy.renderer, self.policy.name)
                self._of_reference = self._draw(frozen, "sampling the reference")
            self._reference_columns = self._columns(self._of_reference)
        samples = self._draw(self.policy, "sampling the policy")
        # exact over the vocabulary at each position: less variance than the log-ratio of the sampled tokens
        kls = sequence_kl(self.policy.scorer, self.reference, self._render(samples), budget=self.budget)
        columns = self._columns(samples) | {"kl_nats": [float(kl) for row in kls for kl in row]}
        frozen_columns = self._reference_columns
        # a prompt's draws are alike: intervals resample prompts, not draws
        clusters = [number for number in range(len(self.prompts)) for _ in range(self.sampling.n)]
        estimates = {
            model: {
                name: mean_within(values, clusters, BOUNDS[name])
                if name in BOUNDS
                else cluster_mean(values, clusters, share=SHARE_OF_SAMPLES[name])
                for name, values in columns_of_model.items()
            }
            for model, columns_of_model in (("policy", columns), ("reference", frozen_columns))
        }
        rows = [
            SampleRow(
                step,
                prompt_text(prompt),
                _samples(samples[number], columns, number * self.sampling.n),
                _samples(self._of_reference[number], frozen_columns, number * self.sampling.n),
            )
            for number, prompt in enumerate(self.prompts)
        ]
        return estimates, rows

    def _draw(self, policy: Policy, title: str) -> list[list[Response]]:
        with progress_bar(title, len(self.prompts) * self.sampling.n, "samples") as advance:
            return policy.draw(self.prompts, self.sampling, progress=advance)

    def _render(self, samples: Sequence[Sequence[Response]]) -> list[Rendered]:
        # whatever limit the training data has, what was sampled is scored whole
        media = self.policy.renderer.media
        renderer = replace(
            self.policy.renderer,
            max_length=None,
            every_turn=False,
            thoughts="score",
            media=None if media is None else media.without_limit(),
        )
        return [
            renderer.render(PromptGroup(prompt, list(row))) for prompt, row in zip(self.prompts, samples, strict=True)
        ]

    def _columns(self, samples: Sequence[Sequence[Response]]) -> dict[str, list[float]]:
        """Return one number per sample for each quantity."""
        flat = [response for row in samples for response in row]
        ids = [response.token_ids or () for response in flat]
        columns = {
            "tokens": [float(len(tokens)) for tokens in ids],
            "distinct_2": distinct_n(ids, 2),
            "repetition": repetition(ids),
            "finished": [float(response.finished) for response in flat],
        }
        if self.reward is not None:
            # as groups: a learned reward reads the drawn tokens and sees which samples were cut
            groups = [row.replace(responses=responses) for row, responses in zip(self.rows, samples, strict=True)]
            scored = score_groups(groups, self.reward, tokenizer=self.policy.tokenizer)
            columns["reward"] = [score for group in scored for score in group.scores or ()]
        return columns


def _samples(row: Sequence[Response], columns: dict[str, list[float]], first: int) -> tuple[Sample, ...]:
    """Return the samples of a prompt, whose numbers stand in the columns from `first` on."""
    return tuple(
        Sample(
            response.text,
            columns["tokens"][number],
            response.finished,
            **{name: columns[name][number] for name in ("reward", "kl_nats") if name in columns},
        )
        for number, response in enumerate(row, start=first)
    )
