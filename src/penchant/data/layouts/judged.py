"""Read published data sets whose rows hold two responses and a verdict, or lists of better and worse responses."""

from __future__ import annotations

from itertools import combinations, product

from penchant.data.layouts.columns import note_others
from penchant.data.layouts.outcomes import comparisons_of_ranks, refuse_identical
from penchant.data.layouts.pair_ratings import rated_pair
from penchant.data.layouts.rating_rules import choice_of, state_only_rating, state_rating, strength_comparison
from penchant.data.layouts.transcripts import is_open_transcript, marked_turns, transcript_turns
from penchant.data.layouts.turns import as_prompt, as_turns, prompt_or_instruction
from penchant.data.sources.values import (
    RowError,
    RowValues,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_records,
    as_text,
)
from penchant.types import Comparison, Prompt, PromptGroup

STRENGTHS = 3  # HelpSteer's scale goes from -3 to 3
SAFER, BETTER = "safer", "better"
TIES_SUBSET = "ties"


def _group(prompt: Prompt, texts: list[str], comparisons: list[Comparison], name: str) -> PromptGroup:
    group = PromptGroup(prompt, texts, comparisons)
    refuse_identical(group.responses, group.comparisons, name)
    return group


def _texts(row: RowValues, *names: str) -> list[str]:
    return [as_text(row[name], name) for name in names]


def read_shp(row: RowValues) -> PromptGroup:
    """Read SHP: a post (`history`), two comments, and `labels`: 1 where A is preferred, 0 where B is.

    The votes of both comments (`score_A`, `score_B`) are the scores.
    """
    state_only_rating(row, "labels")
    texts = _texts(row, "human_ref_A", "human_ref_B")
    winner = 1 - as_integer(row["labels"], "labels", low=0, high=1)
    group = _group(as_text(row["history"], "history"), texts, [Comparison(winner, 1 - winner)], "human_ref_A")
    row.get("score_ratio")  # says what both scores say
    if row.get("score_A") is None or row.get("score_B") is None:
        return group
    scores = [as_number(row[name], name) for name in ("score_A", "score_B")]
    # SHP prefers by votes: a row that says otherwise was changed, or its columns exchanged
    if scores[winner] < scores[1 - winner]:
        raise RowError(
            "value",
            f"field 'labels' prefers {'AB'[winner]}, whose score is {scores[winner]:g}, to a comment with "
            f"{scores[1 - winner]:g}. Correct the row, or leave the scores out (data.columns={{score_A: null}})",
        )
    return group.replace(scores=tuple(scores))


def read_webgpt(row: RowValues) -> PromptGroup:
    """Read WebGPT's comparisons: a question, two answers, and how good each is beside the other (-1 to 1).

    Equal scores are a tie. The quotes that the answers rest on are no part of the prompt.
    """
    question = row["question"]
    # the hub's version nests the question, others have it as text
    prompt = as_object(question, "question").get("full_text") if isinstance(question, dict) else question
    if isinstance(question, dict):
        note_others(row, "question", question, ("full_text",))
    state_only_rating(row, "score")
    texts = _texts(row, "answer_0", "answer_1")
    scores = [as_number(row[name], name) for name in ("score_0", "score_1")]
    tie = scores[0] == scores[1]
    winner = int(scores[1] > scores[0])
    group = _group(as_text(prompt, "question.full_text"), texts, [Comparison(winner, 1 - winner, tie=tie)], "answer_0")
    return group.replace(scores=tuple(scores))


def read_saferlhf(row: RowValues) -> PromptGroup:
    """Read PKU-SafeRLHF: a prompt, two responses, and which is better and which is safer.

    Where the two verdicts differ, `data.score=better` or `safer` says which counts.
    """
    verdicts = {
        choice: as_integer(row[name], name, low=0, high=1)
        for choice, name in ((BETTER, "better_response_id"), (SAFER, "safer_response_id"))
        if row.get(name) is not None
    }
    choice = choice_of(row, (BETTER, SAFER))
    if choice is not None and choice not in verdicts:
        raise RowError("missing", f"data.score={choice}: the row has no field '{choice}_response_id'")
    # whichever was taken in silence would be wrong for one of the two purposes
    if choice is None and len(set(verdicts.values())) > 1:
        raise RowError(
            "unread",
            "fields 'better_response_id' and 'safer_response_id' name different responses: choose which counts "
            "(data.score=better or data.score=safer)",
        )
    state_rating(row, f"{choice or next(iter(verdicts))}_response_id")
    winner = next(iter(verdicts.values())) if choice is None else verdicts[choice]
    texts = _texts(row, "response_0", "response_1")
    return _group(as_text(row["prompt"], "prompt"), texts, [Comparison(winner, 1 - winner)], "response_0")


def read_helpsteer2_preference(row: RowValues) -> PromptGroup:
    """Read HelpSteer2's preferences: two responses, and `preference_strength` from -3 (the first) to 3 (the second).

    The strength is the comparison's weight, and 0 is a tie.
    """
    strength = _strength(row["preference_strength"], "preference_strength")
    state_only_rating(row, "preference_strength")
    texts = _texts(row, "response_1", "response_2")
    prompt = row["prompt"]
    prompt = marked_turns(as_text(prompt, "prompt")) if isinstance(prompt, str) else as_prompt(prompt, "prompt")
    return _group(prompt, texts, [strength_comparison(strength, row)], "response_1")


