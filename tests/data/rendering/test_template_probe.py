"""Chat templates that exchange turns or speakers, leave roles out, or add texts: refused by name, or told."""

from __future__ import annotations

from typing import Any

import pytest

from chat_templates import CHATML, LLAMA2, QWEN3, TURN, renderer
from penchant.data.rendering import chat_text
from penchant.data.rendering.chat_template import ChatTemplate
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.template_probe import (
    TurnKind,
    default_system_text,
    find_fault,
    find_misnaming,
    probe_answer,
)
from penchant.data.rendering.templates import template_warnings
from penchant.errors import InputError
from penchant.types import Message, PromptGroup

EARLIER = (Message("user", "Name a river."), Message("assistant", "The Po."), Message("user", "And a hill."))
SYSTEM = Message("system", "Be kind.")
LOOP = "{% for m in messages %}"
PLAIN = LOOP + "{{ m.content }}{{ eos_token }}{% endfor %}"  # as DialoGPT writes
MISTRAL = (  # writes the system turn into the last question
    "{% set s = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in (messages[1:] if s else messages) %}{% if m.role == 'user' %}"
    "[INST] {% if loop.last and s %}{{ s }}\n\n{% endif %}{{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def refusal_when_opened(chat_template: str) -> str:
    with pytest.raises(InputError) as caught:
        renderer(chat_template).text(EARLIER)
    return str(caught.value)


def refusal(chat_template: str, prompt: tuple[Message, ...]) -> str:
    with pytest.raises(InputError) as caught:
        renderer(chat_template).render(PromptGroup(prompt, ["The Etna."], source="prefs.jsonl:7"))
    assert str(caught.value).startswith("prefs.jsonl:7: the chat template ")
    return str(caught.value)


def role(expression: str) -> str:
    """CHATML with another expression for the role of a turn."""
    return LOOP + TURN.replace("m.role", expression) + "{% endfor %}"


OTHER_ROLE = "'user' if m.role == 'assistant' else 'assistant' if m.role == 'user' else m.role"
FIRST_TWO = "(messages[1:2] + messages[:1] + messages[2:] if messages | length > 2 else messages)"
FAULTS = {
    "last first": (CHATML.replace("in messages", "in messages[-1:] + messages[:-1]", 1), "writes turn 3 (the user's)"),
    "first two": (CHATML.replace("in messages", f"in {FIRST_TWO}", 1), "writes turn 2 (the assistant's) before turn 1"),
    "no assistant": (
        CHATML.replace(TURN, "{% if m.role != 'assistant' or loop.last %}" + TURN + "{% endif %}"),
        "turn 2 (the assistant's)",
    ),
    "exchanged": (
        role(OTHER_ROLE) + "{% if add_generation_prompt %}<|im_start|>user\n{% endif %}",
        "writes the user's turns under the assistant's name and the other way round",
    ),
    "one name": (
        role("'user'") + "{% if add_generation_prompt %}<|im_start|>user\n{% endif %}",
        "under the same name ('<|im_end|>\\n<|im_start|>user\\n')",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_exchanged_turns_and_speakers_are_refused_by_name(name: str) -> None:
    template, expected = FAULTS[name]
    assert expected in refusal(template, EARLIER)
    short = tuple(Message(turn.role, letter) for turn, letter in zip(EARLIER, "aba", strict=True))
    assert refusal(template, short)  # whose contents stand everywhere


@pytest.mark.parametrize("name", ["exchanged", "one name"])
def test_speakers_are_looked_at_for_single_questions_too(name: str) -> None:
    template, expected = FAULTS[name]
    assert expected in refusal(template, EARLIER[:1])


ALPACA = (
    LOOP + "{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n{% else %}### Response:\n{{ m.content }}"
    "{{ eos_token }}\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:\n{% endif %}"
)
CLOSING = LOOP + "[{{ m.role | upper }}] {{ m.content }} [/{{ m.role | upper }}] {% endfor %}"
CLOSING += "{% if add_generation_prompt %}[ASSISTANT]{% endif %}"
ENDS = "You are an assistant.\n" + LOOP + "{{ m.content }}</{{ m.role }}>\n{% endfor %}"
PHI3 = (
    LOOP
    + "{% if m.role == 'user' %}<|user|>\n{{ m.content }}<|end|>\n<|assistant|>\n{% else %}{{ m.content }}<|end|>\n"
    "{% endif %}{% endfor %}"
)
GEMMA = CHATML.replace("m.role", "'model' if m.role == 'assistant' else m.role").replace("assistant\n{%", "model\n{%")


@pytest.mark.parametrize("template", [CHATML, QWEN3, LLAMA2, MISTRAL, ALPACA, CLOSING, PLAIN, ENDS, PHI3, GEMMA])
def test_templates_of_the_field_are_not(template: str) -> None:
    chat = renderer(template).chat_template
    assert find_misnaming(chat) is None
    for roles in (("user",), ("user", "assistant", "user"), ("user", "assistant") * 3 + ("user",)):
        assert find_fault(chat, tuple(map(TurnKind, roles))) is None
    assert renderer(template).render(PromptGroup(EARLIER, ["The Etna."])).branches


def test_a_template_that_draws_random_numbers_is_refused() -> None:
    chance = "{{ range(1000) | random }}" + CHATML
    assert "writes the same conversation in several ways, at random" in refusal(chance, EARLIER)


def test_a_template_that_writes_without_an_end_is_refused_before_anything_is_searched() -> None:
    endless = "{{ '%20000000s' % 'a' }}" + CHATML
    assert "characters of this conversation, more than 10,000,000" in refusal_when_opened(endless)


def test_a_system_turn_may_stand_in_the_last_question() -> None:
    chat = renderer(MISTRAL).chat_template
    assert find_fault(chat, tuple(map(TurnKind, ("system", "user", "assistant", "user")))) is None


def test_generation_tags_are_no_text() -> None:
    tagged = CHATML.replace("{{ m.content }}", "{% generation %}{{ m.content }}{% endgeneration %}")
    assert renderer(tagged).text(EARLIER) == renderer(CHATML).text(EARLIER)


def test_turns_that_look_alike_or_stand_twice_are_told() -> None:
    groups = [PromptGroup(EARLIER, ["The Etna."])]
    (alike,) = template_warnings(renderer(PLAIN).chat_template, groups)
    assert "nothing tells who speaks" in alike
    assert template_warnings(renderer(PLAIN).chat_template, [PromptGroup("q", ["a"])]) == []
    twice = CHATML.replace("{{ m.content }}", "{{ m.content }}{% if loop.first %} {{ m.content }}{% endif %}")
    (repeated,) = template_warnings(renderer(twice).chat_template, groups)
    assert "writes turn 1 more than once" in repeated


DEFAULT = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a kind machine.<|im_end|>\n{% endif %}"


def test_a_default_system_prompt_is_told_where_only_some_rows_have_their_own() -> None:
    chat = renderer(DEFAULT + CHATML).chat_template
    assert default_system_text(chat) == "You are a kind machine."
    groups = [PromptGroup(EARLIER, ["a"]), PromptGroup((SYSTEM, *EARLIER), ["a"])]
    (warning,) = template_warnings(chat, groups)
    assert "a system prompt of its own into the 1 prompts without one: 'You are a kind machine.'" in warning
    assert template_warnings(chat, groups[:1]) == []
    assert template_warnings(renderer(CHATML).chat_template, groups) == []


def test_a_template_is_probed_once_per_kind_of_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    one: Renderer = renderer(CHATML)
    probed: list[Any] = []

    def probe(template: ChatTemplate, kinds: Any) -> Any:
        probed.append(tuple(kind.role for kind in kinds))
        return probe_answer(template, kinds)

    monkeypatch.setattr(chat_text, "probe_answer", probe)
    for _ in range(3):
        one.render(PromptGroup(EARLIER, ["a"]))
        one.render(PromptGroup(EARLIER[:1], ["b"]))
    assert probed == [("user", "assistant", "user"), ("user",)]
