"""Rows and templates that nobody thought of: they are read as what they say, or refused with their place."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.data.layouts.columns import texts_in
from penchant.data.layouts.registry import DEMONSTRATIONS, PREFERENCES
from penchant.data.load import load_demonstrations, load_preferences, load_prompts
from penchant.data.rendering.renderer import Renderer
from penchant.errors import PenchantError
from penchant.types import Comparison, Message, PromptGroup

PLACE = re.compile(r"rows\.jsonl")
FIELDS = sorted(
    {name for layout in (*PREFERENCES, *DEMONSTRATIONS) for names in layout.required for name in names}
    | {"system", "input", "context", "history", "scores", "comparisons", "ranks", "ranking", "tools", "images", "id"}
    | {"score_chosen", "score_rejected", "problem", "Prompt", "source", "rationale", "\u00fc b", ""}
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["Q: a?\nYes", "Q: a?\nNo", "\n\nHuman: a\n\nAssistant: b", "[{'role': 'user'", '["a"]', "\ud83d"]),
)
TURN = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "human", "tool", "x", ""]),
            "content": TEXTS | st.none(),
        },
        optional={"tool_calls": st.none() | st.just([{"name": "f"}]), "reasoning_content": TEXTS},
    ),
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "Who"]), "value": TEXTS}),
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 10**12) | st.floats() | TEXTS
CELLS = st.one_of(
    SCALARS,
    TEXTS,
    st.lists(TURN, max_size=3),
    st.lists(TURN, max_size=3).map(json.dumps),
    st.lists(TURN, max_size=3).map(repr),
    st.recursive(
        SCALARS,
        lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), some, max_size=3),
        max_leaves=6,
    ),
)
LAYOUTS = sorted({tuple(names[0] for names in layout.required) for layout in (*PREFERENCES, *DEMONSTRATIONS)})


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with the fields of some layout, in any order, with others beside them, and with any values."""
    names = [*draw(st.sampled_from(LAYOUTS)), *draw(st.lists(st.sampled_from(FIELDS), max_size=3))]
    order = draw(st.permutations(sorted(set(names))))
    cells = {name: draw(st.sampled_from([CELLS, TEXTS, st.lists(TURN, min_size=1, max_size=3)])) for name in order}
    return draw(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=3))


def own_texts(row: Any) -> list[str]:
    """Everything that a row says, also inside cells that are turns written as text."""
    found = []
    for text in texts_in(row):
        found.append(text)
        for parse in (json.loads, ast.literal_eval):
            try:
                found += texts_in(parse(text))
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
    return found


def check_texts(group: PromptGroup, rows: list[dict[str, Any]]) -> None:
    """Every text of a group is one of its rows, or made of some by the joins that are documented."""
    known = {text.strip() for row in rows for text in own_texts(row)}
    whole = "\n".join(known)
    texts = [group.prompt] if isinstance(group.prompt, str) else [turn.content for turn in group.prompt]
    for text in [*texts, *(response.text for response in group.responses)]:
        parts = re.split(
            r"\n\n|Passage \d+: |Question: |\nAnswer:|TL;DR:|SUBREDDIT: r/|(?:TITLE|POST|ARTICLE): |\n", text
        )
        assert text.strip() in known or all(part.strip() in whole for part in parts), (text, rows)


def attempt(work: Callable[[], Any]) -> tuple[Any, str]:
    """What comes of it, or an empty tuple and the message of the refusal. Any other error is one."""
    try:
        return work(), ""
    except PenchantError as error:
        return (), str(error)


def check_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    written = [json.loads(json.dumps(row)) for row in rows]
    for load in (
        lambda: load_preferences(path, ties="half"),
        lambda: load_prompts(path),
        lambda: load_demonstrations(path),
    ):
        groups, message = attempt(load)
        assert groups or (PLACE.search(message) and len(message) < 20_000), message
        for group in groups:
            assert group.source.startswith("rows.jsonl:")
            check_texts(group, written)
            assert all(math.isfinite(score) for score in group.scores or ())
            assert all(response.text.strip() or response.token_ids for response in group.responses)


FAST = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
SLOW = settings(FAST, max_examples=1_000)


