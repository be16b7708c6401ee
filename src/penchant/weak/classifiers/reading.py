"""How a language model says which class a text has: by a head on its last state.

For what is read of responses, label words and options, see `penchant.weak.classifiers.responses`.

A reading gives logits of shape (examples, classes), with gradients, for some encoded examples at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from penchant.data.rendering.vocabulary import check_vocabulary
from penchant.engine.attention import output_head, trunk, unwrap
from penchant.engine.lengths import LengthClasses
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET
from penchant.engine.tree import fill
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.weak.contract import Example, only_texts

Ids = tuple[int, ...]
EncodedRow = Any
"""What a reading makes of an example: `Ids`, or a `Rendered` prompt with responses. Only that reading looks into it."""


class Reading(Protocol):
    """A network that classifies encoded examples.

    Attributes:
        width: columns of the logits, one a class; of options -inf where a row has fewer.
    """

    policy: Policy
    width: int

    @property
    def head(self) -> list[Tensor]:
        """Weights that start from nothing and train with a rate of their own."""

    def encode(self, examples: Sequence[Example]) -> list[EncodedRow]:
        """Return examples as the network takes them. Raises InputError for what it does not read."""

    def parts(self, rows: Sequence[EncodedRow]) -> list[list[int]]:
        """Split the rows, by index, into passes that fit the memory meant for one."""

    def logits(self, rows: Sequence[EncodedRow]) -> Tensor:
        """Return logits of shape (rows, width), float32, for the rows of one pass."""


class HeadReading:
    """A linear classification head on the state of the last token.

    Args:
        classes: how many. longest: tokens of a text that are read, see `shorten`.
        init: `zero`, or `unembedding`: the rows of the output head for the tokens of 0, 1, ... (Burns et al. 2023).
        attributes: classes of each further head on the same state, for labels that are not the task's.

    Raises:
        InputError: `unembedding` with a tokenizer that has no token of its own for a class's number.
    """

    def __init__(
        self, policy: Policy, classes: int, *, longest: int, init: str = "zero", attributes: Sequence[int] = ()
    ) -> None:
        self.policy, self.width, self.longest = policy, classes, min(longest, policy.context or longest)
        network = unwrap(policy.model)
        hidden = network.config.get_text_config().hidden_size
        # float32 also where the model is not: small differences of logits decide
        self.linear = nn.Linear(hidden, classes, device=policy.scorer.device)
        nn.init.zeros_(self.linear.bias)
        # from zeros: nothing is drawn, and the model starts as it would without them
        self.attributes = [
            nn.utils.skip_init(nn.Linear, hidden, count, device=policy.scorer.device) for count in attributes
        ]
        for linear in self.attributes:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        with torch.no_grad():
            if init == "zero":
                self.linear.weight.zero_()
            else:
                weight = output_head(policy.model).weight
                self.linear.weight.copy_(weight[[_token_of(policy, str(label)) for label in range(classes)]].float())

    @property
    def head(self) -> list[Tensor]:
        return [weight for linear in (self.linear, *self.attributes) for weight in linear.parameters()]

    def encode(self, examples: Sequence[Example]) -> list[Ids]:
        texts = only_texts(examples, "a classification head")
        return [shorten(self.policy.renderer.prompt_ids(text), self.longest) for text in texts]

    def parts(self, rows: Sequence[Ids]) -> list[list[int]]:
        return fill([len(row) for row in rows], pass_budget(self.policy))

    def logits(self, rows: Sequence[Ids]) -> Tensor:
        return self._logits(rows, [self.linear])

    def every_logit(self, rows: Sequence[Ids]) -> Tensor:
        """Return the logits of the task's head and then of each attribute's, shape (rows, all their classes)."""
        # apart and not as one wide head: a product of another width has other last bits
        return self._logits(rows, [self.linear, *self.attributes])

    def _logits(self, rows: Sequence[Ids], heads: Sequence[nn.Linear]) -> Tensor:
        # the last token has seen all others
        states = last_states(self.policy, rows)[-1]
        with torch.autocast(states.device.type, enabled=False):  # in half precision near logits would be equal
            logits: list[Tensor] = [head(states.float()) for head in heads]
        return logits[0] if len(logits) == 1 else torch.cat(logits, -1)


def shorten(ids: Ids, longest: int) -> Ids:
    """Return at most `longest` tokens, half of them from the beginning and half from the end.

    So what a template or a hint writes before or after a long text is read with it.
    """
    if len(ids) <= longest:
        return ids
    # a template may ask its question before or behind a long text: both ends have to be read
    start = longest // 2
    return ids[:start] + ids[len(ids) - longest + start :]


def last_states(policy: Policy, rows: Sequence[Ids]) -> tuple[Tensor, ...]:
    """Return the states after each layer, the embedding first, at the last token of each row: (rows, hidden) each."""
    packing = policy.scorer.packing_up_to(max(map(len, rows)))
    return by_length_class(rows, packing.lengths, lambda rows_of_class: _last_states(policy, rows_of_class))


def by_length_class(
    rows: Sequence[Ids], classes: LengthClasses, run: Callable[[Sequence[Ids]], Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """Run a network over rows, never two length classes in one pass; return its tensors, shape (rows, ...) each."""
    groups = classes.grouped([len(row) for row in rows])
    # the usual case: no row has to go back to its place
    if len(groups) == 1:
        return tuple(run(rows))
    parts = [run([rows[index] for index in group]) for group in groups]
    order = torch.tensor([index for group in groups for index in group]).argsort()
    return tuple(torch.cat(tensors)[order.to(tensors[0].device)] for tensors in zip(*parts, strict=True))


def _last_states(policy: Policy, rows: Sequence[Ids]) -> tuple[Tensor, ...]:
    ids, mask = padded(rows)
    device = policy.scorer.device
    network = unwrap(policy.model)
    out = network.base_model(
        input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True, use_cache=False
    )
    # padding stands on the right, so the last token of each row is elsewhere
    last = (torch.arange(len(rows)), mask.sum(1) - 1)
    return tuple(states[last] for states in out.hidden_states)


def padded(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Return token ids, zero-padded on the right, and ones where a row has tokens; shape (rows, longest) each."""
    # on the right: positions then start at 0 for every row
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


