"""Lay out the stages of a study of hallucinations: pictures, captions to learn from, captioners. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.models.locate import check_model
from penchant.studies.core.address import data_content, model_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.hallucination.names import START, Learner, WorldName
from penchant.studies.hallucination.settings import HallucinationConfig
from penchant.studies.hallucination.stage_settings import CaptionerSettings, PicturesSettings, SamplesSettings
from penchant.tasks.idx import find_fashion_mnist


@dataclass(frozen=True)
class WorldStages:
    """The stages of one world.

    Attributes:
        pictures: to measure on. samples: by seed. captioners: by who has learned (`start` before it) and seed.
    """

    world: WorldName
    pictures: Stage
    samples: Mapping[int, Stage]
    captioners: Mapping[tuple[str, int], Stage]

    def stages(self) -> list[Stage]:
        """Return every stage, each after what it needs."""
        return [self.pictures, *self.samples.values(), *self.captioners.values()]


class HallucinationGrid(tuple[WorldStages, ...]):
    """The stages of all worlds."""

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return tuple(world.pictures for world in self)

    def stages(self) -> list[Stage]:
        """Return every stage, each after what it needs."""
        return [stage for world in self for stage in world.stages()]


def hallucination_grid(config: HallucinationConfig) -> HallucinationGrid:
    """Return the stages that a configuration asks for, a part for each world."""
    return HallucinationGrid(_world_stages(config, world) for world in config.worlds)


def check_captioner(config: HallucinationConfig, grid: HallucinationGrid) -> None:
    """Refuse a name of a model that stands for nothing, before the first stage runs.

    Raises:
        InputError: there is no such model.
    """
    # its content is in the stages by digest, of which the usual check of names knows nothing
    check_model(config.model.name)


def _world_stages(config: HallucinationConfig, world: WorldName) -> WorldStages:
    model = config.model.replace(name=model_content(config.model.name))
    # by content: other files under the same names are other pictures
    clothes = _clothes() if world == "collages" else ()
    inputs = {"model": absolute(config.model.name)}
    settings = PicturesSettings(
        world=world, clothes=clothes, part=config.part, test=config.test, questions=min(config.questions, config.test)
    )
    # no model in it: another captioner is measured on the same pictures
    pictures = Stage("hallucination_pictures", f"{world}-{config.part}", settings, {}, {})
    # by seed: other pictures and captions to learn from, and the same to measure on
    samples, captioners = {}, {}
    for seed in config.seeds:
        sampling_settings = SamplesSettings(
            model=model,
            world=world,
            clothes=clothes,
            train=config.train,
            samples=config.samples,
            max_new_tokens=config.max_new_tokens,
            seed=seed,
        )
        samples[seed] = Stage(
            "hallucination_samples", f"{world}-samples-seed-{seed}", sampling_settings, inputs, {}, seed=seed
        )
        # the captioner itself is the same for all seeds; what it draws at temperature 1 is not
        before = CaptionerSettings(model=model, max_new_tokens=config.max_new_tokens, seed=seed)
        label = f"{world}-{START}-seed-{seed}"
        captioners[START, seed] = Stage(
            "hallucination_captioner", label, before, inputs, {"pictures": pictures}, seed=seed
        )
        # all learners read the same samples, so their budgets of drawing are equal
        for learner in config.learners:
            captioners[learner, seed] = Stage(
                "hallucination_captioner",
                f"{world}-{learner.replace('_', '-')}-seed-{seed}",
                _learning(config, before, learner),
                inputs,
                {"pictures": pictures, "samples": samples[seed]},
                seed=seed,
            )
    return WorldStages(world, pictures, samples, captioners)


def _learning(config: HallucinationConfig, before: CaptionerSettings, learner: Learner) -> CaptionerSettings:
    learning = config.learning
    return CaptionerSettings(
        model=before.model,
        max_new_tokens=before.max_new_tokens,
        seed=before.seed,
        learner=learner,
        steps=learning.steps,
        batch_size=learning.batch_size,
        learning_rate=learning.learning_rate,
        # only what a learner uses: another beta leaves the others as they are
        beta=learning.beta if learner in ("dpo", "dpo_swap") else None,
        alpha=learning.alpha if learner == "unlikelihood" else None,
    )


def _clothes() -> tuple[str, ...]:
    """Return the content of the files of Fashion-MNIST."""
    return tuple(data_content(str(file)) for part in find_fashion_mnist() for file in part)
