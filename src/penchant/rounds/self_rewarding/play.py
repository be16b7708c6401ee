"""One self-rewarding round: prompts, answers, judgements, pairs, training. What is finished is read, not done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from penchant.data.write import write_groups
from penchant.judges.local_model import PolicyJudge
from penchant.judges.store import VerdictStore
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.rewards.rubric import RubricReward, Writer
from penchant.rounds.clock import EVALUATION
from penchant.rounds.pairs import Compared, count_samples, only_compared
from penchant.rounds.pipeline import Round, RoundEnd
from penchant.rounds.samples import draw_samples, sampling_seed
from penchant.rounds.self_rewarding.inputs import SelfRewardingInputs, load_meta_template
from penchant.rounds.self_rewarding.judgements import judgement_pairs
from penchant.rounds.self_rewarding.numbers import answer_lengths, draw_numbers, near_sameness, sameness, score_numbers
from penchant.rounds.self_rewarding.quality import measure_quality
from penchant.rounds.self_rewarding.round_prompts import RoundPrompts, without_prompts
from penchant.rounds.self_rewarding.scorers import (
    AnswerJudge,
    VerdictJudge,
    compare_rated,
    judge_of,
    outside_writer,
    pairs_of,
    rubric_of,
)
from penchant.rounds.self_rewarding.settings import JudgeScorer, RewardScorer, RubricScorer
from penchant.rounds.supervisor import STORE
from penchant.runs.part_seconds import timed_part
from penchant.runs.progress import progress_bar
from penchant.typed_json import to_object
from penchant.types import Prompt, PromptGroup, prompt_text

if TYPE_CHECKING:
    from penchant.rounds.self_rewarding.method import SelfRewarding

Numbers = dict[str, Any]  # what JSON holds, as it is read back
JUDGING = "judging"
"""The part of a round's seconds in which answers are judged."""


def play_round(
    config: SelfRewarding, current_round: Round, inputs: SelfRewardingInputs, loaded: dict[int, Policy]
) -> RoundEnd:
    """Write prompts, answer, judge, train on the best against the worst.

    Args:
        loaded: the policy before a round, by its number, where the round before measured it; one at most.
    """
    # later rounds find the start as a checkpoint, so that only the first one trains it
    if current_round.number == 0 and config.sft is not None:
        _teach_start(config, current_round, inputs)
    play = RoundPlay(config, current_round, inputs, loaded)
    row: Numbers = {}
    if current_round.number == 0:
        for sentence in inputs.warnings:
            current_round.warn(sentence)
        row["judge_before"] = play.quality("judge-before.json", 0)
    prompts, row["prompts"] = play.prompts()
    # an ending with its reason, and no error: what earlier rounds trained is worth a result
    if not prompts:
        return RoundEnd(row, None, without_prompts(row["prompts"]))
    samples = current_round.groups("samples.jsonl", lambda: play.draw(prompts))
    compared, counts = play.compared(samples)
    row |= counts
    # before any training: a judge that says nothing would teach what is in its noise
    reason = counts["always_the_same"] or counts["no_score"]
    if reason and not isinstance(config.judge, RewardScorer | JudgeScorer):
        return RoundEnd(row, None, f"{reason}. Name another judge, such as judge=likelihood")
    # a reward from outside may tell the next round's answers apart: it is skipped, as `iterative` does
    reason = reason or counts["nothing_to_learn"]
    pairs = only_compared([group for group in compared if group.comparisons])
    if config.meta is not None:
        judgement_pairs = play.judgement_pairs(samples)
        row["judgement_pairs"] = len(judgement_pairs)
        pairs += judgement_pairs
    if not pairs:
        current_round.warn(f"no pair has a difference ({reason}): nothing was trained on")
        return play.end(RoundEnd({**row, "skipped": reason}, None))
    # written even where it is the same as another file: training reads one file, and it shows what was learned
    current_round.groups("pairs.jsonl", lambda: pairs)
    play.release()
    trained = current_round.stage(config.stage(current_round.number))
    return play.end(RoundEnd({**row, "pairs_learned": len(pairs), "policy": trained.metrics["final"]}, trained))


