"""Who says which answers are better: the policy itself, in one of three ways, or a reward or judge from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Protocol

from penchant.engine.sampling import Sampling
from penchant.judges.ask import Answer, ask
from penchant.judges.contract import Judge, Question, higher
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.load import make_judge
from penchant.judges.local_model import PolicyJudge
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint
from penchant.judges.store import VerdictStore
from penchant.judges.summary import MIN_VERDICTS
from penchant.metrics.win_rate import POINTS
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.rewards.load import load_reward
from penchant.rewards.rubric import QUESTIONS, RUBRICS, LikelihoodReward, RubricReward, Writer
from penchant.rounds.pairs import Compared, compare_judged, compare_scored
from penchant.rounds.self_rewarding.settings import (
    JudgeScorer,
    LikelihoodScorer,
    Points,
    RewardScorer,
    RubricScorer,
    Scorer,
    VerdictsScorer,
)
from penchant.thoughts import shown_text
from penchant.types import Prompt, PromptGroup, Response, Verdict, Winner, prompt_text

Pair = tuple[str, str]
Rate = Callable[[Sequence[Pair]], Sequence[float | None]]
"""(prompt, answer) texts in, a score for each out, or None where there is none."""


class AnswerJudge(Protocol):
    """Anything that compares the answers to a prompt, and any two answers of others."""

    def compare(self, groups: Sequence[PromptGroup]) -> Compared:
        """Compare the best with the worst answer of each group; an answer without a score is left out."""

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the verdict on each pair of answers."""

    def winner(self, answer: Answer) -> Winner:
        """Return who wins by this judge's verdicts on a pair."""


@dataclass(frozen=True)
class PointJudge:
    """A judge by scores of single answers: the higher one wins."""

    rate: Rate

    def compare(self, groups: Sequence[PromptGroup]) -> Compared:
        """Compare by score. An answer without a score is in no comparison, and is counted."""
        return compare_rated(groups, self.rate(pairs_of(groups)))

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return verdicts in one order, since a score does not depend on what stands beside its answer."""
        scores = self.rate([(question.prompt, text) for question in questions for text in (question.a, question.b)])
        # each response was scored by itself, so the other order would be the same verdict
        verdicts = [_verdict(first, second) for first, second in zip(scores[::2], scores[1::2], strict=True)]
        return [Answer(question, verdict, None, "one") for question, verdict in zip(questions, verdicts, strict=True)]

    def winner(self, answer: Answer) -> Winner:
        """Return the answer with the higher score."""
        return answer.outcome


@dataclass
class VerdictJudge:
    """A judge by verdicts on each two answers, in both orders; an answer's score is the mean of its wins.

    Attributes:
        judge: whose verdicts they are.
        points: `outcome`: a verdict that changes with the order is half a win. `probability`: the mean probability to
            win over both orders, in which a preference for a place cancels.
        habit: after `compare`, the place that every single verdict named; empty where they differ.
    """

    judge: Judge
    points: Points = "outcome"
    habit: str = ""

    def compare(self, groups: Sequence[PromptGroup]) -> Compared:
        """Compare by the share of wins; an answer without a verdict is in no comparison, and is counted."""
        # one call for all prompts, so that a judge may batch them
        questions = [question for group in groups for question in _questions(group)]
        # without a store: the verdicts of this policy are of use to no other round
        answers = ask(self.judge, questions)
        self.habit = habit_of(answers)
        chances = iter([self._chance(answer) for answer in answers])
        scores: list[float | None] = []
        for group in groups:
            scores += _win_shares(len(group.responses), [next(chances) for _ in _questions(group)])
        return compare_rated(groups, scores)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return verdicts in both orders."""
        return ask(self.judge, questions)

    def winner(self, answer: Answer) -> Winner:
        """Return who wins as this judge counts it, which is what its worth is measured by."""
        chance = self._chance(answer)
        return "unparseable" if chance is None else higher(chance, 0.5)

    def _chance(self, answer: Answer) -> float | None:
        if self.points == "probability":
            return win_chance(answer)
        return None if answer.outcome == "unparseable" else POINTS[answer.outcome]


