"""Templates by name and from files, and what they are told: read once, refused by name, in every rendering."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from transformers.utils import chat_template_utils

from chat_templates import CHATML, renderer
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.template_args import template_variables
from penchant.data.rendering.template_source import shipped_templates
from penchant.data.rendering.templates import template_warnings
from penchant.data.rendering.token_cache import TokenFile
from penchant.data.rendering.tokenizer_digest import digest_tokenizer
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response, ToolCall
from template_families import family_tokenizer

ASKED = (Message("user", "Name a river."),)
TURNS = (Message("system", "Be kind."), *ASKED, Message("assistant", "The Po."), Message("user", "More."))
VOICE = "{{ voice | default('calm') }}" + CHATML


def refusal(template: str, args: dict[str, object]) -> str:
    with pytest.raises(InputError) as caught:
        renderer(template, template_args=args)
    return str(caught.value)


# -- names and files ----------------------------------------------------------------------------------------------

# Of TURNS what stands before the answer, and what is scored of "The Elbe.", by hand from the published forms.
SHIPPED = {
    "chatml": (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n"
        "The Po.<|im_end|>\n<|im_start|>user\nMore.<|im_end|>\n<|im_start|>assistant\n",
        "The Elbe.<|im_end|>",
    ),
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n"
        "Name a river.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nThe Po.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nMore.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "The Elbe.<|eot_id|>",
    ),
    "zephyr": (
        "<|system|>\nBe kind.</s>\n<|user|>\nName a river.</s>\n<|assistant|>\nThe Po.</s>\n<|user|>\nMore.</s>\n"
        "<|assistant|>\n",
        "The Elbe.</s>",
    ),
    "mistral": ("<s>[INST] Be kind.\n\nName a river. [/INST] The Po.</s>[INST] More. [/INST]", " The Elbe.</s>"),
    "gemma": (
        "<s><start_of_turn>user\nBe kind.\n\nName a river.<end_of_turn>\n<start_of_turn>model\nThe Po.<end_of_turn>\n"
        "<start_of_turn>user\nMore.<end_of_turn>\n<start_of_turn>model\n",
        "The Elbe.<end_of_turn>",
    ),
    "alpaca": (
        "Be kind.\n\n### Instruction:\nName a river.\n\n### Response:\nThe Po.</s>\n\n### Instruction:\nMore.\n\n"
        "### Response:\n",
        "The Elbe.</s>",
    ),
}


def marked_tokenizer() -> Any:
    """A tokenizer that knows the marks of the templates that we ship, and has no template."""
    tokenizer = family_tokenizer("mistral")
    marks = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
    tokenizer.add_tokens([*marks, "<start_of_turn>", "<end_of_turn>"], special_tokens=True)
    tokenizer.chat_template = None
    return tokenizer


@pytest.mark.parametrize("name", SHIPPED)
def test_a_named_template_writes_its_form(name: str) -> None:
    named = Renderer(marked_tokenizer(), template=name)
    head, answer = SHIPPED[name]
    rendered = named.render(PromptGroup(TURNS, ["The Elbe."]))
    (branch,) = rendered.branches
    ((start, end),) = branch.spans
    ids = (*rendered.prompt_ids, *branch.ids[:start])
    assert named.text(TURNS) == head
    assert named.tokenizer.decode(ids) == head
    assert named.tokenizer.decode(branch.ids[start:end]) == answer
    assert named.text(TURNS[1:]).count("Be kind.") == 0
    assert not template_warnings(named.chat_template, [PromptGroup(TURNS, ["The Elbe."])])  # type: ignore[arg-type]


def test_every_shipped_template_is_tested() -> None:
    assert set(shipped_templates()) == set(SHIPPED)


def test_chatml_writes_functions_calls_and_thoughts() -> None:
    named = Renderer(marked_tokenizer(), template="chatml")
    call = ToolCall("add", '{"a": 1}')
    prompt = (Message("tools", '[{"name": "add"}]'), *TURNS[:2], Message("assistant", "", tool_calls=(call,)))
    prompt = (*prompt, Message("tool", "2"))
    rendered = named.render(PromptGroup(prompt, [Response("So 2.", reasoning="Add.", tool_calls=(call, call))]))
    text = named.tokenizer.decode(rendered.prompt_ids)
    assert text.startswith("<|im_start|>system\nBe kind.\n\nYou can call")
    assert '<tools>\n{"name": "add"}\n</tools><|im_end|>\n<|im_start|>user\nName a river.<|im_end|>\n' in text
    once = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert f"<|im_start|>assistant\n{once}<|im_end|>\n<|im_start|>user\n<tool_response>\n2\n</tool_response>" in text
    answer = named.tokenizer.decode(rendered.branches[0].ids)
    assert answer == f"<think>\nAdd.\n</think>\n\nSo 2.\n{once}\n{once}<|im_end|>"


def test_a_file_is_a_template(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(CHATML.replace("<|im_end|>\n", "<|im_end|>"))
    named = Renderer(marked_tokenizer(), template=str(file))
    assert named.text(ASKED) == "<|im_start|>user\nName a river.<|im_end|><|im_start|>assistant\n"
    # its content counts, and not its name
    other = tmp_path / "other.jinja"
    other.write_text(file.read_text())
    digests = {digest_tokenizer(Renderer(marked_tokenizer(), template=str(path))) for path in (file, other)}
    assert len(digests) == 1
    other.write_text(CHATML)
    assert digest_tokenizer(Renderer(marked_tokenizer(), template=str(other))) not in digests


def test_an_unknown_template_is_answered_with_the_names() -> None:
    with pytest.raises(InputError, match=r"no such template: chatlm; expected one of .*zephyr.*did you mean chatml\?"):
        Renderer(marked_tokenizer(), template="chatlm")
    with pytest.raises(InputError, match=r"no such template file: /nowhere/a.jinja"):
        Renderer(marked_tokenizer(), template="/nowhere/a.jinja")
    with pytest.raises(InputError, match=r"no chat template: use template=plain, or name one"):
        Renderer(marked_tokenizer(), template="chat")


# -- arguments ----------------------------------------------------------------------------------------------------


def test_an_argument_is_in_every_rendering() -> None:
    told = renderer(VOICE, template_args={"voice": "warm"})
    assert told.text(ASKED).startswith("warm<|im_start|>user")
    rendered = told.render(PromptGroup(ASKED, ["a", "b"]))
    assert told.prompt_ids(ASKED) == rendered.prompt_ids
    assert renderer(VOICE).text(ASKED).startswith("calm<|im_start|>user")
    assert replace(told, max_length=500).text(ASKED) == told.text(ASKED)


def test_an_argument_that_the_template_does_not_read_is_refused_by_name() -> None:
    assert "does not read the argument 'voise' (template_args): it reads voice; did you mean voice?" in refusal(
        VOICE, {"voise": "warm"}
    )
    assert "it reads none" in refusal(CHATML, {"enable_thinking": False})
    assert "template_args.messages cannot be given" in refusal(VOICE, {"messages": []})
    plain = "are for a chat template, but prompts are plain text (template=plain)"
    with pytest.raises(InputError) as caught:
        Renderer(renderer(VOICE).tokenizer, template="plain", template_args={"voice": "warm"})
    assert plain in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{% if x is defined and not x %}a{% endif %}", {"x"}),
        ("{% set x = x | default(true) %}{{ x }}", {"x"}),
        ("{% set x = 1 %}{{ x }}{% for m in messages %}{{ m.y }}{% endfor %}{{ bos_token }}", {"bos_token"}),
        ("{% generation %}{{ x }}{%- endgeneration -%}{% for m in messages %}{% break %}{% endfor %}", {"x"}),
        ("{% if not d is defined %}{% set d = strftime_now('%d') %}{% endif %}{{ d }}", {"d"}),
        # what a branch sets and the rest reads is the template's own
        ("{% if bos_token %}{% set t = 1 %}{% else %}{% set t = 2 %}{% endif %}{{ t }}", {"bos_token"}),
        ("{% if x %}{% set x = x or 1 %}{% endif %}{% for m in messages if keep %}{{ m }}{% endfor %}", {"x", "keep"}),
        ("{% for %}", set()),
    ],
)
def test_the_variables_of_a_template(text: str, names: set[str]) -> None:
    assert template_variables(text) == names


def test_a_date_is_fixed_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `transformers` writes it on that day."""

    class ThatDay(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 31)

    for name in ("gpt_oss", "llama32", "smollm3"):
        tokenizer = family_tokenizer(name)
        with monkeypatch.context() as patch:
            patch.setattr(chat_template_utils, "datetime", ThatDay)
            rows = [{"role": "user", "content": "Name a river."}]
            expected = tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)
        chat_template_utils._compile_jinja_template.cache_clear()
        for today in ("2026-01-31", date(2026, 1, 31)):
            fixed = Renderer(tokenizer, template_args={"today": today})
            assert fixed.text(ASKED) == expected
            assert template_warnings(fixed.chat_template, [PromptGroup(ASKED, ["a"])]) == []  # type: ignore[arg-type]
        assert template_warnings(Renderer(tokenizer).chat_template, [])[0].count("template_args={today: ") == 1  # type: ignore[arg-type]


