"""Models that read pictures and write text: loaded with their processor, and responses to pictures scored.

A prompt is always handed to the template as parts: some templates (Idefics3, SmolVLM) leave out content that is a text,
and the question with it. What the prompt says has to stand in what the template wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.data.sources.values import cut
from penchant.engine.attention import evaluating
from penchant.engine.lengths import context_length
from penchant.engine.media_tree import MediaRow, MediaScorer
from penchant.engine.probe import short_text
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Video
from penchant.models.device import choose_device, weights_type
from penchant.models.load import cannot_load
from penchant.models.locate import locate
from penchant.models.processors import INSTALL_TORCHVISION, AbsentVideoPart, load_processor
from penchant.models.settings import ModelConfig
from penchant.models.weights import complete
from penchant.types import Message, PromptGroup, Response, prompt_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEQUENCE_OUTPUTS = ("token_type_ids", "mm_token_type_ids")
"""What processors give per token, beside the ids; a response behind the prompt continues it."""

NO_FEATURES = ("attention_mask", "labels", "video_metadata")
"""What some processors give beside: one row without padding sees all of itself, and PaliGemma's labels are no input."""


@dataclass(frozen=True)
class VisionReader:
    """A processor that prepares texts and pictures for a model.

    Attributes:
        processor: of `transformers`. name: of the model, for messages.
        context: tokens that the model reads; None where it states none.
        max_length: tokens of prompt, pictures and response together, at most; None for no limit.
        media_tokens: the tokens that stand for a piece of a picture or a video.
    """

    processor: Any
    name: str
    context: int | None
    max_length: int | None
    media_tokens: frozenset[int] = frozenset()
    # the warnings about templates of text alone say nothing of these
    chat_template: ClassVar[None] = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return what makes tokens of texts."""
        tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        return tokenizer

    def render(self, group: PromptGroup) -> Rendered:
        """Return the tokens of a group, those of its pictures among them; see `read`."""
        row = self.read(group)
        return Rendered(row.prompt_ids, row.branches)

    def count_media_tokens(self, rendered: Rendered) -> int:
        """Count the tokens of a prompt that stand for its pictures and videos."""
        return sum(token in self.media_tokens for token in rendered.prompt_ids)

    def read(self, group: PromptGroup) -> MediaRow:
        """Return a group as the model reads it.

        A response is tokenized by itself, behind the prompt's tokens, as it is when the model writes it. Nothing is
        cut: a row that is too long for the model is refused, since a cut may take a picture's tokens apart.

        Raises:
            InputError: sounds, videos without torchvision, responses that are pictures, a template that leaves
                something out, a row that is too long.
        """
        where = group.source or "a prompt group"
        turns = prompt_turns(group.prompt)
        messages = [_template_turn(turn, where) for turn in turns]
        # in the order of the turns, in which the template writes their places
        media = [part for turn in turns for part in turn.content if isinstance(part, Image | Video)]
        prompt = self._write(messages, where, asks=True)
        _refuse_lost(turns, prompt, where)
        ids, outputs = self._processed(prompt, media, where)
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

    def _write(self, messages: Sequence[dict[str, object]], where: str, *, asks: bool) -> str:
        try:
            text: str = self.processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=asks)
        except Exception as error:  # templates raise many kinds
            raise InputError(f"{where}: the chat template of {self.name} refuses it: {short_text(error)}") from error
        return text

    def _processed(
        self, prompt: str, media: Sequence[Image | Video], where: str
    ) -> tuple[list[int], dict[str, Tensor]]:
        """Return the prompt's tokens, those of its pictures among them, and what the towers read."""
        pictures = [_pixels(part) for part in media if isinstance(part, Image)]
        options = self._video_options([part for part in media if isinstance(part, Video)], where)
        try:
            outputs = dict(self.processor(text=[prompt], images=pictures or None, return_tensors="pt", **options))
        except Exception as error:  # such as another number of pictures than of places
            raise InputError(f"{where}: the processor of {self.name} refuses it: {short_text(error)}") from error
        ids: list[int] = outputs.pop("input_ids")[0].tolist()
        for name in NO_FEATURES:
            outputs.pop(name, None)
        # seconds per frame come as a list, whatever was asked for
        features = {name: torch.as_tensor(value) for name, value in outputs.items()}
        if media and not features:
            raise InputError(f"{where} shows a picture, and the processor of {self.name} makes nothing of it")
        return ids, features

    def _video_options(self, videos: Sequence[Video], where: str) -> dict[str, object]:
        """Return the arguments of a processor that stand for videos: their frames as they are, and their rates.

        Raises:
            InputError: the model reads no videos, torchvision is absent, frames of different sizes.
        """
        if not videos:
            return {}
        if not hasattr(self.processor, "video_processor"):
            raise InputError(f"{where} holds a video, and {self.name} reads pictures alone: give frames as pictures")
        if isinstance(self.processor.video_processor, AbsentVideoPart):
            raise InputError(f"{where} holds a video, which is prepared by torchvision: {INSTALL_TORCHVISION}")
        for video in videos:
            if len({frame.size for frame in video.frames}) > 1:
                raise InputError(f"{where}: the frames of {video.name or 'a video'} differ in size: make them equal")
        # frames were taken at a stated rate, so a processor that would leave some out is told not to
        metadata = [
            {"total_num_frames": len(video.frames), "fps": video.rate, "frames_indices": list(range(len(video.frames)))}
            for video in videos
        ]
        frames = [[_pixels(frame) for frame in video.frames] for video in videos]
        return {"videos": frames, "video_metadata": metadata, "do_sample_frames": False}

    def _branch(self, messages: Sequence[dict[str, object]], prompt: str, response: Response, where: str) -> Branch:
        """Return the tokens of a response, up to the end token where it ended by itself."""
        tokenizer: Any = self.processor.tokenizer
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
        # the model would look for one more picture there
        if self.media_tokens.intersection(ids):
            raise InputError(f"{where} holds the mark of a picture of {self.name}: write it in another way")
        return Branch(ids, ((0, len(ids)),))


