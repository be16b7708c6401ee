"""Online RLHF: reward model and policy in turns, with fresh labels between (Ziegler et al. 2019, arXiv:1909.08593).

A round samples the policy as it is now, has the samples labelled, fits a reward model anew on all labels so far, and
trains the policy further on it. Every stage lies in a folder of its own, so a stopped pipeline goes on where it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from penchant.config.limits import Tokens
from penchant.data.settings import PromptsConfig, refuse_mixture
from penchant.errors import InputError
from penchant.methods import PPO, RewardModel
from penchant.methods.reward_model import RewardData
from penchant.models.settings import ModelConfig
from penchant.rounds.settings import RoundsConfig, StageSettings, check_stages
from penchant.session.objects import CodeName
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.rounds.pipeline import Round, RoundEnd
    from penchant.rounds.sides import Sides

PEOPLE = "file"


class OnlineRLHF(RoundsConfig):
    """Reward model and policy in turns: new samples are labelled between rounds, the labels add up.

    With one round it is the offline way: sample the reference, label, fit a reward model, PPO.
    """

    method: ClassVar[str] = "online_rlhf"

    model: ModelConfig
    """The policy's start, which stays the reference, and the reward models' too."""
    labeller: Annotated[CodeName, Field(min_length=1)] = "vader"
    """Who compares the samples: a reward (`vader`, `module:function`, a URL, a reward model's folder), whose higher
    number wins; or `file`: people, who write `labelled.jsonl` beside the `to_label.jsonl` that a round leaves them."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 2
    """How often to label, fit and train."""
    samples_per_prompt: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Samples of a prompt to label in a round, all pairs of them compared."""
    max_new_tokens: Tokens = 48
    """Length at which a sample is cut, when labels are asked for and when the policy trains."""
    reward_model: StageSettings = Field(default_factory=dict)
    """Settings of the `reward_model` runs, such as `{epochs: 2}`."""
    ppo: StageSettings = Field(default_factory=dict)
    """Settings of the `ppo` runs, such as `{steps: 50, kl: {target_nats: 3}}`."""

    @model_validator(mode="after")
    def _stages(self) -> Self:
        refuse_mixture(self.data, "rounds")
        check_stages(
            {"reward_model": self.reward_model, "ppo": self.ppo},
            {"reward_model": ("model", "data", "out", "seed"), "ppo": _SET_BY_PIPELINE},
            (lambda: self.reward_stage(0), lambda: self.policy_stage(0)),
        )
        return self

    def _measured(self) -> dict[str, Any]:
        """Return the settings of `ppo` with the held-out prompts as those to sample for."""
        evaluate = dict(self.ppo.get("evaluate", {}))
        samples = evaluate.get("samples", {})
        # a policy stage trains on all prompts of its file, so those that are held out come from a file of their own
        if self.data.held_out and samples is not None:
            evaluate["samples"] = {"prompts": str(self.prompts("held-out")), **dict(samples)}
        return {**self.ppo, "evaluate": evaluate}

    def reward_stage(self, number: int) -> RewardModel:
        """Train a round's reward model: from the start, on the labels of all rounds so far."""
        folder = self.folder(number)
        return RewardModel(
            **{"batch_size": 32, **self.reward_model},
            model=self.model,
            # a reward model reads answers, without thoughts
            data=RewardData(path=str(folder / "labels.jsonl"), ties="half", **self.stage_rendering()),
            out=str(folder / "reward"),
            seed=self.seed,  # it fixes the split too: what was held out in one round is so in all
        )

    def policy_stage(self, number: int) -> PPO:
        """Train a round's policy: from the last round's, held to the start by the coefficient that was found there.

        The value head begins anew: what it foresaw were rewards of another reward model.
        """
        folder, settings = self.folder(number), self._measured()
        reference = self.frozen_start() if number else None
        if number:
            # the controller goes on with the coefficient that the last round found, instead of searching for it again
            coefficient = _coefficient(self.folder(number - 1) / "policy")
            if coefficient and settings.get("kl", {}).get("name", "adaptive") == "adaptive":
                settings = {**settings, "kl": {**settings.get("kl", {}), "start": coefficient}}
        return PPO(
            **settings,
            model=self.policy_before(number),
            reference=reference,
            # split once for all rounds: a stage that split again would train on prompts held out elsewhere
            data=PromptsConfig(path=str(self.prompts("train")), held_out=0, **self.stage_rendering()),
            reward=str(folder / "reward" / "checkpoint"),
            max_new_tokens=self.max_new_tokens,
            out=str(folder / "policy"),
            seed=self.seed + number,
        )


_SET_BY_PIPELINE = ("model", "data", "out", "seed", "reward", "reference", "max_new_tokens")


def run(config: OnlineRLHF, *, resume: bool = False) -> RunResult:
    """Run all rounds; what is there already is not done again, with or without `resume`.

    Returns:
        The result of the last round's policy; its metrics have `rounds`: each round's reward accuracy and final
        samples.

    Raises:
        InputError: bad prompts, model, labeller or settings; labels that people still have to give; a folder that other
            settings, prompts or another labeller were used in, or that another process works in.
        RunError: a stage had to stop; what was done before it stays.
    """
    from penchant.data.load import load_prompts
    from penchant.data.options import ReadKeywords
    from penchant.rewards import load_reward
    from penchant.rewards.columns import check_columns
    from penchant.rewards.names import reward_kind
    from penchant.rounds.pipeline import run_rounds
    from penchant.rounds.sides import split_sides

    # a labeller may read columns of the rows, and which of them is known only once it is loaded
    reading: ReadKeywords = {**config.data.reading, "keep_columns": True}
    rows = load_prompts(config.data.path, **reading)
    # before anything is sampled; a labeller that is a model reads none, and takes long to load
    if config.labeller != PEOPLE and reward_kind(config.labeller) in ("verifier", "function"):
        check_columns(load_reward(config.labeller), rows)
    sides = split_sides(config, rows, load_prompts)
    return run_rounds(config, sides, _inputs(config, sides), _play, resume=resume)


def _inputs(config: OnlineRLHF, sides: Sides) -> dict[str, str]:
    """Return the digests of what decides all rounds."""
    from penchant.rounds.sides import digest_inputs
    from penchant.runs.input_digests import reward_digest

    inputs = digest_inputs(config, sides)
    if config.labeller == PEOPLE:
        return inputs
    return {**inputs, "the labeller": reward_digest(config.labeller, loaded=False)}


def _play(current_round: Round) -> RoundEnd:
    """Label, fit a reward model, train the policy."""
    from penchant.rounds.pipeline import RoundEnd

    config = current_round.config
    assert isinstance(config, OnlineRLHF)
    _labels(config, current_round)
    fitted = current_round.stage(config.reward_stage(current_round.number))
    trained = current_round.stage(config.policy_stage(current_round.number))
    return RoundEnd({"reward_model": fitted.metrics["final"], "policy": trained.metrics["final"]}, trained)


def _coefficient(run: Path) -> float | None:
    """Return the coefficient of the KL in a run's last step; None where there was none yet.

    Raises:
        InputError: the run's metrics are damaged.
    """
    from penchant.digests import check_files
    from penchant.runs.run_lines import read_rows

    if not run.exists():
        return None
    # the lines have a digest once the run has ended; before that they still grow
    check_files(run, ["metrics.jsonl"] if (run / "result.json").exists() else [])
    rows = [row for row in read_rows(run / "metrics.jsonl") if row.get("kind") == "train"]
    coefficient = rows[-1].get("kl_coefficient") if rows else None
    return float(coefficient) if isinstance(coefficient, (int, float)) else None


def _labels(config: OnlineRLHF, current_round: Round) -> None:
    """Write the labels of all rounds so far, as `labels.jsonl` in the round's folder.

    Raises:
        InputError: people still have to label; or labels are not what they were when a model was fitted on them.
    """
    from penchant.data.load import load_preferences
    from penchant.data.write import write_groups

    folder, number = current_round.folder, current_round.number
    # listed last, so that a round whose labels have a digest is complete
    if current_round.is_done("labels.jsonl"):
        return
    labelled_file = folder / "labelled.jsonl"
    if not labelled_file.exists():
        groups = _samples(config, current_round)
        if config.labeller == PEOPLE:
            to_label = folder / "to_label.jsonl"
            # never written twice: people may be at work on it
            if not to_label.exists():
                write_groups(groups, to_label)
            raise InputError(
                f"round {number + 1} waits for labels: compare the responses in {to_label} and write the file, with "
                f"its `comparisons` filled in, as {labelled_file}; then start the same command again"
            )
        from penchant.rewards import compare_by_score, load_reward, score_groups

        with current_round.clock.part("labelling"):
            labeller = load_reward(config.labeller, device=config.model.device)
            write_groups(compare_by_score(score_groups(groups, labeller)), labelled_file)
    labelled: list[PromptGroup] = []
    for earlier_number in range(number + 1):
        file = config.folder(earlier_number) / "labelled.jsonl"
        current_round.files.check_listed(f"{file.parent.name}/{file.name}")
        labelled += load_preferences(file, ties="half")
    write_groups(labelled, folder / "labels.jsonl")
    current_round.mark_done("labelled.jsonl", "labels.jsonl")


def _samples(config: OnlineRLHF, current_round: Round) -> list[PromptGroup]:
    """Draw fresh samples of the policy as it is before the round, for all prompts."""
    from penchant.data.load import load_prompts
    from penchant.rewards.columns import carry_columns
    from penchant.rounds.samples import draw_samples

    rows = {group.prompt: group for group in load_prompts(config.prompts("train"))}
    samples = draw_samples(current_round, list(rows), n=config.samples_per_prompt)
    return carry_columns(samples, [rows[group.prompt] for group in samples])
