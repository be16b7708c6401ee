"""The settings of `penchant export` and `penchant push`. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from penchant.config import Config
from penchant.config.limits import Text
from penchant.models.in_memory import ModelName

Format = Literal["merged", "adapter", "gguf"]
Quantization = Literal["f32", "f16", "bf16", "q8_0"]
SMALLER_TYPE = re.compile(r"i?q[1-6]_\w+|tq[12]_0|mxfp4\w*", re.IGNORECASE)
"""Names of llama.cpp's types that only its own program writes, such as `q4_k_m`."""
ExportedDtype = Literal["auto", "float32", "bfloat16", "float16"]
ShardSize = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5} ?[KMG]B$")]
License = Annotated[str, Field(min_length=1, max_length=96, pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$")]


def _known_type(value: object) -> object:
    # the type that most people run: the list of ours alone would not say how to get it
    if isinstance(value, str) and value not in get_args(Quantization) and SMALLER_TYPE.fullmatch(value):
        raise ValueError(
            f"{value} is made by llama.cpp: export with type=f16, then run `llama-quantize FILE.gguf SMALLER.gguf "
            f"{value.upper()}`. Written here are {', '.join(get_args(Quantization))}"
        )
    return value


class ModelFolder(Config):
    """Settings of an exported folder, wherever it goes."""

    model: Annotated[ModelName, Field(min_length=1)]
    """What to export: a run directory, its `checkpoint`, or any model that Penchant opens (a folder, a built-in name,
    a hub id)."""
    format: Format = "merged"
    """`merged` is whole weights as safetensors, with adapters merged in; `adapter` is the LoRA adapters alone; `gguf`
    is one file for llama.cpp and Ollama, with a Modelfile."""
    dtype: ExportedDtype = "auto"
    """Of merged weights. `auto`: as the checkpoint has them, and float32 where adapters are merged, so that no bit of
    the training is rounded away."""
    shard_size: ShardSize = "5GB"
    """The largest file of merged weights, such as `500MB`."""
    type: Annotated[Quantization, BeforeValidator(_known_type)] = "f32"
    """How GGUF stores matrices. Norms and biases are float32 in any case. llama.cpp's `llama-quantize` makes smaller
    types of an `f16`."""
    converter: Text | None = None
    """llama.cpp's `convert_hf_to_gguf.py`, to write GGUF of an architecture that Penchant's own mapping lacks. It runs
    with this Python."""
    base: Text | None = None
    """The base model's name for others, such as its hub id, where the run knows it by a folder of this machine."""
    license: License | None = None
    """The licence of the result, as the hub spells it (`apache-2.0`); that of the base model if not given, where that
    is known."""
    check: bool = True
    """Read what was written back by `transformers`, and state in the card how far its scores are from the model's.
    Takes the memory of a second copy, in float32."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        # a setting of another format would be passed over in silence
        foreign = {"merged": ("type", "converter"), "adapter": ("type", "converter", "dtype", "shard_size"),
                   "gguf": ("dtype", "shard_size")}[self.format]  # fmt: skip
        changes = [name for name in foreign if getattr(self, name) != type(self).model_fields[name].default]
        if changes:
            raise ValueError(
                f"`{changes[0]}` says nothing where format={self.format}: leave it out, or change the format"
            )
        return self


class Export(ModelFolder):
    """Write a trained model as a folder that other programs open, with a model card."""

    method: ClassVar[str] = "export"

    out: Text
    """The folder to write, which must not be there or be empty."""


class Push(ModelFolder):
    """Upload a run or an exported folder to a hub as one commit, private unless you say otherwise."""

    method: ClassVar[str] = "push"

    repository: Text
    """The repository, `owner/name`."""
    private: bool = True
    """Whether only its owner sees a repository that is made. Public needs a licence."""
    update: bool = False
    """Add a commit to a repository that is there and holds files."""
    dry_run: bool = False
    """Show what would go, with sizes and the card, and ask nobody."""
    message: Annotated[str, Field(min_length=1, max_length=200)] = "Upload a model trained with Penchant"
    """The commit's message."""

    @model_validator(mode="after")
    def _names_a_repository(self) -> Self:
        part = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
        if not re.fullmatch(f"{part}/{part}", self.repository) or re.search(r"--|\.\.", self.repository):
            raise ValueError(
                f"`repository` must be owner/name, of letters, digits, and single - . _ inside, got {self.repository!r}"
            )
        return self
