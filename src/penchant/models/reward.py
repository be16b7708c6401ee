"""A learned reward: a language model whose scalar head reads the last token of each response.

On disk it is an ordinary sequence classifier with one label (`AutoModelForSequenceClassification`), with
`reward.json` beside it: how it reads texts (template, end tokens), and the number that is taken off each score, so that
rewards have mean zero on stated responses.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.arguments import check_pairs, each_group
from penchant.data.options import Overflow, RenderOptions, Template, TemplateArgs, Thoughts
from penchant.digests import DamagedFile, read_sums, write_sums
from penchant.engine.attention import states_at, unwrap
from penchant.engine.foreign_types import Tokenizer
from penchant.engine.score import Progress, Scorer, score, token_budget
from penchant.engine.tree import TreeBatch
from penchant.errors import InputError
from penchant.files import atomic_write, read_json
from penchant.models.finished import check_finished, reward_checkpoint
from penchant.models.in_memory import model_source
from penchant.models.load import open_network
from penchant.models.network import check_saved_files
from penchant.models.policy import repr_network, save_network
from penchant.models.saved_template import save_template
from penchant.models.settings import Dtype, ModelConfig
from penchant.thoughts import READ_THOUGHTS, has_thoughts, split_thoughts
from penchant.types import Prompt, PromptGroup, Response, RunResult

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer

READING = "reward.json"


class RewardScorer(Scorer):
    """A scorer of tree batches by the scalar head at the last scored token of each response."""

    vocabulary_head = False

    def forward(
        self, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
    ) -> Float[Tensor, " slots"]:
        """Return the raw reward of each slot, float32; arguments as in `Scorer.forward`."""
        states = states_at(self.model, batch, batch.ends, inputs, first)
        with torch.autocast(states.device.type, enabled=False):  # in half precision near rewards would be equal
            rewards = unwrap(self.model).score(states.float()).squeeze(-1)
        return rewards.new_zeros(batch.slots).index_add(0, batch.end_owners, rewards)


class ScoresGroups(Protocol):
    """A reward model, or several as one."""

    def score(self, groups: Sequence[PromptGroup]) -> list[Tensor]:
        """Return the rewards of each group's responses."""


def probability_preferred(reward: ScoresGroups, prompt: Prompt, first: Response | str, second: Response | str) -> float:
    """Return the probability, by Bradley and Terry's model, that the first response is the better one."""
    (scores,) = reward.score([PromptGroup(prompt, [first, second])])
    return 1 / (1 + math.exp(float(scores[1] - scores[0])))


