"""Writes the files of a model: merged weights, adapters, or GGUF with its Modelfile."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.engine.foreign_types import PreTrainedModel, Tokenizer
from penchant.errors import InputError
from penchant.export.converter import run_converter
from penchant.export.gguf_file import Description, write_gguf
from penchant.export.gguf_layouts import LAYOUTS, layout_of
from penchant.export.gguf_vocabulary import read_vocabulary
from penchant.export.modelfile import Turn, derive, go_template, write_modelfile
from penchant.export.settings import ExportedDtype, ModelFolder
from penchant.export.source import Source, stored_dtype
from penchant.export.template_defaults import SAVED, saved_arguments, with_defaults
from penchant.models.adapters import CONFIG as ADAPTER_CONFIG
from penchant.models.adapters import WEIGHTS as ADAPTER_WEIGHTS
from penchant.models.load import check_saved_files, open_network, open_tokenizer
from penchant.models.reward import READING, load_reward_model
from penchant.models.settings import Dtype, ModelConfig

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer

log = logging.getLogger("penchant.export")

MODEL_FILE = "model.gguf"
DTYPES: Mapping[str, Dtype] = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


@dataclass(frozen=True)
class Written:
    """What was written into a folder, for the card.

    Attributes:
        dtype: how the weights are stored.
        chat: whether prompts are rendered by a chat template.
        notes: what a reader must know of the files.
    """

    dtype: str
    chat: bool
    notes: tuple[str, ...] = ()


def write_weights(source: Source, folder: Path, settings: ModelFolder, description: Description) -> Written:
    """Write the files of a model into a folder.

    Raises:
        InputError: the model cannot be written in this format.
        OSError: it cannot be written at all.
    """
    if settings.format == "adapter":
        return write_adapter(source, folder, settings)
    if settings.format == "gguf" and source.kind == "reward model":
        raise InputError(
            f"{source.name} is a reward model, of which no GGUF is written (llama.cpp has no head that gives one "
            "number for these architectures): take format=merged"
        )
    if settings.format == "gguf":
        return write_gguf_folder(source, folder, settings, description)
    return write_merged(source, folder, settings)


# -- whole weights ------------------------------------------------------------------------------------------------


def loading_dtype(source: Source, dtype: ExportedDtype) -> Dtype:
    """Return the dtype that weights are loaded in: as stored, float32 where adapters are merged, or as asked for."""
    if dtype != "auto":
        # a sum of products is rounded once, at the end
        return "float32" if source.adapter else DTYPES[dtype]
    return "float32" if source.adapter else DTYPES.get(stored_dtype(Path(source.weights)), "float32")


def write_merged(source: Source, folder: Path, settings: ModelFolder) -> Written:
    """Write whole weights as safetensors, with the tokenizer; of a reward model also how it reads texts."""
    import torch

    dtype = loading_dtype(source, settings.dtype)
    config = ModelConfig(name=source.weights, dtype=dtype, device="cpu", trust_remote_code=settings.trust_remote_code)
    if source.kind == "reward model":
        learned = load_reward_model(source.weights, device="cpu", dtype=dtype)
        network, renderer = learned.model, learned.renderer
    else:
        network, renderer = open_network(config)
    if settings.dtype not in ("auto", dtype):
        network = network.to(getattr(torch, settings.dtype))
    saved: PreTrainedModel = network
    saved.save_pretrained(folder, max_shard_size=settings.shard_size.replace(" ", ""))
    _drop_local_names(folder / "config.json")
    chat = _save_tokenizer(source, folder, renderer)
    if source.kind == "reward model":
        learned.save_reading(folder)
    return Written(str(next(network.parameters()).dtype).removeprefix("torch."), chat)


def _save_tokenizer(source: Source, folder: Path, renderer: Renderer) -> bool:
    """Write the tokenizer with its template, and return whether prompts are rendered by that."""
    tokenizer, arguments = renderer.tokenizer, saved_arguments(Path(source.weights))
    if arguments and isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = with_defaults(tokenizer.chat_template, arguments)
    tokenizer.save_pretrained(folder)
    if (Path(source.weights) / SAVED).exists():
        shutil.copyfile(Path(source.weights) / SAVED, folder / SAVED)
    return renderer.chat


def _drop_local_names(file: Path) -> None:
    """Take the path that a model was loaded from out of its settings: it means nothing elsewhere."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if content.pop("_name_or_path", None) is not None:
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# -- adapters -----------------------------------------------------------------------------------------------------


