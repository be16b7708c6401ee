"""A whole data set: long rows by policy, all bad rows by name, batches, and the ids that are kept for the next run."""

from __future__ import annotations

import ast
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from penchant.data.rendering import render_groups as module
from penchant.data.rendering import token_cache
from penchant.data.rendering.render_groups import render_all
from penchant.data.rendering.renderer import Renderer
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, Response

CHATML = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def tokenizer(letters: str = "abcdefghijklmnopqrstuvwxyz <>/") -> Any:
    base = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, [], unk_token=" "))
    base.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=base, eos_token="</s>")
    fast.chat_template = CHATML
    return fast


PLAIN = Renderer(tokenizer(), template="plain")
GROUPS = [
    PromptGroup("a b", ["c", Response("dd", finished=False)], source="f:1"),
    PromptGroup((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), ["e f"], source="f:2"),
    PromptGroup("", ["gg", "gh"], source="f:3"),
]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where even small data sets are kept."""
    monkeypatch.setattr(module, "WORTH_KEEPING", 1)
    return tmp_path / "tokens"


def never(*_: object) -> None:
    raise AssertionError("rendered again")


def test_long_rows_by_policy() -> None:
    long, short = PromptGroup("c" * 20, ["a"], source="f:1"), PromptGroup("c", ["a"], source="f:2")
    with pytest.raises(InputError, match=r"f:1: 22 tokens \(prompt 20, longest response 2\) .*max_length=8"):
        render_all([long, short], replace(PLAIN, max_length=8))
    # what the model takes is no setting that could be raised
    with pytest.raises(InputError, match=r"more than the 8 that the model takes; set overflow to drop"):
        render_all([long, short], replace(PLAIN, max_length=8, context=8))
    groups, rendered, report = render_all([long, short], replace(PLAIN, max_length=8, overflow="drop"))
    assert (groups, report.dropped_too_long) == ([short], 1)
    assert [row.source for row in rendered] == ["f:2"]
    _, rendered, report = render_all([long, short], replace(PLAIN, max_length=8, overflow="truncate_prompt"))
    assert report.truncated == 1
    assert rendered[0].lengths == (8,)
    assert rendered[0].branches[0].scored == 2  # never the response


def test_all_bad_rows_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    good = [PromptGroup("a", ["b"], source=f"good:{n}") for n in range(5)]
    bad = [PromptGroup("a", [Response("", finished=False)], source=f"bad:{n}") for n in range(22)]
    with pytest.raises(InputError, match=r"^2 rows cannot be used:\n  bad:0: [^\n]*\n  bad:1: [^\n]*$"):
        render_all([bad[0], *good, bad[1]], PLAIN)
    with pytest.raises(InputError, match=r"^22 rows cannot be used:[\s\S]*\n  bad:2: [^\n]*\n  \(\+19 more\)$"):
        render_all(bad, PLAIN)


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render_all(GROUPS, PLAIN)
    monkeypatch.setattr(module, "BATCH", 2)
    parts = render_all(GROUPS, PLAIN)
    assert list(parts[1]) == list(whole[1]) == [PLAIN.render(group) for group in GROUPS]
    assert (parts[0], parts[2]) == (whole[0], whole[2])


def test_the_next_run_reads_what_was_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = replace(PLAIN, max_length=12, overflow="drop")
    groups = [GROUPS[0], PromptGroup("a" * 20, ["b"], source="f:long"), GROUPS[2]]
    first = render_all(groups, renderer, cache=kept)
    assert [path.suffix for path in kept.iterdir()] == [".safetensors"]
    monkeypatch.setattr(Renderer, "render_many", never)
    moved = [group.replace(source=f"elsewhere:{n}") for n, group in enumerate(groups)]
    again = render_all(moved, renderer, cache=kept)
    assert list(again[1]) == list(first[1])
    assert again[2] == first[2]
    assert again[2].dropped_too_long == 1
    assert [row.source for row in again[1]] == [group.source for group in again[0]] == ["elsewhere:0", "elsewhere:2"]


def test_small_data_is_not_kept(tmp_path: Path) -> None:
    render_all(GROUPS, PLAIN, cache=tmp_path / "tokens")
    assert not (tmp_path / "tokens").exists()


CHANGES: dict[str, tuple[list[PromptGroup], Renderer]] = {
    "text": ([GROUPS[0].replace(prompt="a c"), *GROUPS[1:]], PLAIN),
    "order": ([GROUPS[1], GROUPS[0], GROUPS[2]], PLAIN),
    "ending": ([GROUPS[0].replace(responses=("c", "dd")), *GROUPS[1:]], PLAIN),
    "boundary": (
        [GROUPS[0].replace(prompt="a ", responses=("bc", Response("dd", finished=False))), *GROUPS[1:]],
        PLAIN,
    ),
    "drawn": ([GROUPS[0].replace(responses=(Response("c", (2,), finished=False),)), *GROUPS[1:]], PLAIN),
    "template": (GROUPS, replace(PLAIN, template="chat")),
    "max_length": (GROUPS, replace(PLAIN, max_length=500)),
    "overflow": (GROUPS, replace(PLAIN, overflow="drop")),
    "end_ids": (GROUPS, replace(PLAIN, end_ids=frozenset({3}))),
    "every_turn": (GROUPS, replace(PLAIN, every_turn=True)),
    "tokenizer": (GROUPS, Renderer(tokenizer("zyxwvutsrqponmlkjihgfedcba <>/"), template="plain")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_the_ids_depend_on_is_in_the_name(what: str, tmp_path: Path) -> None:
    groups, renderer = CHANGES[what]
    before = token_cache.TokenFile.of(GROUPS, PLAIN, tmp_path)
    assert before == token_cache.TokenFile.of(list(GROUPS), replace(PLAIN), tmp_path)
    assert before != token_cache.TokenFile.of(groups, renderer, tmp_path)


def test_all_code_that_renders_is_in_the_name() -> None:
    """What only checks a rendering, or keeps it, decides no ids."""
    folder, imported = Path(token_cache.__file__).parent, set()
    for name in token_cache.RENDERING:
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penchant.data"):
                imported |= {node.module.rpartition(".")[2], *(alias.name for alias in node.names)}
    modules = {name for name in imported if (folder / f"{name}.py").is_file()}
    assert modules - {"vocabulary", "token_cache"} == set(token_cache.RENDERING) - {"render_groups"}


def test_a_template_that_writes_the_date_is_kept_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow:
        @staticmethod
        def today() -> str:
            return "tomorrow"

    for template, same in ((CHATML, True), (CHATML + "{{ strftime_now('%d') }}", False)):
        fast = tokenizer()
        fast.chat_template = template
        with monkeypatch.context() as patch:
            today = token_cache.TokenFile.of(GROUPS, Renderer(fast), tmp_path)
            patch.setattr(token_cache, "date", Tomorrow)
            assert (token_cache.TokenFile.of(GROUPS, Renderer(fast), tmp_path) == today) is same


def test_a_tokenizer_with_code_of_its_own_is_not_kept(kept: Path) -> None:
    class Own(PreTrainedTokenizerFast):  # such as comes with trust_remote_code
        pass

    own = Own(tokenizer_object=tokenizer().backend_tokenizer, eos_token="</s>")
    _, rendered, _ = render_all(GROUPS, Renderer(own), cache=kept)
    assert list(rendered) == [PLAIN.render(group) for group in GROUPS]
    assert not kept.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_said_and_computed_anew(damage: str, kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = list(render_all(GROUPS, PLAIN, cache=kept)[1])
    (file,) = kept.iterdir()
    content = file.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    file.write_bytes({"cut": content[:-5], "flipped": flipped, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert list(render_all(GROUPS, PLAIN, cache=kept)[1]) == whole
    assert "cannot be read" in caplog.text
    assert file.read_bytes() == content  # and kept again


def test_a_full_disk_is_said_and_the_run_goes_on(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.WARNING):
        _, rendered, _ = render_all(GROUPS, PLAIN, cache=kept)
    assert "cannot be kept" in caplog.text
    assert list(rendered) == [PLAIN.render(group) for group in GROUPS]
    assert list(kept.iterdir()) == []  # no half-written file either


def test_kept_ids_stay_in_the_file(kept: Path) -> None:
    """They are mapped: the file can be replaced or removed under a run that reads it."""
    whole = list(render_all(GROUPS, PLAIN, cache=kept)[1])
    rendered = render_all(GROUPS, PLAIN, cache=kept)[1]
    (file,) = kept.iterdir()
    if Path("/proc/self/maps").exists():
        assert file.name in Path("/proc/self/maps").read_text()
    file.unlink()
    assert list(rendered) == whole