def _teach_start(config: SelfRewarding, current_round: Round, inputs: SelfRewardingInputs) -> None:
    """Train the start on the seed data, and on judging where there is data for that."""
    files, name = current_round.files, "taught.jsonl"
    measured = {comparison.question.prompt for comparison in inputs.comparisons}
    # not left out: the seed data is the user's, and the judge's accuracy is not of the answer alone
    if shared := sum(prompt_text(group.prompt) in measured for group in current_round.sides.train):
        current_round.warn(f"the start learns answers to {shared} prompts of `comparisons`, which measure its judge")
    # one file for both: the seed data's answers and the judge's are one epoch, shuffled together
    if inputs.judge_rows and not files.check_listed(name):
        write_groups([*current_round.sides.train, *inputs.judge_rows], config.path / name)
        files.list_files(name)
    current_round.stage(config.seed_stage())


def _count(samples: Sequence[PromptGroup], compared: Compared, draws: Numbers) -> Numbers:
    """Return the numbers of a round's answers and scores, and why it cannot go on where it cannot."""
    counts, blindness = count_samples(samples, compared), sameness(compared)
    # a place that every verdict names is why no answer is better than another
    blindness = draws["habit"] or blindness if blindness else ""
    lengths = answer_lengths(samples) | {"chosen_longer_by": answer_lengths(compared.groups)["chosen_longer_by"]}
    return {
        "samples": counts.to_row(),
        "lengths": lengths,
        "scores": score_numbers(compared),
        "draws": draws["draws"],
        "nothing_to_learn": counts.reason(),
        "always_the_same": f"the judge always says the same: {blindness}" if blindness else "",
        "no_score": "" if compared.groups else _without_score(compared, draws),
    }


def _without_score(compared: Compared, draws: Numbers) -> str:
    """Return that no answer has a score, with the reason that most judgements have."""
    reasons = (draws["draws"] or {}).get("reasons", {})
    # most frequent first; a judge that writes nothing lacks a score for its context alone
    reason = f", mostly since {next(iter(reasons))}" if reasons else ", since it leaves no room in the model's context"
    return f"none of {compared.unscored} answers has a score that can be read{reason}"


