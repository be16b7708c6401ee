"""Models that read pictures and write text: loaded with their processor, and responses to pictures scored.

A prompt is always handed to the template as parts: some templates (Idefics3, SmolVLM) leave out content that is a text,
and the question with it. What the prompt says has to stand in what the template wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.data.rendering.rendered import Branch
from penchant.data.sources.values import cut
from penchant.engine.attention import evaluating, unwrap
from penchant.engine.lengths import context_length
from penchant.engine.media_tree import MediaRow, MediaScorer
from penchant.engine.probe import short_text
from penchant.errors import InputError
from penchant.image import Image
from penchant.models.device import choose_device, weights_type
from penchant.models.load import cannot_load
from penchant.models.locate import locate
from penchant.models.settings import ModelConfig
from penchant.models.weights import complete
from penchant.types import Message, PromptGroup, Response, prompt_turns

SEQUENCE_OUTPUTS = ("token_type_ids", "mm_token_type_ids")
"""What processors give per token, beside the ids; a response behind the prompt continues it."""


@dataclass(frozen=True)
class VisionModel:
    """A model of texts and pictures with the processor that prepares both.

    Attributes:
        scorer: the network. processor: of `transformers`. name: for messages.
        max_length: tokens of prompt, pictures and response together, at most; None where the model states none.
    """

    scorer: MediaScorer
    processor: Any
    name: str
    max_length: int | None

    def render(self, group: PromptGroup) -> MediaRow:
        """Return a group as the model reads it.

        A response is tokenized by itself, behind the prompt's tokens, as it is when the model writes it. Nothing is
        cut: a row that is too long for the model is refused, since a cut may take a picture's tokens apart.

        Raises:
            InputError: sounds and videos, responses that are pictures, a template that leaves something out, a row that
                is too long.
        """
        where = group.source or "a prompt group"
        turns = prompt_turns(group.prompt)
        messages = [_template_turn(turn, where) for turn in turns]
        # in the order of the turns, in which the template writes their places
        images = [part for turn in turns for part in turn.content if isinstance(part, Image)]
        prompt = self._write(messages, where, asks=True)
        _refuse_lost(turns, prompt, where)
        ids, outputs = self._processed(prompt, images, where)
        branches = tuple(
            self._branch(messages, prompt, response, f"{where}, response {index}")
            for index, response in enumerate(group.responses)
        )
        longest = len(ids) + max((len(branch.ids) for branch in branches), default=0)
        if self.max_length is not None and longest > self.max_length:
            raise InputError(
                f"{where}: {longest} tokens with its pictures, and {self.name} reads {self.max_length}: leave the row "
                "out, or make its pictures smaller. Rows with pictures are never cut"
            )
        token_kinds = {name: outputs.pop(name) for name in SEQUENCE_OUTPUTS if name in outputs}
        return MediaRow(tuple(ids), branches, outputs, token_kinds)

    def score(self, groups: Sequence[PromptGroup]) -> list[Float[Tensor, " responses"]]:
        """Return the summed log-probability of every response, in nats, a tensor per group.

        Raises:
            InputError: as `render`, and what a probe of the model raises.
        """
        with torch.no_grad(), evaluating(self.scorer.model):
            return [self.scorer(self.render(group)).float().cpu() for group in groups]

    def _write(self, messages: Sequence[dict[str, object]], where: str, *, asks: bool) -> str:
        try:
            text: str = self.processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=asks)
        except Exception as error:  # templates raise many kinds
            raise InputError(f"{where}: the chat template of {self.name} refuses it: {short_text(error)}") from error
        return text

    def _processed(self, prompt: str, images: Sequence[Image], where: str) -> tuple[list[int], dict[str, Tensor]]:
        """Return the prompt's tokens, those of its pictures among them, and what the towers read."""
        from PIL import Image as Pillow

        pictures = [Pillow.fromarray(image.decode()).convert("RGB") for image in images]
        try:
            outputs = dict(self.processor(text=[prompt], images=pictures or None, return_tensors="pt"))
        except Exception as error:  # such as another number of pictures than of places
            raise InputError(f"{where}: the processor of {self.name} refuses it: {short_text(error)}") from error
        ids: list[int] = outputs.pop("input_ids")[0].tolist()
        outputs.pop("attention_mask", None)  # one row without padding sees all of itself
        if pictures and not outputs:
            raise InputError(f"{where} shows a picture, and the processor of {self.name} makes nothing of it")
        return ids, outputs

    def _branch(self, messages: Sequence[dict[str, object]], prompt: str, response: Response, where: str) -> Branch:
        """Return the tokens of a response, up to the end token where it ended by itself."""
        tokenizer = self.processor.tokenizer
        text = response.only_text
        answer: dict[str, object] = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        whole = self._write([*messages, answer], where, asks=False)
        if not whole.startswith(prompt):
            raise InputError(f"{where}: the chat template of {self.name} writes an answered prompt in another way")
        tail = whole[len(prompt) :]
        if text.strip() not in tail:
            raise InputError(f"{where}: the chat template of {self.name} leaves out {cut(text.strip())!r}")
        end_mark = tokenizer.eos_token
        # what the template writes behind the end belongs to the next turn; a cut response did not end
        start = tail.find(text.strip())
        end = tail.find(end_mark, start + len(text.strip())) if end_mark else -1
        stop = end + len(end_mark) if end >= 0 and response.finished else start + len(text.rstrip())
        # special marks in the template's own text become their tokens, as in the prompt
        ids = tuple(tokenizer(tail[:stop], add_special_tokens=False)["input_ids"])
        if not ids:
            raise InputError(f"{where} is empty: there is nothing to score")
        return Branch(ids, ((0, len(ids)),))


