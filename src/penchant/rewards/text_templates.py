"""Texts with slots that a language model is asked with: ours, or files of the user's."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from penchant.errors import InputError
from penchant.files import read_file


@dataclass(frozen=True)
class TextTemplate:
    """A text with slots.

    Attributes:
        name: of ours, or the file's path. text: in jinja2, such as `{{ prompt }}`.
    """

    name: str
    text: str

    def fill(self, **slots: object) -> str:
        """Return the text with its slots filled; what is filled in is text, also where it looks like a template."""
        return _environment().from_string(self.text).render(**slots)


@dataclass(frozen=True)
class TemplateShelf:
    """The templates of one kind.

    Attributes:
        package: the package in whose folder `templates` ours lie.
        built_in: names of ours.
        slots: what every template has. optional_slots: what it may have.
    """

    package: str
    built_in: Sequence[str]
    slots: Set[str]
    optional_slots: Set[str] = frozenset()

    def load(self, name: str) -> TextTemplate:
        """Return one of our templates by name, or a file by its path.

        Raises:
            InputError: no such template, one that cannot be read, or one that lacks a slot or has others.
        """
        # a name of ours before a file of that name, so that settings mean the same in every folder
        if name in self.built_in:
            file = files(self.package) / "templates" / f"{name}.j2"
            return TextTemplate(name, file.read_text(encoding="utf-8"))
        try:
            text = read_file(Path(name).expanduser()).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            # most often a misspelt built-in name, which is then looked for as a file
            raise InputError(
                f"the template {name}: {error}; expected a file of yours, or one of {', '.join(self.built_in)}"
            ) from error
        self._check_slots(name, text)
        return TextTemplate(name, text)

    def _check_slots(self, name: str, text: str) -> None:
        # now: with one that lacks a response every call would be answered, and say nothing
        try:
            slots = meta.find_undeclared_variables(_environment().parse(text))
        except TemplateError as error:
            raise InputError(f"the template {name} cannot be read: {error}") from error
        missing, unknown = sorted(self.slots - slots), sorted(slots - self.slots - self.optional_slots)
        if not missing and not unknown:
            return
        problems = [f"has no {', '.join(missing)}"] * bool(missing) + [f"asks for {', '.join(unknown)}"] * bool(unknown)
        *first, last = (f"{{{{ {slot} }}}}" for slot in sorted(self.slots, key=_SLOT_ORDER.index))
        listed = f"{', '.join(first)} and {last}" if first else last
        raise InputError(f"the template {name} {' and '.join(problems)}: write {listed}")


# in the order in which messages name them
_SLOT_ORDER = ("prompt", "response", "a", "b", "examples", "number", "lowest", "highest")


def _environment() -> SandboxedEnvironment:
    # a template may be downloaded: it is filled with texts and must not reach what is behind them
    return SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
