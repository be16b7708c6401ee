"""Templates put together of pieces, and what each of them must have scored by the rule itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat_templates import CHATML, QWEN3, renderer
from penchant.data.options import Thoughts
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response

SPLIT = (
    "{% set c = m.content %}{% set t = m.reasoning_content or '' %}{% if '</think>' in c %}"
    "{% set t = c.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
)


@dataclass(frozen=True)
class Pieces:
    """A template: what the header that asks ends with, and what stands around an answer."""

    opens: str
    block: str
    lead: str
    trim: bool
    end: str
    tail: str

    @property
    def template(self) -> str:
        content = "{{ c | trim }}" if self.trim else "{{ c }}"
        return (
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}"
            + SPLIT
            + "{% if t %}{{ '<think>\\n' + t + '\\n</think>\\n\\n' }}{% else %}"
            + f"{{{{ {self.block!r} }}}}{{% endif %}}{{{{ {self.lead!r} }}}}{content}"
            + "{% else %}{{ m.content.split('</think>')[-1] | trim }}{% endif %}"
            + f"{self.end}{{{{ {self.tail!r} }}}}{{% endfor %}}"
            + "{% if add_generation_prompt %}<|im_start|>assistant\n"
            + f"{{{{ {self.opens!r} }}}}{{% endif %}}"
        )

    def answered(self, thoughts: str, text: str) -> str:
        """What stands behind the header of the role."""
        block = f"<think>\n{thoughts}\n</think>\n\n" if thoughts else self.block
        return block + self.lead + (text.strip() if self.trim else text)


PIECES = st.builds(
    Pieces,
    opens=st.sampled_from(["", "<think>\n", "<think>\n\n</think>\n\n", "<think></think>"]),
    block=st.sampled_from(["", "<think>\n\n</think>\n\n", "<think></think>"]),
    lead=st.sampled_from(["", " ", "[final]"]),
    trim=st.booleans(),
    end=st.sampled_from(["<|im_end|>", ""]),
    tail=st.sampled_from(["", "\n"]),
)
TEXTS = st.sampled_from(
    ["a", "assistant", "Name a river.", "The Po.", " The Po. ", "think", "<b>", "two\nlines", "final]"]
)
THOUGHTS = st.sampled_from(["", "", "a", "think", "I look.", "Name a river.", "The Po.", "<b>"])
ANSWERS = st.lists(st.tuples(THOUGHTS, TEXTS, st.booleans()), min_size=1, max_size=3)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


def response(thoughts: str, text: str, apart: bool) -> Response:
    if apart or not thoughts:
        return Response(text, reasoning=thoughts)
    return Response(f"<think>\n{thoughts}\n</think>\n\n{text}")


def expected(pieces: Pieces, answers: list[tuple[str, str, bool]], mask: bool) -> list[str]:
    """What is scored, without the end token: by the rule, from the pieces."""
    written = [
        pieces.answered(thoughts, text if apart or not thoughts else text.lstrip("\n"))
        for thoughts, text, apart in answers
    ]
    follows = all(text.startswith(pieces.opens) for text in written)
    scored = []
    own_texts = []
    for (thoughts, text, _), full in zip(answers, written, strict=True):
        own = text.strip() if pieces.trim else text if not thoughts else text.strip() + text[len(text.rstrip()) :]
        start = len(pieces.opens) if follows else full.index(thoughts) if thoughts else len(full) - len(own)
        if not follows and thoughts:
            start = len("<think>\n")
        scored.append(full[start:])
        own_texts.append(own)
    # one rule for the group: the answers alone, as soon as a block stands before one of them
    blocks = ["</think>" in behind[: len(behind) - len(own)] for behind, own in zip(scored, own_texts, strict=True)]
    return own_texts if mask and any(blocks) else scored


@QUICK
@given(PIECES, ANSWERS, st.booleans(), st.booleans())
def test_what_is_scored_follows_from_the_pieces(
    pieces: Pieces, answers: list[tuple[str, str, bool]], mask: bool, long: bool
) -> None:
    turns = (Message("user", "Name a river."), Message("assistant", "a"), Message("user", "a"))
    prompt = turns if long else turns[:1]
    made: Any = renderer(pieces.template, thoughts="mask" if mask else "score")
    rendered = made.render(PromptGroup(prompt, [response(*answer) for answer in answers]))
    for branch, scored in zip(rendered.branches, expected(pieces, answers, mask), strict=True):
        ((start, end),) = branch.spans
        words = made.tokenizer.convert_ids_to_tokens
        text = "".join(words(branch.ids[start:end]))
        assert text == scored + "<|im_end|>", (pieces, answers)
        head = "".join(words([*rendered.prompt_ids, *branch.ids[:start]]))
        assert head.count("Name a river.") >= 1


THOUGHTS_ALONE = PromptGroup("q", [Response("<think>hm</think>"), Response("an answer")], source="a.jsonl:3")


@pytest.mark.parametrize("template", [CHATML, QWEN3])
@pytest.mark.parametrize("thoughts", ["mask", "drop"])
def test_thoughts_that_leave_no_answer_are_refused_by_the_row(template: str, thoughts: Thoughts) -> None:
    words = rf"a\.jsonl:3: a response is thoughts alone \('hm'\), and thoughts={thoughts} leaves no answer of it"
    chat = renderer(template, thoughts=thoughts)
    for rows in (chat, replace(chat, template="plain")):
        with pytest.raises(InputError, match=words):
            rows.render(THOUGHTS_ALONE)


def test_thoughts_alone_are_a_response_where_they_are_scored() -> None:
    chosen, _ = renderer(CHATML).render(THOUGHTS_ALONE).branches
    assert chosen.scored == len("<think>hm</think>") + 1
