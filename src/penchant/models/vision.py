"""Models that read pictures and write text: loaded with their processor, and responses to pictures scored.

What a template writes of a prompt, and the tokens of it, are made here once for scoring, training and sampling. The
pictures of a row are read when the row is forwarded, and only then.

A prompt is always handed to the template as parts: some templates (Idefics3, SmolVLM) leave out content that is a text,
and the question with it. What the prompt says has to stand in what the template wrote.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from penchant.data.rendering.media_prompt import MediaInputs, MediaPrompt
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.data.rendering.renderer import TooLong
from penchant.data.sources.values import cut
from penchant.engine.lengths import context_length
from penchant.engine.media_tree import MediaRow
from penchant.engine.probe import short_text
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Video
from penchant.models.locate import locate
from penchant.models.network import root_model
from penchant.models.processors import INSTALL_TORCHVISION, AbsentVideoPart, load_processor
from penchant.models.settings import ModelConfig
from penchant.types import Message, Prompt, PromptGroup, Response, prompt_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEQUENCE_OUTPUTS = ("token_type_ids", "mm_token_type_ids")
"""What processors give per token, beside the ids; a response behind the prompt continues it."""
PROCESSOR_FILES = "processor_config.json", "preprocessor_config.json"

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
        end_ids: tokens that end a response; that of the tokenizer is always among them.
    """

    processor: Any
    name: str
    context: int | None
    max_length: int | None
    media_tokens: frozenset[int] = frozenset()
    end_ids: frozenset[int] = frozenset()
    # the warnings about templates of text alone say nothing of these
    chat_template: ClassVar[None] = None
    _digests: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # once, since it is a part of the key of every row
        object.__setattr__(self, "_digests", (digest_processor(self.processor),))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return what makes tokens of texts."""
        tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        return tokenizer

    @property
    def digest(self) -> str:
        """Return a digest of all that decides what the model reads of a prompt, the prompt aside."""
        return self._digests[0]

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of a prompt, those of its pictures among them.

        Raises:
            InputError: as `read`.
        """
        return tuple(self._processed(self.open_prompt(prompt, ""))[0])

    def open_prompt(self, prompt: Prompt, where: str) -> MediaPrompt:
        """Return a prompt's text and its pictures, which are not read.

        Raises:
            InputError: sounds, a template that leaves something out.
        """
        turns = prompt_turns(prompt)
        text = self._write([_template_turn(turn) for turn in turns], asks=True)
        _refuse_lost(turns, text)
        # in the order of the turns, in which the template writes their places
        media = tuple(part for turn in turns for part in turn.content if isinstance(part, Image | Video))
        return MediaPrompt(media, text, where, self)

    def load(self, prompt: MediaPrompt) -> MediaInputs:
        """Read a prompt's pictures and prepare them for the model.

        Raises:
            InputError: a file is gone, or is another than when it was first read.
        """
        with name_errors(prompt.where):
            outputs = self._processed(prompt)[1]
        return MediaInputs(*_by_use(outputs))

    def render(self, group: PromptGroup) -> Rendered:
        """Return the tokens of a group, those of its pictures among them; its pictures are read again where needed.

        A response is tokenized by itself, behind the prompt's tokens, as it is when the model writes it. Nothing is
        cut: a row that is too long for the model is refused, since a cut may take a picture's tokens apart.

        Raises:
            InputError: sounds, videos without torchvision, responses that are pictures, a template that leaves
                something out.
            TooLong: the row has more tokens than the model or the settings allow.
        """
        return self._rendered(group)[0]

    def read(self, group: PromptGroup) -> MediaRow:
        """Return a group as the model reads it; see `render`.

        Raises:
            InputError: as `render`, with the row's name.
        """
        with name_errors(group.source or "a prompt group"):
            rendered, outputs = self._rendered(group)
        return MediaRow(rendered.prompt_ids, rendered.branches, *_by_use(outputs))

    def without_limit(self) -> VisionReader:
        """Return the same reader for rows of any length, such as samples, which are scored whole."""
        return replace(self, max_length=None)

    def save(self, folder: Path) -> None:
        """Write the processor, for `AutoProcessor.from_pretrained`."""
        self.processor.save_pretrained(folder)

    def count_media_tokens(self, rendered: Rendered) -> int:
        """Count the tokens of a prompt that stand for its pictures and videos."""
        return sum(token in self.media_tokens for token in rendered.prompt_ids)

    def _rendered(self, group: PromptGroup) -> tuple[Rendered, dict[str, Tensor]]:
        """Return a rendered group, and what the processor made of its prompt."""
        media = self.open_prompt(group.prompt, group.source or "a prompt group")
        messages = [_template_turn(turn) for turn in prompt_turns(group.prompt)]
        ids, outputs = self._processed(media)
        branches = []
        for index, response in enumerate(group.responses):
            with name_errors(f"response {index}"):
                branches.append(self._branch(messages, media.text, response))
        longest = len(ids) + max((len(branch.ids) for branch in branches), default=0)
        if self.max_length is not None and longest > self.max_length:
            of_pictures = sum(token in self.media_tokens for token in ids)
            raise TooLong(
                f"{longest} tokens ({of_pictures} of them of pictures), and {self.name} reads {self.max_length}: leave "
                "the row out (data.overflow=drop), or make its pictures smaller. Rows with pictures are never cut"
            )
        unstable = (False,) * len(branches)
        return Rendered(tuple(ids), tuple(branches), unstable, source=group.source, media=media), outputs

    def _write(self, messages: Sequence[dict[str, object]], *, asks: bool) -> str:
        try:
            text: str = self.processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=asks)
        except Exception as error:  # templates raise many kinds
            raise InputError(f"the chat template of {self.name} refuses it: {short_text(error)}") from error
        return text

    def _processed(self, prompt: MediaPrompt) -> tuple[list[int], dict[str, Tensor]]:
        """Return a prompt's tokens, those of its pictures among them, and what the towers read."""
        pictures = [_pixels(part) for part in prompt.media if isinstance(part, Image)]
        options = self._video_options([part for part in prompt.media if isinstance(part, Video)])
        try:
            outputs = dict(self.processor(text=[prompt.text], images=pictures or None, return_tensors="pt", **options))
        except Exception as error:  # such as another number of pictures than of places
            raise InputError(f"the processor of {self.name} refuses it: {short_text(error)}") from error
        ids: list[int] = outputs.pop("input_ids")[0].tolist()
        for name in NO_FEATURES:
            outputs.pop(name, None)
        # seconds per frame come as a list, whatever was asked for
        features = {name: torch.as_tensor(value) for name, value in outputs.items()}
        if prompt.media and not features:
            raise InputError(f"it shows a picture, and the processor of {self.name} makes nothing of it")
        return ids, features

    def _video_options(self, videos: Sequence[Video]) -> dict[str, object]:
        """Return the arguments of a processor that stand for videos: their frames as they are, and their rates.

        Raises:
            InputError: the model reads no videos, torchvision is absent, frames of different sizes.
        """
        if not videos:
            return {}
        if not hasattr(self.processor, "video_processor"):
            raise InputError(f"it holds a video, and {self.name} reads pictures alone: give frames as pictures")
        if isinstance(self.processor.video_processor, AbsentVideoPart):
            raise InputError(f"it holds a video, which is prepared by torchvision: {INSTALL_TORCHVISION}")
        for video in videos:
            if len({frame.size for frame in video.frames}) > 1:
                raise InputError(f"the frames of {video.name or 'a video'} differ in size: make them equal")
        # frames were taken at a stated rate, so a processor that would leave some out is told not to
        metadata = [
            {"total_num_frames": len(video.frames), "fps": video.rate, "frames_indices": list(range(len(video.frames)))}
            for video in videos
        ]
        frames = [[_pixels(frame) for frame in video.frames] for video in videos]
        return {"videos": frames, "video_metadata": metadata, "do_sample_frames": False}

    def _branch(self, messages: Sequence[dict[str, object]], prompt: str, response: Response) -> Branch:
        """Return the tokens of a response, up to the end token where it ended by itself."""
        tokenizer: Any = self.processor.tokenizer
        text = response.only_text
        if response.reasoning or response.tool_calls:
            raise InputError("it has thoughts or calls of functions, which templates of pictures do not write")
        if response.token_ids is not None:
            # a sample: what was drawn is scored, and not what its text would be cut into
            return Branch(response.token_ids, ((0, len(response.token_ids)),))
        answer: dict[str, object] = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        whole = self._write([*messages, answer], asks=False)
        if not whole.startswith(prompt):
            raise InputError(f"the chat template of {self.name} writes an answered prompt in another way")
        tail = whole[len(prompt) :]
        if text.strip() not in tail:
            raise InputError(f"the chat template of {self.name} leaves out {cut(text.strip())!r}")
        # what the template writes behind the text closes the turn, and may begin the next one
        stop = tail.find(text.strip()) + len(text.rstrip() if text.strip() else text)
        # special marks in the template's own text become their tokens, as in the prompt
        ids = tuple(tokenizer(tail[:stop], add_special_tokens=False)["input_ids"])
        if response.finished and ids:
            behind = tokenizer(tail[stop:], add_special_tokens=False)["input_ids"]
            # a cut response did not end, and a template may end turns without a token
            ends = [token for token in behind if token in {*self.end_ids, tokenizer.eos_token_id}]
            ids = (*ids, ends[0] if ends else tokenizer.eos_token_id)
        if not ids:
            raise InputError("it is empty: there is nothing to score")
        # the model would look for one more picture there
        if self.media_tokens.intersection(ids):
            raise InputError(f"it holds the mark of a picture of {self.name}: write it in another way")
        return Branch(ids, ((0, len(ids)),))


