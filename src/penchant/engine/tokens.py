"""Log-probabilities, values and entropies of each token of responses, from one forward pass over trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from penchant.data.rendering.renderer import Rendered
from penchant.engine.attention import evaluating, output_head
from penchant.engine.logps import Head, block_rows, project, token_logps
from penchant.engine.score import Scorer, batches
from penchant.engine.tree import TreeBatch, all_responses

Tokens = Float[Tensor, " tokens"]


class ValueHead(nn.Module):
    """A head that reads the value, the reward still to come, from the state that predicts the next token.

    Starts at 0: before it has learned anything it says nothing.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Float[Tensor, "tokens hidden"]) -> Tokens:
        """Return values as float32, whatever the trunk's precision."""
        # rounded to half precision, the values of similar states would be equal
        with torch.autocast(states.device.type, enabled=False):
            values: Tensor = self.linear(states.float()).squeeze(-1)
        return values


@dataclass(frozen=True)
class Reading:
    """The numbers of each scored token of a batch, in the batch's order.

    Attributes:
        logps: of the token, in nats. values: of the state before it. entropies: of the choice, in nats, or None.
    """

    logps: Tokens
    values: Tokens
    entropies: Tokens | None


def read(scorer: Scorer, value_head: ValueHead | None, batch: TreeBatch, *, entropies: bool = False) -> Reading:
    """Forward a batch (on its device) once; differentiable. Values are zeros without a value head."""
    states, head = scorer.states(batch), output_head(scorer.model)
    logps = token_logps(states, head, batch.targets)
    values = torch.zeros_like(logps) if value_head is None else value_head(states)
    return Reading(logps, values, _entropies(states, head) if entropies else None)


@dataclass(frozen=True)
class Layout:
    """The places of each response's tokens where those of many responses lie one after another.

    Attributes:
        starts: (responses + 1,) the place of each response's first token, and the end.
    """

    starts: Int[Tensor, " responses+1"]

    @classmethod
    def of_rows(cls, rendered: Sequence[Rendered]) -> Layout:
        """Lay out all responses of some groups, in order."""
        lengths = torch.tensor([branch.scored for row in rendered for branch in row.branches])
        return cls(torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]))

    @property
    def lengths(self) -> Int[Tensor, " responses"]:
        """Tokens of each response."""
        return self.starts.diff()

    def positions(self, batch: TreeBatch, slots: Int[Tensor, " slots"]) -> Int[Tensor, " tokens"]:
        """Return the positions of a batch's tokens (on the CPU); `slots` says which response each slot is."""
        # a slot's tokens stand together in a batch, but slots come in any order
        owners, counts = torch.unique_consecutive(batch.owners.cpu(), return_counts=True)
        firsts = counts.cumsum(0) - counts
        within = torch.arange(int(counts.sum())) - firsts.repeat_interleave(counts)
        return self.starts[slots[owners]].repeat_interleave(counts) + within

    def padded(self, tokens: Tokens) -> tuple[Float[Tensor, "responses longest"], Tensor]:
        """Return tokens as a table, a row per response, and which cells hold one."""
        within_length = torch.arange(int(self.lengths.max()))[None] < self.lengths[:, None]
        table = tokens.new_zeros(within_length.shape)
        table[within_length] = tokens
        return table, within_length


def token_readings(
    scorer: Scorer, value_head: ValueHead | None, rendered: Sequence[Rendered], layout: Layout, *, budget: int
) -> tuple[Tokens, Tokens]:
    """Return (log-probabilities, values) of all tokens of some groups, laid out on the CPU, without gradients.

    Values are zeros without a value head.
    """
    logps, values = (torch.zeros(int(layout.starts[-1])) for _ in range(2))
    all_slots = torch.arange(len(layout.lengths))
    with evaluating(scorer.model):
        for batch in batches(all_responses(rendered), budget=budget, packing=scorer.packing_for(rendered)):
            positions, batch = layout.positions(batch, all_slots), batch.to(scorer.device)
            states = scorer.states(batch)
            logps[positions] = token_logps(states, output_head(scorer.model), batch.targets).cpu()
            if value_head is not None:
                values[positions] = value_head(states).cpu()
    return logps, values


def _entropies(states: Float[Tensor, "tokens hidden"], head: Head) -> Tokens:
    """Return the entropy of the next-token distribution at each state, computed again in the backward pass."""

    def chunk(rows: Tensor) -> Tensor:
        logits = project(rows.to(head.weight.dtype), head)
        logps = torch.log_softmax(logits, -1)
        return -(logps.exp() * logps).sum(-1)

    # kept for the backward pass, the logits would be a table of tokens times the vocabulary
    step = block_rows(head.weight.shape[0])
    parts = [checkpoint(chunk, part, use_reentrant=False) for part in states.split(step)]
    return torch.cat(parts)
