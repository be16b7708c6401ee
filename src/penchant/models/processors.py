"""Processors of models that read pictures: loaded from the files of their parts.

`transformers` prepares videos by torchvision alone, and loads no processor without its video part (Qwen2-VL and later,
SmolVLM, InternVL). Pictures need no torchvision, so such a processor is put together here: without its video part
where torchvision is absent, and otherwise with pictures by Pillow all the same.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penchant.engine.probe import short_text
from penchant.errors import InputError
from penchant.models.settings import ModelConfig

VIDEO_PART = "video_processor"
INSTALL_TORCHVISION = "pip install torchvision (the release that goes with your torch, and its CPU or CUDA build)"


class AbsentVideoPart(dict[str, object]):
    """The settings of a processor's video part, which stand for it without torchvision.

    A processor that is saved writes them, so that videos can be read where torchvision is installed.
    """

    _auto_class = None  # asked for when a processor is saved
    # SmolVLM asks for these with pictures too
    num_frames = None
    fps = None


def has_torchvision() -> bool:
    """Return whether torchvision is installed, without which no video is prepared."""
    return importlib.util.find_spec("torchvision") is not None


def load_processor(folder: str, settings: ModelConfig) -> Any:
    """Return what prepares texts, pictures and, with torchvision, videos for a model.

    Pictures are prepared by Pillow, so that a machine with torchvision finds the same numbers as one without.

    Raises:
        InputError: no processor that can be read, one for text alone, or one without a chat template.
    """
    from transformers import AutoProcessor

    with _no_advice():
        try:
            parts_class = _class_with_videos(folder, settings)
            if parts_class is None:
                processor = AutoProcessor.from_pretrained(
                    folder, backend="pil", trust_remote_code=settings.trust_remote_code
                )
            else:
                processor = _assemble(parts_class, folder)
        except Exception as error:
            raise InputError(f"{settings.name} has no processor that can be read ({short_text(error)})") from error
    # of a model of text alone the tokenizer comes back
    if getattr(processor, "image_processor", None) is None:
        raise InputError(f"{settings.name} reads text alone: it has no tower for pictures. Take a model that sees them")
    if not getattr(processor, "chat_template", None):
        raise InputError(f"{settings.name} has no chat template, so nobody knows where its pictures stand")
    return processor


def _class_with_videos(folder: str, settings: ModelConfig) -> Any:
    """Return the class of a processor that has a part for videos; None for every other."""
    from transformers import AutoConfig, ProcessorMixin
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES, processor_class_from_name

    config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    class_name = PROCESSOR_MAPPING_NAMES.get(config.model_type)
    if class_name is None:
        return None
    processor_class: Any = processor_class_from_name(class_name)
    # without torchvision some classes are placeholders, which name what is missing once they are used
    is_usable = isinstance(processor_class, type) and issubclass(processor_class, ProcessorMixin)
    return processor_class if is_usable and VIDEO_PART in processor_class.get_attributes() else None


def _assemble(processor_class: Any, folder: str) -> Any:
    """Return a processor of its parts.

    Raises:
        Exception: as the parts' own loaders do; also ImportError for a package that the class needs.
    """
    from transformers import AutoImageProcessor, AutoTokenizer

    stored, _ = processor_class.get_processor_dict(folder)
    parts: list[Any] = []
    for name in processor_class.get_attributes():
        if name == "tokenizer":
            parts.append(AutoTokenizer.from_pretrained(folder))
        elif name == "image_processor":
            parts.append(AutoImageProcessor.from_pretrained(folder, backend="pil"))
        elif name == VIDEO_PART:
            parts.append(_load_video_part(folder, stored))
        else:
            raise ValueError(f"its part {name} is none of those that Penchant knows")
    if not has_torchvision():
        processor_class = _taking_no_videos(processor_class)
    return processor_class.from_args_and_dict(parts, stored)


def _load_video_part(folder: str, stored: Mapping[str, Any]) -> Any:
    """Return what prepares videos; without torchvision, what stands in its place.

    Args:
        stored: the settings of the processor.
    """
    from transformers import AutoVideoProcessor
    from transformers.utils import cached_file

    if has_torchvision():
        return AutoVideoProcessor.from_pretrained(folder)
    if settings := stored.get(VIDEO_PART):
        return AbsentVideoPart(settings)
    # older folders have a file for this part, or one for pictures and videos
    for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
        if file := cached_file(folder, name, _raise_exceptions_for_missing_entries=False):
            return AbsentVideoPart(json.loads(Path(file).read_text()))
    return AbsentVideoPart()


def _taking_no_videos(processor_class: Any) -> Any:
    """Return a class of processors that may lack the part for videos, which `transformers` checks for."""

    def check_argument_for_proper_class(self: Any, name: str, part: Any) -> Any:
        if isinstance(part, AbsentVideoPart):
            return AbsentVideoPart
        return processor_class.check_argument_for_proper_class(self, name, part)

    members = {"check_argument_for_proper_class": check_argument_for_proper_class, "__module__": __name__}
    return type(processor_class.__name__, (processor_class,), members)


@contextmanager
def _no_advice() -> Iterator[None]:
    """Keep `transformers` from advising to install torchvision."""
    from transformers.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(verbosity)