def habit_of(answers: Sequence[Answer]) -> str:
    """Return the place that every verdict names, in words; empty where verdicts differ, or are too few to tell."""
    places = [is_first for answer in answers for is_first in answer.first_slot]
    if len(places) < MIN_VERDICTS or len(set(places)) > 1:
        return ""
    return f"each of its {len(places)} verdicts names the {'first' if places[0] else 'second'} answer"


@dataclass(frozen=True)
class OutsideJudge:
    """A judge from outside, whose verdicts are kept, since calls may cost money."""

    judge: Judge
    store: VerdictStore | None = field(default=None, repr=False)

    def compare(self, groups: Sequence[PromptGroup]) -> Compared:
        """Compare each two answers in both orders, as `penchant train iterative` does."""
        return compare_judged(groups, "best_worst", self.judge, store=self.store)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return verdicts in both orders."""
        return ask(self.judge, questions, store=self.store)

    def winner(self, answer: Answer) -> Winner:
        """Return the winner that both orders name."""
        return answer.outcome


def judge_of(
    settings: Scorer,
    policy: Policy | None,
    *,
    device: str,
    seed: int,
    store: VerdictStore | None,
    writer: Writer | None = None,
) -> AnswerJudge:
    """Return the judge that settings describe.

    Args:
        policy: who judges itself; needed unless the judge is from outside.
        device: where a reward from outside runs.
        seed: fixes the draws of a rubric's judgements.
        store: keeps verdicts of a judge from outside.
        writer: who writes by a rubric in the policy's place.

    Raises:
        InputError: no such template, reward or judge.
    """
    # first those that need no policy
    match settings:
        case RewardScorer():
            return PointJudge(load_reward(settings.reward, device=device))
        case JudgeScorer():
            return OutsideJudge(make_judge(settings.judge), store)
        case RubricScorer():
            author = writer or policy
            assert author is not None
            return PointJudge(rubric_of(settings, author, seed))
    assert policy is not None
    match settings:
        case LikelihoodScorer():
            return PointJudge(LikelihoodReward(policy, QUESTIONS.load(settings.template), settings.words))
        case VerdictsScorer():
            return VerdictJudge(PolicyJudge(policy, load_template(settings.template)), settings.points)


def rubric_of(settings: RubricScorer, writer: Writer, seed: int) -> RubricReward:
    """Return a model as a reward by a rubric.

    Raises:
        InputError: no such template.
    """
    # the draws of one rubric differ by their index, so one seed gives several judgements
    sampling = Sampling(
        settings.draws,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        seed=seed,
    )
    return RubricReward(writer, RUBRICS.load(settings.template), sampling, settings.lowest, settings.highest)


def outside_writer(settings: Scorer, device: str, store_file: Path) -> Writer | None:
    """Return the model that writes by a rubric in the policy's place; None where there is none.

    Args:
        store_file: where the answers of an endpoint are kept.

    Raises:
        InputError: no such model, one whose training did not end, or no key for the endpoint.
    """
    if not isinstance(settings, RubricScorer) or settings.judges_itself:
        return None
    if settings.endpoint is not None:
        return EndpointWriter(settings.endpoint, store_file)
    name = str(settings.model)
    check_finished(Path(name).expanduser(), "a judge")
    return load_policy(name, device=device)


class EndpointWriter:
    """A model behind an OpenAI-compatible address that writes judgements, each of which is kept as it comes.

    A text whose call fails after all attempts has no answer: its rubric has a draw less.

    Args:
        settings: of the endpoint.
        store_file: the database of its answers, by what was asked, the settings that decide the answer, and the number
            of the draw. What was paid for is not asked again, in whichever round.
    """

    def __init__(self, settings: Endpoint, store_file: Path) -> None:
        self.settings, self.store_file = settings, store_file

    def has_room(self, prompt: Prompt, tokens: int, *, source: str = "") -> bool:
        """Return True: what is too long for it, the endpoint says itself."""
        return True

    def draw(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Response]]:
        """Return the answers to each prompt, several calls at once.

        Raises:
            InputError: the endpoint refuses the key, or does not know the address or the model.
            RunError: it cannot be reached.
        """
        limits = {"temperature": sampling.temperature, "max_tokens": sampling.max_new_tokens}
        client = EndpointJudge(self.settings.replace(**limits))
        identity = f"rubric answers {client.identity}"
        # an endpoint knows no seed for the draws of one text, so each is a call of its own
        questions = [
            Question(prompt_text(prompt), f"draw {draw}", "") for prompt in prompts for draw in range(sampling.n)
        ]
        with VerdictStore(self.store_file) as store:
            answers = store.find(identity, questions)
            missing = [index for index in range(len(questions)) if index not in answers]

            def keep(position: int, text: str, seconds: float, tokens: int) -> None:
                index = missing[position]
                # no winner is named: what the text says is read where it is used
                answers[index] = Verdict("unparseable", None, text, seconds, tokens)
                store.keep(identity, questions[index], answers[index])

            client.write_many([questions[index].prompt for index in missing], keep)
        return [
            [Response(answers[index].transcript) for index in range(start, start + sampling.n) if index in answers]
            for start in range(0, len(questions), sampling.n)
        ]


def pairs_of(groups: Sequence[PromptGroup]) -> list[Pair]:
    """Return every prompt with each of its answers, as a judge reads them."""
    return [
        (prompt_text(group.prompt), shown_text(response, thoughts=False))
        for group in groups
        for response in group.responses
    ]


def compare_rated(groups: Sequence[PromptGroup], scores: Sequence[float | None]) -> Compared:
    """Compare answers by their scores, in the order of `pairs_of`; an answer without one is left out.

    A response that is left out is in no comparison: a lowest score in its place would make it the worst.
    """
    # scores are in one row, as one call of the judge gave them
    rest = iter(scores)
    rated, unscored = [], 0
    for group in groups:
        scored = [
            (response, score) for response, score in zip(group.responses, rest, strict=False) if score is not None
        ]
        unscored += len(group.responses) - len(scored)
        if scored:
            responses, numbers = zip(*scored, strict=True)
            rated.append(PromptGroup(group.prompt, responses, scores=numbers, source=group.source))
    # the best against the worst alone, as published: pairs in the middle are mostly the judge's noise
    compared = compare_scored(rated, "best_worst")
    return Compared(compared.groups, unscored)


def _verdict(first: float | None, second: float | None) -> Verdict:
    if first is None or second is None:
        return Verdict("unparseable", transcript="a response has no score")
    return Verdict(higher(first, second), transcript=f"{first:.6g} and {second:.6g}")


def _questions(group: PromptGroup) -> list[Question]:
    """Return every two answers of a group as a question."""
    prompt = prompt_text(group.prompt)
    # without thoughts: a judge reads the answer, as a reader does
    texts = [shown_text(response, thoughts=False) for response in group.responses]
    return [Question(prompt, first, second) for first, second in combinations(texts, 2)]


def _win_shares(count: int, pair_chances: Sequence[float | None]) -> list[float | None]:
    """Return each answer's mean chance to win; None without a single verdict.

    Args:
        count: of the answers.
        pair_chances: of the first of each two answers, None without a verdict.
    """
    chances: list[list[float]] = [[] for _ in range(count)]
    # the chances of a pair add up to one, so that each pair counts for both of its answers
    for (first, second), chance in zip(combinations(range(count), 2), pair_chances, strict=True):
        if chance is not None:
            chances[first].append(chance)
            chances[second].append(1 - chance)
    return [sum(row) / len(row) if row else None for row in chances]


def win_chance(answer: Answer) -> float | None:
    """Return the probability that the first response wins, the mean over both orders; None without a verdict in each.

    A verdict without a stated probability counts as sure, a tie as one half.
    """
    verdicts = [(answer.first, False), (answer.second, True)]
    # by hand and not by `Answer.outcome`, which makes a tie of two orders that differ
    chances = []
    for verdict, is_swapped in verdicts[: 2 if answer.orders == "both" else 1]:
        if verdict is None or verdict.winner == "unparseable":
            return None
        confidence = 0.5 if verdict.winner == "tie" else 1.0 if verdict.confidence is None else verdict.confidence
        chances.append(
            confidence if (verdict.winner == "a") != is_swapped or verdict.winner == "tie" else 1 - confidence
        )
    return sum(chances) / len(chances)
