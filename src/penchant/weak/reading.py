"""How a language model says which class a text has: a head on its last state, or label words as responses.

Both give logits of shape (texts, classes), with gradients, for some encoded texts at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from penchant.data.render import Rendered
from penchant.engine.attention import output_head, unwrap
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET, batches
from penchant.engine.tree import fill, unique_tokens
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.types import PromptGroup, Response

Ids = tuple[int, ...]


class Reading(Protocol):
    """A network that classifies encoded texts."""

    policy: Policy

    @property
    def head(self) -> list[Tensor]:
        """Weights that start from nothing and train with a rate of their own."""

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Texts as the network takes them. Raises InputError for a text without a token."""

    def parts(self, rows: Sequence[Any]) -> list[list[int]]:
        """Places of the rows in passes that fit the memory meant for one."""

    def logits(self, rows: Sequence[Any]) -> Tensor:
        """Shape (rows, classes), float32, for the rows of one pass."""


class HeadReading:
    """A linear classification head on the state of the last token.

    Args:
        classes: how many. longest: tokens of a text that are read.
        init: `zero`, or `unembedding`: the rows of the output head for the tokens of 0, 1, ... (Burns et al. 2023).

    Raises:
        InputError: `unembedding` with a tokenizer that has no token of its own for a class's number.
    """

    def __init__(self, policy: Policy, classes: int, *, longest: int, init: str = "zero") -> None:
        self.policy, self.longest = policy, min(longest, policy.context or longest)
        network: Any = unwrap(policy.model)
        hidden = network.config.get_text_config().hidden_size
        self.linear = nn.Linear(hidden, classes, device=policy.scorer.device)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            if init == "zero":
                self.linear.weight.zero_()
            else:
                weight = output_head(policy.model).weight
                self.linear.weight.copy_(weight[[_token_of(policy, str(label)) for label in range(classes)]].float())

    @property
    def head(self) -> list[Tensor]:
        return list(self.linear.parameters())

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        return [self.policy.renderer.prompt_ids(text)[: self.longest] for text in texts]

    def parts(self, rows: Sequence[Ids]) -> list[list[int]]:
        return fill([len(row) for row in rows], _budget(self.policy))

    def logits(self, rows: Sequence[Ids]) -> Tensor:
        states = last_states(self.policy, rows)[-1]
        with torch.autocast(states.device.type, enabled=False):  # in half precision near logits would be equal
            found: Tensor = self.linear(states.float())
        return found


class WordsReading:
    """Label words as responses to one prompt, which is forwarded once for all of them; logits are their summed logps.

    Args:
        words: one a class. prompt: with {text} where the text goes. longest: tokens of a text that are read.
        shots: (text, class) pairs that stand before the text, with their words.

    Raises:
        InputError: a word twice, or a prompt without {text}.
    """

    head: list[Tensor]

    def __init__(
        self,
        policy: Policy,
        words: Sequence[str],
        *,
        prompt: str,
        longest: int,
        shots: Sequence[tuple[str, int]] = (),
    ) -> None:
        if len(set(words)) < len(words):
            raise InputError(f"label words must differ from each other, got {', '.join(words)}")
        if "{text}" not in prompt:
            raise InputError(f"the prompt {prompt!r} has no place for the text: write {{text}} where it goes")
        self.policy, self.longest, self.prompt, self.head = policy, longest, prompt, []
        self.words = [word if word[:1].isspace() or prompt[-1:].isspace() else f" {word}" for word in words]
        self.before = "".join(f"{self._ask(text)}{self.words[label]}\n\n" for text, label in shots)

    def encode(self, texts: Sequence[str]) -> list[Rendered]:
        answers = [Response(word, finished=False) for word in self.words]
        groups = [PromptGroup(self.before + self._ask(text), answers) for text in texts]
        rendered = []
        for row in self.policy.renderer.render_many(groups):
            if isinstance(row, InputError):
                raise row
            rendered.append(row)
        return rendered

    def parts(self, rows: Sequence[Rendered]) -> list[list[int]]:
        return fill([unique_tokens([(row, range(len(row.branches)))]) for row in rows], _budget(self.policy))

    def logits(self, rows: Sequence[Rendered]) -> Tensor:
        scorer = self.policy.scorer
        everyone = [(row, range(len(row.branches))) for row in rows]
        scores = torch.zeros(len(rows) * len(self.words), device=scorer.device)
        for batch in batches(everyone, budget=_budget(self.policy), plain=scorer.plain):
            scores = scores + scorer(batch.to(scorer.device))
        return scores.view(len(rows), -1)

    def _ask(self, text: str) -> str:
        ids = self.policy.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) > self.longest:
            text = self.policy.renderer.decode((), ids[: self.longest])
        return self.prompt.replace("{text}", text)


def last_states(policy: Policy, rows: Sequence[Ids]) -> tuple[Tensor, ...]:
    """The states after each layer, the embedding first, at the last token of each row; shape (rows, hidden) each."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
    inside = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    device = policy.scorer.device
    network: Any = unwrap(policy.model)
    out = network.base_model(
        input_ids=ids.to(device), attention_mask=inside.to(device), output_hidden_states=True, use_cache=False
    )
    last = (torch.arange(len(rows)), lengths - 1)
    return tuple(states[last] for states in out.hidden_states)


def _budget(policy: Policy) -> int:
    return DEFAULT_BUDGET if policy.scorer.device.type == "cpu" else GPU_BUDGET


def _token_of(policy: Policy, text: str) -> int:
    """The one token of a text, whatever space a tokenizer writes before it."""
    tokenizer = policy.tokenizer
    for written in (text, f" {text}"):
        *before, last = tokenizer(written, add_special_tokens=False)["input_ids"]
        if tokenizer.decode([last]).strip() == text and not tokenizer.decode(before).strip():
            return int(last)
    raise InputError(
        f"this tokenizer has no token of its own for {text!r}, so a head cannot start from its row: use init=zero"
    )
