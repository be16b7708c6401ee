"""Settings that would exhaust memory or patience are refused."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from annotated_types import Le, Lt
from pydantic.fields import FieldInfo

import penchant
from penchant.config import Config, load_config
from penchant.errors import InputError
from penchant.methods import DPO


def configurations() -> list[type[Config]]:
    root = Path(penchant.__path__[0])
    for path in [*root.rglob("*settings*.py"), *(root / "rounds").glob("*.py")]:
        importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))

    def below(config: type[Config]) -> Iterator[type[Config]]:
        for inner in config.__subclasses__():
            yield inner
            yield from below(inner)

    return sorted({c for c in below(Config) if c.__module__.startswith("penchant.")}, key=lambda c: c.__qualname__)


def whole_numbers(annotation: Any, metadata: list[Any]) -> Iterator[list[Any]]:
    """The limits of each whole number that an annotation may hold."""
    if annotation is int:
        yield metadata
    elif get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        limits = [limit for part in more for limit in (part.metadata if isinstance(part, FieldInfo) else [part])]
        yield from whole_numbers(inner, [*metadata, *limits])
    else:
        for part in get_args(annotation):
            yield from whole_numbers(part, metadata)


def test_every_whole_number_has_a_largest_value() -> None:
    without = [
        f"{config.__module__}.{config.__qualname__}.{name}"
        for config in configurations()
        for name, field in config.model_fields.items()
        for limits in whole_numbers(field.annotation, list(field.metadata))
        if not any(isinstance(limit, (Le, Lt)) for limit in limits)
    ]
    assert without == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seed=-1", "`seed`: expected a whole number at least 0"),
        (f"seed={10**30}", "at most 4294967295"),
        ("model.lora.rank=1000000000", "at most 16384"),
        ("epochs=1000000000", "at most 10000"),
        ("evaluate.samples.n=1000000000", "at most 100000"),
        ("evaluate.samples.seed=-1", "at least 0"),
        ("batch_size=1e400", "`batch_size`: expected a whole number"),
        ("loss.beta=1e400", "`loss.beta`: expected a"),
        (f"epochs={'9' * 5000}", "is not a valid YAML value"),
    ],
)
def test_numbers_that_no_run_can_use_are_refused_by_name(change: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        load_config(DPO, None, ["model=m", "data=x.jsonl", "out=o", change])
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400
