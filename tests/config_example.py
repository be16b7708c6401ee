"""A configuration as methods have it, for the tests of `penchant.config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import pytest
from pydantic import Field, model_validator

from penchant.config import Config, load_config
from penchant.errors import InputError
from penchant.losses import PreferenceLoss, Sigmoid

LOSS_NAMES = ", ".join(loss.model_fields["name"].default for loss in get_args(get_args(PreferenceLoss)[0]))


class Data(Config):
    """Where comparisons come from."""

    shorthand: ClassVar[str] = "path"

    path: Path
    """The file."""
    ties: Literal["drop", "half"] = "half"
    """What becomes of a tie."""


class LoRA(Config):
    """Low-rank adapters."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Of the update."""
    target: tuple[str, ...] | None = None
    """The modules to adapt."""


class Optimizer(Config):
    """How weights move."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """The size of a step."""
    clip: float | None = 1.0
    """The largest norm of a gradient."""


class Method(Config):
    """A method as methods are."""

    method: ClassVar[str] = "dpo"

    model: str
    """A name."""
    data: Data
    """The comparisons."""
    loss: PreferenceLoss = Sigmoid(beta=0.5)
    """The loss."""
    lora: LoRA | None = None
    """Adapters, or none."""
    optimizer: Optimizer = Optimizer(learning_rate=1e-6)
    """The optimizer."""
    evaluate: int | None = 100
    """Every how many steps."""
    shuffle: bool = True
    """Whether the order is drawn."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Of the sources."""
    more: tuple[Data, ...] = ()
    """Further comparisons."""
    out: Path = Path("runs/dpo")
    """The run directory."""

    @model_validator(mode="after")
    def _check(self) -> Method:
        if self.model == "forbidden":
            raise ValueError("the model `forbidden` cannot be trained")
        return self


BASE = {"model": "m", "data": "x.jsonl"}


NEEDED = ["model=m", "data=x.jsonl"]


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(*arguments: Any, **values: Any) -> str:
    """The answer to a mistake: `message(path, overrides)` by file, `message(key=value)` from Python."""
    with pytest.raises(InputError) as caught:
        load_config(Method, *arguments) if arguments else Method(**values)
    text = str(caught.value)
    assert "pydantic" not in text
    assert "validation error" not in text
    return text
