"""`Policy`: a language model with its tokenizer, behind three verbs: score, generate, save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from torch import Tensor, nn

from penchant.arguments import as_prompts, each_group, is_prompt
from penchant.data.rendering.renderer import Renderer
from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import PeftModel, PreTrainedModel, Tokenizer
from penchant.engine.generate import draw, draw_media
from penchant.engine.lengths import context_length
from penchant.engine.media_decoding import MediaStart
from penchant.engine.media_score import MediaScorer
from penchant.engine.sampling import Sampler, Sampling
from penchant.engine.score import Progress, Scorer, score, token_budget
from penchant.errors import InputError
from penchant.files import open_to_readers
from penchant.models.adapters import clear_saved, join_saved
from penchant.models.saved_template import save_template
from penchant.types import Prompt, PromptGroup, Response


@dataclass
class Policy:
    """A causal language model that scores and samples responses. Made by `load_policy`.

    Attributes:
        model: the network (PEFT-wrapped under LoRA).
        renderer: turns prompts and responses into token ids.
        name: what it was loaded from.
        sampler: what draws: our own engine, or vLLM. Prompts with pictures are drawn for by our own.
    """

    model: nn.Module
    renderer: Renderer
    name: str
    sampler: Sampler = draw

    def __repr__(self) -> str:
        """Return what it is in one line; a dataclass would print every layer of the network."""
        return repr_network(type(self).__name__, self.name, self.model)

    @cached_property
    def scorer(self) -> Scorer:
        """The engine on this model; made on first use, since it probes the model's attention."""
        return Scorer(self.model) if self.renderer.media is None else MediaScorer(self.model)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of `transformers`."""
        return self.renderer.tokenizer

    def score(
        self, groups: Sequence[PromptGroup], *, budget: int | None = None, progress: Progress | None = None
    ) -> list[Tensor]:
        """Return the summed log-probability of every response, EOS included where it is finished.

        Args:
            groups: prompts with responses.
            budget: padded tokens of one forward pass; None for what suits the device.
            progress: called with the number of tokens done since the last call.

        Returns:
            A 1-D float32 tensor per group, in nats, order kept.

        Raises:
            InputError: a row that cannot be rendered, or is longer than the model's context.
        """
        rendered = [self.renderer.render(group) for group in each_group(groups)]
        # with room for the largest group, up to a bound: a group that is cut runs its prompt twice
        budget = budget or token_budget(self.scorer.device, rendered)
        return score(self.scorer, rendered, budget=budget, progress=progress)

    @property
    def context(self) -> int | None:
        """Tokens that the model takes at once, or None if it says nothing."""
        return context_length(unwrap(self.model).config.get_text_config())

    def has_room(self, prompt: Prompt, tokens: int, *, source: str = "") -> bool:
        """Return whether so many tokens fit after the prompt.

        Args:
            prompt: a text or a conversation.
            tokens: how many.
            source: names the prompt's row in errors.

        Raises:
            InputError: the chat template fails, or leaves a turn out.
        """
        try:
            length = len(self.renderer.prompt_ids(prompt))
        except InputError as error:
            # of the same class, since callers tell rows that are too long from rows that are broken
            raise type(error)(f"{source}: {error}" if source else str(error)) from error
        return self.context is None or length + tokens <= self.context

    def draw(
        self, prompts: Prompt | Sequence[Prompt], sampling: Sampling, *, progress: Progress | None = None
    ) -> list[list[Response]]:
        """Draw samples with the token ids that were drawn.

        Args:
            prompts: texts or conversations; one alone is a list of one.
            sampling: how many samples per prompt, how long, and how they are drawn.
            progress: called with how many samples' worth of tokens was drawn since the last call.

        Returns:
            A list of responses per prompt, in the order of the sample index.

        Raises:
            InputError: a prompt that leaves no room in the model's context, or a model that cannot be sampled.
        """
        # by the renderer of training, so that a sample's tokens are scored as they were drawn
        prompts = as_prompts(prompts)
        ids = [self.renderer.prompt_ids(prompt) for prompt in prompts]
        end_ids, reader = self.renderer.end_ids, self.renderer.media
        if reader is None:
            samples = self.sampler(self.model, ids, sampling, end_ids=end_ids, progress=progress)
        else:
            opened = [reader.open_prompt(prompt, "") for prompt in prompts]
            starts = [MediaStart.of_prompt(*start) for start in zip(ids, opened, strict=True)]
            samples = draw_media(self.model, starts, sampling, end_ids=end_ids, progress=progress)
        return [
            [Response(self.renderer.decode(prompt, tokens), tokens, finished) for tokens, finished in row]
            for prompt, row in zip(ids, samples, strict=True)
        ]

    # a text is a list of texts to a checker, too: the first that fits counts
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
        """Draw n texts per prompt, as `sample` does, in the order of the sample index.

        Args:
            prompts: texts or conversations; or one of them alone.
            n, temperature, max_new_tokens, seed, top_k, top_p: as in `penchant.engine.sampling.Sampling`.

        Returns:
            A list of n texts for each prompt; of one prompt alone its n texts.

        Raises:
            InputError: what is no prompt, a prompt that leaves no room in the model's context, or a model that cannot
                be sampled.

        Example:
            policy.generate("This film was", n=2)
        """
        settings = Sampling(n, temperature, max_new_tokens, top_k, top_p, seed)
        texts = [[response.text for response in row] for row in self.draw(prompts, settings)]
        return texts[0] if is_prompt(prompts) else texts

    def sample(
        self, prompts: Prompt | Sequence[Prompt], sampling: Sampling, *, progress: Progress | None = None
    ) -> list[PromptGroup]:
        """Draw a group per prompt; identical samples are one response with their count.

        Args:
            prompts, sampling, progress: as in `draw`.

        Raises:
            InputError: as `draw`.
        """
        prompts = as_prompts(prompts)
        return [
            PromptGroup(prompt, merge_identical(row))
            for prompt, row in zip(prompts, self.draw(prompts, sampling, progress=progress), strict=True)
        ]

    def save(self, folder: str | Path) -> None:
        """Write the model (or its adapters) and tokenizer, for `AutoModelForCausalLM.from_pretrained`.

        Of a model that reads pictures the processor, for `AutoModelForImageTextToText` and `AutoProcessor`.

        Raises:
            InputError: the folder holds the model that the adapters build on.
        """
        save_network(self.model, folder)
        if self.renderer.media is None:
            self.tokenizer.save_pretrained(folder)
        else:
            self.renderer.media.save(Path(folder))
        save_template(self.renderer, self.model, Path(folder))


def save_network(model: nn.Module, folder: str | Path) -> None:
    """Write a network's weights and settings, or its adapters, so that `from_pretrained` opens the same one.

    Raises:
        InputError: the folder holds the model that the adapters build on.
    """
    clear_saved(model, Path(folder))
    network: PreTrainedModel | PeftModel = model
    settings = getattr(model, "peft_config", None)
    # of added tokens the rows alone are saved: the embeddings around them are the base's
    rows_only = settings is not None and settings["default"].trainable_token_indices is not None
    network.save_pretrained(folder, safe_serialization=True, **({"save_embedding_layers": False} if rows_only else {}))
    join_saved(model, Path(folder))
    open_to_readers(Path(folder))


def merge_identical(responses: Sequence[Response]) -> list[Response]:
    """Return each distinct response once, in order of first appearance, with the counts added."""
    counts: dict[tuple[str, tuple[int, ...] | None, bool], int] = {}
    for response in responses:
        # one text may come from several sequences of tokens, which score differently
        key = (response.text, response.token_ids, response.finished)
        counts[key] = counts.get(key, 0) + response.count
    return [Response(text, ids, finished, count) for (text, ids, finished), count in counts.items()]


def repr_network(kind: str, name: str, model: nn.Module) -> str:
    """Return a model in one line: its kind, what it was loaded from, its size and its device."""
    weights = list(model.parameters())
    size = sum(weight.numel() for weight in weights) / 1e6
    return f"{kind}({name!r}, {size:,.3g}M weights, {weights[0].device if weights else 'no device'})"
