"""Templates of published models, as the package `trl` ships them: the same tokens as `transformers` writes.

They are read where TRL is installed: in the environment of the benchmarks (`benchmarks/run.py` makes it), or in ours.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from conversations import CONVERSATIONS, rows_of
from penchant.data.rendering.renderer import Renderer
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response
from repository import REPOSITORY
from template_families import byte_tokenizer

pytestmark = pytest.mark.slow

MARK = re.compile(r"<\|[^<>|\s'\"]{1,60}\|>|<｜[^｜]{1,40}｜>|</?think>|</?tool_call>|<\|?[a-z_]+\|?>|\[/?INST\]")
ENDS = (
    *(
        "<|im_end|>",
        "<|eot_id|>",
        "<end_of_turn>",
        "<turn|>",
        "<|return|>",
        "<｜end▁of▁sentence｜>",
        "<|END_RESPONSE|>",
    ),
    *("<|END_OF_TURN_TOKEN|>", "<|end|>", "<|eot|>", "<end_of_utterance>"),
)


def folder() -> Path | None:
    installed = importlib.util.find_spec("trl")
    folders = [Path(entry) for entry in (installed.submodule_search_locations or [] if installed else [])]
    folders += (REPOSITORY / ".venv-trl").glob("lib/python3*/site-packages/trl")
    return next((found / "chat_templates" for found in folders if (found / "chat_templates").is_dir()), None)


FOLDER = folder()
FILES = sorted(FOLDER.glob("*.jinja")) if FOLDER else []


def tokenizer(text: str) -> Any:
    """A tokenizer of bytes that knows the marks of a template."""
    marks = list(dict.fromkeys(MARK.findall(text)))
    end = next((mark for mark in ENDS if mark in marks), "</s>")
    special = [mark for mark in marks if not re.search("think|tool_call", mark)]
    made = byte_tokenizer([*special, end], [mark for mark in marks if mark not in special], bos="<s>", eos=end)
    made.chat_template = text
    return made


def theirs(made: Any, rows: list[dict[str, Any]], tools: Any) -> list[int] | None:
    """What `transformers` writes of a conversation; None where the template refuses it."""
    try:
        ids: list[int] = made.apply_chat_template(rows, tools=tools, return_dict=False)
    except (TemplateError, TypeError, AttributeError):
        return None
    return ids


def holds_all(text: str, prompt: tuple[Message, ...], response: Response) -> bool:
    """Whether what a conversation says stands in a text, by words that stand in no template."""
    words = [turn.content for turn in prompt if turn.role not in ("tools", "tool")]
    words += [response.text, response.reasoning]
    calls = [*response.tool_calls, *(call for turn in prompt for call in turn.tool_calls)]
    if calls:
        words += ["add", 'x"y' if 'x"y' in text else 'x\\"y']
    if prompt[0].role == "tools":
        words.append("Add.")
    return all(word.strip() in text for word in words)


@pytest.mark.skipif(not FILES, reason="the package trl is not installed: benchmarks/run.py makes its environment")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_tokens_are_those_of_transformers(file: Path) -> None:
    made = tokenizer(file.read_text(encoding="utf-8"))
    renderer = Renderer(made)
    compared = 0
    for kind, (prompt, response) in CONVERSATIONS.items():
        rows, tools = rows_of(prompt, response)
        expected = theirs(made, rows, tools)
        if expected is None or not holds_all(made.decode(expected), prompt, Response("")):
            # some of vision models take a text as a list of parts alone
            parts = [row | {"content": [{"type": "text", "text": row["content"]}]} for row in rows]
            in_parts = theirs(made, parts, tools)
            expected = in_parts if in_parts is not None and "river" in made.decode(in_parts) else expected
        (rendered,) = renderer.render_many([PromptGroup(prompt, [response], source="prefs.jsonl:7")])
        if isinstance(rendered, InputError):
            assert str(rendered).startswith("prefs.jsonl:7: ")
            assert expected is None or not holds_all(made.decode(expected), prompt, response), (kind, str(rendered))
            continue
        assert expected is not None, kind
        ids = [*rendered.prompt_ids, *rendered.branches[0].ids]
        if kind in ("thinking", "reasoning") and ids[: len(expected)] != expected[: len(ids)]:
            # they drop the thoughts, or leave the marks of the text in the answer
            text = made.decode(expected)
            assert "I look." not in text or "<think>" in text
            assert "I look." in made.decode(ids)
            assert made.decode(ids).replace(made.eos_token, "").rstrip().endswith("The Rhine.")
            continue
        if ids[-1] == made.eos_token_id and expected[: len(ids)] != ids:
            ids.pop()  # a template that writes no end token: ours is added
        assert made.decode(ids) == made.decode(expected[: len(ids)]), kind
        assert ids == expected[: len(ids)], kind
        compared += 1
    assert compared >= 3  # plain, turns, and what else the template has a place for


def test_conversations_have_words_of_their_own() -> None:
    prompt, response = CONVERSATIONS["call"]
    assert holds_all(json.dumps([prompt[0].content, "Be kind.", "Name a river."]) + 'add x"y Add.', prompt, response)
    assert not holds_all("Name a river. Be kind.", prompt, response)
