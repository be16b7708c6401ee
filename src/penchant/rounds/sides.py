"""The rows that all rounds work with, split once, and all that is compared when rounds go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.rounds.settings import RoundsConfig
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.runs.run_folder import RunFolder

SIDES = ("train", "held-out")
Reader = Callable[[str | Path], list[PromptGroup]]
"""Reads a file that rounds wrote: `read_prompts`, or `load_demonstrations` where rows have answers."""


def read_prompts(path: str | Path) -> list[PromptGroup]:
    """Return the prompts of a file that rounds wrote, with their pictures."""
    from penchant.data.load import load_prompts

    return load_prompts(path, media=True)


@dataclass(frozen=True)
class Sides:
    """Rows to train on and rows held out, which no round trains on.

    Attributes:
        groups: by side, `train` and `held-out`.
        read: reads a side back from its file.
    """

    groups: Mapping[str, Sequence[PromptGroup]]
    read: Reader

    @property
    def train(self) -> Sequence[PromptGroup]:
        """Return the rows to train on."""
        return self.groups["train"]

    @property
    def held_out(self) -> Sequence[PromptGroup]:
        """Return the rows held out."""
        return self.groups["held-out"]

    def digests(self) -> dict[str, str]:
        """Return the digest of each side, by the name that messages call it."""
        from penchant.runs.input_digests import digest_groups

        return {_side_name(side): digest_groups(groups) for side, groups in self.groups.items()}


def _side_name(side: str) -> str:
    return f"the prompts ({side})"


def split_sides(config: RoundsConfig, groups: Sequence[PromptGroup], read: Reader) -> Sides:
    """Split rows by prompt, once for all rounds: a stage that split again would train on what others hold out."""
    from penchant.train.plan import split_by_prompt

    trained, held_out = split_by_prompt(groups, config.data.held_out, config.seed)
    return Sides(
        {"train": [groups[index] for index in trained], "held-out": [groups[index] for index in held_out]}, read
    )


def digest_inputs(config: RoundsConfig, sides: Sides) -> dict[str, str]:
    """Return the digests of what decides all rounds; what decides one stage is in the record of that stage's run.

    Raises:
        InputError: no such model, or a prompt that its template cannot render.
    """
    from penchant.models.load import load_renderer
    from penchant.rewards.content import model_content
    from penchant.runs.input_digests import digest_prompts

    model = config.model
    renderer = load_renderer(model.name, rendering=config.data.rendering, trust_remote_code=model.trust_remote_code)
    inputs = sides.digests()
    # Every round reads the model anew, as a reference or as the start of a reward model. Models with a hub id count by
    # their commit: their weights are not there yet when the first round begins.
    inputs["the model"] = model_content(model.name)
    prompts = [group.prompt for groups in sides.groups.values() for group in groups]
    inputs["the rendered prompts"] = digest_prompts(prompts, renderer)  # a template may write today's date
    return inputs


def begin_rounds(config: RoundsConfig, folder: RunFolder, sides: Sides, inputs: Mapping[str, str]) -> None:
    """Write the record and the rows of rounds that begin; refuse to go on where either is another now.

    Raises:
        RunMismatchError: rows, model or what else decides the rounds changed since they began.
        InputError: a file of them is damaged.
    """
    from penchant.data.write import write_groups
    from penchant.runs.input_digests import digest_groups, recorded_inputs, refuse_changed
    from penchant.runs.provenance import provenance_of_files
    from penchant.typed_json import to_object

    record = folder.path / "provenance.json"
    recorded = recorded_inputs(folder.path)
    for side, groups in sides.groups.items():
        file = config.prompts(side)
        if file.exists():
            folder.check_listed(file.name)
            recorded.setdefault(_side_name(side), digest_groups(sides.read(file)))
        elif groups:
            write_groups(groups, file)
            folder.list_files(file.name)
    # rounds that begin have nothing to compare with but the rows that an earlier try may have left
    refuse_changed(folder.path, recorded if record.exists() else {**inputs, **recorded}, inputs)
    if not record.exists():
        folder.write_json(
            "provenance.json", to_object(provenance_of_files([config.data.path], config.seed, dict(inputs)))
        )


def end_if_planned(config: RoundsConfig, sides: Sides) -> None:
    """End the run here if it is only planned; how long rounds take depends on what is sampled and labelled in them."""
    from penchant.models.device import choose_device
    from penchant.models.load import load_renderer
    from penchant.train import run_plan

    def plan() -> run_plan.RunPlan:
        model = config.model
        renderer = load_renderer(model.name, rendering=config.data.rendering, trust_remote_code=model.trust_remote_code)
        rows = run_plan.prompt_rows(renderer, sides.train[: run_plan.PLANNED_ROWS])
        counts = {"prompts": float(len(sides.train)), "held_out_groups": float(len(sides.held_out))}
        return run_plan.RunPlan(config.rounds, {**counts}, (), rows, str(choose_device(model.device)), unit="round")

    run_plan.end_if_planned(plan)
