"""Best-of-N: draw N samples, keep the one that a reward likes best. No training; the strongest simple baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from penchant.arguments import as_prompts, is_prompt
from penchant.engine.sampling import Sampling
from penchant.engine.score import Progress
from penchant.errors import InputError
from penchant.metrics.limit import best_of_n_kl
from penchant.models.policy import Policy
from penchant.rewards import Reward, score_groups
from penchant.types import Prompt, PromptGroup, Response


@dataclass(frozen=True)
class BestOfN:
    """A policy whose every sample is the best of n samples of another; it generates as that one does.

    Attributes:
        policy: draws the candidates.
        reward: (prompt, response) texts -> one number each; the largest is kept, of equal ones the first drawn.
        n: candidates per sample. With 1 it is the policy itself, sample by sample.

    Raises:
        InputError: n below 1; later, whatever the reward does against its contract.
    """

    policy: Policy
    reward: Reward
    n: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"best of n needs at least one candidate, got n={self.n}")

    @property
    def kl_bound_nats(self) -> float:
        """An upper bound of the KL from the policy: ln n - (n - 1) / n."""
        return float(best_of_n_kl(self.n))

    def draw(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling: Sampling,
        *,
        progress: Progress | None = None,
        columns: Sequence[Mapping[str, object]] | None = None,
    ) -> list[list[Response]]:
        """Return the kept samples, one list per prompt.

        Sample i is the best of the policy's samples i n to i n + n - 1.

        Args:
            columns: of each prompt's row, for a reward that reads some, such as a verifier.
        """
        # a draw depends on the seed, the prompt and its index: with n = 1 these are the policy's own samples
        prompts = as_prompts(prompts)
        candidates = self.policy.draw(prompts, replace(sampling, n=sampling.n * self.n), progress=progress)
        # a group keeps identical candidates apart: each is one of the n of its own block
        rows: Sequence[Mapping[str, object]] = [{}] * len(prompts) if columns is None else columns
        groups = [
            PromptGroup(prompt, responses, columns=row)
            for prompt, responses, row in zip(prompts, candidates, rows, strict=True)
        ]
        samples = []
        scored_groups = score_groups(groups, self.reward, tokenizer=self.policy.tokenizer)
        for row, group in zip(candidates, scored_groups, strict=True):
            scores = group.scores or ()
            # of equal scores the larger -index is the first drawn
            scored = [(score, -index, row[index]) for index, score in enumerate(scores)]
            blocks = [scored[start : start + self.n] for start in range(0, len(scored), self.n)]
            samples.append([max(block, key=lambda candidate: candidate[:2])[2] for block in blocks])
        return samples

    # as of `Policy.generate`: a text is a list of texts to a checker, too
    @overload
    def generate(  # type: ignore[overload-overlap]
        self,
        prompts: str,
        n: int = 1,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        seed: int = 0,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> list[str]: ...
    @overload
    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int = 1,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        seed: int = 0,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> list[list[str]]: ...
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        n: int = 1,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        seed: int = 0,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> list[str] | list[list[str]]:
        """Return n texts per prompt, each the best of `self.n`; arguments and result as of `Policy.generate`."""
        settings = Sampling(n, temperature, max_new_tokens, top_k, top_p, seed)
        texts = [[response.text for response in row] for row in self.draw(prompts, settings)]
        return texts[0] if is_prompt(prompts) else texts
