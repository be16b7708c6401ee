"""What is marked as given, scored, ended and thought, against spans that are made here by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders

from chat_templates import CHATML, renderer
from penchant.data.rendering.marked import MarkedPiece, MarkedRow, mark_row
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.data.rendering.renderer import Renderer
from penchant.types import Comparison, Message, PromptGroup, Response

PAIR = PromptGroup("Who?", ["Me.", "My dog."], [Comparison(0, 1)], source="prefs.jsonl:7")


def chatml(**options: Any) -> Renderer:
    made = renderer(CHATML, **options)
    made.tokenizer.backend_tokenizer.decoder = decoders.Fuse()  # characters stand next to each other
    return made


def marked(group: PromptGroup, **options: Any) -> MarkedRow:
    made = chatml(**options)
    return mark_row(made, group, made.render(group))


def joined(pieces: tuple[MarkedPiece, ...], *kinds: str) -> str:
    return "".join(piece.text for piece in pieces if not kinds or piece.kind in kinds)


def test_a_pair_has_its_prompt_its_answers_and_their_ends() -> None:
    row = marked(PAIR)
    assert joined(row.prompt) == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    assert {piece.kind for piece in row.prompt} == {"given"}
    # characters are tokens here, and both responses begin with M: they part at the character behind it
    assert row.responses[0].pieces == (
        MarkedPiece("M", "scored"),
        MarkedPiece("e", "scored", parts=True),
        MarkedPiece(".", "scored"),
        MarkedPiece("<|im_end|>", "end"),
    )
    assert [response.label for response in row.responses] == ["chosen", "rejected"]
    assert [response.scored for response in row.responses] == [4, 8]
    assert row.responses[0].parts_at == row.tokens + 1
    assert row.source == "prefs.jsonl:7"


def test_every_turn_of_a_conversation_is_marked_where_it_is_taught() -> None:
    turns = [Message("user", "A?"), Message("assistant", "B."), Message("user", "C?")]
    group = PromptGroup(turns, ["D."])
    last, every = marked(group), marked(group, every_turn=True)
    assert joined(last.responses[0].pieces, "scored") == "D."
    assert joined(every.responses[0].pieces, "scored") == "B.D."
    assert joined(every.responses[0].pieces, "end") == "<|im_end|><|im_end|>"
    assert last.responses[0].label == every.responses[0].label == "response"


def test_an_end_token_that_is_not_scored_is_given() -> None:
    row = marked(PromptGroup("Who?", [Response("Me", finished=False)]))
    assert row.responses[0].pieces == (MarkedPiece("Me", "scored"),)


@pytest.mark.parametrize("response", [Response("<think>\nHm.\n</think>\n\nMe."), Response("Me.", reasoning="Hm.")])
def test_thoughts_that_are_not_scored_are_a_piece_of_their_own(response: Response) -> None:
    made = chatml()
    text = "<think>\nHm.\n</think>\n\nMe.<|im_end|>"
    ids = tuple(made.tokenizer(text, add_special_tokens=False)["input_ids"])
    start = len(ids) - len("Me.") - 1
    group = PromptGroup("Who?", [response])
    row = mark_row(made, group, Rendered((5,), (Branch(ids, ((start, len(ids)),)),)))
    assert row.responses[0].pieces == (
        MarkedPiece("<think>\n", "given"),
        MarkedPiece("Hm.", "thought"),
        MarkedPiece("\n</think>\n\n", "given"),
        MarkedPiece("Me.", "scored"),
        MarkedPiece("<|im_end|>", "end"),
    )


def test_thoughts_that_are_scored_stay_scored() -> None:
    row = marked(PromptGroup("Who?", ["<think>\nHm.\n</think>\n\nMe."]))
    assert joined(row.responses[0].pieces, "scored") == "<think>\nHm.\n</think>\n\nMe."


@pytest.mark.parametrize(
    ("group", "labels"),
    [
        (PromptGroup("Who?", ["Me.", "You."], [Comparison(0, 1, tie=True)]), ["tied", "tied"]),
        (PromptGroup("Who?", ["Me.", "You."], scores=[1, 0]), ["good", "bad"]),
        (PromptGroup("Who?", ["Me.", "You."], scores=[4.5, 2]), ["score 4.5", "score 2"]),
    ],
)
def test_what_is_known_of_a_response_is_its_label(group: PromptGroup, labels: list[str]) -> None:
    assert [response.label for response in marked(group).responses] == labels


def test_what_is_left_out_is_said() -> None:
    group = PromptGroup("Who?", ["Me.", "You.", "He."], [Comparison(2, 0), Comparison(0, 1)])
    row = marked(group)
    assert [joined(response.pieces, "scored") for response in row.responses] == ["He.", "Me."]
    assert row.remark == "2 of 3 responses are shown; the first of 2 comparisons"


def test_two_equal_responses_part_nowhere(stories_renderer: Any) -> None:
    made = stories_renderer
    group = PromptGroup("Who?", [" Me.", Response(" Me.", count=2)], [Comparison(0, 1)])
    row = mark_row(made, group, made.render(group))
    assert [response.parts_at for response in row.responses] == [None, None]
    assert "same tokens" in row.remark


TEXTS = st.text("ab \n.<é猫獅🙂\u0301", min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=30)
@given(prompt=TEXTS, first=TEXTS, second=TEXTS)
def test_the_pieces_joined_are_the_decoded_text(stories_renderer: Any, prompt: str, first: str, second: str) -> None:
    """Whatever the texts, and where a character is several tokens: nothing is lost, doubled or moved."""
    comparisons = [Comparison(0, 1)] if first != second else []
    group = PromptGroup(prompt, [first, second], comparisons)
    rendered = stories_renderer.render(group)
    row = mark_row(stories_renderer, group, rendered)
    for response, branch in zip(row.responses, rendered.branches, strict=True):
        ids = [*rendered.prompt_ids, *branch.ids]
        decoded = stories_renderer.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        assert joined(row.prompt) + joined(response.pieces) == decoded
        assert response.pieces[-1].kind == "end"
        # where responses part is marked once; a response that the other begins with parts nowhere
        assert sum(piece.parts for piece in response.pieces) == (response.parts_at is not None)


@pytest.fixture(scope="module")
def stories_renderer(stories: str) -> Any:
    from penchant.models.load import load_renderer

    return load_renderer(stories, template="plain")
