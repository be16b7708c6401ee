"""`Schema`, what a configuration class declares: what reads fields and explains problems needs no more than that."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A frozen set of typed fields with a docstring under each. Every configuration extends it through `Config`.

    Attributes:
        method: the method's name, such as `"dpo"`, where the class configures one; written to and checked in
            YAML.
        command: how the console runs it, where that is not `train METHOD`.
        shorthand: the field that a bare value stands for, such as `"path"`: `data: x.jsonl` is
            `data: {path: x.jsonl}`.
        extension: of a union's branch, the field for code of the user's: where `module:attribute` stands for the
            union's `name`, it is this branch with that field.
    """

    # forbid: a key that is accepted and ignored would look as if it had worked
    # defer_build: a validator is built at the first use. Those of all losses and judges took half a second, and a
    # command uses few of them
    # the docstrings below fields are read when they are asked for: `penchant.config.descriptions`
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    method: ClassVar[str] = ""
    command: ClassVar[str] = ""
    shorthand: ClassVar[str] = ""
    extension: ClassVar[str] = ""
