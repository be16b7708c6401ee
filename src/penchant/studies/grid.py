"""The stages of a frontier study: what there is to do, what it depends on, and in which order. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penchant.config import Config
from penchant.models.builtin import BUILT_IN
from penchant.studies.address import address, data_content, model_content, reward_content
from penchant.studies.prompts import locate_prompts
from penchant.studies.settings import FrontierConfig

SWEPT = {"dpo": "beta", "unlikelihood": "alpha", "ppo": "target_nats", "ppo_gt": "target_nats"}
"""The setting that a method's sweep goes over; Preferred-FT has only its seeds."""
TRAINED = ("dpo", "preferred_ft", "unlikelihood", "ppo", "ppo_gt")
DATA_STAGES = ("prompts", "comparisons", "reference")
"""Stages that are no runs: their folder holds `stage.json` and appears only when it is whole."""


@dataclass(frozen=True)
class Task:
    """One stage of a study.

    Attributes:
        kind: `prompts`, `sft`, `comparisons`, `reference`, `reward_model`, or a method's name.
        label: for people and in the folder's name, such as `dpo-beta-0.1-seed-0`.
        settings: all that it depends on, besides the stages that it needs, as plain values; content in place of names.
        places: where its inputs lie, and under which names: no part of the address, so that they may move.
        needs: the stages before, by what they are to this one.
        value, seed: its place in the grid, None where it has none.
    """

    kind: str
    label: str
    settings: Mapping[str, Any]
    places: Mapping[str, str]
    needs: Mapping[str, Task]
    value: float | None = None
    seed: int | None = None

    @cached_property
    def address(self) -> str:
        """The digest of everything that it depends on."""
        return address(self.kind, self.settings, [f"{role} {task.address}" for role, task in self.needs.items()])

    @property
    def place(self) -> str:
        """Its folder inside the study's."""
        return f"{'runs' if self.kind in TRAINED else 'stages'}/{self.label}-{self.address}"

    @property
    def is_run(self) -> bool:
        """Whether its folder is a run directory."""
        return self.kind not in DATA_STAGES


@dataclass(frozen=True)
class Grid:
    """All stages of a study; those in `runs` are what it compares."""

    prompts: Task
    reference: Task
    comparisons: Mapping[int, Task]
    reward_models: Mapping[int, Task]
    runs: tuple[Task, ...]
    sft: Task | None

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs."""
        first = [self.prompts, *([self.sft] if self.sft else []), self.reference]
        return [*first, *self.comparisons.values(), *self.reward_models.values(), *self.runs]


def grid(config: FrontierConfig) -> Grid:
    """The stages that a configuration asks for."""
    return _Builder(config).build()


class _Builder:
    """Puts the stages together; `start` holds the SFT stage, where there is one, as a need of all others."""

    def __init__(self, config: FrontierConfig) -> None:
        self.config, self.places = config, _places(config)
        self.model = {"model": {**_plain(config.model), "name": model_content(config.model.name)}}
        self.learning = {"optimizer": config.optimizer, "clip": config.clip, "warmup_steps": config.warmup_steps}
        self.draws = {
            **self.model,
            "reward": reward_content(config.reward),
            "template": config.template,
            "max_new_tokens": config.max_new_tokens,
        }
        self.prompts = self._task("prompts", "prompts", _prompts(config), {})
        self.start: dict[str, Task] = {}

    def build(self) -> Grid:
        config = self.config
        if config.sft is not None:
            data = {**_plain(config.sft.data), "path": data_content(config.sft.data.path)}
            settings = {**self.model, **self.learning, **_plain(config.sft), "data": data}
            self.start = {"start": self._task("sft", "sft", settings, {})}
        drawn = {"prompts": self.prompts, **self.start}
        samples = {"samples": config.evaluation.reference_samples, "seed": config.evaluation.seed + 1}
        reference = self._task("reference", "reference", {**self.draws, **samples}, drawn)
        compare = any(getattr(config, method) for method in TRAINED if method != "ppo_gt")
        comparisons = {seed: self._comparisons(seed, drawn) for seed in config.seeds if compare}
        rewards = {seed: self._reward_model(seed, comparisons[seed]) for seed in config.seeds if config.ppo}
        runs = []
        for seed in config.seeds:
            for method in TRAINED:
                before = {"ppo": rewards, "ppo_gt": {}}.get(method, comparisons)
                role = "reward_model" if method == "ppo" else "comparisons"
                needs = {**drawn, role: before[seed]} if seed in before else drawn
                runs += [self._run(method, value, seed, needs) for value in _values(config, method)]
        return Grid(self.prompts, reference, comparisons, rewards, tuple(runs), self.start.get("start"))

    def _task(
        self,
        kind: str,
        label: str,
        settings: Mapping[str, Any],
        needs: Mapping[str, Task],
        value: float | None = None,
        seed: int | None = None,
    ) -> Task:
        return Task(kind, label, settings, self.places, needs, value, seed)

    def _comparisons(self, seed: int, needs: Mapping[str, Task]) -> Task:
        settings = {**self.draws, **_plain(self.config.comparisons), "seed": seed}
        return self._task("comparisons", f"comparisons-seed-{seed}", settings, needs, seed=seed)

    def _reward_model(self, seed: int, comparisons: Task) -> Task:
        own = {**_plain(self.config.reward_model), "template": self.config.template, "seed": seed}
        needs = {"comparisons": comparisons, **self.start}
        settings = {**self.model, **self.learning, **own}
        return self._task("reward_model", f"reward-model-seed-{seed}", settings, needs, seed=seed)

    def _run(self, method: str, value: float | None, seed: int, needs: Mapping[str, Task]) -> Task:
        config, swept = self.config, SWEPT.get(method)
        own = {name: item for name, item in _plain(getattr(config, method)).items() if name != swept}
        if "comparisons" in needs:
            own |= {"batch_size": config.batch_size, "epochs": config.epochs}
        measured = {name: getattr(config.evaluation, name) for name in ("times", "samples", "seed")}
        settings = {**self.draws, **self.learning, **own, "evaluation": measured, "value": value, "seed": seed}
        name = f"{swept}-{value:g}-" if swept is not None else ""
        label = f"{method}-{name}seed-{seed}".replace("_", "-")
        return self._task(method, label, settings, needs, value, seed)


def _values(config: FrontierConfig, method: str) -> tuple[float | None, ...]:
    sweep = getattr(config, method)
    if sweep is None:
        return ()
    values: tuple[float, ...] | None = getattr(sweep, SWEPT[method]) if method in SWEPT else None
    return tuple(dict.fromkeys(values)) if values else (None,)


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _prompts(config: FrontierConfig) -> dict[str, Any]:
    sources = {"train": config.prompts, "eval": config.eval_prompts}
    settings: dict[str, Any] = {
        role: {**_plain(source), "path": data_content(locate_prompts(source.path))} for role, source in sources.items()
    }
    if any(source.prefix_tokens for source in sources.values()):  # then a tokenizer cuts them
        settings["model"] = model_content(config.model.name)
    return settings


def _places(config: FrontierConfig) -> dict[str, str]:
    places = {
        "model": _absolute(config.model.name),
        "reward": config.reward,
        "train": locate_prompts(config.prompts.path),
        "eval": locate_prompts(config.eval_prompts.path),
    }
    return places | ({"sft": _absolute(config.sft.data.path)} if config.sft else {})


def _absolute(name: str) -> str:
    """A local path so that it holds from any folder; the name of anything else as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in BUILT_IN and path.exists() else name
