"""Writes the files of a model: merged weights, adapters, or GGUF with its Modelfile."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.engine.foreign_types import AutoClass, PreTrainedModel, Tokenizer
from penchant.errors import InputError
from penchant.export.converter import run_converter
from penchant.export.gguf_file import Description, write_gguf
from penchant.export.gguf_layouts import LAYOUTS, layout_of
from penchant.export.gguf_vocabulary import read_vocabulary
from penchant.export.modelfile import Turn, derive, go_template, write_modelfile
from penchant.export.read_back import compare, read_gguf, read_merged, reads_gguf, score_texts
from penchant.export.settings import ExportedDtype, ModelFolder
from penchant.export.source import Source, stored_dtype
from penchant.export.template_defaults import put_defaults
from penchant.files import open_to_readers
from penchant.models.adapters import CONFIG as ADAPTER_CONFIG
from penchant.models.adapters import WEIGHTS as ADAPTER_WEIGHTS
from penchant.models.load import open_network, open_tokenizer
from penchant.models.network import check_saved_files
from penchant.models.reward import READING, load_reward_model
from penchant.models.saved_template import SAVED_TEMPLATE, read_saved_template, save_template
from penchant.models.settings import Dtype, ModelConfig
from penchant.models.vision import PROCESSOR_FILES

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer

log = logging.getLogger("penchant.export")

MODEL_FILE = "model.gguf"
DTYPES: Mapping[str, Dtype] = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


@dataclass(frozen=True)
class Written:
    """The weights written into a folder, for the card.

    Attributes:
        dtype: how the weights are stored.
        chat: whether prompts are rendered by a chat template.
        notes: what a reader must know of the files.
        check: how far the scores of the files are from those of the model; empty where nobody looked.
    """

    dtype: str
    chat: bool
    notes: tuple[str, ...] = ()
    check: str = ""


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
        reward = load_reward_model(source.weights, device="cpu", dtype=dtype)
        network, renderer = reward.model, reward.renderer
    else:
        network, renderer = open_network(config)
    saved: PreTrainedModel = network.eval()
    before = score_texts(saved, renderer.tokenizer) if settings.check else None
    rounds = settings.dtype not in ("auto", dtype)
    if rounds:
        saved = saved.to(getattr(torch, settings.dtype))
    saved.save_pretrained(folder, max_shard_size=settings.shard_size.replace(" ", ""))
    open_to_readers(folder)
    _drop_local_names(folder / "config.json")
    put_defaults(renderer.tokenizer, renderer.template_args)
    if renderer.media is None:
        renderer.tokenizer.save_pretrained(folder)
    else:
        renderer.media.save(folder)
    save_template(renderer, network, folder)
    if source.kind == "reward model":
        reward.save_reading(folder)
    stored, check = next(saved.parameters()).dtype, ""
    if before is not None and not settings.trust_remote_code:  # its own code may lie elsewhere
        # the same arithmetic as before, so that what differs is the rounding of the weights
        reopened = read_merged(folder, torch.float32 if rounds else stored, kind=_auto_class(source, renderer))
        check = compare(before, score_texts(reopened, renderer.tokenizer), "`transformers`", exact=not rounds)
    return Written(str(stored).removeprefix("torch."), renderer.chat, check=check)


def _auto_class(source: Source, renderer: Renderer) -> AutoClass:
    """Return the class of `transformers` that opens what is exported."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSequenceClassification

    if source.kind == "reward model":
        return AutoModelForSequenceClassification
    return AutoModelForCausalLM if renderer.media is None else AutoModelForImageTextToText


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
    for name in (READING, SAVED_TEMPLATE):
        if (weights / name).exists():
            shutil.copyfile(weights / name, folder / name)
    tokenizer: Tokenizer = open_tokenizer(
        str(weights), ModelConfig(name=source.weights, trust_remote_code=settings.trust_remote_code)
    )
    saved = read_saved_template(str(weights))
    put_defaults(tokenizer, saved.template_args if saved else {})
    tokenizer.save_pretrained(folder)
    # of a model that reads pictures the processor's other parts lie beside the tokenizer
    for name in PROCESSOR_FILES:
        if (weights / name).exists():
            shutil.copyfile(weights / name, folder / name)
    notes = [note] if note else []
    if saved is not None and saved.added is not None:
        notes.append(
            f"The tokenizer has {len(saved.added.ids)} tokens more than the base. Give the base their rows first "
            "(`base.resize_token_embeddings(len(tokenizer))`), or open the adapters with Penchant."
        )
    chat = saved.template == "chat" if saved else bool(tokenizer.chat_template)
    return Written("as trained", chat, tuple(notes))


def base_name(recorded: str, public_name: str | None) -> tuple[str, str]:
    """Return the name of a base for others, and what to say where that is a folder of this machine."""
    if public_name is not None:
        return public_name, ""
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
    if renderer.media is not None:
        raise InputError(f"{source.name} reads pictures, which no GGUF of ours holds: take format=merged")
    script = settings.converter or _converter_on_path(inner.config.model_type)
    if script is not None:
        merged = folder / ".merged"
        inner.save_pretrained(merged)
        put_defaults(renderer.tokenizer, renderer.template_args)
        renderer.tokenizer.save_pretrained(merged)
        run_converter(Path(script), merged, folder / MODEL_FILE, settings.type)
        shutil.rmtree(merged)
    else:
        layout_of(inner.config)  # before the tokenizer: the architecture is the first thing to say
        put_defaults(renderer.tokenizer, renderer.template_args)
        rows = inner.get_input_embeddings().weight.shape[0]
        vocabulary = read_vocabulary(renderer.tokenizer, rows, renderer.end_ids)
        write_gguf(folder / MODEL_FILE, inner.config, inner.state_dict(), vocabulary, settings.type, description)
    text, notes = modelfile_of(inner, renderer, description)
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    check = _check_gguf(inner, renderer, folder / MODEL_FILE, settings)
    return Written(settings.type, renderer.chat, notes, check)


def _check_gguf(network: PreTrainedModel, renderer: Renderer, file: Path, settings: ModelFolder) -> str:
    """Read a GGUF file back, where `transformers` reads it as what it is; return how far its scores are."""
    if not settings.check:
        return ""
    if not reads_gguf(network.config):
        return "It was not read back: `transformers` does not read all of this architecture's settings from GGUF."
    before = score_texts(network.float().eval(), renderer.tokenizer)
    after = score_texts(read_gguf(file), renderer.tokenizer)
    return compare(before, after, "`transformers`", exact=settings.type == "f32")


def _converter_on_path(model_type: str) -> str | None:
    """Return llama.cpp's script where the shell finds it, for an architecture that the mapping here lacks."""
    return None if model_type in LAYOUTS else shutil.which("convert_hf_to_gguf.py")


def modelfile_of(network: PreTrainedModel, renderer: Renderer, description: Description) -> tuple[str, tuple[str, ...]]:
    """Return the text of a Modelfile, and what a reader must know of it."""
    tokenizer, notes = renderer.tokenizer, []
    template: str | None = "{{ .Prompt }}"
    if renderer.chat:
        # llama.cpp puts the beginning token there by itself, for tokenizers that do so
        starts = tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
        bos = tokenizer.bos_token if starts else ""

        def render(turns: Sequence[Turn]) -> str:
            messages = [{"role": role, "content": text} for role, text in turns]
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return str(text).removeprefix(bos)

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
