"""What a study and the process that does its stages tell each other, as a line of JSON each. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.typed_json import OMITTED


@dataclass(frozen=True)
class StageMessage:
    """A stage to work on.

    Attributes:
        id: a number that its answer repeats.
        kind, inputs: of the stage.
        settings_class: `module:class` of its settings. settings: these as JSON.
        needs: folders of the stages before, by role.
        folder: where it goes. log: the file that takes what it prints.
        threads: how many it may use.
    """

    id: int
    kind: str
    # the worker has the same source as the study, so a class is found by its name
    settings_class: str
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    needs: Mapping[str, str]
    folder: str
    log: str
    threads: int


@dataclass(frozen=True)
class Answer:
    """The end of a stage: its status, or why it failed."""

    id: int
    status: Annotated[str | None, OMITTED] = None
    error: Annotated[str | None, OMITTED] = None