@FAST
@given(rows=tables())
def test_any_table_is_read_as_it_stands_or_refused_with_its_place(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    check_rows(tmp_path_factory.mktemp("fuzz"), rows)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@SLOW
@given(rows=tables())
def test_many_tables_are_read_as_they_stand_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    check_rows(tmp_path_factory.mktemp("fuzz"), rows)


# -- templates ----------------------------------------------------------------------------------------------------

PIECES = [
    "{{ m.content }}", "{{ m['content'] | trim }}", "{{ m.content | upper }}", "{{ m.content[:3] }}", "{{ m.role }}",
    "{{ m.content.split('a')[0] }}", "<s>", "</s>", "\n", " ", "{{ bos_token }}", "{{ eos_token }}",
    "{{ loop.index0 }}",
    "{% if m.role == 'system' %}", "{% if loop.last %}", "{% else %}", "{% endif %}", "<think>\n\n</think>\n\n",
    "{% if m.role == 'assistant' %}", "{{ messages | length }}", "{{ m.content + m.content }}", "{{ undefined.x }}",
]  # fmt: skip
LOOPS = [
    "{% for m in messages %}",
    "{% for m in messages[1:] %}",
    "{% for m in messages | reverse %}",
    "{% for m in messages[1:] + messages[:1] %}",
    "{% for m in messages[:1] + messages[2:] + messages[1:2] %}",
    "",
]
HEADERS = [
    "{% if add_generation_prompt %}<a>{% endif %}",
    "<a>",
    "",
    "{% if add_generation_prompt %}<a><think>\n{% endif %}",
]
CONTENTS = st.sampled_from(["a", "Abc.", " padded ", "<think>\nx\n</think>\ny", "two\nlines", "caf\u00e9", "0"])
CONVERSATIONS = st.sampled_from(
    [("user",), ("system", "user"), ("user", "assistant", "user"), ("system", "user", "assistant", "user")]
)


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Loops over the turns with any pieces, well formed or not."""
    loop = draw(st.sampled_from(LOOPS))
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5))
    sound = draw(st.booleans())
    body = f"<b>{{{{ m.role }}}}:{{{{ m.content }}}}{''.join(pieces)}</s>" if sound else "".join(pieces)
    return loop + body + ("{% endfor %}" if loop else "") + draw(st.sampled_from(HEADERS))


def check_template(template: str, roles: tuple[str, ...], contents: list[str], answers: list[str]) -> None:
    """What is taught is the answer, between white space and think marks, behind every turn of the prompt."""
    renderer = Renderer(_tokenizer(template))
    prompt = tuple(Message(role, content) for role, content in zip(roles, contents, strict=False))
    group = PromptGroup(prompt, answers, [Comparison(0, 1)], source="prefs.jsonl:7")
    rendered, message = attempt(lambda: renderer.render(group))
    if not rendered:
        assert "prefs.jsonl:7" in message
        return
    probes = [f"qz{number}zq" for number in range(len(roles))]
    text = renderer.text(tuple(Message(role, probe) for role, probe in zip(roles, probes, strict=True)))
    places = [text.find(probe) for role, probe in zip(roles, probes, strict=True) if role != "system"]
    assert places == sorted(places), (template, text)
    for branch, answer in zip(rendered.branches, answers, strict=True):
        ((start, end),) = branch.spans
        words = renderer.tokenizer.convert_ids_to_tokens
        head = "".join(words([*rendered.prompt_ids, *branch.ids[:start]]))
        taught = "".join(words(branch.ids[start:end]))
        assert all(turn.content.strip() in head for turn in prompt), (template, head)
        plain = re.sub(r"\s*</?think>\s*", "", answer).strip()
        found = re.sub(r"\s*</?think>\s*", "", taught)
        assert found.lstrip().startswith(plain), (template, answer, taught)


def _tokenizer(template: str) -> Any:
    fast = _characters()
    fast.chat_template = template
    return fast


@cache
def _characters() -> Any:
    """A tokenizer whose tokens are characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set(map(chr, range(32, 127))) | {"\n", "\u00e9"})
    base = Tokenizer(
        models.WordLevel({token: n for n, token in enumerate(["</s>", "<unk>", *letters])}, unk_token="<unk>")
    )
    base.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=base, eos_token="</s>", unk_token="<unk>")


ANSWERS = st.lists(CONTENTS, min_size=2, max_size=2, unique=True)


@FAST
@given(templates(), CONVERSATIONS, st.lists(CONTENTS, min_size=4, max_size=4), ANSWERS)
def test_any_template_is_rendered_right_or_refused_with_the_row(
    template: str, roles: tuple[str, ...], contents: list[str], answers: list[str]
) -> None:
    check_template(template, roles, contents, answers)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@SLOW
@given(templates(), CONVERSATIONS, st.lists(CONTENTS, min_size=4, max_size=4), ANSWERS)
def test_many_templates_are_rendered_right_or_refused(
    template: str, roles: tuple[str, ...], contents: list[str], answers: list[str]
) -> None:
    check_template(template, roles, contents, answers)
