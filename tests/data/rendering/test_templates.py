"""Chat templates that do something else than write turns: rendered right, or refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chat_templates import CHATML, HEADER, LLAMA2, QWEN3, TURN, renderer
from penchant.data.rendering.render_groups import render_all
from penchant.data.rendering.renderer import MAX_CHARACTERS, Renderer, TooLong
from penchant.data.rendering.templates import template_warnings
from penchant.errors import InputError
from penchant.types import Comparison, Message, Prompt, PromptGroup
from repository import CASES

ASKED = (Message("user", "Name a river."),)
SYSTEM = (Message("system", "Be kind."), *ASKED)


def scored(renderer: Renderer, prompt: Prompt, *texts: str) -> list[tuple[str, str]]:
    """Of each response what is not scored, and what is."""
    rendered = renderer.render(PromptGroup(prompt, texts, source="prefs.jsonl:7"))
    rows = []
    for branch in rendered.branches:
        (span,) = branch.spans
        words = renderer.tokenizer.convert_ids_to_tokens
        rows.append(
            ("".join(words([*rendered.prompt_ids, *branch.ids[: span[0]]])), "".join(words(branch.ids[slice(*span)])))
        )
    return rows


def refused(template: str, prompt: Prompt, text: str) -> str:
    with pytest.raises(InputError) as caught:
        renderer(template).render(PromptGroup(prompt, [text], source="prefs.jsonl:7"))
    assert str(caught.value).startswith("prefs.jsonl:7: the chat template")
    return str(caught.value)


HEAD = "<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n"


def test_plain_answers_stand_as_they_are() -> None:
    assert scored(renderer(CHATML), ASKED, "The Rhine.", " A chair.\n") == [
        (HEAD, "The Rhine.<|im_end|>"),
        (HEAD, " A chair.\n<|im_end|>"),
    ]


def test_a_think_block_that_the_template_adds_is_part_of_the_answer() -> None:
    assert scored(renderer(QWEN3), ASKED, "The Rhine.", "A chair.") == [
        (HEAD, "<think>\n\n</think>\n\nThe Rhine.<|im_end|>"),
        (HEAD, "<think>\n\n</think>\n\nA chair.<|im_end|>"),
    ]
    thought = scored(renderer(QWEN3), ASKED, "<think>\nI look.\n</think>\nThe Rhine.")
    assert thought == [(HEAD, "<think>\nI look.\n</think>\n\nThe Rhine.<|im_end|>")]


def test_thoughts_of_earlier_turns_are_counted_where_they_are_left_out() -> None:
    earlier = (*ASKED, Message("assistant", "<think>\nI look.\n</think>\nThe Rhine."), Message("user", "Another."))
    ((head, answer),) = scored(renderer(QWEN3), earlier, "The Elbe.")
    assert "The Rhine." in head
    assert "I look." not in head
    assert answer == "<think>\n\n</think>\n\nThe Elbe.<|im_end|>"
    plain = (*ASKED, Message("assistant", "The Rhine."), Message("user", "Another."))
    groups = [PromptGroup(earlier, ["The Elbe."]), PromptGroup(plain, ["The Elbe."])]
    assert render_all(groups, renderer(QWEN3))[2].stripped_thoughts == 1
    lost = QWEN3.replace("{% set c = c.split('</think>')[-1].lstrip('\\n') %}", "{% set c = '' %}")
    assert "leaves out or rewrites turn 2 (the assistant's)" in refused(lost, earlier, "The Elbe.")
    assert scored(renderer(QWEN3), (*ASKED, Message("assistant", "The Rhine."), Message("user", "More.")), "The Elbe.")


def test_an_answer_that_is_stripped_and_spaced_keeps_its_words() -> None:
    assert scored(renderer(LLAMA2), SYSTEM, "The Rhine.", " A chair.\n") == [
        ("[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nName a river. [/INST]", " The Rhine. <|im_end|>"),
        ("[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nName a river. [/INST]", " A chair. <|im_end|>"),
    ]


@pytest.mark.parametrize(
    ("template", "prompt", "expected"),
    [
        (
            "{% for m in messages %}{% if m.role != 'system' %}" + TURN + "{% endif %}{% endfor %}" + HEADER,
            SYSTEM,
            "leaves out or rewrites turn 1 (the system's): 'Be kind.'",
        ),
        (CHATML.replace("m.content", "m.content | upper"), ASKED, "leaves out or rewrites turn 1 (the user's)"),
        (CHATML.replace("m.content", "m.content[:5]"), ASKED, "leaves out or rewrites turn 1 (the user's)"),
        (
            CHATML.replace("messages", "messages[-1:]", 1),
            (*ASKED, Message("assistant", "a"), *ASKED),
            "leaves out turn 1",
        ),
        (CHATML.replace("m.content", "(m.content | upper if m.role == 'assistant' else m.content)"), ASKED, "rewrites"),
        (
            CHATML.replace("messages", "messages | reverse", 1),
            ASKED,
            "writes an answer before turn 1 (the user's)",
        ),
        ("{{ raise_exception('no') }}", ASKED, "refuses this conversation: no (TemplateError)"),
        ("{{ messages[0].nothing.at_all }}", ASKED, "refuses this conversation"),
        ("{% for m in %}", ASKED, "refuses this conversation"),
        ("{{ 1 // 0 }}", ASKED, "refuses this conversation"),
        ("{% for i in range(10 ** 12) %}x{% endfor %}", ASKED, "refuses this conversation"),
        ("", ASKED, "leaves out or rewrites turn 1"),
    ],
)
def test_a_template_that_does_something_else_is_refused_with_the_row(
    template: str, prompt: Prompt, expected: str
) -> None:
    if template == "":
        template = " "
    assert expected in refused(template, prompt, "The Rhine.")


def test_a_failing_template_is_told_once_with_the_first_rows() -> None:
    groups = [PromptGroup(ASKED, ["a", "b"], source=f"prefs.jsonl:{row}") for row in range(1, 101)]
    with pytest.raises(InputError) as caught:
        render_all(groups, renderer("{{ raise_exception('no') }}"))
    assert str(caught.value).startswith("100 rows cannot be used:\n  prefs.jsonl:1: the chat template refuses")
    assert str(caught.value).endswith("(+97 more)")
    assert len(str(caught.value).splitlines()) == 5


def test_short_turns_are_looked_for_by_words_that_stand_nowhere_else() -> None:
    drops = "{% for m in messages %}{% if m.role != 'system' %}" + TURN + "{% endif %}{% endfor %}" + HEADER
    assert "leaves out turn 1 (the system's)" in refused(drops, (Message("system", "a"), *ASKED), "The Rhine.")


def test_the_date_and_lost_white_space_are_warnings() -> None:
    groups = [PromptGroup(ASKED, ["The Rhine.", " A chair."])]
    assert template_warnings(renderer(CHATML).chat_template, groups) == []
    (date,) = template_warnings(renderer("{{ strftime_now('%d %b %Y') }}" + CHATML).chat_template, groups)
    assert "writes today's date" in date
    (space,) = template_warnings(renderer(LLAMA2).chat_template, groups)
    assert "takes the white space off the ends of 1 responses" in space


def test_pairs_that_become_the_same_tokens_are_counted_and_dropped() -> None:
    groups = [
        PromptGroup(ASKED, ["Yes.", "Yes. "], [Comparison(0, 1)], source="f:1"),
        PromptGroup(ASKED, ["Yes.", "Yes. ", "No."], [Comparison(0, 1), Comparison(0, 2)], source="f:2"),
        PromptGroup(ASKED, ["Yes.", "No."], [Comparison(0, 1)], source="f:3"),
        PromptGroup(ASKED, ["Yes.", "Yes. "], source="f:4"),
    ]
    kept, rendered, report = render_all(groups, renderer(LLAMA2))
    assert [group.source for group in kept] == ["f:2", "f:3", "f:4"]
    assert kept[0].comparisons == (Comparison(0, 2),)
    assert [row.source for row in rendered] == ["f:2", "f:3", "f:4"]
    assert (report.equal_pairs, report.dropped_too_long) == (2, 0)
    assert render_all(groups, renderer(CHATML))[2].equal_pairs == 0


def test_a_text_without_an_end_is_refused_before_it_is_tokenized() -> None:
    group = PromptGroup("a" * (MAX_CHARACTERS + 1), ["b"], source="prefs.jsonl:7")
    with pytest.raises(TooLong, match=r"prefs.jsonl:7: a text of 2,000,051 characters is more than 2,000,000"):
        renderer(CHATML).render(group)
    assert render_all([group], renderer(CHATML, overflow="drop"))[2].dropped_too_long == 1


TEMPLATES = CASES / "templates"


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("chatml", (HEAD, "The Rhine.<|im_end|>")),
        ("qwen3_like", (HEAD, "<think>\n\n</think>\n\nThe Rhine.<|im_end|>")),
        ("llama2_like", ("[INST] Name a river. [/INST]", " The Rhine. <|im_end|>")),
        ("drops_system", (HEAD, "The Rhine.<|im_end|>")),
        ("date", None),
        ("no_generation_prompt", (HEAD, "The Rhine.<|im_end|>")),
    ],
)
def test_the_templates_of_the_shared_cases(name: str, outcome: Any) -> None:
    file = TEMPLATES / f"{name}.jinja"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    template = file.read_text().replace("bos_token + ", "")
    if isinstance(outcome, str):
        assert outcome in refused(template, ASKED, "The Rhine.")
        return
    ((head, answer),) = scored(renderer(template), ASKED, "The Rhine.")
    if outcome is None:
        assert template_warnings(renderer(template).chat_template, [])[0].count("today's date") == 1
        head, outcome = head.partition("<|im_end|>\n")[2], (HEAD, "The Rhine.<|im_end|>")
    assert (head, answer) == outcome
    if name == "drops_system":
        assert "leaves out or rewrites turn 1" in refused(template, SYSTEM, "The Rhine.")


def test_a_prompt_of_a_file_is_named_where_its_template_fails() -> None:
    from penchant.models.policy import Policy

    policy = SimpleNamespace(context=100, renderer=renderer("{{ raise_exception('no') }}"))
    with pytest.raises(InputError, match=r"^prompts.txt:3: the chat template refuses this conversation: no"):
        Policy.has_room(policy, ASKED, 5, source="prompts.txt:3")  # type: ignore[arg-type]
    policy.renderer = renderer(CHATML)
    assert [Policy.has_room(policy, ASKED, tokens) for tokens in (5, 90)] == [True, False]  # type: ignore[arg-type]
