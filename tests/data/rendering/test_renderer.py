"""Rendering: the boundary, the end token, chat templates, conversations, drawn ids, long rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from penchant.data.rendering.renderer import Renderer, TooLong
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response

CHATML = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ':' + m['content'] + '</s>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant:' }}{% endif %}"
)
WORDS = ["a", "b", "c", "ab", "bc", "abc", ":", "\n", " ", "user", "assistant", "system"]


def tokenizer(template: str | None = None, *, eos: bool = True) -> Any:
    """A byte-pair tokenizer whose merges cross boundaries: a+b -> ab, ab+c -> abc, b+c -> bc."""
    letters = sorted({letter for word in WORDS for letter in word} | set("defghijklmnopqrstuvwxyz !.H"))
    vocabulary = {token: number for number, token in enumerate([*letters, "ab", "bc", "abc"])}
    base = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("ab", "c"), ("b", "c")], unk_token="!"))
    base.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=base, bos_token="<s>", eos_token="</s>" if eos else None)
    fast.chat_template = template
    return fast


PLAIN, CHAT = tokenizer(), tokenizer(CHATML)


def words(renderer: Renderer, ids: Any) -> list[str]:
    return renderer.tokenizer.convert_ids_to_tokens(list(ids))


def shown(renderer: Renderer, group: PromptGroup) -> list[tuple[list[str], list[list[str]]]]:
    """Each response's whole row and its scored parts, as tokens."""
    rendered = renderer.render(group)
    return [
        (
            words(renderer, (*rendered.prompt_ids, *branch.ids)),
            [words(renderer, branch.ids[start:end]) for start, end in branch.spans],
        )
        for branch in rendered.branches
    ]


def test_plain_text_is_joined_and_a_finished_response_ends() -> None:
    renderer = Renderer(PLAIN)
    group = PromptGroup("c c", [Response(" a"), Response(" a", finished=False)])
    assert shown(renderer, group) == [
        (["c", " ", "c", " ", "a", "</s>"], [[" ", "a", "</s>"]]),
        (["c", " ", "c", " ", "a"], [[" ", "a"]]),
    ]


def test_a_token_that_straddles_the_boundary_belongs_to_the_response() -> None:
    renderer = Renderer(PLAIN)
    rendered = renderer.render(PromptGroup("c a", ["b", "c"]))
    assert rendered.unstable == (True, False)
    assert words(renderer, rendered.prompt_ids) == ["c", " "]
    assert shown(renderer, PromptGroup("c a", ["b", "c"])) == [
        (["c", " ", "ab", "</s>"], [["ab", "</s>"]]),
        (["c", " ", "a", "c", "</s>"], [["c", "</s>"]]),  # the `a` is no part of this response and is not scored
    ]


@given(
    st.text("abc ", min_size=1, max_size=12), st.lists(st.text("abc ", min_size=1, max_size=8), min_size=1, max_size=4)
)
@settings(max_examples=150)
def test_rows_are_the_tokenization_of_the_whole_text(prompt: str, responses: list[str]) -> None:
    renderer = Renderer(PLAIN)
    rendered = renderer.render(PromptGroup(prompt, [Response(text, finished=False) for text in responses]))
    for text, branch in zip(responses, rendered.branches, strict=True):
        row = (*rendered.prompt_ids, *branch.ids)
        start = 1 if row[0] == PLAIN.bos_token_id else 0  # a prompt that merges away whole leaves the start token
        assert list(row[start:]) == PLAIN(prompt + text, add_special_tokens=False)["input_ids"]
        (span,) = branch.spans
        assert span[1] == len(branch.ids)
        scored = "".join(words(renderer, branch.ids[span[0] :]))
        assert scored.endswith(text)
        assert branch.scored >= 1


def test_a_chat_template_gives_header_and_end() -> None:
    renderer = Renderer(CHAT)
    assert renderer.chat
    ((row, scored),) = shown(renderer, PromptGroup("ab", ["c b"]))
    assert "".join(row) == "<s>user:ab</s>\n<s>assistant:c b</s>"  # nothing after the end token
    assert scored == [["c", " ", "b", "</s>"]]
    ((row, scored),) = shown(renderer, PromptGroup("ab", [Response("c b", finished=False)]))
    assert "".join(row).endswith("assistant:c b")
    assert scored == [["c", " ", "b"]]
    assert not Renderer(CHAT, template="plain").chat


def test_a_template_that_trims_keeps_its_boundary() -> None:
    renderer = Renderer(tokenizer(CHATML.replace("m['content']", "m['content'] | trim")))
    ((row, scored),) = shown(renderer, PromptGroup("a ", [" b "]))
    assert "".join(row) == "<s>user:a</s>\n<s>assistant:b</s>"
    assert scored == [["b", "</s>"]]


def test_a_template_that_rewrites_the_prompt_is_refused_by_row() -> None:
    forgetful = (
        "{% if add_generation_prompt %}x{{ messages[0]['content'] }}{% else %}y{{ messages[-1]['content'] }}{% endif %}"
    )
    with pytest.raises(InputError, match=r"prefs.jsonl:7: .*leaves out turn 1 \(the user's\) once it is answered"):
        Renderer(tokenizer(forgetful)).render(PromptGroup("a", ["b"], source="prefs.jsonl:7"))