@dataclass
class LearnedReward:
    """A reward model. Called with (prompt, response) texts it is a reward like any other.

    Attributes:
        model: a sequence classifier of `transformers` with one label (PEFT-wrapped under LoRA).
        renderer: turns prompts and responses into token ids.
        name: what it was loaded from.
        offset: is taken off every raw score.
        mark: what stands before its name in settings, such as `thoughts:`.
        unnamed: arguments that it was loaded with and that its name does not hold, such as `template='plain'`.
    """

    model: nn.Module
    renderer: Renderer
    name: str
    offset: float = 0.0
    mark: str = ""
    unnamed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return what it is in one line; a dataclass would print every layer of the network."""
        return repr_network(type(self).__name__, self.mark + self.name, self.model)

    is_checked_reward = True  # keeps the contract of `penchant.rewards.checked_reward` by itself

    @cached_property
    def scorer(self) -> RewardScorer:
        """The engine on this model; made on first use, since it probes the model's attention."""
        return RewardScorer(self.model)

    @property
    def penchant_name(self) -> str:
        """The name that settings hold for it.

        Raises:
            InputError: loaded by that name it would read texts in another way.
        """
        if self.unnamed:
            # what a saved model does not keep either cannot be had by saving it
            is_lost = any(argument.startswith("overflow=") for argument in self.unnamed)
            advice = (
                "score the rows by itself (`pt.score_groups`), or load it without overflow"
                if is_lost
                else "save it (`reward.save(FOLDER)` keeps template and thoughts) and give that folder"
            )
            raise InputError(
                f"the reward model {self.name} was loaded with {', '.join(self.unnamed)}, which settings cannot hold: "
                f"{advice}"
            )
        return self.mark + self.name

    @property
    def head(self) -> list[Tensor]:
        """The weights of the scalar head that train."""
        return [weight for weight in unwrap(self.model).score.parameters() if weight.requires_grad]

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of `transformers`."""
        return self.renderer.tokenizer

    def score(
        self, groups: Sequence[PromptGroup], *, budget: int | None = None, progress: Progress | None = None
    ) -> list[Tensor]:
        """Return the reward of every response; a prompt is forwarded once for all of them.

        Token ids that responses carry are used as they are, so they must be of this model's tokenizer (see
        `readable`).

        Args:
            groups: prompts with responses.
            budget: padded tokens of one forward pass; None for what suits the device.
            progress: called with the number of tokens done since the last call.

        Returns:
            A 1-D float32 tensor per group, order kept. Only differences within a prompt mean something: they are
            log-odds, in nats, of one response being preferred to another.

        Raises:
            InputError: a row that cannot be rendered, or scores that are not finite.
        """
        rendered = [self.renderer.render(group) for group in each_group(groups)]
        budget = budget or token_budget(self.scorer.device, rendered)
        scores = [row - self.offset for row in score(self.scorer, rendered, budget=budget, progress=progress)]
        # NaN compares as no better and no worse, and would pass for a tie
        if not all(bool(torch.isfinite(row).all()) for row in scores):
            raise InputError(f"the reward model {self.name} gives scores that are not finite: its weights are damaged")
        return scores

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the reward of each (prompt, response), in order; the responses are taken as finished.

        Args:
            pairs: texts of prompt and response. Rows of one prompt that stand together share its forward pass.

        Raises:
            InputError: as `score`.
        """
        check_pairs(pairs)
        blocks = [(prompt, [response for _, response in rows]) for prompt, rows in groupby(pairs, key=lambda p: p[0])]
        scored = self.score(self.readable([PromptGroup(prompt, responses) for prompt, responses in blocks], None))
        return [value for row in scored for value in row.tolist()]

    prefers = probability_preferred

    def readable(self, groups: Sequence[PromptGroup], tokenizer: Tokenizer | None) -> list[PromptGroup]:
        """Return the groups as this model can read them.

        That is with their token ids where `tokenizer`, which made them, has the same vocabulary, else (or if it is
        None) by their text.
        """
        same_vocabulary = tokenizer is not None and tokenizer.get_vocab() == self.tokenizer.get_vocab()
        return [
            group.replace(responses=[self._readable(r, same_vocabulary=same_vocabulary) for r in group.responses])
            for group in each_group(groups)
        ]

    def _readable(self, response: Response, *, same_vocabulary: bool) -> Response:
        """Return a response as this model reads it.

        Args:
            same_vocabulary: its token ids are of this model's vocabulary.
        """
        if self.renderer.thoughts == "drop" and has_thoughts(response):
            _, answer = split_thoughts(response.text)
            # a sample that was cut among its thoughts has no answer, and is read as an empty one
            ends = response.finished or not (answer or response.tool_calls)
            return replace(response, text=answer, token_ids=None, reasoning="", finished=ends)
        return response if same_vocabulary else replace(response, token_ids=None)

    def save(self, folder: str | Path) -> None:
        """Write the model (or its adapters), tokenizer and what else it reads by, for `load_reward_model`."""
        save_network(self.model, folder)
        self.tokenizer.save_pretrained(folder)
        save_template(self.renderer, self.model, Path(folder))
        self.save_reading(folder)

    def save_reading(self, folder: str | Path) -> None:
        """Write `reward.json`: template, thoughts, end tokens and offset, whole or not at all."""
        renderer = self.renderer
        reading = {"offset": self.offset, "template": renderer.template, "end_ids": sorted(renderer.end_ids)}
        content = json.dumps({**reading, "thoughts": renderer.thoughts}) + "\n"
        # the digest first: a kill between the two leaves a file that is refused, never one that is wrong in silence
        if (sums := read_sums(Path(folder))) is not None:
            write_sums(Path(folder), {**sums, READING: hashlib.sha256(content.encode()).hexdigest()})
        atomic_write(Path(folder) / READING, content)


