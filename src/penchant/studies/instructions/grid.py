"""Lay out the stages of a study of instruction tuning: rows, mixtures, runs and answers. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from penchant.data.rendering.template_source import keep_template
from penchant.errors import InputError
from penchant.rewards.content import data_content, model_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.core.stage_settings import (
    LearningSettings,
    MixtureRunSettings,
    PolicySettings,
    Proportions,
    StageSettings,
)
from penchant.studies.instructions.sentences import SENTENCES, WORDINGS, sentence_spec
from penchant.studies.instructions.settings import InstructionsConfig
from penchant.studies.instructions.stage_settings import (
    MEASURED_ROLE,
    TUNED_ROLE,
    AnswersSettings,
    MixtureSettings,
    PromptSettings,
    TaskRowsSettings,
)
from penchant.tasks.load import data_folder, local_files, task_code, task_spec
from penchant.tasks.own_file import is_data_file
from penchant.tasks.wordings import ANY_TASK, Wording, wordings_of

ALL = ""
"""What the run on all clusters leaves out."""
MOST_SLUG = 40


@dataclass(frozen=True)
class MeasuredCluster:
    """The answers of all models to a cluster of tasks.

    Attributes:
        tasks: their names. rows: their stages.
        untuned: of the model as it was. transfer, full: of runs without the cluster and with all, a stage per seed.
    """

    name: str
    tasks: tuple[str, ...]
    rows: tuple[Stage, ...]
    untuned: Stage
    transfer: tuple[Stage, ...]
    full: tuple[Stage, ...]


@dataclass(frozen=True)
class InstructionsGrid:
    """All stages of a study of instruction tuning.

    Attributes:
        rows: by task. mixtures: by the cluster that they leave out, for each seed.
    """

    rows: Mapping[str, Stage]
    mixtures: Mapping[tuple[str, int], Stage]
    runs: Mapping[tuple[str, int], Stage]
    clusters: tuple[MeasuredCluster, ...]

    @property
    def required(self) -> tuple[Stage, ...]:
        """The stages without any of which there is nothing to report."""
        return tuple(cluster.untuned for cluster in self.clusters)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after the stages it needs."""
        answers = [stage for item in self.clusters for stage in (item.untuned, *item.transfer, *item.full)]
        ordered = [*self.rows.values(), *self.mixtures.values(), *self.runs.values(), *answers]
        # without a step the tuned model is the untuned one, and has its stage
        return list({stage.address: stage for stage in ordered}.values())


def instructions_grid(config: InstructionsConfig) -> InstructionsGrid:
    """Return the stages that a configuration asks for."""
    return _Stages(config).grid()


