"""`Schema`, what a configuration class declares: what reads fields and explains problems needs no more than that."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

if TYPE_CHECKING:

    class _Model:
        """What checkers see of pydantic's model.

        From the model itself they would derive a constructor that wants each field's own type, where a path, a name, a
        mapping, rows or a function may stand for it.
        """

        model_config: ClassVar[ConfigDict]
        model_fields: ClassVar[dict[str, FieldInfo]]

        def __init__(self, **values: object) -> None: ...

        @property
        def model_fields_set(self) -> set[str]: ...

        @classmethod
        def model_validate(cls, obj: object) -> Self: ...

        def model_dump(
            self, *, mode: str = "python", include: set[str] | None = None, exclude: set[str] | None = None
        ) -> dict[str, Any]: ...

        def model_copy(self, *, update: dict[str, Any] | None = None) -> Self: ...

else:

    class _DocumentedClass(type(BaseModel)):
        # A property of the class of classes: `help`, IPython and `DPO.__doc__` all read it, and none of them before
        # somebody asks. The sources of all settings take a tenth of a second.
        @property
        def __doc__(cls) -> str | None:
            """The docstring; of a method's or a command's settings the text of every setting behind it."""
            text = summary_of(cls)
            if not (text and vars(cls).get("method")):
                return text or None
            # by its name: as an import statement it would make every stage of a study depend on how help is laid out
            listing = import_module("penchant.config.listing")
            return f"{inspect.cleandoc(text)}\n\nSettings, by name:\n\n{listing.describe(cls)}"

    class _Model(BaseModel, metaclass=_DocumentedClass):
        pass


def summary_of(config: type[Schema]) -> str:
    """Return a class's docstring as it stands in the source, without the settings that `help` shows."""
    # not `config.__doc__`, which is the whole text
    return str(vars(config).get("__doc__") or "")


class Schema(_Model):
    """A frozen set of typed fields with a docstring under each. Every configuration extends it through `Config`.

    Attributes:
        method: the method's name, such as `"dpo"`, where the class configures one; written to and checked in
            YAML.
        command: how the console runs it, where that is not `train METHOD`.
        shorthand: the field that a bare value stands for, such as `"path"`: `data: x.jsonl` is
            `data: {path: x.jsonl}`.
        extension: of a union's branch, the field for code of the user's: where `module:attribute` stands for the
            union's `name`, it is this branch with that field.
        other_names: what a setting of this class may be called by mistake, and its name.
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
    other_names: ClassVar[dict[str, str]] = {}