@dataclass(frozen=True)
class VisionModel:
    """A model of texts and pictures.

    Attributes:
        scorer: the network. reader: prepares texts and pictures for it.
    """

    scorer: MediaScorer
    reader: VisionReader

    def score(self, groups: Sequence[PromptGroup]) -> list[Float[Tensor, " responses"]]:
        """Return the summed log-probability of every response, in nats, a tensor per group.

        Raises:
            InputError: as `VisionReader.read`, and what a probe of the model raises.
        """
        with torch.no_grad(), evaluating(self.scorer.model):
            return [self.scorer(self.reader.read(group)).float().cpu() for group in groups]


def _template_turn(turn: Message, where: str) -> dict[str, object]:
    """Return a turn as templates of processors read it: always parts, never a text."""
    parts: list[dict[str, object]] = []
    for part in (turn.content,) if isinstance(turn.content, str) else turn.content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        elif isinstance(part, Image):
            parts.append({"type": "image"})
        elif isinstance(part, Video):
            parts.append({"type": "video"})
        else:
            raise InputError(f"{where} holds {part.kind_name}, and models are given pictures and videos alone so far")
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
    reader = load_vision_reader(settings)
    folder = locate(settings.name)
    options: dict[str, object] = {
        "dtype": weights_type(settings, device),
        "use_safetensors": True,
        "trust_remote_code": settings.trust_remote_code,
    }
    try:
        model = complete(AutoModelForImageTextToText, folder, options)
    except Exception as error:
        raise cannot_load("", settings, error) from error
    return VisionModel(MediaScorer(model.eval().to(device)), reader)


def load_vision_reader(settings: ModelConfig) -> VisionReader:
    """Load the processor of a model of pictures and text, without its weights.

    Raises:
        InputError: no such model, one that reads text alone, or one without processor or chat template.
    """
    from transformers import AutoConfig

    folder = locate(settings.name)
    processor = load_processor(folder, settings)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    except Exception as error:
        raise cannot_load("", settings, error) from error
    # of the part that reads text: a tower states lengths of its own
    limit = context_length(config.get_text_config())
    tokens = (getattr(config, name, None) for name in ("image_token_id", "video_token_id"))
    media_tokens = frozenset(token for token in tokens if token is not None)
    return VisionReader(processor, settings.name, limit, limit, media_tokens)


def reads_pictures(name: str, *, trust_remote_code: bool = False) -> bool:
    """Return whether a model reads pictures beside text, by its configuration; False for what cannot be read."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    try:
        config = AutoConfig.from_pretrained(locate(name), trust_remote_code=trust_remote_code)
    except Exception:  # whoever loads it says what is wrong
        return False
    return config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def _pixels(image: Image) -> object:
    """Return a picture as processors read it: RGB, by Pillow."""
    from PIL import Image as Pillow

    return Pillow.fromarray(image.decode()).convert("RGB")
