"""Rows as everyone gets them: cut, merged, and none seen twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.models.load import load_renderer
from penchant.studies.win_rates.rows import SEEN, Cutter, select, unseen, write_seen
from penchant.types import Comparison, Message, PromptGroup


@pytest.fixture(scope="module")
def cutter(stories: str) -> Callable[..., Cutter]:
    renderer = load_renderer(stories, template="plain")

    def make(**changes: Any) -> Cutter:
        return Cutter(
            renderer, **{"prompt_tokens": None, "response_tokens": None, "prompt_end": "", "answer_end": ""} | changes
        )

    return make


def test_prompts_keep_their_end_in_whole_words(cutter: Callable[..., Cutter]) -> None:
    text = "Once upon a time there was a little girl who extraordinarily liked her red ball.\n\nTL;DR:"
    whole = cutter().cut([PromptGroup(text, [" Girl."])])
    assert [group.prompt for group in whole] == [text]
    for tokens in range(8, 30):
        made = cutter(prompt_tokens=tokens)
        (group,) = made.cut([PromptGroup(text, [" Girl."])])
        assert isinstance(group.prompt, str)
        assert text.endswith(group.prompt)
        assert group.prompt.split()[0] in text.split()  # no half word
        assert len(made.renderer.prompt_ids(group.prompt)) <= tokens + 2  # a text's start has tokens of its own
        assert made.counts["prompts_cut"] == 1
    (short,) = cutter(prompt_tokens=1).cut([PromptGroup("extraordinarily", ["x"])])
    assert str(short.prompt).strip()  # there is no whole word to keep, and still something


def test_prompts_end_alike_and_answers_lose_what_is_no_part_of_them(cutter: Callable[..., Cutter]) -> None:
    made = cutter(prompt_end="\n\nTL;DR:", answer_end="<end>")
    groups = [PromptGroup("A post.  \n", ["Sum.<end>"]), PromptGroup("Other.\n\nTL;DR:", ["\nSum. <end>\n"])]
    assert [(group.prompt, group.responses[0].text) for group in made.cut(groups)] == [
        ("A post.\n\nTL;DR:", " Sum."),
        ("Other.\n\nTL;DR:", " Sum."),
    ]


def test_a_dialogue_becomes_text_that_asks_for_the_assistant(cutter: Callable[..., Cutter]) -> None:
    (group,) = cutter().cut([PromptGroup((Message("user", "Hi"),), ["Hello"])])
    assert group.prompt == "\n\nHuman: Hi\n\nAssistant:"
    assert group.responses[0].text == " Hello"


def test_what_is_too_long_or_empty_goes_with_its_comparisons(cutter: Callable[..., Cutter]) -> None:
    made = cutter(response_tokens=6, answer_end="<end>")
    responses = ["Short.", "This one has a great many words in it, more than six.", "<end>", "Other."]
    comparisons = [Comparison(0, 1), Comparison(2, 0), Comparison(3, 0, weight=2.0), Comparison(1, 3)]
    (group,) = made.cut([PromptGroup("p", responses, comparisons)])
    assert [one.text for one in group.responses] == [" Short.", " Other."]
    assert group.comparisons == (Comparison(1, 0, weight=2.0),)
    assert dict(made.counts) == {"responses_too_long": 1, "responses_empty": 1}
    assert made.explanation() == ": 1 responses are too long, 1 responses are empty"


def test_prompts_that_became_one_are_merged(cutter: Callable[..., Cutter]) -> None:
    ends = "the cat sat on the mat and looked at the moon for a long while"
    groups = [PromptGroup(f"{start} {ends}", ["x", "y"], [Comparison(0, 1)]) for start in ("One day", "Far away")]
    (group,) = cutter(prompt_tokens=6).cut(groups)
    assert group.comparisons == (Comparison(0, 1, weight=2.0),)


@given(st.integers(1, 30), st.integers(0, 10), st.integers(1, 10))
def test_parts_of_one_file_do_not_overlap_and_do_not_depend_on_each_other(n: int, skip: int, limit: int) -> None:
    groups = [PromptGroup(str(number)) for number in range(n)]
    whole = select(groups, 0, None)
    assert sorted(str(group.prompt) for group in whole) == sorted(map(str, range(n)))
    assert select(groups, skip, limit) == whole[skip : skip + limit]


def test_what_was_seen_is_left_out_whatever_its_case_and_spaces(tmp_path: Path) -> None:
    write_seen(tmp_path, [PromptGroup("The  CAT sat.")], [PromptGroup("cat sat")])
    assert len(json.loads((tmp_path / SEEN).read_text())) == 2
    order: Any = SimpleNamespace(needs={"preferences": tmp_path, "start": tmp_path / "nowhere"})
    left = unseen([PromptGroup(text) for text in ("the cat sat", "Cat sat!", "The dog sat.")], order)
    assert [group.prompt for group in left] == ["The dog sat."]
