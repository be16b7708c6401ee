"""The untrained model with examples: which, how they are written, and where an answer ends."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.studies.win_rates.few_shot import choose_examples, cut_answer, end_of_answer, with_examples
from penchant.studies.win_rates.rows import with_human_turns
from penchant.types import Message, PromptGroup


def dialogue(question: str, answer: str) -> PromptGroup:
    return PromptGroup(f"\n\nHuman: {question}\n\nAssistant:", [f" {answer}"])


def test_examples_stand_before_the_prompt() -> None:
    examples = [dialogue("Hi?", "Hello."), dialogue("Who?", "Me.")]
    prompt = "\n\nHuman: When?\n\nAssistant:"
    assert with_examples(prompt, examples, chat=False) == (
        "\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Who?\n\nAssistant: Me.\n\nHuman: When?\n\nAssistant:"
    )
    post = PromptGroup("A post\n\nTL;DR:", [" Short."])
    assert with_examples("Another\n\nTL;DR:", [post], chat=False) == (
        "\n\nA post\n\nTL;DR: Short.\n\nAnother\n\nTL;DR:"
    )
    turns = with_examples("When?", [PromptGroup("Hi?", ["Hello."])], chat=True)
    assert turns == (Message("user", "Hi?"), Message("assistant", "Hello."), Message("user", "When?"))


def test_an_answer_ends_where_the_next_dialogue_begins() -> None:
    end = end_of_answer([dialogue("Hi?", "Hello.")])
    assert cut_answer(" Yes.\n\nIt is.\n\nHuman: And?\n\nAssistant: No.", end) == " Yes.\n\nIt is."
    assert cut_answer(" Yes.", end) == " Yes."
    paragraph = end_of_answer([PromptGroup("A post\n\nTL;DR:", [" Short."])])
    assert cut_answer("\n\n Short.\n\nNext post", paragraph) == "\n\n Short."


@settings(max_examples=30)
@given(st.text(alphabet=" \n:aHumn", max_size=40))
def test_a_cut_answer_is_a_beginning_without_the_end(text: str) -> None:
    cut = cut_answer(text, "\n\nHuman:")
    assert text.startswith(cut)
    assert "\n\nHuman:" not in cut.lstrip()


def test_examples_are_the_first_that_leave_room(tiny_model: str) -> None:
    """Its context is 160 tokens, one a byte: 160 - 10 - 30 leaves 60 for each of two examples."""
    policy = load_policy(tiny_model, template="plain", device="cpu")
    prompt = "\n\nHuman: When?\n\nAssistant:"
    groups = [
        dialogue("Hi? " * 20, "Long."),
        dialogue("Hi?", "Hello."),
        dialogue("Who?", "Me."),
        dialogue("Ok?", "No."),
    ]
    chosen = choose_examples(policy, groups, [prompt], 2, 10)
    assert chosen == groups[1:3]
    with pytest.raises(InputError, match=r"few_shot=3: only 0 of 4 .* lower"):
        choose_examples(policy, groups, [prompt], 3, 60)


def test_prompts_of_other_turns_are_left_out_and_counted() -> None:
    one = PromptGroup([Message("user", "Hi")])
    two = PromptGroup([Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go")])
    text = PromptGroup("Hi")
    counts: Counter[str] = Counter()
    assert list(with_human_turns([one, two, text], 1, counts)) == [one, text]
    assert counts["other_turns"] == 1
    assert list(with_human_turns([one, two, text], None, counts)) == [one, two, text]
