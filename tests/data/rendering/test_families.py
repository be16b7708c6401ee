"""Imitations of template families: the same tokens as `transformers` writes, and the right ones of them scored."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from conversations import ASKED, CALL, CALLED, CONVERSATIONS, EARLIER, GIVEN_TOOLS, RESULT, THOUGHT, rows_of
from penchant.data.rendering.render_groups import render_all
from penchant.data.rendering.renderer import Renderer
from penchant.errors import InputError
from penchant.types import Message, Prompt, PromptGroup, Response, ToolCall
from template_families import FAMILIES, family_tokenizer


@cache
def tokenizer(name: str) -> Any:
    return family_tokenizer(name)


def render(name: str, prompt: Prompt, *responses: Response | str, **settings: Any) -> Any:
    return Renderer(tokenizer(name), **settings).render(PromptGroup(prompt, responses, source="prefs.jsonl:7"))


def shown(name: str, prompt: Prompt, *responses: Response | str, **settings: Any) -> list[tuple[str, list[str]]]:
    """Of each response what stands before the first scored token, and the scored texts."""
    rendered = render(name, prompt, *responses, **settings)
    rows = []
    for branch in rendered.branches:
        decode = tokenizer(name).decode
        head = decode([*rendered.prompt_ids, *branch.ids[: branch.spans[0][0]]])
        rows.append((head, [decode(branch.ids[start:end]) for start, end in branch.spans]))
    return rows


def scored(name: str, kind: str, **settings: Any) -> str:
    prompt, response = CONVERSATIONS[kind]
    ((_, texts),) = shown(name, prompt, response, **settings)
    return "".join(texts)


# Families whose template has no place for what a conversation holds: calls, functions, or thoughts.
REFUSED = {
    "reasoning": {"llama32", "gemma3", "phi4_mini", "lfm2", "mistral", "qwen2_5_base"},
    "call": {"deepseek_r1", "gemma3", "phi4_mini", "lfm2", "smollm3", "qwen2_5_base"},
}
REFUSED["text and call"] = REFUSED["call"] | {"llama32", "mistral"}  # these write calls alone
REFUSED["result"] = REFUSED["call"]
# Families whose template takes the thoughts out of an answer, where transformers' text lacks what is learned.
SWALLOWED = {("deepseek_r1", "thinking"), ("deepseek_r1", "reasoning")}
SWALLOWED |= {("deepseek_v31", "thinking"), ("deepseek_v31", "reasoning")}
# ... and which have the marks but no field: what is apart is put into the text
FOLDED = {("smollm3", "reasoning")}
SPLIT = {("gpt_oss", "thinking")}  # ... or a field but no marks


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_the_tokens_are_those_of_transformers(name: str, kind: str) -> None:
    prompt, response = CONVERSATIONS[kind]
    if name in REFUSED.get(kind, ()):
        with pytest.raises(InputError, match=r"^prefs.jsonl:7: .*(tools|tool_calls|thoughts|alternate)"):
            render(name, prompt, response)
        return
    if (name, kind) in SWALLOWED:
        return  # tested below
    if (name, kind) in FOLDED:
        response = Response(f"{THOUGHT}The Rhine.")
    if (name, kind) in SPLIT:
        response = Response("The Rhine.", reasoning="I look.")
    rows, tools = rows_of(prompt, response)
    expected = tokenizer(name).apply_chat_template(rows, tools=tools, return_dict=False)
    rendered = render(name, *CONVERSATIONS[kind])
    ids = [*rendered.prompt_ids, *rendered.branches[0].ids]
    if not FAMILIES[name].end and ids[len(expected) :] == [tokenizer(name).eos_token_id]:
        ids.pop()  # a template that writes no end token: ours is added
    assert tokenizer(name).decode(ids) == tokenizer(name).decode(expected[: len(ids)])
    assert ids == expected[: len(ids)]
    # what is left of theirs stands behind the end token
    assert tokenizer(name).decode(expected[len(ids) :]).strip() in ("", "<|endoftext|>")


END = {name: family.end or "<|endoftext|>" for name, family in FAMILIES.items()}
# What the template writes between the header that asks and the text of an answer: it is scored with it.
LEAD = {
    "qwen3": "<think>\n\n</think>\n\n",
    "qwen3_5": "\n</think>\n\n",
    "glm4_moe": "\n<think></think>\n",
    "gpt_oss": "<|channel|>final<|message|>",
    "mistral": " ",
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("thoughts", ["score", "mask", "drop"])
def test_an_answer_is_scored_with_its_end(name: str, thoughts: str) -> None:
    lead = LEAD.get(name, "")
    if thoughts == "mask" and "think>" in lead:
        lead = ""
    for kind, text in (("plain", "The Rhine."), ("system", "The Rhine."), ("turns", "The Elbe.")):
        assert scored(name, kind, thoughts=thoughts) == f"{lead}{text}{END[name]}"


THINKING = {
    "qwen3": f"{THOUGHT}The Rhine.",
    "qwen3_5": "I look.\n</think>\n\nThe Rhine.",
    "glm4_moe": "\n<think>I look.</think>\nThe Rhine.",
    "deepseek_r1": "I look.\n</think>\n\nThe Rhine.",
    "gpt_oss": "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant<|channel|>final<|message|>The Rhine.",
    "nemotron3": "I look.\n</think>\n\nThe Rhine.",
    "mistral": f" {THOUGHT}The Rhine.",
}


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"deepseek_v31"}))
def test_thoughts_are_scored_masked_or_dropped(name: str) -> None:
    assert scored(name, "thinking") == THINKING.get(name, f"{THOUGHT}The Rhine.") + END[name]
    assert scored(name, "thinking", thoughts="mask") == f"The Rhine.{END[name]}"
    prompt, response = CONVERSATIONS["thinking"]
    ((head, _),) = shown(name, prompt, response, thoughts="mask")
    assert "I look." in head
    for kind in ("thinking", "reasoning"):
        assert scored(name, kind, thoughts="drop") == scored(name, "plain", thoughts="drop")
    if name not in REFUSED["reasoning"]:  # with other white space around the marks
        assert scored(name, "reasoning").split() == scored(name, "thinking").split()
        assert scored(name, "reasoning", thoughts="mask") == f"The Rhine.{END[name]}"


def test_a_template_that_takes_thoughts_out_needs_a_header_that_opens_them() -> None:
    for kind in ("thinking", "reasoning"):
        with pytest.raises(
            InputError, match=r"takes the thoughts out .*thoughts=drop.*template_args=\{thinking: true\}"
        ):
            scored("deepseek_v31", kind)
        opened = {"template_args": {"thinking": True}}
        assert scored("deepseek_v31", kind, **opened) == f"\nI look.\n</think>\n\nThe Rhine.{END['deepseek_v31']}"
        assert scored("deepseek_v31", kind, thoughts="mask", **opened) == f"The Rhine.{END['deepseek_v31']}"


CALLS = {
    "qwen3": "<think>\n\n</think>\n\n<tool_call>\n"
    '{"name": "add", "arguments": {"a": 1, "b": "x\\"y"}}\n</tool_call><|im_end|>',
    "glm4_moe": "\n<think></think>\n<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n"
    '<arg_key>b</arg_key>\n<arg_value>x"y</arg_value>\n</tool_call><|endoftext|>',
    "deepseek_v31": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>"
    '{"a": 1, "b": "x\\"y"}<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>',
    "gpt_oss": ' to=functions.add<|channel|>commentary json<|message|>{"a": 1, "b": "x\\"y"}<|call|>',
    "nemotron3": '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx"y\n</parameter>\n'
    "</function>\n</tool_call><|im_end|>",
    "llama32": '{"name": "add", "parameters": {"a": 1, "b": "x\\"y"}}<|eot_id|>',
    "mistral": '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1, "b": "x\\"y"}}]</s>',
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_scored_with_their_marks_and_end(name: str) -> None:
    assert scored(name, "call") == CALLS[name]
    assert "Be kind." in shown(name, *CONVERSATIONS["call"])[0][0]
    masked = CALLS[name].rpartition("</think>")[2].lstrip() if "think>" in CALLS[name] else CALLS[name]
    assert scored(name, "call", thoughts="mask") == masked
    if name not in REFUSED["text and call"]:
        both = scored(name, "text and call")
        assert "I add." in both
        assert both.endswith(CALLS[name].rpartition("</think>")[2].lstrip()[-40:])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_end_tokens_of_a_template_stop_samples(name: str) -> None:
    ends = set(tokenizer(name).convert_ids_to_tokens(sorted(Renderer(tokenizer(name)).end_ids)))
    expected = {tokenizer(name).eos_token, FAMILIES[name].end} - {""}
    assert ends == (expected | {"<|call|>"} if name == "gpt_oss" else expected)


@pytest.mark.parametrize(("name", "header"), [("nemotron3", "<think></think>"), ("deepseek_r1", "")])
def test_a_header_that_only_answers_have_is_not_scored(name: str, header: str) -> None:
    """Their generation prompt opens a think block, which a plain answer closes, or lacks altogether."""
    groups = [
        PromptGroup((ASKED,), ["The Rhine.", f"{THOUGHT}The Elbe."]),
        PromptGroup((ASKED,), [f"{THOUGHT}The Po."]),
    ]
    _, rendered, report = render_all(groups, Renderer(tokenizer(name)))
    assert [row.moved_boundary for row in rendered] == [True, False]
    assert report.moved_boundaries == 1
    (head, (plain,)), (_, (thoughtful,)) = shown(name, *[groups[0].prompt, *groups[0].responses])
    assert head.endswith(header)
    assert plain == f"The Rhine.{END[name]}"
    assert thoughtful == f"I look.\n</think>\n\nThe Elbe.{END[name]}"


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5", "glm4_moe", "nemotron3", "smollm3"])
def test_thinking_can_be_switched_off(name: str) -> None:
    if name == "glm4_moe":  # writes a mark behind the question
        assert "/nothink" in shown(name, (ASKED,), "a", template_args={"enable_thinking": False})[0][0]
    ((head, (answer,)),) = shown(name, (ASKED,), "The Rhine.", template_args={"enable_thinking": False})
    assert answer == f"The Rhine.{END[name]}" if name != "glm4_moe" else answer.endswith(f"The Rhine.{END[name]}")
    assert head.rstrip().endswith("</think>")


def test_earlier_turns_are_taught_as_they_stand_in_the_whole_conversation() -> None:
    prompt = (
        *(ASKED, Message("assistant", f"{THOUGHT}The Po."), Message("user", "Another one?")),
        *(Message("assistant", "The Elbe."), Message("user", "And?")),
    )
    for name, family in FAMILIES.items():
        ((_, texts),) = shown(name, prompt, "The Rhine.", every_turn=True, thoughts="drop")
        assert [text.rpartition("think>")[2].strip().rpartition("<|message|>")[2] for text in texts] == [
            # GPT-OSS ends turns that are not the last with a token that ends no sample
            f"The Po.{'' if name == 'gpt_oss' else family.end}",
            f"The Elbe.{'' if name == 'gpt_oss' else family.end}",
            f"The Rhine.{END[name]}",
        ]


@pytest.mark.parametrize("name", ["deepseek_r1", "qwen3", "nemotron3", "glm4_moe"])
def test_earlier_turns_are_found_before_a_response_with_thoughts(name: str) -> None:
    prompt = (*EARLIER[:2], Message("user", "Another one?"))
    ((_, texts),) = shown(name, prompt, f"{THOUGHT}The Rhine.", every_turn=True)
    end = FAMILIES[name].end
    assert texts[0].rpartition("</think>")[2].strip() == f"The Po.{end}"
    assert "I look." in texts[1]
    cut = Response("<think>\nI look", finished=False)
    ((_, texts),) = shown(name, prompt, cut, every_turn=True, thoughts="mask")
    assert texts[0].rpartition("</think>")[2].strip() == f"The Po.{end}"
    assert texts[1].endswith("I look")


@pytest.mark.parametrize("thoughts", ["score", "mask", "drop"])
@pytest.mark.parametrize("name", sorted({name for name, family in FAMILIES.items() if family.thoughts}))
def test_earlier_turns_are_taught_without_the_words_of_others(name: str, thoughts: str) -> None:
    """Whatever the thoughts of the turns are, and where they stand."""
    more = Message("user", "Another one?")
    thinking = Message("assistant", f"{THOUGHT}The Po.")
    prompts = [(ASKED, thinking, more), (*EARLIER[:2], more, Message("assistant", "The Elbe."), more)]
    opened = {"template_args": {"thinking": True}} if name == "deepseek_v31" else {}
    answers = [Response("The Rhine."), Response(f"{THOUGHT}The Rhine."), Response("The Rhine.", reasoning="I look.")]
    for prompt in prompts:
        for response in answers:
            ((_, texts),) = shown(name, prompt, response, every_turn=True, thoughts=thoughts, **opened)
            assert len(texts) == (len(prompt) + 1) // 2
            assert not any("Another one?" in text for text in texts)
            assert "The Po." in texts[0]
            assert "The Rhine." in texts[-1]
            assert thoughts == "score" or not any("I look." in text for text in texts)


def test_a_call_behind_masked_thoughts_is_scored_as_one_without_them() -> None:
    prompt = (GIVEN_TOOLS, ASKED)
    plain, thoughtful = Response("", tool_calls=(CALL,)), Response("", reasoning="I look.", tool_calls=(CALL,))
    for name in set(CALLS) - {"deepseek_v31", "llama32", "mistral"}:  # these have no place for both
        (_, (first,)), (_, (second,)) = shown(name, prompt, plain, thoughtful, thoughts="mask")
        assert first == second


def test_calls_of_earlier_turns_are_taught_too() -> None:
    prompt = (GIVEN_TOOLS, ASKED, CALLED, RESULT)
    for name in CALLS:
        ((_, texts),) = shown(name, prompt, "It is 1.", every_turn=True)
        assert len(texts) == 2
        assert "add" in texts[0]
        assert texts[1].endswith(f"It is 1.{END[name]}")


def test_switches_of_the_file_decide_which_turns_are_taught() -> None:
    first, second = Message("assistant", "The Po."), Message("assistant", "The Elbe.")
    more = Message("user", "More.")

    def taught(marks: tuple[bool | None, bool | None], **settings: Any) -> list[str]:
        turns = (replace(turn, taught=mark) for turn, mark in zip((first, second), marks, strict=True))
        one, two = turns
        ((_, texts),) = shown("qwen2_5_base", (ASKED, one, more, two, more), "The Rhine.", **settings)
        return [text.removesuffix("<|im_end|>") for text in texts]

    every = {"every_turn": True}
    assert taught((None, None), **every) == ["The Po.", "The Elbe.", "The Rhine."]
    assert taught((False, None), **every) == ["The Elbe.", "The Rhine."]
    assert taught((True, None), **every) == ["The Po.", "The Rhine."]
    assert taught((None, True), switches=True) == ["The Elbe.", "The Rhine."]
    assert taught((None, False), switches=True) == ["The Rhine."]
    assert taught((True, True)) == ["The Rhine."]  # a comparison is of responses


def test_a_think_block_that_is_never_closed_is_refused_but_for_samples() -> None:
    for name, settings in (("qwen3", {}), ("qwen2_5_base", {}), ("qwen3", {"template": "plain"})):
        with pytest.raises(InputError, match=r"^prefs.jsonl:7: a think block is never closed"):
            render(name, (ASKED,), "<think>\nI look", **settings)
    ((_, (cut,)),) = shown("qwen3", (ASKED,), Response("<think>\nI look", finished=False))
    assert cut == "<think>\nI look"
    ((_, (cut,)),) = shown("qwen3_5", (ASKED,), Response("<think>\nI look", finished=False))
    assert cut == "I look"
    earlier = (ASKED, Message("assistant", "<think>\nI look"), Message("user", "More."))
    assert shown("qwen3", earlier, "The Rhine.", thoughts="mask")[0][1] == ["The Rhine.<|im_end|>"]  # context alone
    for name in ("qwen3", "qwen2_5_base"):
        with pytest.raises(InputError, match=r"^prefs.jsonl:7: a think block is never closed"):
            render(name, earlier, "The Rhine.", every_turn=True)
    ids = tuple(tokenizer("qwen3").encode("<think>\nI look"))
    for thoughts in ("score", "mask", "drop"):
        drawn = Response("<think>\nI look", ids, finished=False)
        assert shown("qwen3", (ASKED,), drawn, thoughts=thoughts)[0][1] == ["<think>\nI look"]


def test_thoughts_of_samples_are_masked_in_their_tokens() -> None:
    text = f"{THOUGHT}The Rhine."
    ids = (*tokenizer("qwen3").encode(text), tokenizer("qwen3").eos_token_id)
    drawn = Response(text, ids)
    assert shown("qwen3", (ASKED,), drawn)[0][1] == [f"{text}<|im_end|>"]
    for thoughts in ("mask", "drop"):
        rendered = render("qwen3", (ASKED,), drawn, thoughts=thoughts)
        assert (*rendered.prompt_ids, *rendered.branches[0].ids)[-len(ids) :] == ids
        assert shown("qwen3", (ASKED,), drawn, thoughts=thoughts)[0][1] == ["The Rhine.<|im_end|>"]


def test_functions_and_calls_need_a_template_that_writes_them() -> None:
    def refusal(name: str, prompt: Prompt, response: Response, **settings: Any) -> str:
        with pytest.raises(InputError) as caught:
            render(name, prompt, response, **settings)
        assert str(caught.value).startswith("prefs.jsonl:7: ")
        return str(caught.value)

    prompt, response = CONVERSATIONS["call"]
    assert "does not write the function 'add'" in refusal("gemma3", prompt, response)
    assert "does not write the calls of a response (add: name and arguments)" in refusal("lfm2", prompt, response)
    assert "does not write the calls (tool_calls) of turn 2" in refusal("gemma3", (ASKED, CALLED, ASKED), Response("a"))
    assert "need a chat template" in refusal("qwen3", prompt, response, template="plain")
    assert "need a chat template" in refusal("qwen3", (ASKED,), response, template="plain")
    wrong = (Message("tools", '{"name": "add"}'), ASKED)
    assert "must be a JSON list of objects" in refusal("qwen3", wrong, Response("a"))
    broken = Response("", tool_calls=(ToolCall("add", "[1]"),))
    assert "must be a JSON object, got '[1]'" in refusal("qwen3", (GIVEN_TOOLS, ASKED), broken)
    # without functions in the prompt, as some files have it
    assert "add" in shown("qwen3", (ASKED,), response)[0][1][0]


def test_short_thoughts_are_not_found_in_the_header() -> None:
    """Single letters, which stand in `assistant` too, and texts that the question and the thoughts have as well."""
    mixed = (ASKED,), "a", "<think>a</think>a", "<think>\nName a river.\n</think>\n\nName a river."
    texts = [text for _, (text,) in shown("nemotron3", *mixed)]
    assert texts == [
        "a<|im_end|>",
        "a</think>a<|im_end|>",
        "Name a river.\n</think>\n\nName a river.<|im_end|>",
    ]
    assert [text for _, (text,) in shown("nemotron3", *mixed, thoughts="mask")] == [
        *("a<|im_end|>", "a<|im_end|>", "Name a river.<|im_end|>"),
    ]
    end = END["deepseek_r1"]
    assert [text for _, (text,) in shown("deepseek_r1", *mixed[:3])] == [f"a{end}", f"a</think>a{end}"]
    # a function whose name the thoughts say
    thoughtful = Response("", reasoning="I call add.", tool_calls=(CALL,))
    ((head, (masked,)),) = shown("qwen3", (GIVEN_TOOLS, ASKED), thoughtful, thoughts="mask")
    assert head.endswith("<think>\nI call add.\n</think>\n\n")
    assert masked.startswith("<tool_call>")


def test_white_space_that_a_template_leaves_is_scored() -> None:
    texts = [text for _, (text,) in shown("deepseek_r1", (ASKED,), " The Po.\n", "The Po.")]
    assert texts == [f" The Po.\n{END['deepseek_r1']}", f"The Po.{END['deepseek_r1']}"]


def test_an_empty_think_block_is_no_text_of_a_channel() -> None:
    assert shown("gpt_oss", (ASKED,), "<think>\n\n</think>\n\nThe Po.") == shown("gpt_oss", (ASKED,), "The Po.")


def test_a_template_that_fails_on_one_row_names_the_row() -> None:
    renderer = Renderer(tokenizer("gemma3"))
    good = [PromptGroup((ASKED,), ["The Rhine."], source=f"prefs.jsonl:{row}") for row in (1, 3)]
    bad = PromptGroup((ASKED, ASKED), ["The Rhine."], source="prefs.jsonl:2")
    with pytest.raises(InputError, match=r"^1 rows cannot be used:\n  prefs.jsonl:2: .*must alternate"):
        render_all([good[0], bad, good[1]], renderer)