def write_adapter(source: Source, folder: Path, settings: ModelFolder) -> Written:
    """Write adapters alone, as peft opens them.

    Raises:
        InputError: the model was trained whole.
    """
    if not source.adapter:
        raise InputError(f"{source.name} has no adapters: it was trained whole. Take format=merged")
    weights = Path(source.weights)
    check_saved_files(weights)
    shutil.copyfile(weights / ADAPTER_WEIGHTS, folder / ADAPTER_WEIGHTS)
    content = json.loads((weights / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    base, note = base_name(str(content["base_model_name_or_path"]), settings.base)
    content["base_model_name_or_path"] = base
    (folder / ADAPTER_CONFIG).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in (READING, SAVED):
        if (weights / name).exists():
            shutil.copyfile(weights / name, folder / name)
    tokenizer: Tokenizer = open_tokenizer(
        str(weights), ModelConfig(name=source.weights, trust_remote_code=settings.trust_remote_code)
    )
    arguments = saved_arguments(weights)
    if arguments and isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = with_defaults(tokenizer.chat_template, arguments)
    tokenizer.save_pretrained(folder)
    return Written("as trained", bool(tokenizer.chat_template), (note,) if note else ())


def base_name(recorded: str, given: str | None) -> tuple[str, str]:
    """Return the name of a base for others, and what to say where that is a folder of this machine."""
    if given is not None:
        return given, ""
    if not Path(recorded).is_absolute() and not recorded.startswith((".", "~")):
        return recorded, ""
    name = Path(recorded).name
    log.warning(
        "the adapters build on a folder of this machine, which is written as %r: name the base for others with base=, "
        "or take format=merged",
        name,
    )
    return name, (
        f"The base of these adapters was a folder on the machine that trained them. It stands as `{name}` in "
        "`adapter_config.json`: put the path or hub id of your copy there."
    )


# -- GGUF ---------------------------------------------------------------------------------------------------------


def write_gguf_folder(source: Source, folder: Path, settings: ModelFolder, description: Description) -> Written:
    """Write a GGUF file and its Modelfile.

    Raises:
        InputError: an architecture, a setting or a tokenizer that cannot be written, and no converter.
    """
    config = ModelConfig(
        name=source.weights, dtype=loading_dtype(source, "auto"), device="cpu",
        trust_remote_code=settings.trust_remote_code,
    )  # fmt: skip
    network, renderer = open_network(config)
    inner: PreTrainedModel = network
    if settings.converter is not None:
        merged = folder / ".merged"
        inner.save_pretrained(merged)
        _save_tokenizer(source, merged, renderer)
        run_converter(Path(settings.converter), merged, folder / MODEL_FILE, settings.type)
        shutil.rmtree(merged)
    else:
        layout_of(inner.config)  # before the tokenizer: the architecture is the first thing to say
        arguments = saved_arguments(Path(source.weights))
        if arguments and isinstance(renderer.tokenizer.chat_template, str):
            renderer.tokenizer.chat_template = with_defaults(renderer.tokenizer.chat_template, arguments)
        rows = inner.get_input_embeddings().weight.shape[0]
        vocabulary = read_vocabulary(renderer.tokenizer, rows, renderer.end_ids)
        write_gguf(folder / MODEL_FILE, inner.config, inner.state_dict(), vocabulary, settings.type, description)
    text, notes = modelfile_of(inner, renderer, saved_arguments(Path(source.weights)), description)
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return Written(settings.type, renderer.chat, notes)


def modelfile_of(
    network: PreTrainedModel, renderer: Renderer, arguments: Mapping[str, object], description: Description
) -> tuple[str, tuple[str, ...]]:
    """Return the text of a Modelfile, and what a reader must know of it."""
    tokenizer, notes = renderer.tokenizer, []
    template: str | None = "{{ .Prompt }}"
    if renderer.chat:
        bos = tokenizer.bos_token

        def render(turns: Sequence[Turn]) -> str:
            messages = [{"role": role, "content": text} for role, text in turns]
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **arguments)
            # llama.cpp puts the beginning token there by itself
            return str(text).removeprefix(bos) if bos else str(text)

        derived = derive(render)
        template = None if derived is None else go_template(derived)
        if derived is None:
            notes.append(
                "Ollama's TEMPLATE is left out: the chat template writes more than a text before and after each turn. "
                "Ollama then takes one that it knows, or none."
            )
        elif "system" not in derived.around:
            notes.append("The TEMPLATE for Ollama has no system turn, as the chat template has none that stands alone.")
    ends = sorted(renderer.end_ids | {tokenizer.eos_token_id})
    stops = [text for text in tokenizer.convert_ids_to_tokens(ends) if text and '"' not in text and "\n" not in text]
    generation = getattr(network, "generation_config", None)
    parameters: dict[str, int | float] = {"num_ctx": min(network.config.max_position_embeddings, 8192)}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(generation, name, None)
        if getattr(generation, "do_sample", False) and value is not None:
            parameters[name] = value
    text = write_modelfile(MODEL_FILE, template, stops, parameters, note="\n".join(notes), license=description.license)
    return text, tuple(notes)


__all__ = ["LAYOUTS", "Written", "write_weights"]
