"""Self-rewarding language models: a policy learns from answers that it judged (Yuan et al. 2024, arXiv:2401.10020).

Seed demonstrations teach the start. A round writes new prompts, draws answers to them, has the policy judge these, and
trains it by DPO on the best against the worst of each prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config.limits import Draws
from penchant.data.settings import RowsConfig, refuse_mixture
from penchant.methods import DPO, SFT
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.rounds.self_rewarding.settings import (
    JudgeScorer,
    MetaRewarding,
    NewPrompts,
    RewardScorer,
    RowsFile,
    RubricScorer,
    Scorer,
    SelfInstruct,
    Temperature,
    TopP,
)
from penchant.rounds.settings import DPO_NAMES, RoundsConfig, StageSettings, check_stages
from penchant.types import RunResult

if TYPE_CHECKING:
    from penchant.models.policy import Policy
    from penchant.rounds.sides import Sides

_SET_BY_PIPELINE = ("model", "data", "out", "seed")
NO_SEED = (
    "self_rewarding begins with seed data: rows with a prompt and a good response, which teach the start and show what "
    "new prompts look like. Give data=FILE with such rows, or sft=null and a file of prompts alone"
)


class SelfRewarding(RoundsConfig):
    """Learn from answers that the policy itself judged, in rounds whose prompts it wrote.

    `judge=likelihood` suits small models, which cannot follow a rubric.
    """

    method: ClassVar[str] = "self_rewarding"
    other_names: ClassVar[dict[str, str]] = DPO_NAMES

    data: RowsConfig
    """Seed data: demonstrations, which the start learns (`sft`), and whose prompts are the examples for new ones."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 2
    """How often to write prompts, answer, judge and train."""
    new_prompts: NewPrompts = SelfInstruct()
    """Where new prompts come from: `self_instruct`, or `file` with its path."""
    judge: Scorer = RubricScorer()
    """Who judges the answers: the policy itself by a `rubric`, by the `likelihood` of "Yes", or by `verdicts` on each
    two answers; or, for comparison, a `reward` or a `judge` from outside."""
    comparisons: RowsFile | None = None
    """Comparisons by people, in any layout: in every round they say what the judge is worth. Nothing is trained on
    them: prompts like theirs are not used, and rows of `judge_data` with their prompts are left out."""
    judge_data: RowsFile | None = None
    """Comparisons or ratings by people that the start learns to judge by, beside the seed data: each becomes the
    judge's question with the answer that it should give."""
    samples_per_prompt: Annotated[Draws, Field(ge=2)] = 4
    """Answers to a prompt in a round."""
    # less varied than in other rounds, as published: the best of four must be good, not only other
    temperature: Temperature = 0.7
    """Divides the logits when answers are drawn."""
    top_p: TopP = 0.9
    """Draw answers among the smallest set of tokens with this probability; 1 for all."""
    # the other way round than in `iterative`, whose author holds all rounds to the start
    reference: Literal["fixed", "moving"] = "moving"
    """What the policy is held to: `moving`: the policy that each round begins with, as published; `fixed`: the start
    in all rounds."""
    sft: StageSettings | None = Field(default_factory=dict)
    """Settings of the `sft` run on the seed data, such as `{epochs: 2}`; null leaves it out."""
    dpo: StageSettings = Field(default_factory=dict)
    """Settings of the `dpo` runs, such as `{loss: {beta: 0.1}, optimizer: {learning_rate: 1e-6}}`."""
    meta: MetaRewarding | None = None
    """Let the policy judge its judgements as well, and learn from the best and the worst of them: `meta={}`. It needs
    `judge=rubric`, whose judgements are texts."""

    @model_validator(mode="before")
    @classmethod
    def _seed_data_is_there(cls, settings: object) -> object:
        # before the fields are checked, whose message would name a file and not say what it should hold
        if isinstance(settings, Mapping) and not settings.get("data"):
            raise ValueError(f"`data` is missing: {NO_SEED}")
        return settings

    @model_validator(mode="after")
    def _stages(self) -> Self:
        refuse_mixture(self.data, "rounds")
        if self.meta is not None and not isinstance(self.judge, RubricScorer):
            raise ValueError("`meta` compares the judgements that `judge=rubric` writes: set that, or leave `meta` out")
        if self.meta is not None and not self.judges_itself:
            raise ValueError("`meta` teaches the policy to judge, and this judge comes from outside: leave it out")
        if self.meta is not None and isinstance(self.judge, RubricScorer) and self.judge.draws < 2:
            raise ValueError("`meta` compares several judgements of one answer: set `judge.draws` to 2 or more")
        if self.judge_data is not None and self.sft is None:
            raise ValueError("`judge_data` is taught with the seed data: leave `sft=null` out")
        if self.judge_data is not None and not self.judges_itself:
            raise ValueError(
                "`judge_data` teaches the policy to judge, and this judge comes from outside: leave it out"
            )
        # a wrong setting of a late stage is refused before the first one runs
        check_stages(
            {"sft": self.sft or {}, "dpo": self.dpo},
            {"sft": _SET_BY_PIPELINE, "dpo": (*_SET_BY_PIPELINE, "reference")},
            (*((lambda: self.seed_stage(),) if self.sft is not None else ()), lambda: self.stage(0)),
        )
        return self

    @property
    def judges_itself(self) -> bool:
        """Return whether the policy is its own judge."""
        if isinstance(self.judge, RubricScorer):
            return self.judge.judges_itself
        return not isinstance(self.judge, RewardScorer | JudgeScorer)

    @property
    def start(self) -> ModelConfig:
        """Return the policy that the first round begins with: the model, or what it became on the seed data."""
        return self.model if self.sft is None else self.model.replace(name=str(self.path / "sft" / "checkpoint"))

    def policy_before(self, number: int) -> ModelConfig:
        """Return the policy that a round begins with: that of the last round that trained one, or the start."""
        policy = super().policy_before(number)
        # only before the first trained round the model's own name comes back
        return self.start if policy.name == self.model.name else policy

    def frozen_start(self) -> FrozenModel:
        """Return the policy's start as the reference of a later round."""
        return super().frozen_start().replace(name=self.start.name)

    def _measured(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a stage with the held-out prompts as those to sample for."""
        evaluate = dict(settings.get("evaluate", {}))
        samples = evaluate.get("samples", {})
        if samples is not None:
            # a stage trains on all prompts of its file, so those that are held out come from a file of their own
            held_out = {"prompts": str(self.prompts("held-out"))} if self.data.held_out else {}
            evaluate["samples"] = {**held_out, "max_new_tokens": self.max_new_tokens, **dict(samples)}
        return {**settings, "evaluate": evaluate}

    def seed_stage(self) -> SFT:
        """Teach the start by the seed data, and to judge by the judge's data."""
        # without judge's data the seed rows are a file already
        file = self.path / "taught.jsonl" if self.judge_data is not None else self.prompts("train")
        lengths = {"max_length": self.data.max_length, "overflow": self.data.overflow}
        return SFT(
            **self._measured(self.sft or {}),
            model=self.model,
            data=RowsConfig(path=str(file), held_out=0, **lengths, **self.stage_rendering()),
            out=str(self.path / "sft"),
            seed=self.seed,
        )

    def stage(self, number: int) -> DPO:
        """Train a round's policy on its pairs: from the last round's, held to the reference."""
        return self.train_on_pairs(number, self._measured(self.dpo), start=self.start.name, reference=self.reference)


def run(config: SelfRewarding, *, resume: bool = False) -> RunResult:
    """Run all rounds; what is there already is not done again, with or without `resume`.

    Returns:
        The result of the last round's policy; its metrics have `rounds`: of each round its prompts, answers, scores,
        what the judge is worth beside people, and the final numbers of its policy.

    Raises:
        InputError: no seed data, a bad model, template, judge or setting; a folder in which other settings or data were
            used, or that another process works in.
        RunError: a stage had to stop; what was done before it stays.
    """
    from penchant.rounds.pipeline import Round, RoundEnd, run_rounds
    from penchant.rounds.self_rewarding.inputs import read_inputs
    from penchant.rounds.self_rewarding.play import play_round
    from penchant.rounds.sides import digest_inputs

    sides = _seed_rows(config)
    inputs = read_inputs(config)
    # shared by the rounds: the judge that one round measures at its end answers in the next
    loaded: dict[int, Policy] = {}

    def play(current_round: Round) -> RoundEnd:
        return play_round(config, current_round, inputs, loaded)

    return run_rounds(config, sides, digest_inputs(config, sides) | inputs.digests(config), play, resume=resume)


def _seed_rows(config: SelfRewarding) -> Sides:
    """Return the seed data, split once for all rounds.

    Raises:
        InputError: rows without responses, where the start is to learn them.
    """
    from penchant.data.load import load_demonstrations, load_prompts
    from penchant.errors import InputError
    from penchant.rounds.sides import split_sides

    # prompts are enough where nothing is taught: `file` prompts, or examples for new ones
    read = load_prompts if config.sft is None else load_demonstrations
    try:
        groups = read(config.data.path, **config.data.reading)
    except InputError as error:
        if config.sft is None:
            raise
        # the advice first: of rows that are no demonstrations the reader lists every layout that it knows
        raise InputError(f"{NO_SEED}. {error}") from error
    return split_sides(config, groups, read)
