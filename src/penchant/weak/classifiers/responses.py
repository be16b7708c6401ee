"""How a language model reads responses to a prompt, which is forwarded once for all of them.

They are label words, a row's own options, or options under a scalar head, which is a reward model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from penchant.data.rendering.rendered import Branch
from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.engine.attention import states_at, unwrap
from penchant.engine.score import batches
from penchant.engine.tree import TreeBatch, fill, unique_tokens
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.types import PromptGroup, Response, prompt_text
from penchant.weak.classifiers.reading import pass_budget, shorten
from penchant.weak.contract import Example

CLASS_PROMPT, OPTIONS_PROMPT = "{text}\nLabel:", "{text}"
Shot = tuple[str, str]
"""A text and the word that answers it."""


class WordsReading:
    """Label words, or a row's own options, as responses to one prompt; logits are their summed logps.

    Args:
        words: one a class; None where each row has options of its own.
        width: how many options the longest list has, then.
        prompt: with {text} where the text goes. longest: tokens of a text that are read, see `shorten`.
        shots: texts with the words that answer them, which stand before the text.

    Raises:
        InputError: a word twice, or a prompt without {text}.
    """

    head: list[Tensor]

    def __init__(
        self,
        policy: Policy,
        words: Sequence[str] | None,
        *,
        width: int = 0,
        prompt: str | None = None,
        longest: int,
        shots: Sequence[Shot] = (),
    ) -> None:
        prompt = prompt or (CLASS_PROMPT if words else OPTIONS_PROMPT)
        # two classes of one word could not be told apart
        if words and len(set(words)) < len(words):
            raise InputError(f"label words must differ from each other, got {', '.join(words)}")
        if "{text}" not in prompt:
            raise InputError(f"the prompt {prompt!r} has no place for the text: write {{text}} where it goes")
        self.policy, self.longest, self.prompt, self.head = policy, longest, prompt, []
        # scored as a model would write them: most tokenizers join a space to the word behind it
        self.words = None if words is None else [self._with_space(word) for word in words]
        self.width = len(self.words) if self.words else width
        # shots stand before every text, so they are rendered once
        self.before = "".join(f"{self._ask(text)}{self._with_space(word)}\n\n" for text, word in shots)

    def encode(self, examples: Sequence[Example]) -> list[Rendered]:
        return _rendered(self.policy.renderer, [self._group(example) for example in examples])

    def parts(self, rows: Sequence[Rendered]) -> list[list[int]]:
        return _parts(self.policy, rows)

    def logits(self, rows: Sequence[Rendered]) -> Tensor:
        scorer = self.policy.scorer
        scores = torch.zeros(sum(len(row.branches) for row in rows), device=scorer.device)
        for batch in _batches(self.policy, rows):
            scores = scores + scorer(batch)
        return _padded(scores, rows, self.width)

    def _group(self, example: Example) -> PromptGroup:
        if isinstance(example, PromptGroup) == bool(self.words):
            raise InputError("label words classify texts, and a row's own options answer prompts: the two do not mix")
        if isinstance(example, PromptGroup):
            text, words = prompt_text(example.prompt), [self._with_space(option.text) for option in example.responses]
        else:
            text, words = str(example), self.words or []
        return PromptGroup(self.before + self._ask(text), [Response(word, finished=False) for word in words])

    def _with_space(self, word: str) -> str:
        return word if word[:1].isspace() or self.prompt[-1:].isspace() else f" {word}"

    def _ask(self, text: str) -> str:
        ids = self.policy.tokenizer(text, add_special_tokens=False)["input_ids"]
        # the text is cut, never the question behind it
        if len(ids) > self.longest:
            text = self.policy.renderer.decode((), shorten(tuple(ids), self.longest))
        return self.prompt.replace("{text}", text)


class RewardReading:
    """A scalar head on the state at the end of each option, which starts from zero.

    Logits are these rewards, so that with two options their cross-entropy is Bradley and Terry's loss.

    Args:
        width: how many options the longest list has. longest: tokens of prompt and option that are read, see
            `shortened`.
    """

    def __init__(self, policy: Policy, width: int, *, longest: int) -> None:
        self.policy, self.width, self.longest = policy, width, min(longest, policy.context or longest)
        hidden = unwrap(policy.model).config.get_text_config().hidden_size
        self.linear = nn.Linear(hidden, 1, bias=False, device=policy.scorer.device)
        # all options start equal: a random head would prefer some before it learned anything
        nn.init.zeros_(self.linear.weight)

    @property
    def head(self) -> list[Tensor]:
        return list(self.linear.parameters())

    def encode(self, examples: Sequence[Example]) -> list[Rendered]:
        return encode_options(self.policy, examples, self.longest)

    def parts(self, rows: Sequence[Rendered]) -> list[list[int]]:
        return _parts(self.policy, rows)

    def logits(self, rows: Sequence[Rendered]) -> Tensor:
        rewards = torch.zeros(sum(len(row.branches) for row in rows), device=self.policy.scorer.device)
        for batch in _batches(self.policy, rows):
            states = states_at(self.policy.model, batch, batch.ends)
            with torch.autocast(states.device.type, enabled=False):  # in half precision near rewards would be equal
                rewards = rewards.index_add(0, batch.end_owners, self.linear(states.float()).squeeze(-1))
        return _padded(rewards, rows, self.width)


def encode_options(policy: Policy, examples: Sequence[Example], longest: int) -> list[Rendered]:
    """Encode prompts with their options as finished responses, shortened to `longest` tokens."""
    groups = []
    for example in examples:
        if not isinstance(example, PromptGroup):
            raise InputError("a reward is that of an option, and this example is a text without any")
        # finished: a reward is read at the end token, as reward models are trained
        options = [Response(option.text) for option in example.responses]
        groups.append(PromptGroup(prompt_text(example.prompt), options, source=example.source))
    renderer = replace(policy.renderer, max_length=None)  # it would refuse a response that fills the model's context
    return [shortened(row, longest) for row in _rendered(renderer, groups)]


def shortened(row: Rendered, longest: int) -> Rendered:
    """Return the row with at most `longest` tokens in prompt and response.

    A response keeps its beginning. The prompt keeps what then has room, at least a quarter of all, from its beginning
    and its end.
    """
    # as much for every option of a row, so that all are asked the same prompt
    prompt_room = min(len(row.prompt_ids), max(1, longest // 4))
    branches = [_cut(branch, longest - prompt_room) for branch in row.branches]
    room = longest - max(len(branch.ids) for branch in branches)
    return replace(row, prompt_ids=shorten(row.prompt_ids, room), branches=tuple(branches))


def _cut(branch: Branch, longest: int) -> Branch:
    spans = tuple((start, min(end, longest)) for start, end in branch.spans if start < longest)
    return Branch(branch.ids[:longest], spans)


def _rendered(renderer: Renderer, groups: Sequence[PromptGroup]) -> list[Rendered]:
    rendered = []
    for row in renderer.render_many(groups):
        if isinstance(row, InputError):
            raise row
        rendered.append(row)
    return rendered


def _parts(policy: Policy, rows: Sequence[Rendered]) -> list[list[int]]:
    return fill([unique_tokens([(row, range(len(row.branches)))]) for row in rows], pass_budget(policy))


def _batches(policy: Policy, rows: Sequence[Rendered]) -> list[TreeBatch]:
    scorer = policy.scorer
    all_branches = [(row, range(len(row.branches))) for row in rows]
    tree_batches = batches(all_branches, budget=pass_budget(policy), packing=scorer.packing_for(rows))
    return [batch.to(scorer.device) for batch in tree_batches]


def _padded(scores: Tensor, rows: Sequence[Rendered], width: int) -> Tensor:
    """Return one number per response as one row per prompt; -inf where there is no such option."""
    counts = [len(row.branches) for row in rows]
    if set(counts) == {width}:
        return scores.view(-1, width)
    if max(counts) > width:
        raise InputError(f"a row has {max(counts)} options, more than the {width} that this classifier was made for")
    # rows with fewer options than the longest list: each score goes to its own column
    indices = [row * width + option for row, count in enumerate(counts) for option in range(count)]
    # -inf: a softmax gives an option that is not there no probability
    empty = scores.new_full((len(rows) * width,), -torch.inf)
    return empty.index_copy(0, torch.tensor(indices, device=scores.device), scores).view(-1, width)
