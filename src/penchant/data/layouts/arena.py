"""Read battles of the Chatbot Arena and of MT-bench: two conversations with two models, and who won.

A comparison is of two answers to one prompt. So where both conversations have several turns, their last answers are
compared, and only where all turns before them agree; other rows are refused by name (`bad_rows=skip` counts them).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from penchant.data.layouts.answers import response_of
from penchant.data.layouts.columns import note_nested, pass_over, texts_in
from penchant.data.layouts.outcomes import refuse_identical
from penchant.data.layouts.turns import as_turns, prompt_or_instruction
from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, RowValues, as_integer, as_text, common_length, cut, flag
from penchant.types import Comparison, Message, PromptGroup

FIRST, SECOND, TIE = "first", "second", "tie"
SIDES = {**dict.fromkeys(("a", "1", "left", "first"), FIRST), **dict.fromkeys(("b", "2", "right", "second"), SECOND)}
TIES = {"tie", "tied", "draw", "equal", "same", "neither", "both", "both_bad", "tie (bothbad)", "bothbad", "both bad"}
TIES |= {"both_good", "both good"}
"""By the spelling of a file, who won; a side may stand beside one of `SIDE_NOUNS`, as in `model_a` and `answer 2`."""
SIDE_NOUNS = {"model", "response", "assistant", "answer", "output", "completion", "option", "candidate", "text"}
MOST_TURNS = 10_000
MODELS = ("model_a", "model_b")  # `penchant rank` reads them


def read_battle(row: RowValues) -> PromptGroup:
    """Read `conversation_a` and `conversation_b` with `winner`, and `judge` and `turn` where there are any.

    `turn` is the number of the judged answer; what follows it is left out.
    """
    sides = [as_turns(row[name], name) for name in ("conversation_a", "conversation_b")]
    if row.get("turn") is not None:
        turn = as_integer(row["turn"], "turn", low=1, high=MOST_TURNS)
        answer_sides = [_until_answer(turns, turn, name) for turns, name in zip(sides, "ab", strict=True)]
        for name, turns, part in zip("ab", sides, answer_sides, strict=True):
            if len(part) < len(turns):
                note_nested(row, f"conversation_{name}[{len(part)}:]")
        sides = answer_sides
    _note_copies(row, sides)
    pass_over(row, *MODELS)
    winner = _winner(row["winner"], "winner")
    return _battle(sides[0], sides[1], winner, _annotator(row.get("judge")), ("conversation_a", "conversation_b"))


def read_battle_texts(row: RowValues) -> PromptGroup:
    """Read lists of texts written as text: `prompt`, `response_a`, `response_b`; and `winner_model_a` and so on."""
    prompts, first, second = (_written_texts(row[name], name) for name in ("prompt", "response_a", "response_b"))
    if not len(prompts) == len(first) == len(second):
        raise RowError(
            "value",
            f"fields 'prompt', 'response_a', 'response_b': expected as many answers as prompts, got {len(prompts)}, "
            f"{len(first)} and {len(second)}",
        )
    names = ("winner_model_a", "winner_model_b", "winner_tie")
    outcomes = [flag(row[name], name) if row.get(name) is not None else False for name in names]
    if sum(outcomes) != 1:
        raise RowError("value", f"fields {', '.join(map(repr, names))}: exactly one of them must be 1")
    winner = (FIRST, SECOND, TIE)[outcomes.index(True)]
    pass_over(row, *MODELS)
    sides = [_dialogue(prompts, answers) for answers in (first, second)]
    return _battle(sides[0], sides[1], winner, None, ("response_a", "response_b"))


def read_answers(row: RowValues) -> PromptGroup:
    """Read a prompt with `response_a`, `response_b` and `winner`."""
    texts = [as_text(row[name], name) for name in ("response_a", "response_b")]
    pass_over(row, *MODELS)
    winner = _winner(row["winner"], "winner", [row.get(name) for name in MODELS])
    comparison = _comparison(winner, _annotator(row.get("judge", row.get("annotator"))))
    group = PromptGroup(prompt_or_instruction(row), texts, [comparison])
    refuse_identical(group.responses, group.comparisons, "response_a")
    return group


def _battle(
    first: tuple[Message, ...], second: tuple[Message, ...], winner: str, annotator: str | None, names: tuple[str, str]
) -> PromptGroup:
    for turns, name in ((first, names[0]), (second, names[1])):
        if turns[-1].role != "assistant":
            raise RowError(
                "value", f"field {name!r}: its last turn must be the assistant's, got the {turns[-1].role}'s"
            )
        if len(turns) < 2:
            raise RowError("empty", f"field {name!r}: no turn stands before the answer")
        response_of(turns[-1], f"{name}[{len(turns) - 1}]")
    if first[:-1] != second[:-1]:
        turn = common_length(first[:-1], second[:-1])
        raise RowError(
            "history",
            f"fields {names[0]!r} and {names[1]!r} differ before their last answers (first at turn {turn + 1}), so the "
            "verdict is on two conversations and not on two answers to one prompt. bad_rows=skip leaves such rows out",
        )
    responses = [response_of(turns[-1], name) for turns, name in zip((first, second), names, strict=True)]
    group = PromptGroup(first[:-1], responses, [_comparison(winner, annotator)])
    refuse_identical(group.responses, group.comparisons, names[0])
    return group


def _comparison(winner: str, annotator: str | None) -> Comparison:
    better = int(winner == SECOND)
    return Comparison(better, 1 - better, tie=winner == TIE, annotator=annotator)


def _winner(value: object, name: str, models: Sequence[object] = ()) -> str:
    """Return who won, by the side's word or number, or by the name of one of two different models.

    Of a pair (`models` given) a 0 is a tie: `doubtful_numbers` refuses files with one, unless their layout is
    prescribed.
    """
    text = str(value) if type(value) is int else as_text(value, name)
    word = text.strip().lower()
    # before the sides: a model may be called "a"
    if len({*models}) == 2 and text in models:
        return (FIRST, SECOND)[models.index(text)]
    # "answer_2" and "Model B": the noun says nothing, the side does
    sides = [part for part in re.split(r"[_\-. ]+", word) if part not in SIDE_NOUNS]
    if word in TIES or (models and word == "0"):
        return TIE
    if len(sides) == 1 and sides[0] in SIDES:
        return SIDES[sides[0]]
    raise RowError(
        "value",
        f"field {name!r}: expected the side that won (a or b, 1 or 2, left or right, model_a, answer_2, ..., or the "
        f"model's name) or tie, got {cut(value)!r}",
    )


def doubtful_numbers(values: Collection[object]) -> str:
    """Return what is uncertain of winners that are numbers: a 0 may be the first response or a tie."""
    if not any(str(value).strip() == "0" for value in values):
        return ""
    return (
        "'winner' is 0 in some rows, which may mean the first of two responses, or a tie. Write a, b and tie; or set "
        "layout=response-pair if 0 is a tie, 1 the first and 2 the second"
    )


def _annotator(value: object) -> str | None:
    """Return who judged; MT-bench names a model together with the prompt that it judged by."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or None
    return None if value is None else str(value)