def digest_processor(processor: Any) -> str:
    """Return a digest of what decides the features that a processor makes of pictures: its settings and its code."""
    settings = {"kind": type(processor).__name__, "template": processor.chat_template}
    for name in ("image_processor", "video_processor"):
        if (part := getattr(processor, name, None)) is not None:
            # without torchvision the settings themselves stand for the part of videos
            settings[name] = part if isinstance(part, dict) else part.to_dict()
    # the code of processors changes with the versions of what it is made of
    settings["versions"] = [importlib.metadata.version(name) for name in ("transformers", "pillow")]
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:32]


@contextmanager
def name_errors(where: str) -> Iterator[None]:
    """Put the name of a row before the errors of it."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{where}: {error}" if where else str(error)) from error


def _by_use(outputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the towers read, and what says of each token what it is."""
    kinds = {name: outputs[name] for name in SEQUENCE_OUTPUTS if name in outputs}
    return {name: value for name, value in outputs.items() if name not in kinds}, kinds


def _template_turn(turn: Message) -> dict[str, object]:
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
            raise InputError(f"it holds {part.kind_name}, and models are given pictures and videos alone so far")
    if turn.taught:
        raise InputError("it says which earlier turns are taught, and beside pictures the last one alone is")
    if turn.reasoning or turn.tool_calls:
        raise InputError("it has thoughts or calls of functions, which templates of pictures do not write")
    return {"role": turn.role, "content": parts}


