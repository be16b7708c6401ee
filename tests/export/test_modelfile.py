"""The template for Ollama renders as the chat template of the model does, for the families of the field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from penchant.export.modelfile import Turn, derive, go_template, write_modelfile
from penchant.export.template_defaults import put_defaults, with_defaults
from template_families import FAMILIES, family_tokenizer

CONVERSATIONS: tuple[list[Turn], ...] = (
    [("user", "What is 2 + 2?")],
    [("system", "You are a cat."), ("user", "Hello"), ("assistant", "Meow."), ("user", "Again!")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
)


def run_go(template: str, turns: list[Turn]) -> str:
    """Run the few things that the templates use of Go's language."""
    has_system = any(role == "system" for role, _ in turns)

    def literals(text: str) -> str:
        return re.sub(r'\{\{ "((?:[^"\\]|\\.)*)" \}\}', lambda m: m[1].encode().decode("unicode_escape"), text)

    def conditional(match: re.Match[str]) -> str:
        return "" if has_system else match[1]

    text = re.sub(r"\{\{ if not \.System \}\}(.*?)\{\{ end \}\}", conditional, template, flags=re.DOTALL)
    head, rest = text.split("{{ range .Messages }}")
    body, tail = rest.rsplit("{{ end }}", 1)
    branches = dict(
        re.findall(r'\{\{ (?:else )?if eq \.Role "(\w+)" \}\}(.*?)(?=\{\{ else if|\{\{ end \}\}$)', body, re.DOTALL)
    )
    middle = "".join(branches.get(role, "").replace("{{ .Content }}", content) for role, content in turns)
    return literals(head) + literals(middle) + literals(tail)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_derived_template_renders_as_the_original(family: str) -> None:
    tokenizer = family_tokenizer(family)
    bos = tokenizer.bos_token or ""

    def render(turns: Any) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)).removeprefix(
            bos
        )

    derived = derive(render)
    assert derived is not None
    go = go_template(derived)
    for turns in CONVERSATIONS:
        # a template that has no system's turn puts that text into the user's, which no template of turns can
        if all(role in derived.around for role, _ in turns):
            assert run_go(go, turns) == render(turns)


def test_a_system_turn_that_is_written_by_default_stays_whole() -> None:
    """As in SmolLM2's template: no turn is cut within its marks."""

    def render(turns: Any) -> str:
        turns = turns if turns[0][0] == "system" else [("system", "You help."), *turns]
        return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"

    derived = derive(render)
    assert derived is not None
    assert derived.without_system == "<|im_start|>system\nYou help.<|im_end|>\n"
    assert derived.around == {
        role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("system", "user", "assistant")
    }
    for turns in CONVERSATIONS:
        assert run_go(go_template(derived), turns) == render(turns)


def test_a_template_that_writes_more_than_turns_gives_none() -> None:
    assert (
        derive(lambda turns: f"{len(turns)}: " + "".join(f"<{role}>{text}" for role, text in turns) + "<assistant>")
        is None
    )
    assert derive(lambda turns: "".join(text for _, text in reversed(turns))) is None
    assert derive(lambda turns: str(1 / 0)) is None


def test_texts_that_go_would_read_as_code_are_literals() -> None:
    derived = derive(lambda turns: "".join(f'{{{{{role}}}}}"""{text}\n' for role, text in turns) + '{{assistant}}"""')
    assert derived is not None
    go = go_template(derived)
    assert '"""' not in go
    assert run_go(go, [("user", "x")]) == '{{user}}"""x\n{{assistant}}"""'


def test_a_modelfile_names_its_file_stops_and_parameters() -> None:
    text = write_modelfile("model.gguf", "{{ .Prompt }}", ["<|im_end|>"], {"num_ctx": 128, "top_p": 0.9}, license="mit")
    assert text.splitlines() == [
        "# ollama create NAME -f Modelfile",
        "FROM ./model.gguf",
        'TEMPLATE """{{ .Prompt }}"""',
        'PARAMETER stop "<|im_end|>"',
        "PARAMETER num_ctx 128",
        "PARAMETER top_p 0.9",
        'LICENSE """mit"""',
    ]
    assert "TEMPLATE" not in write_modelfile("model.gguf", None, [], {}, note="why")


def test_arguments_become_defaults_that_a_user_may_change() -> None:
    tokenizer = family_tokenizer("qwen3")
    ask: list[dict[str, str]] = [{"role": "user", "content": "Hi"}]
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True}
    told = tokenizer.apply_chat_template(ask, enable_thinking=False, **options)
    untold = tokenizer.apply_chat_template(ask, **options)
    assert told != untold
    put_defaults(tokenizer, {"enable_thinking": False, "today": "2026-01-31"})
    assert tokenizer.apply_chat_template(ask, **options) == told
    assert tokenizer.apply_chat_template(ask, enable_thinking=True, **options) == untold
    assert "today" not in tokenizer.chat_template


@pytest.mark.parametrize("value", [None, True, 3, "a 'b' \"c\"", ["x"], {"k": 1.5}])
def test_every_kind_of_argument_is_written_as_jinja_reads_it(value: Any, tmp_path: Path) -> None:
    from jinja2 import Environment

    template = with_defaults("{{ (x == y) }}", {"x": value})
    assert Environment().from_string(template).render(y=value) == "True"