def new_reward(model: ModelConfig, rendering: RenderOptions | None = None) -> LearnedReward:
    """Make a reward model to train: a language model under a fresh head.

    The head starts at 0: no response is better than another, and the loss is ln 2 whatever the seed. (Ziegler et al.
    2019 start with a variance of 1 / (hidden + 1); the loss of stories260K then began at 2.0.)

    Raises:
        InputError: as `penchant.models.load.load_policy`, and a model without a scalar head that reads one token.
    """
    check_finished(Path(model.name).expanduser(), "trained further")
    network, renderer = open_network(model, rendering, scalar=True, fresh_head=True)
    inner = unwrap(network)
    head = getattr(inner, "score", None)
    if head is None:
        raise InputError(f"{type(inner).__name__} has no scalar head `score`, so it cannot be a reward model here")
    if inner.config.pad_token_id in renderer.end_ids:  # elsewhere the last token that is not padding is read
        inner.config.pad_token_id = None
    head.float()  # whatever the trunk's dtype: half precision would round similar rewards to equal ones
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return LearnedReward(network, renderer, model.name)


def load_reward_model(
    folder: str | Path | RunResult,
    *,
    device: str = "auto",
    dtype: Dtype = "auto",
    template: Template | None = None,
    template_args: TemplateArgs | None = None,
    thoughts: Thoughts | None = None,
    overflow: Overflow = "error",
) -> LearnedReward:
    """Load a trained reward model from its folder.

    Args:
        folder: a `reward_model` run or its result, its `checkpoint`, or any sequence classifier with one label.
        device, dtype: as in `penchant.models.load.load_policy`.
        template: how prompts are rendered; None for what the model was trained with.
        template_args: what the template is told beside the conversation, beyond what the model was trained with.
        thoughts: `score` reads the thoughts before an answer, `drop` the answer alone; None for what the model was
            trained with, and the answer alone for a model of somebody else's.
        overflow: what is done about a row that is longer than the model's context.

    Raises:
        InputError: no such folder, another kind of model in it, or a run that did not come to its end.
    """
    name = model_source(folder)
    path = reward_checkpoint(str(name))
    settings = ModelConfig(name=str(path), device=device, dtype=dtype)
    file = path / READING
    check_saved_files(file.parent)
    try:
        reading = read_json(file) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{file} cannot be read ({error}): put back a good copy") from error
    # `penchant_template.json` has the rest; models of earlier versions have none
    saved = {"thoughts": reading.get("thoughts", "score" if reading else "drop")}
    saved["template"] = reading.get("template", "auto")
    options = RenderOptions(
        template or saved["template"],
        template_args or {},
        thoughts=thoughts or saved["thoughts"],
        overflow=overflow,
    )
    mark = READ_THOUGHTS if options.thoughts == "score" != saved["thoughts"] else ""
    # what equals the saved value changes nothing, and the name alone says it
    arguments = {"thoughts": None if mark else thoughts, "template": template}
    unnamed = [f"{key}={value!r}" for key, value in arguments.items() if value not in (None, saved[key])]
    unnamed += [f"template_args={template_args}"] if template_args else []
    # by its name it is loaded with `error`: a run would stop at a row that the object reads
    unnamed += [f"overflow={overflow!r}"] if overflow != "error" else []
    network, renderer = open_network(settings, options, scalar=True)
    unwrap(network).score.float()  # as in `new_reward`
    # a tokenizer's file may name fewer end tokens than the run that trained the model had
    renderer = replace(renderer, end_ids=renderer.end_ids | set(reading.get("end_ids", ())))
    offset = float(reading.get("offset", 0.0))
    return LearnedReward(network.eval(), renderer, str(name), offset, mark, tuple(unnamed))
