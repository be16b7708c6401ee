"""A Modelfile, by which Ollama runs a GGUF file: its template in Go's language, the texts that stop it, its parameters.

Ollama does not run the Jinja template of the file. So one in its own language is derived: a conversation with marks in
the place of texts is rendered, what stands between the marks is taken, and the result is kept only if it then gives
the Jinja template's text for conversations that it was not taken from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Turn = tuple[str, str]
"""Role and text."""
Render = Callable[[Sequence[Turn]], str]
"""Renders a conversation up to where the assistant's answer begins."""

MARKS = {"system": "⟦S⟧", "user": "⟦U⟧", "assistant": "⟦A⟧"}
PROBES: tuple[tuple[Turn, ...], ...] = (
    (("user", "Hello"),),
    (("system", "Be brief."), ("user", "Hello")),
    (("user", "Hello"), ("assistant", "Hi."), ("user", "How are you?")),
    (("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")),
)
"""Conversations that a derived template must render as the Jinja template does."""


@dataclass(frozen=True)
class TurnTemplate:
    """A chat template that writes each turn between two texts of its role.

    Attributes:
        opening: stands before everything.
        without_system: stands there where no turn is the system's.
        around: what stands before and after a turn's text, by role.
        answer: what stands before the answer.
    """

    opening: str
    without_system: str
    around: Mapping[str, tuple[str, str]]
    answer: str

    def render(self, turns: Sequence[Turn]) -> str:
        """Return a conversation's text."""
        middle = "".join(f"{self.around[role][0]}{text}{self.around[role][1]}" for role, text in turns)
        default = "" if any(role == "system" for role, _ in turns) else self.without_system
        return f"{self.opening}{default}{middle}{self.answer}"


def derive(render: Render) -> TurnTemplate | None:
    """Return the template of turns that renders as another does; None where none does."""
    try:
        template = _taken_apart(render)
        if template is None or any(
            template.render(turns) != render(turns) for turns in PROBES if _has(template, turns)
        ):
            return None
    except Exception:  # a template of anybody's: it may refuse a probe in any way
        return None
    return template


def _has(template: TurnTemplate, turns: Iterable[Turn]) -> bool:
    return all(role in template.around for role, _ in turns)


def _taken_apart(render: Render) -> TurnTemplate | None:
    user, assistant, system = MARKS["user"], MARKS["assistant"], MARKS["system"]
    question = render([("user", user)])
    two_questions = render([("user", user), ("assistant", assistant), ("user", user)])
    if question.count(user) != 1 or two_questions.count(user) != 2 or two_questions.count(assistant) != 1:
        return None
    before, after = question.split(user)
    first, between, last = two_questions.split(user)
    if first != before or last != after or assistant not in between:
        return None
    into_answer, after_answer = between.split(assistant)
    # what stands before a user's turn: the first has the opening before it, a later one the end of an answer
    start = _turn_start(question, after_answer, after)
    if not start or not before.endswith(start):
        start = _common_end(before, after_answer)
    opening, answer_end = before[: len(before) - len(start)], after_answer[: len(after_answer) - len(start)]
    # a user's turn ends as an answer does, or its end is taken for a part of the answer's header
    ends_alike = bool(answer_end) and after.startswith(answer_end) and into_answer.startswith(answer_end)
    user_end = answer_end if ends_alike else ""
    answer, answer_start = after[len(user_end) :], into_answer[len(user_end) :]
    around = {"user": (start, user_end), "assistant": (answer_start, answer_end)}
    try:
        with_system = render([("system", system), ("user", user)])
    except Exception:  # some templates refuse a system's turn
        return TurnTemplate(opening, "", around, answer)
    if with_system.count(system) != 1 or not with_system.endswith(f"{start}{user}{after}"):
        return TurnTemplate(opening, "", around, answer)
    head, tail = with_system.removesuffix(f"{start}{user}{after}").split(system)
    # where the opening is a whole turn of the system's, it is the one that is written if there is no other
    is_turn = bool(tail) and opening.startswith(head) and opening.endswith(tail)
    shared = "" if is_turn else _common_start(opening, head)
    return TurnTemplate(shared, opening[len(shared) :], around | {"system": (head[len(shared) :], tail)}, answer)


def _turn_start(conversation: str, after_answer: str, after_question: str) -> str:
    """Return what begins a user's turn behind an answer; empty where it cannot be told from the end of the answer.

    Both kinds of turns end alike, and then another begins by the mark that begins the conversation.
    """
    shared = _common_start(after_answer, after_question)
    for end in range(1, len(shared)):
        if conversation.startswith(shared[end:]):
            return after_answer[end:]
    return ""


def _common_start(left: str, right: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    return left[:length]


def _common_end(left: str, right: str) -> str:
    return _common_start(left[::-1], right[::-1])[::-1]


def go_template(template: TurnTemplate) -> str:
    """Return a template of turns in Go's language, as Ollama reads it."""
    lines = [_go(template.opening)]
    if template.without_system:
        lines.append(f"{{{{ if not .System }}}}{_go(template.without_system)}{{{{ end }}}}")
    branches = []
    for number, role in enumerate(role for role in ("system", "user", "assistant") if role in template.around):
        before, after = template.around[role]
        word = "if" if number == 0 else "else if"
        branches.append(f'{{{{ {word} eq .Role "{role}" }}}}{_go(before)}{{{{ .Content }}}}{_go(after)}')
    lines.append(f"{{{{ range .Messages }}}}{''.join(branches)}{{{{ end }}}}{{{{ end }}}}{_go(template.answer)}")
    return "".join(lines)


def _go(text: str) -> str:
    """Return a text as it stands in a template of Go; what that would read as code is written as a literal."""
    return text if "{{" not in text and '"""' not in text else '{{ "' + _escaped(text) + '" }}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write_modelfile(
    file: str, template: str | None, stops: Sequence[str], parameters: Mapping[str, int | float], *, note: str = "",
    license: str | None = None,
) -> str:  # fmt: skip
    """Return the text of a Modelfile.

    Args:
        file: the GGUF file's name beside it.
        template: in Go's language; None leaves it to Ollama.
        stops: texts at which an answer ends.
        parameters: by Ollama's names.
        note: a comment, such as why there is no template.
    """
    lines = ["# ollama create NAME -f Modelfile", *(f"# {line}" for line in note.splitlines()), f"FROM ./{file}"]
    if template is not None:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f'PARAMETER stop "{_escaped(stop)}"' for stop in stops]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters.items()]
    if license:
        lines.append(f'LICENSE """{license}"""')
    return "\n".join(lines) + "\n"