def _template_turn(turn: Message, where: str) -> dict[str, object]:
    """Return a turn as templates of processors read it: always parts, never a text."""
    parts: list[dict[str, object]] = []
    for part in (turn.content,) if isinstance(turn.content, str) else turn.content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        elif isinstance(part, Image):
            parts.append({"type": "image"})
        else:
            raise InputError(f"{where} holds {part.kind_name}, and models are given pictures alone so far")
    if turn.reasoning or turn.tool_calls:
        raise InputError(f"{where} has thoughts or calls of functions, which templates of pictures do not write")
    return {"role": turn.role, "content": parts}


def _refuse_lost(turns: Sequence[Message], prompt: str, where: str) -> None:
    """Refuse a prompt of which the template wrote only a part.

    Raises:
        InputError: names the text that is missing.
    """
    for turn in turns:
        for part in (turn.content,) if isinstance(turn.content, str) else turn.content:
            # a template may strip a text, and must not leave it out
            if isinstance(part, str) and part.strip() not in prompt:
                raise InputError(f"{where}: the chat template leaves out what the prompt says ({cut(part.strip())!r})")


def load_vision_model(settings: ModelConfig | str) -> VisionModel:
    """Load a model of pictures and text with its processor: a folder or a hub id, safetensors, no code of its own.

    Raises:
        InputError: no such model, one without a tower for pictures, or one without processor or chat template.
    """
    from transformers import AutoModelForImageTextToText

    settings = ModelConfig(name=settings) if isinstance(settings, str) else settings
    device = choose_device(settings.device)
    folder = locate(settings.name)
    processor = _load_processor(folder, settings)
    options: dict[str, object] = {
        "dtype": weights_type(settings, device),
        "use_safetensors": True,
        "trust_remote_code": settings.trust_remote_code,
    }
    try:
        model = complete(AutoModelForImageTextToText, folder, options)
    except Exception as error:
        raise cannot_load("", settings, error) from error
    # of the part that reads text: a tower states lengths of its own
    limit = context_length(unwrap(model).config.get_text_config())
    return VisionModel(MediaScorer(model.eval().to(device)), processor, settings.name, limit)


def _load_processor(folder: str, settings: ModelConfig) -> Any:
    """Return what prepares texts and pictures; by Pillow, so that a machine with torchvision finds the same."""
    from transformers import AutoProcessor
    from transformers.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # it would advise to install torchvision
    try:
        processor = AutoProcessor.from_pretrained(folder, backend="pil", trust_remote_code=settings.trust_remote_code)
    except Exception as error:
        raise InputError(f"{settings.name} has no processor that can be read ({short_text(error)})") from error
    finally:
        hub_logging.set_verbosity(verbosity)
    # of a model of text alone the tokenizer comes back
    if getattr(processor, "image_processor", None) is None:
        raise InputError(f"{settings.name} reads text alone: it has no tower for pictures. Take a model that sees them")
    if not getattr(processor, "chat_template", None):
        raise InputError(f"{settings.name} has no chat template, so nobody knows where its pictures stand")
    return processor