def _refuse_lost(turns: Sequence[Message], prompt: str) -> None:
    """Refuse a prompt of which the template wrote only a part.

    Raises:
        InputError: names the text that is missing.
    """
    for turn in turns:
        for part in (turn.content,) if isinstance(turn.content, str) else turn.content:
            # a template may strip a text, and must not leave it out
            if isinstance(part, str) and part.strip() not in prompt:
                raise InputError(f"the chat template leaves out what the prompt says ({cut(part.strip())!r})")


def load_vision_reader(settings: ModelConfig, folder: str | None = None) -> VisionReader:
    """Load the processor of a model of pictures and text, without its weights.

    Args:
        folder: where the processor and the configuration lie, where it is known.

    Raises:
        InputError: no such model, one that reads text alone, or one without processor or chat template.
    """
    # adapters change nothing of how pictures are read, and have no configuration of their own
    folder = root_model(folder or locate(settings.name))[0]
    processor = load_processor(folder, settings)
    config = picture_config(folder, trust_remote_code=settings.trust_remote_code)
    if config is None:
        raise InputError(f"{settings.name} reads text alone: it has no tower for pictures. Take a model that sees them")
    # of the part that reads text: a tower states lengths of its own
    limit = context_length(config.get_text_config())
    tokens = (getattr(config, name, None) for name in ("image_token_id", "video_token_id"))
    media_tokens = frozenset(token for token in tokens if token is not None)
    return VisionReader(processor, settings.name, limit, limit, media_tokens)


def picture_config(folder: str, *, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a model that reads pictures beside text; None for any other.

    A class that may be opened as a model of texts as well reads pictures where it has a processor.

    Args:
        folder: or hub id, of a whole model.
    """
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception:  # whoever loads it says what is wrong
        return None
    if config.model_type not in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return None
    reads_text_too = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    has_processor = any((Path(folder) / name).is_file() for name in PROCESSOR_FILES) or not Path(folder).is_dir()
    return config if has_processor or not reads_text_too else None


def _pixels(image: Image) -> object:
    """Return a picture as processors read it: RGB, by Pillow."""
    from PIL import Image as Pillow

    return Pillow.fromarray(image.decode()).convert("RGB")
