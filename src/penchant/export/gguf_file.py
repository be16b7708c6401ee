"""Writes a GGUF file: one tensor at a time, so that the file needs no memory of its own beside the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penchant.errors import InputError
from penchant.export.gguf_layouts import Layout, ModelSettings, changed, frequency_divisors, layout_of
from penchant.export.gguf_vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

log = logging.getLogger("penchant.export")

Quantization = Literal["f32", "f16", "bf16", "q8_0"]
FILE_TYPES: dict[Quantization, int] = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}
"""`general.file_type` of llama.cpp."""
Q8_BLOCK = 32  # neighbours of a row that share a scale
LARGEST_F16 = 65504.0


@dataclass(frozen=True)
class Description:
    """The description of a file: its name, and the licence and the base of its model where they are known."""

    name: str
    license: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class Part:
    """A tensor to write: its name, how its values are stored, and its shape."""

    name: str
    weight: str
    stored: Quantization
    shape: tuple[int, ...]


def write_gguf(
    path: Path,
    settings: ModelSettings,
    weights: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    stored: Quantization,
    description: Description,
) -> None:
    """Write a model as one GGUF file.

    Args:
        path: the file, which must not be there.
        weights: by their names in `transformers`; a head that is the embedding itself may be among them.
        stored: the type of matrices. Norms and biases are float32 in any case, as llama.cpp wants them.

    Raises:
        InputError: a weight that has no place in the file, one that is missing, or a value beyond float16.
        OSError: it cannot be written.
    """
    from gguf import GGUFWriter
    from gguf.constants import GGMLQuantizationType

    layout = layout_of(settings)
    parts = list(_parts(layout, settings, weights, stored))
    divisors = frequency_divisors(settings)
    # the package logs a plan of every file it opens
    logging.getLogger("gguf").setLevel(logging.WARNING)
    writer = GGUFWriter(None, layout.architecture)
    try:
        _describe(writer, layout, settings, vocabulary, stored, description)
        if divisors is not None:
            writer.add_tensor_info("rope_freqs.weight", (len(divisors),), *_stored_as("f32", (len(divisors),)))
        for part in parts:
            writer.add_tensor_info(part.name, part.shape, *_stored_as(part.stored, part.shape))
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if divisors is not None:
            import numpy as np

            writer.write_tensor_data(np.array(divisors, dtype=np.float32))
        for part in parts:
            rule = layout.rule(part.weight)
            assert rule is not None
            values = changed(weights[part.weight].detach().cpu(), rule.change, settings, part.weight)
            writer.write_tensor_data(_encoded(values, GGMLQuantizationType[part.stored.upper()], part.weight))
    finally:
        writer.close()


def _parts(
    layout: Layout, settings: ModelSettings, weights: Mapping[str, Tensor], stored: Quantization
) -> Iterator[Part]:
    """Yield the tensors of a file, in the order of the weights.

    Raises:
        InputError: a weight has no place, or one of the layout is missing.
    """
    embedding = next(name for name, rule in layout.ends.items() if rule.name == "token_embd") + ".weight"
    # all at once: one by one would take a run per name
    unknown, missing = [], _names(layout, settings) - set(weights)
    for weight, values in weights.items():
        rule = layout.rule(weight)
        if rule is None:
            unknown.append(weight)
            continue
        # one matrix for both ends is written once: a reader without a head takes the embedding
        if rule.name == "output.weight" and embedding in weights and values.data_ptr() == weights[embedding].data_ptr():
            continue
        shape = tuple(values.shape[::-1]) if rule.change == "transpose" and values.dim() == 2 else tuple(values.shape)
        # llama.cpp's own converter keeps embeddings of positions in float32 too
        kind: Quantization = stored if values.dim() == 2 and rule.name != "position_embd.weight" else "f32"
        if kind == "q8_0" and shape[-1] % Q8_BLOCK:
            log.warning("%s has rows of %d, which no blocks of %d fit: stored as f16", weight, shape[-1], Q8_BLOCK)
            kind = "f16"
        yield Part(rule.name, weight, kind, shape)
    if unknown or missing:
        details = [f"{', '.join(sorted(unknown)[:3])} have no place there"] * bool(unknown)
        details += [f"{', '.join(sorted(missing)[:3])} are missing"] * bool(missing)
        raise InputError(
            f"no GGUF can be written of this {settings.model_type} model: {' and '.join(details)}. Take format=merged"
        )


def _names(layout: Layout, settings: ModelSettings) -> set[str]:
    """Return the weights that a model must have; a head may be the embedding."""
    ends = {f"{name}.weight" for name, rule in layout.ends.items() if rule.name != "output"}
    return ends | {
        f"{layout.block_prefix}{number}.{inner}.weight"
        for number in range(settings.num_hidden_layers)
        for inner in layout.blocks
    }


def _stored_as(stored: Quantization, shape: tuple[int, ...]) -> tuple[np.dtype, int, object]:
    """Return type, bytes and GGUF's type of a tensor as `add_tensor_info` takes them."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    kind = GGMLQuantizationType[stored.upper()]
    block, size = GGML_QUANT_SIZES[kind]
    count = int(np.prod(shape))
    # not bytes, or the writer would take the shape for one of bytes
    return np.dtype(np.float16), count // block * size, kind