@contextmanager
def first_layers(policy: Policy, count: int) -> Iterator[None]:
    """Leave out the layers after the first `count`, inside the block.

    So what nobody asks for is not computed. The state after the last of them is then no good, for the norm at the end
    of all follows it. A model whose layers are not found stays whole.
    """
    base = trunk(policy.model)
    size = base.config.get_text_config().num_hidden_layers
    # the list of layers is found by its length: every kind of model names it otherwise
    stacks = [
        (holder, name, child)
        for holder in base.modules()
        for name, child in holder.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == size
    ]
    # no list of that length, or several: which are the layers is not known, so all are computed
    if len(stacks) != 1 or count >= size:
        yield
        return
    ((holder, name, stack),) = stacks
    # the model runs as if it ended there; its own code is left alone
    setattr(holder, name, stack[:count])
    try:
        yield
    finally:
        setattr(holder, name, stack)


def pass_budget(policy: Policy) -> int:
    """Return how many tokens one forward pass may have."""
    return DEFAULT_BUDGET if policy.scorer.device.type == "cpu" else GPU_BUDGET


def _token_of(policy: Policy, text: str) -> int:
    """Return the one token of a text, whatever space a tokenizer writes before it."""
    tokenizer = policy.tokenizer
    # some tokenizers know a number only with the space before it
    for written in (text, f" {text}"):
        *before, last = tokenizer(written, add_special_tokens=False)["input_ids"]
        if tokenizer.decode([last]).strip() == text and not tokenizer.decode(before).strip():
            check_vocabulary([last], policy.renderer.embeddings, tokenizer)
            return int(last)
    raise InputError(
        f"this tokenizer has no token of its own for {text!r}, so a head cannot start from its row: use init=zero"
    )
