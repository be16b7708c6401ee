"""Lay out the stages of the study: models of embedded tasks, rows of each seed, a student per method and rate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penchant.models.settings import ModelConfig
from penchant.studies.core.address import data_content, model_content, reward_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.weak_to_strong_generation.names import Method
from penchant.studies.weak_to_strong_generation.settings import GenerationConfig, Pretraining, SmallModel, stem_of
from penchant.studies.weak_to_strong_generation.stage_settings import (
    STRONG,
    WEAK,
    GenerationStudentSettings,
    ModelShape,
    ModelsSettings,
    RowsSettings,
    StudentLearning,
)
from penchant.tasks.generative import GROUNDS


@dataclass(frozen=True)
class StudentStage:
    """A student of one method, with one learning rate and one seed."""

    method: Method
    rate: float
    seed: int
    stage: Stage


@dataclass(frozen=True)
class GenerationTask:
    """The stages of one task.

    Attributes:
        models: where the two models come about; None where a file's models are named.
        rows: by seed.
    """

    name: str
    models: Stage | None
    rows: Mapping[int, Stage]
    students: tuple[StudentStage, ...]

    def stages(self) -> Iterator[Stage]:
        """Yield every stage, each after what it needs."""
        if self.models is not None:
            yield self.models
        yield from self.rows.values()
        yield from (student.stage for student in self.students)


class GenerationGrid(tuple[GenerationTask, ...]):
    """The stages of all tasks."""

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return tuple(stage for task in self for stage in task.rows.values())

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        return list({stage.address: stage for task in self for stage in task.stages()}.values())


def generation_grid(config: GenerationConfig) -> GenerationGrid:
    """Return the stages that a configuration asks for, a part for each task."""
    return GenerationGrid(_TaskStages(config, name).task() for name in config.tasks)


class _TaskStages:
    """Makes the stages of one task."""

    def __init__(self, config: GenerationConfig, name: str) -> None:
        self.config, self.name, self.is_file = config, name, config.is_file(name)
        # the rate is no part of it: each student has its own
        learning = config.learning
        self.learning = StudentLearning(learning.steps, learning.batch_size, learning.beta)
        # of a file the rows decide, which the stage reads and the grid does not
        scorer = config.scorer or (None if self.is_file else GROUNDS[name].scorer)
        # by content: another function under the same name is another scorer
        self.reward = None if scorer is None else reward_content(scorer)
        self.inputs = {"task": absolute(name) if self.is_file else name}
        self.inputs |= {} if scorer is None else {"reward": scorer}
        for role, model in ((WEAK, config.weak), (STRONG, config.strong)):
            if self.is_file and model is not None:
                self.inputs[role] = absolute(model.name)
        # answers of embedded tasks have a length; a little more shows an answer that does not end
        tokens = config.max_new_tokens if self.is_file else GROUNDS[name].answer_length + 2
        self.max_new_tokens = tokens

    def task(self) -> GenerationTask:
        """Return the stages of the task."""
        # one pair of models for all seeds: pre-training takes longer than all students
        models = None if self.is_file else self._models()
        needs = {} if models is None else {"models": models}
        rows = {seed: self._rows(seed, needs) for seed in self.config.seeds}
        students = tuple(
            StudentStage(method, rate, seed, self._student(method, rate, seed, {**needs, "rows": rows[seed]}))
            for seed in self.config.seeds
            for method in self.config.all_methods
            for rate in dict.fromkeys(self.config.learning.learning_rates)
        )
        return GenerationTask(self.name, models, rows, students)

    def _models(self) -> Stage:
        return self._stage("generation_models", "models", models_settings(self.name, self.config.pretraining), {})

    def _rows(self, seed: int, needs: Mapping[str, Stage]) -> Stage:
        config = self.config
        settings = RowsSettings(
            task=data_content(self.name) if self.is_file else self.name,
            reward=self.reward,
            prompts=config.train,
            validation=config.validation,
            test=config.test,
            max_new_tokens=self.max_new_tokens,
            labels=config.labels,
            draws=config.draws,
            seed=seed,
            # of a file the supervisor is trained here, and both models are named
            template=config.template if self.is_file else None,
            weak=_by_content(config.weak) if self.is_file else None,
            strong=_by_content(config.strong) if self.is_file else None,
            learning=self.learning if self.is_file else None,
            learning_rate=config.learning.learning_rates[-1] if self.is_file else None,
        )
        return self._stage("generation_rows", f"rows-seed-{seed}", settings, needs, seed)

    def _student(self, method: Method, rate: float, seed: int, needs: Mapping[str, Stage]) -> Stage:
        settings = GenerationStudentSettings(
            method=method,
            learning=self.learning,
            learning_rate=rate,
            reward=self.reward,
            max_new_tokens=self.max_new_tokens,
            draws=self.config.draws,
            seed=seed,
            template=self.config.template if self.is_file else None,
            strong=_by_content(self.config.strong) if self.is_file else None,
        )
        return self._stage("generation_student", f"{method}-rate-{rate:g}-seed-{seed}", settings, needs, seed)

    def _stage(
        self, kind: str, label: str, settings: StageSettings, needs: Mapping[str, Stage], seed: int | None = None
    ) -> Stage:
        # a file may be named by anything, and a folder may not
        slug = re.sub(r"[^A-Za-z0-9]+", "-", stem_of(self.name)).strip("-").lower()[:40]
        return Stage(kind, f"{slug}-{label.replace('_', '-')}", settings, self.inputs, needs, seed=seed)


def models_settings(ground: str, pretraining: Pretraining) -> ModelsSettings:
    """Return what the two models of an embedded task depend on."""
    return ModelsSettings(
        ground=ground,
        student=_shape(pretraining.student),
        supervisor=_shape(pretraining.supervisor),
        stop_at=pretraining.stop_at,
        student_stop_at=pretraining.student_stop_at,
        crowd_right=pretraining.crowd_right,
        right_tag_share=pretraining.right_tag_share,
        batch_size=pretraining.batch_size,
        learning_rate=pretraining.learning_rate,
        seed=pretraining.seed,
    )


def _shape(model: SmallModel) -> ModelShape:
    return ModelShape(model.width, model.layers, model.steps)


def _by_content(model: ModelConfig | None) -> ModelConfig | None:
    return None if model is None else model.replace(name=model_content(model.name))