def _encoded(values: Tensor, kind: object, weight: str) -> NDArray[np.generic]:
    """Return a tensor's values in their stored form.

    Raises:
        InputError: a value is not finite, or beyond float16 where that is stored.
    """
    import numpy as np
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import quantize

    array = np.ascontiguousarray(values.float().numpy())
    # NaN stays NaN in a maximum, so that one test finds it and infinity
    largest = float(np.abs(array).max()) if array.size else 0.0
    if not np.isfinite(largest):
        raise InputError(f"{weight} has values that are not finite: the model is damaged, and is not exported")
    # numpy would write infinity, and the model would answer with noise
    if kind == GGMLQuantizationType.F16 and largest > LARGEST_F16:
        raise InputError(f"{weight} has values up to {largest:.3g}, float16 ends at {LARGEST_F16:g}: take type=bf16")
    encoded: NDArray[np.generic] = quantize(array, kind)
    return encoded


def _describe(
    writer: object, layout: Layout, settings: ModelSettings, vocabulary: Vocabulary, stored: Quantization,
    description: Description,
) -> None:  # fmt: skip
    from gguf import GGUFWriter

    assert isinstance(writer, GGUFWriter)
    writer.add_type("model")
    writer.add_name(description.name)
    if description.license:
        writer.add_license(description.license)
    if description.base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, description.base)
    writer.add_file_type(FILE_TYPES[stored])
    writer.add_quantization_version(2)
    for key, value in layout.metadata(settings).items():
        name = f"{layout.architecture}.{key}"
        if isinstance(value, bool):
            writer.add_bool(name, value)
        # behind bool, which is an int to Python
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_string(name, value)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_types([int(kind) for kind in vocabulary.kinds])
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_merges(vocabulary.merges)
    add = {
        "bos": writer.add_bos_token_id,
        "eos": writer.add_eos_token_id,
        "eot": writer.add_eot_token_id,
        "unknown": writer.add_unk_token_id,
        "padding": writer.add_pad_token_id,
    }
    for name, number in vocabulary.special.items():
        add[name](number)
    writer.add_add_bos_token(vocabulary.starts)
    writer.add_add_eos_token(vocabulary.ends)
    # left out, llama.cpp takes a default of its own, and ids differ from training
    writer.add_add_space_prefix(vocabulary.space_before)
    templates = [{"name": name, "template": text} for name, text in vocabulary.templates.items()]
    # nearly all models: as one text, which readers know that have no named templates
    if list(vocabulary.templates) == ["default"]:
        writer.add_chat_template(vocabulary.templates["default"])
    elif templates:
        writer.add_chat_template(templates)