CONVERSATION = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))


def test_every_turn_or_the_last_one() -> None:
    last, every = Renderer(CHAT), Renderer(CHAT, every_turn=True)
    group = PromptGroup(CONVERSATION, ["b c"])
    ((row, scored),) = shown(last, group)
    assert scored == [["b", " ", "c", "</s>"]]
    ((again, both),) = shown(every, group)
    assert again == row
    assert both == [["b", "</s>"], ["b", " ", "c", "</s>"]]


def test_a_plain_conversation_has_spoken_roles() -> None:
    renderer = Renderer(PLAIN)
    text = renderer.text(CONVERSATION)
    assert text == "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    ((row, scored),) = shown(renderer, PromptGroup(CONVERSATION, ["b"]))
    assert scored == [[" ", "b", "</s>"]]
    assert row[-3:] == [" ", "b", "</s>"]


def test_drawn_ids_are_kept_as_they_were_drawn() -> None:
    renderer = Renderer(PLAIN)
    a, b, end = PLAIN.convert_tokens_to_ids(["a", "b", "</s>"])
    drawn = [Response("ab", (a, b, end)), Response("ab", (a, b), finished=False), Response("ab")]
    rows = shown(renderer, PromptGroup("c", drawn))
    assert [scored for _, (scored,) in rows] == [["a", "b", "</s>"], ["a", "b"], ["ab", "</s>"]]
    with pytest.raises(InputError, match="says finished"):
        renderer.render(PromptGroup("c", [Response("ab", (a, b))]))


def test_an_end_token_inside_the_text_does_not_cut_the_response() -> None:
    ((_, scored),) = shown(Renderer(CHAT), PromptGroup("a", ["b</s>c"]))
    assert scored == [["b", "</s>", "c", "</s>"]]


def test_many_at_once_are_what_each_is_alone() -> None:
    renderer = Renderer(CHAT, max_length=60)
    groups = [
        PromptGroup(CONVERSATION, ["b c", "a"], source="f:1"),
        PromptGroup("a", [Response("", finished=False)], source="f:2"),  # no tokens
        PromptGroup("ab", ["c"], source="f:3"),
        PromptGroup("a" * 90, ["c"], source="f:4"),  # too long
        PromptGroup("ab", [Response("c", tuple(CHAT("c", add_special_tokens=False)["input_ids"]), finished=False)]),
    ]
    together = renderer.render_many(groups)
    for group, outcome in zip(groups, together, strict=True):
        if group.source in ("f:2", "f:4"):
            with pytest.raises(type(outcome)) as alone:  # type: ignore[arg-type]
                renderer.render(group)
            assert str(alone.value) == str(outcome)
            assert group.source in str(outcome)
        else:
            assert renderer.render(group) == outcome
    assert [isinstance(outcome, TooLong) for outcome in together] == [False, False, False, True, False]
    assert renderer.render_many([]) == []


def test_truncation_keeps_the_start_token(stories: str) -> None:
    from transformers import AutoTokenizer

    renderer = Renderer(AutoTokenizer.from_pretrained(stories), max_length=12, overflow="truncate_prompt")
    rendered = renderer.render(PromptGroup("Once upon a time there was a dog and a cat in a house", [" It ran."]))
    assert rendered.prompt_ids[0] == 1
    assert len(rendered.prompt_ids) > 2
    assert max(rendered.lengths) == 12


def test_a_tokenizer_without_an_end_or_without_offsets_is_refused() -> None:
    with pytest.raises(InputError, match="no end-of-sequence token"):
        Renderer(tokenizer(eos=False))
    with pytest.raises(InputError, match="no chat template"):
        Renderer(PLAIN, template="chat")


def test_the_key_is_that_of_the_content() -> None:
    renderer = Renderer(PLAIN)
    alone = renderer.render(PromptGroup("c a", ["b"]))
    beside = renderer.render(PromptGroup("c a", ["c", "b"]))  # another prefix is shared, the row is the same
    assert alone.key(0) == beside.key(1) != beside.key(0)


def test_decoding_gives_back_the_space_that_tokenizers_drop(stories: str) -> None:
    from transformers import AutoTokenizer

    renderer = Renderer(AutoTokenizer.from_pretrained(stories))
    rendered = renderer.render(PromptGroup("Once upon a time", [Response(" there was", finished=False)]))
    assert renderer.decode(rendered.prompt_ids, rendered.branches[0].ids) == " there was"


def test_a_long_text_is_cut_without_the_tokenizer_warning(stories: str, caplog: pytest.LogCaptureFixture) -> None:
    from transformers.utils import logging as hub_logging

    hub_logging.enable_propagation()
    try:
        short = AutoTokenizer.from_pretrained(stories, model_max_length=4)
        short("a text that is too long for it")  # it does warn, once
        assert "longer than the specified maximum" in caplog.text
        caplog.clear()
        again = AutoTokenizer.from_pretrained(stories, model_max_length=4)
        Renderer(again, max_length=4, overflow="truncate_prompt").prompt_ids("a text that is too long for it")
        assert caplog.text == ""
    finally:
        hub_logging.disable_propagation()
