"""Iterative preference learning: sample, compare, learn, again (Xiong et al. 2024, arXiv:2312.11456).

A round draws several samples per prompt of the policy as it is now, has a reward score them or a judge compare them,
and trains the policy on the comparisons by a loss of `penchant train dpo`. One round is offline DPO on its own samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config.limits import Draws
from penchant.data.settings import refuse_mixture
from penchant.judges.settings import JudgeSpec
from penchant.methods.dpo import DPO
from penchant.rounds.settings import DPO_NAMES, RoundsConfig, StageSettings, check_stages
from penchant.session.objects import CodeName
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.rounds.pipeline import Round, RoundEnd
    from penchant.rounds.supervisor import Supervisor
    from penchant.runs.run_lines import Row

DISTANCE_DRAWS = 2
"""Samples per held-out prompt on which the KL from the start is measured, as many as evaluations draw."""
_SET_BY_PIPELINE = ("model", "data", "out", "seed", "reference")


class Iterative(RoundsConfig):
    """Learn from comparisons of the policy's own samples, drawn anew in each round.

    With one round it is the offline way: sample the start, compare, DPO.
    """

    method: ClassVar[str] = "iterative"
    other_names: ClassVar[dict[str, str]] = DPO_NAMES

    rounds: Annotated[int, Field(ge=1, le=1_000)] = 3
    """How often to sample, compare and train."""
    reward: CodeName | None = None
    """What scores the samples: `vader`, `module:function`, a reward model's folder, or a URL; or set `judge`."""
    judge: JudgeSpec | None = None
    """Who compares the samples of a prompt, each with each: a judge of `penchant judge`, with its settings."""
    orders: Literal["both", "one"] = "both"
    """With `judge`: each pair is judged in both orders, and a verdict that flips is a tie; `one` halves the calls."""
    samples_per_prompt: Annotated[Draws, Field(ge=2)] = 4
    """Samples of a prompt in a round."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Divides the logits when samples are drawn to learn from."""
    pairs: Literal["best_worst", "all"] = "best_worst"
    """What is compared: the best sample of a prompt with its worst, or every two of which one is better."""
    cut_samples: Literal["learn", "drop"] = "learn"
    """Samples that `max_new_tokens` cut: compare them like others (their end is never taught), or leave them out."""
    cut_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """With `reward`: taken off the score of a sample that was cut, which did not come to its end."""
    reference: Literal["fixed", "moving"] = "fixed"
    """What the policy is held to. `fixed`: its start in all rounds; `moving`: the policy that a round begins with."""
    earlier_rounds: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Learn from the comparisons of so many earlier rounds as well."""
    dpo: StageSettings = Field(default_factory=dict)
    """Settings of the `dpo` runs, such as `{loss: {name: ipo}, epochs: 2, optimizer: {learning_rate: 1e-4}}`."""

    @model_validator(mode="after")
    def _stages(self) -> Self:
        refuse_mixture(self.data, "rounds")
        if (self.reward is None) == (self.judge is None):
            raise ValueError(
                "set `reward` (what scores the samples, such as vader) or `judge` (who compares them), and not both"
            )
        if self.judge is not None and self.cut_penalty:
            raise ValueError("`cut_penalty` is taken off a reward, and a judge gives none: use `cut_samples: drop`")
        check_stages({"dpo": self.dpo}, {"dpo": _SET_BY_PIPELINE}, (lambda: self.stage(0),))
        return self

    def _measured(self) -> dict[str, Any]:
        """Return the settings of `dpo` with the held-out prompts and the reward as what samples are measured by."""
        evaluate = dict(self.dpo.get("evaluate", {}))
        samples = evaluate.get("samples", {})
        if samples is not None:
            # a stage trains on all prompts of its file, so those that are held out come from a file of their own
            held_out = {"prompts": str(self.prompts("held-out"))} if self.data.held_out else {}
            reward = {"reward": self.reward} if self.reward else {}
            evaluate["samples"] = {**held_out, **reward, "max_new_tokens": self.max_new_tokens, **dict(samples)}
        return {**self.dpo, "evaluate": evaluate}

    def stage(self, number: int) -> DPO:
        """Train a round's policy on its comparisons: from the last round's, held to the reference."""
        return self.train_on_pairs(number, self._measured(), start=self.model.name, reference=self.reference)


def run(config: Iterative, *, resume: bool = False) -> RunResult:
    """Run all rounds; what is there already is not done again, with or without `resume`.

    Returns:
        The result of the last round's policy; its metrics have `rounds`: of each round what its samples were, how many
        comparisons they gave, and the final numbers of its policy.

    Raises:
        InputError: bad prompts, model, reward, judge or settings; a folder in which other settings, prompts or another
            judge were used, or that another process works in.
        RunError: a stage had to stop; what was done before it stays.
    """
    from penchant.data.load import load_prompts
    from penchant.data.options import ReadKeywords
    from penchant.models.load import reads_pictures
    from penchant.rounds.pipeline import run_rounds
    from penchant.rounds.sides import digest_inputs, read_prompts, split_sides
    from penchant.rounds.supervisor import Supervisor

    supervisor = Supervisor(config.reward, config.judge, config.model.device, config.path, config.orders)
    # rewards may read columns of the rows, and which of them is known only once they are loaded
    media = reads_pictures(config.model.name, trust_remote_code=config.model.trust_remote_code)
    reading: ReadKeywords = {**config.data.reading, "keep_columns": True, "media": media}
    rows = load_prompts(config.data.path, **reading)
    # held-out prompts are sampled to measure the policy, and never to learn from
    sides = split_sides(config, rows, read_prompts)
    inputs = digest_inputs(config, sides) | supervisor.check_rows(rows)

    def play(current_round: Round) -> RoundEnd:
        return _play(config, current_round, supervisor)

    return run_rounds(config, sides, inputs, play, resume=resume)


def _play(config: Iterative, current_round: Round, supervisor: Supervisor) -> RoundEnd:
    """Sample, compare, train."""
    from penchant.rounds.pairs import count_samples, without_cut_samples
    from penchant.rounds.pipeline import RoundEnd
    from penchant.rounds.samples import draw_samples

    sides = current_round.sides

    def draw() -> list[PromptGroup]:
        prompts = [group.prompt for group in sides.train]
        return draw_samples(
            current_round, prompts, n=config.samples_per_prompt, temperature=config.temperature, purpose="iterative"
        )

    def kept_samples() -> list[PromptGroup]:
        groups = without_cut_samples(samples) if config.cut_samples == "drop" else samples
        return [group for group in groups if group.responses]

    def compare() -> list[PromptGroup]:
        with current_round.clock.part("comparing"):
            compared = supervisor.compare(kept_samples(), sides.train, config.pairs, cut_penalty=config.cut_penalty)
        counts = count_samples(samples, compared)
        reason = counts.reason()
        # with a short `max_new_tokens` that may be all of them
        if config.cut_samples == "drop" and counts.cut:
            reason += f"; {counts.cut} of {counts.samples} samples were cut and left out (`cut_samples=drop`)"
        current_round.numbers("samples.json", lambda: {"samples": counts.to_row(), "nothing_to_learn": reason})
        return compared.groups

    samples = current_round.groups("samples.jsonl", draw)
    if missing := len(sides.train) - len(samples):
        current_round.warn(f"{missing} of {len(sides.train)} prompts leave no room for a sample, and were left out")
    decided_groups = [group for group in current_round.groups("compared.jsonl", compare) if group.comparisons]
    sample_row = current_round.numbers("samples.json", dict)
    row: Row = {"samples": sample_row.get("samples")}
    # no reason to stop: the next round draws others
    if not decided_groups:
        reason = str(sample_row.get("nothing_to_learn"))
        current_round.warn(f"no pair has a difference ({reason}): nothing was trained on")
        return RoundEnd({**row, "skipped": reason}, None)
    pair_count = _pairs(config, current_round, decided_groups)
    result = current_round.stage(config.stage(current_round.number))
    row |= {"pairs_learned": pair_count, "policy": result.metrics["final"]}
    # the run's own KL is from its reference, which a moving one takes along: how far the start is, it cannot say
    if config.reference == "moving":
        row["after"] = _distance(config, current_round)
    return RoundEnd(row, result)


def _distance(config: Iterative, current_round: Round) -> object:
    """Return how far the policy of a round is from the start and from the policy before, on held-out prompts."""
    from penchant.rounds.measure import measure_policy
    from penchant.rounds.supervisor import Supervisor

    number = current_round.number + 1
    _, measured = measure_policy(
        current_round,
        "measured",
        config.policy_before(number),
        {"kl_start": config.frozen_start(), "kl_last": config.frozen_before(number - 1)},
        # the run has measured the reward of its samples
        Supervisor(None, None, config.model.device, config.path),
        n=DISTANCE_DRAWS,
        temperature=1.0,
        number=number,
    )
    return measured.get("estimates")


def _pairs(config: Iterative, current_round: Round, decided_groups: Sequence[PromptGroup]) -> int:
    """Write the comparisons to learn from, those of earlier rounds first; return how many there are."""
    from penchant.rounds.pairs import only_compared
    from penchant.rounds.pipeline import read_groups

    def gather() -> list[PromptGroup]:
        groups: list[PromptGroup] = []
        for number in range(max(0, current_round.number - config.earlier_rounds), current_round.number):
            file = config.folder(number) / "compared.jsonl"
            groups += [group for group in read_groups(file) if group.comparisons]
        return only_compared([*groups, *decided_groups])

    return sum(len(group.comparisons) for group in current_round.groups("pairs.jsonl", gather))
