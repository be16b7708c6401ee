"""New prompts: read out of what a model writes, and refused where they are empty, cut, known or held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.metrics.novelty import TextCollection
from penchant.models.load import load_policy
from penchant.rounds.self_rewarding.new_prompts import (
    SHELF,
    PromptChoice,
    instruction_of,
    read_prompt,
    take_prompts,
    write_prompts,
)
from penchant.rounds.self_rewarding.settings import SelfInstruct
from penchant.types import Message, Response

WRITTEN = [
    (" Name a bird.\nTask 10: Name a fish.", True, "Name a bird."),
    ("Task 9: Name a bird.", True, "Name a bird."),
    ("Sure! Here is a new task:\n\nTask 9: Name a bird.", True, "Name a bird."),
    ("**Task 9:** Name a bird.", True, "Name a bird."),
    ("9. Name a bird.", True, "Name a bird."),
    ('"Name a bird."', True, "Name a bird."),
    ("<think>A bird? Task 3: no.</think>\nName a bird.", True, "Name a bird."),
    ("Name a bird.\nIt must sing.\n\nTask 10: Name a fish.", False, "Name a bird.\nIt must sing."),
    ("Name a bird.\nIt must sing.", True, "Name a bird."),
    ("Name a\0 bird.", True, "Name a bird."),
    ("", True, None),
    ("<think>A bird", True, None),
]


@pytest.mark.parametrize(("text", "one_line", "prompt"), WRITTEN)
def test_a_prompt_is_read_out_of_what_was_written(text: str, one_line: bool, prompt: str | None) -> None:
    assert read_prompt(Response(text), one_line=one_line)[0] == prompt


def test_a_prompt_is_cut_only_where_nobody_knows_its_end() -> None:
    assert read_prompt(Response("Name a", finished=False), one_line=True) == ("Name a", True)
    assert read_prompt(Response("Name a bird.\nTask 10: Na", finished=False), one_line=False) == ("Name a bird.", False)
    assert read_prompt(Response("Name a bird.\nName", finished=False), one_line=True) == ("Name a bird.", False)
    assert read_prompt(Response("Name a bird."), one_line=True) == ("Name a bird.", False)


def choice(fits: bool = True) -> PromptChoice:
    known, held_out = TextCollection(), TextCollection()
    known.add("Name a bird that can sing.")
    held_out.add("Who wrote the Iliad?")
    return PromptChoice(known, held_out, lambda _: fits)


def test_every_refusal_has_its_count() -> None:
    chosen = choice()
    for text in (None, "...", "Name a fish", "name a FISH!", "Name a bird that can swim.", "Who wrote the Iliad"):
        chosen.offer(text)
    chosen.offer("Name a", is_cut=True)
    assert chosen.prompts == ["Name a fish"]
    assert chosen.refusals == {"empty": 2, "repeated": 1, "near": 1, "held_out": 1, "cut": 1}
    full = choice(fits=False)
    full.offer("Name a fish")
    assert full.refusals == {"too_long": 1}


def test_a_file_gives_its_prompts_in_order_and_goes_on_where_it_was() -> None:
    texts = ["One?", "Two?", "one", "Three?"]
    first, second = choice(), choice()
    take_prompts(texts, 2, first, skipped=0)
    take_prompts(texts, 2, second, skipped=2)
    assert (first.prompts, second.prompts) == (["One?", "Two?"], ["one", "Three?"])
    whole = choice()
    take_prompts(texts, None, whole, skipped=0)
    assert whole.prompts == ["One?", "Two?", "Three?"]
    assert whole.refusals == {"repeated": 1}
    # a conversation of several turns keeps its place, so that the next round goes on behind it
    talk = choice()
    take_prompts([None, "One?", None, "Two?"], 1, talk, skipped=0)
    assert (talk.prompts, talk.refusals) == (["One?"], {"several_turns": 1})


def test_a_conversation_of_several_turns_is_no_example() -> None:
    assert instruction_of("Why? ") == "Why?"
    assert instruction_of((Message("system", "Be kind."), Message("user", "Why?"))) == "Why?"
    assert instruction_of((Message("user", "Why?"), Message("assistant", "So."), Message("user", "And?"))) is None


def test_a_policy_writes_until_its_tries_are_spent_and_the_seed_fixes_what(tiny_model: str) -> None:
    policy = load_policy(tiny_model, device="cpu")
    settings = SelfInstruct(count=3, shots=2, template="lines", max_new_tokens=4, draws=2)
    outcomes = []
    for seed in (0, 0, 1):
        chosen, steps = PromptChoice(TextCollection(), TextCollection(), lambda _: True), list[int]()
        drawn = write_prompts(policy, ["a b", "c d", "e f"], settings, chosen, seed, steps.append)
        assert drawn <= 6
        assert len(chosen.prompts) + chosen.refusals.total() == drawn
        assert sum(steps) == len(chosen.prompts)
        outcomes.append((chosen.prompts, chosen.refusals))
    assert outcomes[0] == outcomes[1] != outcomes[2]


def test_one_seed_prompt_gives_other_texts_at_every_try(tiny_model: str) -> None:
    policy = load_policy(tiny_model, device="cpu")
    settings = SelfInstruct(count=6, template="lines", max_new_tokens=4, draws=1)
    chosen = PromptChoice(TextCollection(), TextCollection(), lambda _: True)
    texts: list[str] = []
    chosen.offer = lambda text, is_cut=False, refuse_near=True: texts.append(text or "")  # type: ignore[method-assign]
    assert write_prompts(policy, ["a b"], settings, chosen, 0, lambda _: None) == len(texts) == 6
    assert len(set(texts)) > 3


def test_examples_are_shown_as_tasks_or_as_lines(tmp_path: Path) -> None:
    slots = {"examples": ["Why?", "{{ 7 }}"], "number": 3}
    assert SHELF.load("lines").fill(**slots) == "Why?\n{{ 7 }}\n"
    assert SHELF.load("tasks").fill(**slots).endswith("Task 1: Why?\nTask 2: {{ 7 }}\nTask 3:")
    (tmp_path / "own.j2").write_text("{{ number }}")
    with pytest.raises(InputError, match=r"has no examples: write \{\{ examples \}\}"):
        SHELF.load(str(tmp_path / "own.j2"))
