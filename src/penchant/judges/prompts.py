"""What a language model is asked: templates as files, ours or the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from penchant.errors import InputError
from penchant.files import read_file
from penchant.judges.contract import Question, digest

BUILT_IN = ("instruction", "summary", "summary_concise", "helpfulness", "harmlessness")
SLOTS = {"prompt", "a", "b"}


@dataclass(frozen=True)
class Template:
    """A text that asks a language model for a verdict.

    Attributes:
        name: of ours, or the file's path. text: in jinja2, with {{ prompt }}, {{ a }} and {{ b }}.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        """The digest of the text, which is part of a judge's identity; a template's name is none."""
        return digest(self.text)[:16]

    def ask(self, question: Question) -> str:
        """Return the question in words. A response is filled in as text, also where it looks like a template."""
        template = _environment().from_string(self.text)
        return template.render(prompt=question.prompt, a=question.a, b=question.b)


def load_template(name: str) -> Template:
    """Return one of our templates by name, or a file by its path.

    Raises:
        InputError: no such template, one that cannot be read, or one that lacks a slot or has others.
    """
    if name in BUILT_IN:
        return Template(name, (files("penchant.judges") / "templates" / f"{name}.j2").read_text(encoding="utf-8"))
    path = Path(name).expanduser()
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # most often a misspelt built-in name, which is then looked for as a file
        raise InputError(
            f"the template {name}: {error}; expected a file of yours, or one of {', '.join(BUILT_IN)}"
        ) from error
    # now: with one that lacks a response every call would be answered, and say nothing
    try:
        slots = meta.find_undeclared_variables(_environment().parse(text))
    except TemplateError as error:
        raise InputError(f"the template {name} cannot be read: {error}") from error
    if slots != SLOTS:
        missing, unknown = sorted(SLOTS - slots), sorted(slots - SLOTS)
        problems = [f"has no {', '.join(missing)}"] * bool(missing) + [f"asks for {', '.join(unknown)}"] * bool(unknown)
        raise InputError(
            f"the template {name} {' and '.join(problems)}: write {{{{ prompt }}}}, {{{{ a }}}} and {{{{ b }}}}"
        )
    return Template(name, text)


def _environment() -> SandboxedEnvironment:
    # a template may be downloaded: it is filled with texts and must not reach what is behind them
    return SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
