"""Online RLHF: reward model and policy in turns, with fresh labels between (Ziegler et al. 2019, arXiv:1909.08593).

A round samples the policy as it is now, has the samples labelled, fits a reward model anew on all labels so far, and
trains the policy further on it. Every stage lies in a folder of its own, so a stopped pipeline goes on where it was.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from penchant.config import Config
from penchant.config.limits import Seed, Tokens
from penchant.data.in_memory import data_source
from penchant.data.settings import PromptsConfig, refuse_mixture
from penchant.errors import InputError
from penchant.methods import PPO, RewardModel, train
from penchant.methods.reward_model import RewardData
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.session.objects import CodeName, code_name
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.runs.run_folder import RunFolder
    from penchant.runs.run_lines import Row

log = logging.getLogger("penchant.rounds")

PEOPLE = "file"


def _with_names(settings: object) -> object:
    """Return the settings of a stage with the name of whatever a session handed over in place of one."""
    # the stage's own check would name it too, and its name is what the record of all rounds needs
    if isinstance(settings, Mapping):
        return {key: _with_names(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple) and not any(isinstance(item, PromptGroup) for item in settings):
        return [_with_names(item) for item in settings]
    if isinstance(settings, str | int | float | Config | None):
        return settings
    return code_name(settings) if callable(settings) else data_source(settings)


StageSettings = Annotated[dict[str, Any], BeforeValidator(_with_names)]


class OnlineRLHF(Config):
    """Reward model and policy in turns: new samples are labelled between rounds, the labels add up.

    With one round it is the offline way: sample the reference, label, fit a reward model, PPO.
    """

    method: ClassVar[str] = "online_rlhf"

    model: ModelConfig
    """The policy's start, which stays the reference, and the reward models' too."""
    data: PromptsConfig
    """Prompts: a path or hub id, or its settings."""
    out: Annotated[str, Field(min_length=1)]
    """The folder of all rounds."""
    labeller: Annotated[CodeName, Field(min_length=1)] = "vader"
    """Who compares the samples: a reward (`vader`, `module:function`, a URL, a reward model's folder), whose higher
    number wins; or `file`: people, who write `labelled.jsonl` beside the `to_label.jsonl` that a round leaves them."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 2
    """How often to label, fit and train."""
    samples_per_prompt: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Samples of a prompt to label in a round, all pairs of them compared."""
    max_new_tokens: Tokens = 48
    """Length at which a sample is cut, when labels are asked for and when the policy trains."""
    seed: Seed = 0
    """Fixes the samples and all training."""
    reward_model: StageSettings = Field(default_factory=dict)
    """Settings of the `reward_model` runs, such as `{epochs: 2}`."""
    ppo: StageSettings = Field(default_factory=dict)
    """Settings of the `ppo` runs, such as `{steps: 50, kl: {target_nats: 3}}`."""

    @model_validator(mode="after")
    def _stages(self) -> Self:
        refuse_mixture(self.data, "rounds")
        for name, reserved in (("reward_model", ("model", "data", "out", "seed")), ("ppo", _SET_BY_PIPELINE)):
            if clashes := sorted(set(reserved) & set(getattr(self, name))):
                raise ValueError(f"`{name}.{clashes[0]}` is the pipeline's to set: leave it out")
        # a wrong setting of a late stage is refused before the first one runs
        try:
            self.reward_stage(0), self.policy_stage(0)
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def folder(self, number: int) -> Path:
        """Return the folder of a round, counted from 0."""
        return Path(self.out).expanduser() / f"round-{number + 1}"

    def prompts(self, side: str) -> Path:
        """Return the file of the prompts to train on (`train`), or held out (`held-out`): the same in all rounds."""
        return Path(self.out).expanduser() / f"prompts-{side}.jsonl"

    def _measured(self) -> dict[str, Any]:
        """Return the settings of `ppo` with the held-out prompts as those to sample for."""
        evaluate = dict(self.ppo.get("evaluate", {}))
        samples = evaluate.get("samples", {})
        # a policy stage trains on all prompts of its file, so those that are held out come from a file of their own
        if self.data.held_out and samples is not None:
            evaluate["samples"] = {"prompts": str(self.prompts("held-out")), **dict(samples)}
        return {**self.ppo, "evaluate": evaluate}

    def _rendering(self) -> dict[str, Any]:
        """Return how texts are rendered, the same in all stages."""
        return {"template": self.data.template, "template_args": self.data.template_args}

    def reward_stage(self, number: int) -> RewardModel:
        """Train a round's reward model: from the start, on the labels of all rounds so far."""
        folder = self.folder(number)
        return RewardModel(
            **{"batch_size": 32, **self.reward_model},
            model=self.model,
            # a reward model reads answers, without thoughts
            data=RewardData(path=str(folder / "labels.jsonl"), ties="half", **self._rendering()),
            out=str(folder / "reward"),
            seed=self.seed,  # it fixes the split too: what was held out in one round is so in all
        )

    def policy_stage(self, number: int) -> PPO:
        """Train a round's policy: from the last round's, held to the start by the coefficient that was found there.

        The value head begins anew: what it foresaw were rewards of another reward model.
        """
        folder, settings = self.folder(number), self._measured()
        model, reference = self.model, None
        if number:
            model = model.replace(name=str(self.folder(number - 1) / "policy" / "checkpoint"))
            reference = FrozenModel(
                name=self.model.name, dtype=self.model.dtype, trust_remote_code=self.model.trust_remote_code
            )
            # the controller goes on with the coefficient that the last round found, instead of searching for it again
            coefficient = _coefficient(self.folder(number - 1) / "policy")
            if coefficient and settings.get("kl", {}).get("name", "adaptive") == "adaptive":
                settings = {**settings, "kl": {**settings.get("kl", {}), "start": coefficient}}
        return PPO(
            **settings,
            model=model,
            reference=reference,
            # split once for all rounds: a stage that split again would train on prompts held out elsewhere
            data=PromptsConfig(path=str(self.prompts("train")), held_out=0, **self._rendering()),
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
    from penchant.runs.run_folder import RunFolder

    started = time.monotonic()
    out = Path(config.out).expanduser()
    folder = RunFolder(config.out, config, resume=resume or (out / "config.yaml").exists())
    sides = _split(config)
    inputs = _inputs(config, sides)
    _end_if_planned(config, sides)
    # one lock for all rounds: otherwise two processes would train the same stages
    folder.open()
    try:
        _begin(config, folder, sides, inputs)
        rounds: list[Row] = []
        result: RunResult | None = None
        for number in range(config.rounds):
            log.info("round %d of %d", number + 1, config.rounds)
            _labels(config, folder, number)
            fitted = result = _stage(config.reward_stage(number))
            # no policy must be trained on a reward model that is half fitted
            if fitted.metrics["status"] == "interrupted":
                break
            result = _stage(config.policy_stage(number))
            if result.metrics["status"] == "interrupted":
                break
            rounds.append({"reward_model": fitted.metrics["final"], "policy": result.metrics["final"]})
        assert result is not None
        metrics = result.metrics | {"method": config.method, "rounds": rounds, "seconds": time.monotonic() - started}
        # an interrupted pipeline gets no result file, so that the same command continues it
        if metrics["status"] != "interrupted":
            folder.write_json("result.json", metrics)
        return RunResult(config.method, out, metrics)
    finally:
        folder.close()


def _split(config: OnlineRLHF) -> dict[str, list[PromptGroup]]:
    """Return the prompts to train on and those held out, which are neither labelled nor trained on."""
    from penchant.data.load import load_prompts
    from penchant.train.plan import split_by_prompt

    data = config.data
    groups = load_prompts(data.path, **data.reading)
    trained, held_out = split_by_prompt(groups, data.held_out, config.seed)
    return {"train": [groups[index] for index in trained], "held-out": [groups[index] for index in held_out]}


def _end_if_planned(config: OnlineRLHF, sides: Mapping[str, Sequence[PromptGroup]]) -> None:
    """End the run here if it is only planned; how long rounds take depends on what is sampled and labelled in them."""
    from penchant.models.device import choose_device
    from penchant.models.load import load_renderer
    from penchant.train.run_plan import PLANNED_ROWS, RunPlan, end_if_planned, prompt_rows

    def plan() -> RunPlan:
        model = config.model
        renderer = load_renderer(model.name, rendering=config.data.rendering, trust_remote_code=model.trust_remote_code)
        rows = prompt_rows(renderer, sides["train"][:PLANNED_ROWS])
        counts = {"prompts": float(len(sides["train"])), "held_out_groups": float(len(sides["held-out"]))}
        return RunPlan(config.rounds, {**counts}, (), rows, str(choose_device(model.device)), unit="round")

    end_if_planned(plan)


def _inputs(config: OnlineRLHF, sides: Mapping[str, Sequence[PromptGroup]]) -> dict[str, str]:
    """Return the digests of what decides all rounds; what decides one stage is in the record of that stage's run."""
    from penchant.models.load import load_renderer
    from penchant.rewards.content import model_content
    from penchant.runs.input_digests import digest_prompt_texts, digest_prompts, reward_digest

    model = config.model
    renderer = load_renderer(model.name, rendering=config.data.rendering, trust_remote_code=model.trust_remote_code)
    inputs = {f"the prompts ({side})": digest_prompt_texts(groups) for side, groups in sides.items()}
    # Every round reads the model anew, as the reference and as the start of its reward model. Models with a hub id
    # count by their commit: their weights are not there yet when the first round begins.
    inputs["the model"] = model_content(model.name)
    prompts = [group.prompt for groups in sides.values() for group in groups]
    inputs["the rendered prompts"] = digest_prompts(prompts, renderer)  # a template may write today's date
    if config.labeller == PEOPLE:
        return inputs
    return {**inputs, "the labeller": reward_digest(config.labeller, loaded=False)}


def _begin(
    config: OnlineRLHF, folder: RunFolder, sides: Mapping[str, Sequence[PromptGroup]], inputs: dict[str, str]
) -> None:
    """Write the record and the prompts of a new pipeline; refuse to go on where either is another now.

    Raises:
        RunMismatchError: prompts, model or labeller changed since the pipeline began.
        InputError: a file of it is damaged.
    """
    from penchant.data.load import load_prompts
    from penchant.data.write import write_groups
    from penchant.runs.input_digests import digest_prompt_texts, recorded_inputs, refuse_changed
    from penchant.runs.provenance import provenance_of_files
    from penchant.typed_json import to_object

    record = folder.path / "provenance.json"
    recorded = recorded_inputs(folder.path)
    for side, groups in sides.items():
        file = config.prompts(side)
        if file.exists():
            folder.check_listed(file.name)
            recorded.setdefault(f"the prompts ({side})", digest_prompt_texts(load_prompts(file)))
        elif groups:
            write_groups(groups, file)
            folder.list_files(file.name)
    # a pipeline that begins has nothing to compare with but the prompts that an earlier try may have left
    refuse_changed(folder.path, recorded if record.exists() else {**inputs, **recorded}, inputs)
    if not record.exists():
        folder.write_json("provenance.json", to_object(provenance_of_files([config.data.path], config.seed, inputs)))


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


def _stage(stage: RewardModel | PPO) -> RunResult:
    """Run a stage from its start, or from where it stopped; return its result at once where it is done."""
    config_file = Path(stage.out or "") / "config.yaml"
    return train(stage, resume=config_file.exists())


def _labels(config: OnlineRLHF, out: RunFolder, number: int) -> None:
    """Write the labels of all rounds so far, as `labels.jsonl` in the round's folder.

    Raises:
        InputError: people still have to label; or labels are not what they were when a model was fitted on them.
    """
    from penchant.data.load import load_preferences
    from penchant.data.write import write_groups

    folder = config.folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    # listed last, so that a round whose labels have a digest is complete
    done = f"{folder.name}/labels.jsonl"
    if out.check_listed(done):
        return
    labelled_file = folder / "labelled.jsonl"
    if not labelled_file.exists():
        groups = _samples(config, number)
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

        labeller = load_reward(config.labeller, device=config.model.device)
        write_groups(compare_by_score(score_groups(groups, labeller)), labelled_file)
    labelled: list[PromptGroup] = []
    for earlier_number in range(number + 1):
        file = config.folder(earlier_number) / "labelled.jsonl"
        out.check_listed(f"{file.parent.name}/{file.name}")
        labelled += load_preferences(file, ties="half")
    write_groups(labelled, folder / "labels.jsonl")
    out.list_files(f"{folder.name}/labelled.jsonl", done)


def _samples(config: OnlineRLHF, number: int) -> list[PromptGroup]:
    """Draw fresh samples of the policy as it is before the round, for all prompts."""
    from penchant.data.load import load_prompts
    from penchant.engine.sampling import Sampling
    from penchant.models.load import load_policy
    from penchant.runs.progress import progress_bar

    stage = config.policy_stage(number)
    prompts = [group.prompt for group in load_prompts(config.prompts("train"))]
    policy = load_policy(stage.model, rendering=config.data.rendering)
    fitting = [prompt for prompt in prompts if policy.has_room(prompt, config.max_new_tokens)]
    # each round draws other samples, and other ones than training draws with the same seed
    digest = hashlib.sha256(f"labels|{config.seed}|{number}".encode()).digest()
    sampling = Sampling(
        config.samples_per_prompt, max_new_tokens=config.max_new_tokens, seed=int.from_bytes(digest[:7], "little")
    )
    with progress_bar(f"sampling (round {number + 1})", len(fitting) * sampling.n, "samples") as advance:
        return policy.sample(fitting, sampling, progress=advance)