class RoundPlay:
    """The parts of a round, with the policy that it begins with loaded once for all of them.

    Args:
        config: of all rounds.
        current_round: the round.
        inputs: what is read beside the seed data.
        loaded: the policy before a round, by its number.
    """

    def __init__(
        self, config: SelfRewarding, current_round: Round, inputs: SelfRewardingInputs, loaded: dict[int, Policy]
    ) -> None:
        self.config, self.round, self.inputs, self._loaded = config, current_round, inputs, loaded
        self.number = current_round.number

    @property
    def policy(self) -> Policy:
        """The policy that the round begins with."""
        return self._policy_before(self.number)

    def release(self) -> None:
        """Give the policy's memory back: training loads a copy of its own."""
        self._loaded.clear()

    def _policy_before(self, number: int) -> Policy:
        """Return the policy before a round, loaded once for the end of one round and the beginning of the next."""
        if number not in self._loaded:
            # the one before goes first: two copies at a time would need twice the memory
            self._loaded.clear()
            with timed_part("loading"):
                model = self.config.policy_before(number)
                self._loaded[number] = load_policy(model, rendering=self.config.data.rendering)
        return self._loaded[number]

    @contextmanager
    def _judge(self, policy: Policy | None) -> Iterator[AnswerJudge]:
        """Yield the judge, with the store of its verdicts where it comes from outside."""
        config = self.config
        with ExitStack() as stack:
            # a policy's own verdicts are of this round alone, so no store could give them back
            store = None
            if isinstance(config.judge, JudgeScorer):
                store = stack.enter_context(VerdictStore(config.path / STORE))
            # other draws than the answers', or a judgement would share its random numbers with what it judges
            seed = sampling_seed("judging", config.seed, self.number)
            yield judge_of(
                config.judge, policy, device=config.model.device, seed=seed, store=store, writer=self._outside_writer
            )

    @cached_property
    def _outside_writer(self) -> Writer | None:
        """The model that judges by a rubric in the policy's place, loaded at its first use."""
        return outside_writer(self.config.judge, self.config.model.device, self.config.path / STORE)

    def _rubric(self, settings: RubricScorer) -> RubricReward:
        """Return the rubric with whoever judges by it in this round."""
        writer = self._outside_writer or self.policy
        return rubric_of(settings, writer, sampling_seed("judging", self.config.seed, self.number))

    def quality(self, name: str, number: int) -> Numbers | None:
        """Return what the judge is worth beside people, as the policy is before a round; None without comparisons."""
        comparisons = self.inputs.comparisons
        if not comparisons:
            return None

        def measure() -> Numbers:
            with self.round.clock.part(EVALUATION):
                policy = self._judging_policy(number)
                with self._judge(policy) as judge:
                    answers = judge.ask([comparison.question for comparison in comparisons])
                    measured: Numbers = to_object(measure_quality(comparisons, answers, judge.winner))
            return measured

        # kept as numbers: a resumed round must not load a model to measure what it measured before
        row: Numbers = self.round.numbers(name, measure)
        for sentence in row["warnings"]:
            self.round.warn(sentence)
        return row

    def _judging_policy(self, number: int) -> Policy | None:
        """Return the policy before a round as its own judge; None where the judge comes from outside."""
        # a judge from outside does not change, and loading the policy for it would be idle
        if not self.config.judges_itself:
            return None
        return self._policy_before(number)

    def end(self, end: RoundEnd) -> RoundEnd:
        """Return the end of a round with the worth of the judge that came out of it."""
        return RoundEnd({**end.row, "judge": self.quality("judge.json", self.number + 1)}, end.result, end.stop_reason)

    def prompts(self) -> tuple[list[Prompt], Numbers]:
        """Return the prompts of the round, and the counts of how they came about."""
        return RoundPrompts(self.config, self.round, self.inputs, lambda: self.policy).choose()

    def draw(self, prompts: Sequence[Prompt]) -> list[PromptGroup]:
        """Draw answers of the policy."""
        config = self.config
        return draw_samples(
            self.round,
            prompts,
            n=config.samples_per_prompt,
            temperature=config.temperature,
            top_p=config.top_p,
            # their name decides the random numbers
            purpose="iterative",  # with the same prompts and a reward from outside the rounds are those of `iterative`
            model=self.policy,
        )

    def compared(self, samples: Sequence[PromptGroup]) -> tuple[list[PromptGroup], Numbers]:
        """Return the answers with the best against the worst of each prompt, and the numbers of their scores."""
        outcomes: list[tuple[Compared, Numbers]] = []

        def compare() -> tuple[Compared, Numbers]:
            # both files below are made of it, and a killed round may lack one of them
            if not outcomes:
                with self.round.clock.part(JUDGING):
                    outcomes.append(self._compare(samples))
            return outcomes[0]

        row: Numbers = self.round.numbers("samples.json", lambda: _count(samples, *compare()))
        if row["draws"] and (sentence := near_sameness(row["draws"])):
            self.round.warn(sentence)
        # a file without rows is none to its reader
        groups = [] if row["no_score"] else self.round.groups("compared.jsonl", lambda: compare()[0].groups)
        return groups, row

    def _compare(self, samples: Sequence[PromptGroup]) -> tuple[Compared, Numbers]:
        if not isinstance(self.config.judge, RubricScorer):
            with self._judge(self._judging_policy(self.number)) as judge:
                compared = judge.compare(samples)
                return compared, {"draws": None, "habit": judge.habit if isinstance(judge, VerdictJudge) else ""}
        # the judgements lie in a file of their own, since meta-rewarding learns from them, and people want to read them
        reward = self._rubric(self.config.judge)
        texts = {group.prompt: group.responses for group in self._judgements(samples)}
        judgements = [reward.read(texts.get(reward.question(*pair), ())) for pair in pairs_of(samples)]
        compared = compare_rated(samples, [judgement.score for judgement in judgements])
        return compared, {"draws": draw_numbers(judgements), "habit": ""}

    def _judgements(self, samples: Sequence[PromptGroup]) -> list[PromptGroup]:
        """Return what the policy wrote of each answer by its rubric, one group per rubric that leaves room."""
        assert isinstance(self.config.judge, RubricScorer)
        settings = self.config.judge

        def write() -> list[PromptGroup]:
            reward = self._rubric(settings)
            # one text of other tokens is the same answer to a judge
            pairs = list(dict.fromkeys(pairs_of(samples)))
            with progress_bar(f"judging (round {self.number + 1})", len(pairs), "answers") as advance:
                return [group for group in reward.write(pairs, advance) if group.responses]

        return self.round.groups("judgements.jsonl", write)

    def judgement_pairs(self, samples: Sequence[PromptGroup]) -> list[PromptGroup]:
        """Return pairs of judgements, the better of which the policy prefers itself."""
        assert self.config.meta is not None
        assert isinstance(self.config.judge, RubricScorer)
        settings, template = self.config.judge, load_meta_template(self.config.meta.template)

        def compare() -> list[PromptGroup]:
            reward = self._rubric(settings)
            with self.round.clock.part(JUDGING):
                return judgement_pairs(
                    samples,
                    self._judgements(samples),
                    reward,
                    VerdictJudge(PolicyJudge(self.policy, template), "probability"),
                )

        return self.round.groups("judgement-pairs.jsonl", compare)