def _until_answer(turns: tuple[Message, ...], number: int, side: str) -> tuple[Message, ...]:
    """Return the turns up to the answer of that number, counted from 1."""
    ends = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    if number > len(ends):
        raise RowError("value", f"field 'turn' is {number}, but 'conversation_{side}' has {len(ends)} answers")
    return turns[: ends[number - 1] + 1]


def _dialogue(prompts: list[str], answers: list[str]) -> tuple[Message, ...]:
    turns = []
    for prompt, answer in zip(prompts, answers, strict=True):
        turns += [Message("user", prompt), Message("assistant", answer)]
    return tuple(turns)


def _written_texts(value: object, name: str) -> list[str]:
    """Return the texts of a list, or of one that is written as JSON; a text that is no list is the only one."""
    items = value
    if isinstance(value, str):
        try:
            items = parsed_json(value)
        except RowError:  # no JSON, so the text itself
            items = [value]
        items = items if isinstance(items, list) else [value]
    if not isinstance(items, list) or not items:
        raise RowError("type", f"field {name!r}: expected a list of texts, or one written as text")
    return [as_text(item, f"{name}[{index}]") for index, item in enumerate(items)]


def _note_copies(row: RowValues, sides: list[tuple[Message, ...]]) -> None:
    """Look at `full_conversation` where it repeats both sides, so that it is not named as unread."""
    turns = dict.get(row, "full_conversation")
    if not isinstance(turns, list):
        return
    side_texts = {turn.text.strip() for side in sides for turn in side}
    if all(not text.strip() or text.strip() in side_texts or text == "text" for text in texts_in(turns)):
        row.get("full_conversation")
