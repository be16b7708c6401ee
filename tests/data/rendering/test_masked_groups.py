"""With masked thoughts the same kind of tokens is scored in all responses of a group, with thoughts or without."""

from __future__ import annotations

import pytest

from penchant.data.rendering.marked import mark_row
from penchant.data.rendering.renderer import Renderer
from penchant.types import Comparison, Message, PromptGroup, Response
from template_families import FAMILIES, family_tokenizer

THINKING = [name for name, family in FAMILIES.items() if family.thoughts]


@pytest.mark.parametrize("family", THINKING)
def test_a_response_without_thoughts_has_no_header_scored_beside_one_with_thoughts(family: str) -> None:
    args = {"thinking": True} if family == "deepseek_v31" else {}  # it writes thoughts only where told to
    renderer = Renderer(family_tokenizer(family), thoughts="mask", template_args=args)
    prompt = [Message("user", "What is 17 + 25?")]
    group = PromptGroup(prompt, [Response("42.", reasoning="7 and 5."), "41."], [Comparison(0, 1)])
    row = mark_row(renderer, group, renderer.render(group))
    scored = ["".join(piece.text for piece in side.pieces if piece.kind == "scored") for side in row.responses]
    assert [text.strip() for text in scored] == ["42.", "41."]
    thoughts = [piece.text for piece in row.responses[0].pieces if piece.kind == "thought"]
    assert "".join(thoughts) == "7 and 5."
    assert row.responses[0].pieces[-1].kind == row.responses[1].pieces[-1].kind == "end"