def test_a_date_that_cannot_be_fixed_is_refused() -> None:
    assert "changes nothing" in refusal(CHATML, {"today": "2026-01-31"})
    assert "it reads 'date_string', give that" in refusal("{{ date_string }}" + CHATML, {"today": "2026-01-31"})
    assert "must be a date such as 2026-01-31, got 'soon'" in refusal("{{ strftime_now('%d') }}", {"today": "soon"})
    computed = "{% set f = '%d' %}{{ strftime_now(f) }}" + CHATML
    assert "computes the format of its date" in refusal(computed, {"today": "2026-01-31"})


def test_all_of_it_is_in_the_digest_and_in_the_key_of_kept_tokens(tmp_path: Path) -> None:
    dated = "{{ strftime_now('%d') }}" + VOICE
    settings: list[dict[str, Any]] = [
        {},
        {"template_args": {"voice": "warm"}},
        {"template_args": {"voice": "calm"}},
        {"template_args": {"today": "2026-01-31"}},
        {"thoughts": "mask"},
        {"thoughts": "drop"},
        {"template": "zephyr"},
        {"template": "plain"},
    ]
    renderers = [Renderer(renderer(dated).tokenizer, **options) for options in settings]
    assert len({digest_tokenizer(one) for one in renderers}) == len(settings)
    groups = [PromptGroup(ASKED, ["a"])]
    names = {TokenFile.of(groups, one, tmp_path) for one in (*renderers, renderer(dated, switches=True))}
    assert len(names) == len(settings) + 1
    named = {TokenFile.of([PromptGroup(ASKED, [response])], renderers[0], tmp_path) for response in RESPONSES}
    assert len(named) == len(RESPONSES)
    # the order of arguments changes nothing, nor does how a date was read
    both = {"voice": "warm", "today": "2026-01-31"}
    same = [both, dict(reversed(both.items())), {**both, "today": date(2026, 1, 31)}]
    assert len({digest_tokenizer(renderer(dated, template_args=args)) for args in same}) == 1