def read_helpsteer3(row: RowValues) -> PromptGroup:
    """Read HelpSteer3's preferences: turns, two responses, the overall strength, and those of single annotators.

    `data.score=individual` makes a comparison per annotator, who is named by the place in the row.
    """
    choice = choice_of(row, ("overall", "individual"))
    if choice == "individual":
        votes = as_records(row.get("individual_preference"), "individual_preference")
        comparisons = [
            strength_comparison(
                _strength(vote.get("score"), f"individual_preference[{index}].score"),
                row,
                annotator=f"vote {index + 1}",
            )
            for index, vote in enumerate(votes)
        ]
        if not comparisons:
            raise RowError("empty", "field 'individual_preference' is empty; data.score=overall takes the whole row's")
    else:
        comparisons = [strength_comparison(_strength(row["overall_preference"], "overall_preference"), row)]
    state_rating(row, f"{choice or 'overall'}_preference")
    row.get("overall_preference")  # the choice has been between these two
    if row.get("individual_preference") is not None:
        for vote in as_records(row["individual_preference"], "individual_preference"):
            note_others(row, "individual_preference[]", vote, ("score",))
    texts = _texts(row, "response1", "response2")
    return _group(as_turns(row["context"], "context"), texts, comparisons, "response1")


def _strength(value: object, name: str) -> float:
    strength = as_number(value, name)
    if not -STRENGTHS <= strength <= STRENGTHS:
        raise RowError("value", f"field {name!r}: expected a number from -{STRENGTHS} to {STRENGTHS}, got {strength:g}")
    return strength


def read_nectar(row: RowValues) -> PromptGroup:
    """Read Nectar: a transcript that waits for an answer, and `answers` with a `rank` each, 1 the best."""
    answers = as_records(row["answers"], "answers")
    texts = [as_text(answer.get("answer"), f"answers[{index}].answer") for index, answer in enumerate(answers)]
    for answer in answers:
        note_others(row, "answers[]", answer, ("answer", "model"))
    if len(texts) < 2:
        raise RowError("value", f"field 'answers': expected at least two answers, got {len(texts)}")
    ranks = [answer.get("rank") for answer in answers]
    # before any comparison: a rank as text would be ordered by its letters
    for index, rank in enumerate(ranks):
        as_number(rank, f"answers[{index}].rank")
    prompt = as_text(row["prompt"], "prompt")
    # a prompt of one's own may be plain text
    turns = transcript_turns(prompt, "prompt") if is_open_transcript(prompt) else prompt
    # the same text twice is compared with the others by both of its ranks, and never with itself
    comparisons = [pair for pair in comparisons_of_ranks(ranks, len(texts)) if texts[pair.winner] != texts[pair.loser]]
    if not comparisons:
        raise RowError("identical", "field 'answers': all answers are the same, so nothing is compared")
    return PromptGroup(turns, texts, comparisons)


def read_rewardbench2(row: RowValues) -> PromptGroup:
    """Read RewardBench 2: lists of right (`chosen`) and wrong (`rejected`) answers.

    Each right one beats each wrong one. In the subset of ties the right answers are equally good.
    """
    sides = [as_list(row[name], name, of="texts") for name in ("chosen", "rejected")]
    right, wrong = (
        [as_text(value, f"{name}[{index}]") for index, value in enumerate(side)]
        for name, side in zip(("chosen", "rejected"), sides, strict=True)
    )
    if not (right and wrong):
        raise RowError("empty", "fields 'chosen' and 'rejected': expected at least one answer in each")
    for name, expected in (("num_correct", len(right)), ("num_incorrect", len(wrong))):
        # a list that was cut would turn wrong answers into missing ones
        if row.get(name) is not None and as_number(row[name], name) != expected:
            raise RowError("value", f"field {name!r} is {row[name]}, but the row has {expected} of them")
    # they repeat what the lists say, and are no columns left unread
    row.get("total_completions"), row.get("models")
    comparisons = [Comparison(good, len(right) + bad) for good, bad in product(range(len(right)), range(len(wrong)))]
    if str(row.get("subset")).strip().lower() == TIES_SUBSET:
        comparisons += [Comparison(first, second, tie=True) for first, second in combinations(range(len(right)), 2)]
    return _group(as_prompt(row["prompt"], "prompt"), [*right, *wrong], comparisons, "chosen")


def read_named_pair(row: RowValues) -> PromptGroup:
    """Read argilla's flat pairs: `chosen_response` and `rejected_response`, with the ratings of both."""
    return rated_pair(row, prompt_or_instruction(row), *_texts(row, "chosen_response", "rejected_response"))


def read_hh_pair(row: RowValues) -> PromptGroup:
    """Read HH as Dahoas published it: a transcript that waits for an answer, and two answers."""
    chosen, rejected = (text.strip() for text in _texts(row, "chosen", "rejected"))
    if str(dict.get(row, "response")).strip() == chosen:
        row.get("response")  # which repeats the preferred answer
    return rated_pair(row, transcript_turns(as_text(row["prompt"], "prompt"), "prompt"), chosen, rejected)
