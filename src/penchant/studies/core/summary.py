"""What the summaries of all studies have in common, and how one is read from `study.json`. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from penchant.errors import InputError
from penchant.studies.core.kinds import resolve
from penchant.studies.core.results import seconds_of
from penchant.studies.core.stage import Stage
from penchant.typed_json import OMITTED, JsonObject, from_json


@dataclass(frozen=True)
class Failure:
    """A stage that a study lacks.

    Attributes:
        stage: its label. reason: why it failed, or that it has not ended.
    """

    stage: str
    reason: str

    @property
    def pair(self) -> tuple[str, str]:
        """The label and the reason, as pages take them."""
        return self.stage, self.reason


@dataclass(frozen=True)
class StudyCost:
    """The time that a study took.

    Attributes:
        seconds: of all its stages, added up.
        last_call_seconds: of the last call that worked on it, by the clock.
        jobs: stages that this call worked on at once.
    """

    seconds: float
    last_call_seconds: Annotated[float | None, OMITTED] = None
    jobs: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True)
class PromptCounts:
    """The numbers of prompts to train and to measure on; None where the stage that reads them has not ended."""

    train: int | None
    eval: int | None


def failures_of(stages: Iterable[Stage], reasons: Mapping[str, str]) -> tuple[Failure, ...]:
    """Return the stages that failed, each with its reason.

    Args:
        reasons: why stages failed, by address.
    """
    return tuple(Failure(stage.label, reasons[stage.address]) for stage in stages if stage.address in reasons)


def cost_of_stages(stages: Iterable[Stage], folder: Path) -> StudyCost:
    """Return what the stages of a study took; `folder` is the study's."""
    # added up over stages, whichever call did them: with several jobs it is more than the clock says
    return StudyCost(sum(seconds_of(stage, folder) for stage in stages))


def read_summary(kind: str, numbers: JsonObject, file: Path) -> object:
    """Return a study's summary as an object of its class.

    Args:
        kind: the class, as `module:class`.
        numbers: the content of `study.json`.
        file: where they come from, for errors.

    Raises:
        InputError: keys are missing, or a value is of another type: another version of Penchant wrote it.
    """
    try:
        return from_json(resolve(kind), numbers)
    except KeyError as error:
        fault = f"lacks {error}"
    except ValueError as error:
        fault = f"has a value of another type ({error})"
    raise InputError(
        f"{file} {fault}: another version of Penchant wrote it. Start the study again with its study.yaml, it runs "
        "only what is missing"
    )
