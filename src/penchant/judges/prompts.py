"""What a language model is asked: templates as files, ours or the user's own, and how its answer is read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from penchant.errors import InputError
from penchant.judges.contract import Question, digest
from penchant.types import Winner

OURS = ("instruction", "summary", "summary_concise", "helpfulness", "harmlessness")
SLOTS = {"prompt", "a", "b"}
_VERDICT = re.compile(r"verdict\W{0,6}(a|b|tie)\b", re.IGNORECASE)
_BARE = re.compile(r"\W*(a|b|tie)\W*", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """Attributes:
    name: of ours, or the file's path. text: in jinja2, with {{ prompt }}, {{ a }} and {{ b }}. digest: of the text.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        return digest(self.text)[:16]

    def ask(self, question: Question) -> str:
        """The question in words; a response that looks like a template is text like any other."""
        made = _environment().from_string(self.text)
        return made.render(prompt=question.prompt, a=question.a, b=question.b)


def load_template(name: str) -> Template:
    """One of ours by name, or a file by its path.

    Raises:
        InputError: no such template, one that cannot be read, or one that lacks a slot or has others.
    """
    if name in OURS:
        return Template(name, (files("penchant.judges") / "templates" / f"{name}.j2").read_text(encoding="utf-8"))
    path = Path(name).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the template {name}: {error}; expected a file of yours, or one of {', '.join(OURS)}"
        ) from error
    try:
        slots = meta.find_undeclared_variables(_environment().parse(text))
    except TemplateError as error:
        raise InputError(f"the template {name} cannot be read: {error}") from error
    if slots != SLOTS:
        missing, unknown = sorted(SLOTS - slots), sorted(slots - SLOTS)
        said = [f"has no {', '.join(missing)}"] * bool(missing) + [f"asks for {', '.join(unknown)}"] * bool(unknown)
        raise InputError(
            f"the template {name} {' and '.join(said)}: write {{{{ prompt }}}}, {{{{ a }}}} and {{{{ b }}}}"
        )
    return Template(name, text)


def read_verdict(answer: str) -> tuple[Winner, float | None]:
    """Which one an answer names, and how sure it says to be.

    An answer is JSON with `winner`, or has a line `Verdict: A`, or is the bare word. The last verdict counts, as models
    weigh both sides first.
    """
    text = answer.strip()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        winner = str(content.get("winner", "")).strip().lower()
        sure = content.get("confidence")
        known = isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1
        return _winner(winner), float(sure) if known and sure is not None else None
    found = _VERDICT.findall(text)
    if found:
        return _winner(found[-1].lower()), None
    bare = _BARE.fullmatch(text)
    return _winner(bare[1].lower() if bare else ""), None


def _winner(word: str) -> Winner:
    match word:
        case "a":
            return "a"
        case "b":
            return "b"
        case "tie":
            return "tie"
    return "unparseable"


def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
