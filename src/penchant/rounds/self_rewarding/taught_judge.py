"""Demonstrations of judging: what people preferred or rated, as the judge's question with the answer it should give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penchant.errors import InputError
from penchant.judges.contract import Question
from penchant.judges.local_model import WORDS
from penchant.judges.prompts import load_template
from penchant.rewards.rubric import QUESTIONS, RUBRICS, likelihood_question, rubric_question
from penchant.rounds.self_rewarding.settings import LikelihoodScorer, RubricScorer, Scorer, VerdictsScorer
from penchant.thoughts import shown_text
from penchant.types import PromptGroup, prompt_text


def judge_demonstrations(judge: Scorer, groups: Sequence[PromptGroup], path: str) -> list[PromptGroup]:
    """Return the demonstrations that rows of people's comparisons or ratings give for a judge.

    A rubric is taught by ratings on its scale, the others by comparisons; ties and rows without either teach nothing.
    The questions are those that the judge is asked later, to the letter.

    Args:
        path: names the file in messages.

    Raises:
        InputError: no row teaches anything, or a rating lies beyond the rubric's scale.
    """
    match judge:
        case RubricScorer():
            rows, lacks = list(_rated(judge, groups)), "ratings (a score per response)"
        case LikelihoodScorer():
            rows, lacks = list(_yes_and_no(judge, groups)), "comparisons with a winner"
        case VerdictsScorer():
            rows, lacks = list(_compared(judge, groups)), "comparisons with a winner"
        case _:
            raise InputError("a judge from outside is not taught")
    # taught by nothing the start would only look as if it had been taught
    if not rows:
        raise InputError(f"{path}: judge={judge.name} is taught by {lacks}, and no row has any")
    return rows


def _rated(judge: RubricScorer, groups: Sequence[PromptGroup]) -> Iterator[PromptGroup]:
    template = RUBRICS.load(judge.template)
    # ratings are of single responses, like a rubric's scores; nothing is made of comparisons, which have no scale
    for group in groups:
        for response, score in zip(group.responses, group.scores or (), strict=False):
            if not judge.lowest <= score <= judge.highest:
                raise InputError(
                    f"{group.source}: the rating {score:g} is beyond the rubric's scale from {judge.lowest:g} to "
                    f"{judge.highest:g}; set `judge.lowest` and `judge.highest`, or convert the ratings"
                )
            # as the judge will see it
            pair = (prompt_text(group.prompt), shown_text(response, thoughts=False))
            question = rubric_question(template, pair, judge.lowest, judge.highest)
            yield PromptGroup(question, [f"Score: {score:g}"])


def _yes_and_no(judge: LikelihoodScorer, groups: Sequence[PromptGroup]) -> Iterator[PromptGroup]:
    template = QUESTIONS.load(judge.template)
    for group in groups:
        # a tie would teach both words for one answer
        for comparison in group.comparisons:
            if comparison.tie:
                continue
            for index, word in zip((comparison.winner, comparison.loser), judge.words, strict=True):
                pair = (prompt_text(group.prompt), shown_text(group.responses[index], thoughts=False))
                yield PromptGroup(likelihood_question(template, pair, judge.words), [word])


def _compared(judge: VerdictsScorer, groups: Sequence[PromptGroup]) -> Iterator[PromptGroup]:
    template = load_template(judge.template)
    for group in groups:
        for comparison in group.comparisons:
            if comparison.tie:
                continue
            winner, loser = (
                shown_text(group.responses[index], thoughts=False) for index in (comparison.winner, comparison.loser)
            )
            question = Question(prompt_text(group.prompt), winner, loser)
            # in both orders, so that no place is taught to win
            for ordered_question, word in zip((question, question.swapped), WORDS, strict=True):
                yield PromptGroup(template.ask(ordered_question) + "\n", [word])
