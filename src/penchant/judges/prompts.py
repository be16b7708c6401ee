"""What a language model is asked: templates as files, ours or the user's own."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.judges.contract import Question, digest
from penchant.rewards.text_templates import TemplateShelf, TextTemplate

BUILT_IN = ("instruction", "summary", "summary_concise", "helpfulness", "harmlessness")
SHELF = TemplateShelf("penchant.judges", BUILT_IN, {"prompt", "a", "b"})


@dataclass(frozen=True)
class Template(TextTemplate):
    """A text that asks a language model for a verdict, with {{ prompt }}, {{ a }} and {{ b }}."""

    @property
    def digest(self) -> str:
        """The digest of the text, which is part of a judge's identity; a template's name is none."""
        return digest(self.text)[:16]

    def ask(self, question: Question) -> str:
        """Return the question in words. A response is filled in as text, also where it looks like a template."""
        return self.fill(prompt=question.prompt, a=question.a, b=question.b)


def load_template(name: str) -> Template:
    """Return one of our templates by name, or a file by its path.

    Raises:
        InputError: no such template, one that cannot be read, or one that lacks a slot or has others.
    """
    template = SHELF.load(name)
    return Template(template.name, template.text)
