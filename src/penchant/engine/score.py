"""Scoring, which nearly all compute goes into: prompts with their responses in, one number per response out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.rendered import RenderedRows
from penchant.data.rendering.renderer import Rendered
from penchant.engine.attention import evaluating, output_head, predictor_states
from penchant.engine.logps import log_sum_squares, token_logps
from penchant.engine.probe import far_lengths
from penchant.engine.score_probe import far_support, scoring_support
from penchant.engine.tree import Packing, Rows, TreeBatch, all_responses, batched, make_trees, unique_tokens

Progress = Callable[[int], None]  # called with a number of tokens done

DEFAULT_BUDGET = 1024  # tokens of one forward pass; on a CPU more is slower, since it leaves the caches
GPU_BUDGET = 16384


class Scorer(nn.Module):
    """A model that scores tree batches.

    Attributes:
        model: a language model of `transformers`, PEFT-wrapped or not; a causal one, unless a subclass says otherwise.
        packing: how responses go through the model together, in rows within the first probe's reach.
        plain_reason: why they do not go as trees, for the run's record.
        far_lengths: windows and thresholds in tokens beyond that reach, in rising order.
    """

    vocabulary_head = True
    usual_budget: int | None = None
    """Tokens of one forward pass where they do not follow from the rows."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.packing, self.plain_reason = scoring_support(model, head=self.vocabulary_head)
        self.far_lengths = far_lengths(model)
        self._far: dict[int, Packing] = {}  # by how many of these lengths the longest row exceeds

    @property
    def plain(self) -> bool:
        """True where responses went through one by one, since the model's attention cannot take trees."""
        return self.packing.plain or any(packing.plain for packing in self._far.values())

    def packing_for(self, rendered: Iterable[Rendered]) -> Packing:
        """Return how responses of these rows go through the model together; see `packing_up_to`."""
        if not self.far_lengths:
            return self.packing
        return self.packing_up_to(max((length for row in rendered for length in row.lengths), default=0))

    def packing_up_to(self, longest: int) -> Packing:
        """Return how rows of up to so many tokens go through the model together.

        A row that is the first beyond a window or threshold has the model probed there, which may slow such rows down.
        Other rows go as before: what decides is how long they are, not what was scored earlier, for a resumed run has
        to cut its passes as the run that was not interrupted.

        Raises:
            InputError: no way of scoring such a row gives the model's own numbers.
        """
        # all that decides is between which two lengths the longest row lies
        exceeded = sum(length < longest for length in self.far_lengths)
        if not exceeded:
            return self.packing
        if exceeded not in self._far:
            packing, reason = far_support(self.model, self.packing, longest, head=self.vocabulary_head)
            self._far[exceeded], self.plain_reason = packing, reason or self.plain_reason
        return self._far[exceeded]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    def states(
        self, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
    ) -> Float[Tensor, "tokens hidden"]:
        """Return the states from which the vocabulary head predicts the scored tokens; arguments as in `forward`."""
        return predictor_states(self.model, batch, inputs, first)

    def forward(
        self, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
    ) -> Float[Tensor, " slots"]:
        """Return summed log-probability of the scored tokens of each slot, float32, in nats.

        `inputs`, where given, are the states that enter block number `first`, and nothing below it is run. Where the
        batch asks for `squares` the scores have a second half of as many slots, without gradient.
        """
        states = self.states(batch, inputs, first)
        head = output_head(self.model)
        scores = _by_slot(token_logps(states, head, batch.targets), batch)
        if not batch.squares:
            return scores
        return torch.cat([scores, _by_slot(log_sum_squares(states, head).to(scores.dtype), batch)])


def _by_slot(values: Float[Tensor, " tokens"], batch: TreeBatch) -> Float[Tensor, " slots"]:
    sums = values.new_zeros(batch.slots).index_add(0, batch.owners, values)
    if batch.repeated is None or batch.repeated_owners is None:
        return sums
    return sums.index_add(0, batch.repeated_owners, values[batch.repeated])


def token_budget(device: torch.device, rendered: Sequence[Rendered]) -> int:
    """Return the default tokens of one forward pass: what suits the device, with room for a whole group.

    A group that is split costs its prompt again and, in training, a second forward pass. Past four times the usual
    it is split all the same, so that memory stays bounded.
    """
    default = DEFAULT_BUDGET if device.type == "cpu" else GPU_BUDGET
    # a group never has more unique tokens than these, and one that fits the default decides nothing: it is not built
    if isinstance(rendered, RenderedRows):
        rendered = rendered.pick(np.flatnonzero(rendered.sizes > default).tolist())
    largest = max((unique_tokens(all_responses([row])) for row in rendered), default=0)
    return max(default, min(largest, 4 * default))


def batches(
    rows: Rows, *, budget: int, packing: Packing, origins: Sequence[tuple[int, ...]] | None = None
) -> list[TreeBatch]:
    """Return tree batches that cover the rows; slot numbers count responses in the order of `rows`.

    Arguments are as in `make_trees`.
    """
    trees = make_trees(rows, budget=budget, packing=packing, origins=origins)
    slots = sum(len(indices) for _, indices in rows)
    return batched(trees, slots=slots, budget=budget, packing=packing)


def score_rows(
    scorer: Scorer,
    rows: Rows,
    *,
    budget: int = DEFAULT_BUDGET,
    progress: Progress | None = None,
    squares: bool = False,
) -> Float[Tensor, " slots"]:
    """Return summed log-probabilities of the chosen responses, in the order of `rows`, float32 on the CPU.

    With `squares`, of the vocabulary's summed squared probabilities instead (`log_sum_squares`).
    """
    flat = torch.zeros(sum(len(indices) for _, indices in rows))
    with evaluating(scorer.model):
        packing = scorer.packing_for(row for row, _ in rows)
        for batch in batches(rows, budget=budget, packing=packing):
            scores = scorer(replace(batch.to(scorer.device), squares=squares))
            # of all slots, 0 for those of other batches; the second half of the scores where squares are asked for
            flat += scores[-batch.slots :].float().cpu()
            if progress:
                progress(batch.forwarded)
    return flat


def score(
    scorer: Scorer,
    rendered: Sequence[Rendered],
    *,
    budget: int = DEFAULT_BUDGET,
    progress: Progress | None = None,
    squares: bool = False,
) -> list[Float[Tensor, " responses"]]:
    """Return summed log-probabilities of every response, a 1-D tensor per group; `squares` as in `score_rows`."""
    flat = score_rows(scorer, all_responses(rendered), budget=budget, progress=progress, squares=squares)
    return list(flat.split([len(row.branches) for row in rendered]))
