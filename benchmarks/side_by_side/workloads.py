"""What is trained: a model, and random but fixed comparisons of stated sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Workload:
    """A model and the shape of its data. All lengths are in tokens, both ends included.

    Attributes:
        name, title: on the command line and in the report.
        model: a built-in name of Penchant or a folder; None where `--model` must say.
        responses: responses of a prompt; every two of them are compared.
        response_tokens: of a response, its end token included.
        prompt_tokens: of a prompt.
        pairs_per_step: comparisons of an optimizer step, whole prompts.
        steps: optimizer steps unless `--steps` says otherwise.
        learning_rate: of the optimizer.
        trl_batches: pairs of one forward pass to try for TRL (the rest is gradient accumulation).
    """

    name: str
    title: str
    model: str | None
    responses: int
    response_tokens: tuple[int, int]
    prompt_tokens: tuple[int, int]
    pairs_per_step: int
    steps: int
    learning_rate: float
    trl_batches: tuple[int, ...]

    @property
    def pairs_per_prompt(self) -> int:
        """Every two responses."""
        return self.responses * (self.responses - 1) // 2

    def prompts(self, steps: int) -> int:
        """Prompts that so many steps use up."""
        return steps * self.pairs_per_step // self.pairs_per_prompt

    def as_json(self) -> dict[str, Any]:
        """For the job files and the results."""
        return asdict(self)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "four-short",
            "4 responses of 24-40 tokens, all 6 pairs, prompts of 4-8 tokens, SmolLM2-135M",
            "smollm2-135m",
            responses=4,
            response_tokens=(24, 40),
            prompt_tokens=(4, 8),
            pairs_per_step=24,
            steps=6,
            learning_rate=1e-6,
            trl_batches=(6, 12, 24),
        ),
        Workload(
            "two-long",
            "2 responses of 20-60 tokens, prompts of 200-400 tokens, SmolLM2-135M",
            "smollm2-135m",
            responses=2,
            response_tokens=(20, 60),
            prompt_tokens=(200, 400),
            pairs_per_step=4,
            steps=6,
            learning_rate=1e-6,
            trl_batches=(1, 2, 4),
        ),
        Workload(
            "smoke",
            "4 responses of 8-16 tokens, all 6 pairs, prompts of 4-8 tokens, a small model (does it run?)",
            None,
            responses=4,
            response_tokens=(8, 16),
            prompt_tokens=(4, 8),
            pairs_per_step=24,
            steps=8,
            learning_rate=1e-4,
            trl_batches=(12, 24),
        ),
    )
}