class _Stages:
    """Makes the stages of a study."""

    def __init__(self, config: InstructionsConfig) -> None:
        self.config = config
        # one stage for each task, whichever mixtures and clusters need it
        self.rows = {name: self._rows(name) for tasks in config.clusters.values() for name in tasks}
        # two stages with one address would share a folder, and one of the tasks would be held out and tuned on
        first: dict[str, str] = {}
        for name, stage in self.rows.items():
            if (other := first.setdefault(stage.address, name)) != name:
                raise InputError(f"`clusters`: {other} and {name} have the same content: leave one of them out")

    @cached_property
    def policy(self) -> PolicySettings:
        """The model that is tuned, by its content."""
        config = self.config
        return PolicySettings(
            model=config.model.replace(name=model_content(config.model.name)),
            template=keep_template(config.template),
            template_args=config.template_args or None,
        )

    @cached_property
    def scored_policy(self) -> PolicySettings:
        """The model as it is asked: how it is tuned makes no difference to that."""
        return PolicySettings(
            model=self.policy.model.replace(lora=None, train_top=None),
            template=self.policy.template,
            template_args=self.policy.template_args,
        )

    @cached_property
    def inputs(self) -> dict[str, str]:
        return {"model": absolute(self.config.model.name)}

    def grid(self) -> InstructionsGrid:
        """Return all stages."""
        config = self.config
        # a mixture and a run for each cluster that is left out, and one for all, which every cluster is measured with
        mixtures = {
            (left_out, seed): self._mixture(left_out, seed)
            for left_out in (*config.measured, ALL)
            for seed in config.seeds
            if config.steps
        }
        runs = {(left_out, seed): self._run(stage, left_out, seed) for (left_out, seed), stage in mixtures.items()}
        clusters = tuple(
            MeasuredCluster(
                name,
                config.clusters[name],
                tuple(self.rows[task] for task in config.clusters[name]),
                self._answers(name, None, "untuned"),
                tuple(self._answers(name, runs.get((name, seed)), f"without-it-seed-{seed}") for seed in config.seeds),
                tuple(self._answers(name, runs.get((ALL, seed)), f"with-it-seed-{seed}") for seed in config.seeds),
            )
            for name in config.measured
        )
        return InstructionsGrid(self.rows, mixtures, runs, clusters)

    def _rows(self, name: str) -> Stage:
        config = self.config
        settings = TaskRowsSettings(kind="task", task=name, train=config.train, test=config.test, data=())
        inputs = {"task": name}
        if name.startswith(SENTENCES):
            settings = replace(settings, kind="sentences")
        elif is_data_file(name):
            # the content of the file, never its place
            settings = replace(
                settings,
                kind="file",
                task="",
                data=(data_content(name),),
                columns=dict(config.columns.items()),
                test_share=config.test_share,
            )
            inputs["rows"] = absolute(name)
        else:
            spec, folder = task_spec(name), data_folder()
            # without files the hub id stands for the rows, and the code of a task of the user's for its reading
            data = tuple(data_content(str(file)) for file in local_files(spec, folder)) or (spec.hub,)
            settings = replace(settings, task=task_code(name) or name, data=data)
            inputs["folder"] = str(folder)
        return Stage("task_rows", _slug(name), settings, inputs, {})

    def _mixture(self, left_out: str, seed: int) -> Stage:
        tuned_tasks = [name for cluster, tasks in self.config.clusters.items() if cluster != left_out for name in tasks]
        measured = self.config.clusters.get(left_out, ())
        settings = MixtureSettings(policy=self.scored_policy, prompts=self._prompts(tuned_tasks, seed))
        # the held-out cluster's rows are needed to be kept apart, and so are a part of the address
        needs = {f"{TUNED_ROLE}{name}": self.rows[name] for name in tuned_tasks}
        needs |= {f"{MEASURED_ROLE}{name}": self.rows[name] for name in measured}
        return self._stage("task_mixture", f"mixture-{_run_label(left_out)}-seed-{seed}", settings, needs, seed)

    def _run(self, mixture: Stage, left_out: str, seed: int) -> Stage:
        config = self.config
        settings = MixtureRunSettings(
            policy=self.policy,
            learning=LearningSettings(config.optimizer, config.clip, config.warmup_steps),
            learning_rate=config.learning_rate,
            steps=config.steps,
            batch_size=config.batch_size,
            mixing=Proportions(config.mixing.cap, config.mixing.temperature),
            # what the model takes: texts were shortened before
            max_length=None,
            seed=seed,
        )
        return self._stage(
            "sft", f"tuned-{_run_label(left_out)}-seed-{seed}", settings, {"demonstrations": mixture}, seed
        )

    def _answers(self, cluster: str, run: Stage | None, label: str) -> Stage:
        names = self.config.clusters[cluster]
        # wordings and examples by a seed of their own: every model is asked the same
        prompts = self._prompts(names, self.config.evaluation_seed)
        settings = AnswersSettings(policy=self.scored_policy, prompts=prompts, shots=self.config.shots)
        needs = {f"{MEASURED_ROLE}{name}": self.rows[name] for name in names}
        label = f"{_slug(cluster)}-{label if run else 'untuned'}"
        return self._stage(
            "task_answers", label, settings, needs | ({"run": run} if run else {}), run.seed if run else None
        )

    def _prompts(self, names: Iterable[str], seed: int) -> PromptSettings:
        config = self.config
        return PromptSettings(
            wordings={name: self._wordings(name) for name in names},
            seed=seed,
            longest=config.longest,
            overflow=config.overflow,
        )

    def _wordings(self, name: str) -> tuple[Wording, ...]:
        # by their words and not by the module that holds them: another task's wording makes no stage stale
        wordings = self.config.wordings.get(name) or _built_in_wordings(name)
        return wordings[: self.config.most_wordings]

    def _stage(
        self, kind: str, label: str, settings: StageSettings, needs: Mapping[str, Stage], seed: int | None
    ) -> Stage:
        return Stage(kind, label, settings, self.inputs, needs, seed=seed)


def _built_in_wordings(name: str) -> tuple[Wording, ...]:
    if name.startswith(SENTENCES):
        return WORDINGS.get(name) or wordings_of(sentence_spec(name))
    # of a file the classes are not known before it is read
    return ANY_TASK if is_data_file(name) else wordings_of(task_spec(name))


def _run_label(left_out: str) -> str:
    return f"without-{_slug(left_out)}" if left_out else "with-all"


def _slug(name: str) -> str:
    """Return a name in the letters that a folder's name may have."""
    # a file by its name, without the folders of the user's machine
    short = name.removeprefix(SENTENCES).rpartition("/")[2]
    return re.sub(r"[^a-z0-9.]+", "-", short.lower())[:MOST_SLUG].strip("-.")