RESPONSES = [Response("a"), Response("a", reasoning="b"), Response("a", tool_calls=(ToolCall("f"),))]


# -- headers and end tokens ---------------------------------------------------------------------------------------


def test_a_header_that_is_never_asked_for_is_taken_from_an_answer() -> None:
    silent = renderer("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    assert silent.text(ASKED) == "<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n"
    rendered = silent.render(PromptGroup(ASKED, ["The Po.", "The Elbe."]))
    assert rendered.prompt_ids == silent.prompt_ids(ASKED)
    assert not rendered.moved_boundary


def test_a_prompt_that_is_rewritten_once_answered_has_its_boundary_at_the_text() -> None:
    counting = renderer("{{ messages | length }}" + CHATML)
    rendered = counting.render(PromptGroup(ASKED, ["The Po."]))
    words = counting.tokenizer.convert_ids_to_tokens
    assert "".join(words(rendered.prompt_ids)) == "2<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.moved_boundary
    ((start, end),) = rendered.branches[0].spans
    assert "".join(words(rendered.branches[0].ids[start:end])) == "The Po.<|im_end|>"


def test_a_token_that_opens_turns_ends_none() -> None:
    endless = renderer("{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}{% endfor %}<|im_start|>")
    assert endless.tokenizer.convert_ids_to_tokens(sorted(endless.end_ids)) == ["<|im_end|>"]
    ((branch,),) = (endless.render(PromptGroup(ASKED, ["The Po."])).branches,)
    assert endless.tokenizer.convert_ids_to_tokens(branch.ids)[-1] == "<|im_end|>"
