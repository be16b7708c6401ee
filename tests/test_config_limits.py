"""Settings that would exhaust memory or patience are refused; so is YAML that is made to."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from annotated_types import Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

import penchant
from penchant.config import Config, load_config
from penchant.config.yaml_text import Dumper, load
from penchant.errors import InputError
from penchant.methods import DPO


def configurations() -> list[type[Config]]:
    root = Path(penchant.__path__[0])
    for path in [*root.rglob("*settings*.py"), root / "rounds" / "online_rlhf.py"]:
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


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
HOSTILE = {
    "bomb": (BOMB, "once its aliases are written out"),
    "cycle": ("a: &a {b: *a}\n", "an alias leads back to itself"),
    "cycle of lists": ("- &a [1, *a]\n", "an alias leads back to itself"),
    "deep": ("[" * 400 + "]" * 400, "nested too deeply"),
    "deep mapping": ("{a: " * 400 + "}" * 400, "nested too deeply"),
    "digits": (f"seed: {'1' * 10_000}\n", "a number of 10000 digits"),
    "timestamp": ("seed: !!timestamp soon\n", "does not fit its tag"),
    "int": ("seed: !!int soon\n", "does not fit its tag"),
    "float": ("seed: !!float soon\n", "does not fit its tag"),
    "binary": ("seed: !!binary '...'\n", ""),
    "set": ("seed: !!set [1]\n", ""),
    "object": ("seed: !!python/object/apply:os.system [true]\n", "could not determine a constructor"),
    "long": ("# " + "x" * 5_000_000, "are no configuration"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_with_a_word_and_at_once(name: str, tmp_path: Path) -> None:
    text, words = HOSTILE[name]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    started = time.monotonic()
    with pytest.raises(InputError) as refused:
        load_config(DPO, path)
    assert words in str(refused.value)
    assert "config.yaml" in str(refused.value) or not words
    assert time.monotonic() - started < 20  # the bomb would take for ever


def test_aliases_that_are_small_are_read() -> None:
    assert load("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}") == {"a": [1, 2], "b": [1, 2], "c": {"d": 1}}


@settings(max_examples=150)
@given(st.text(alphabet=st.sampled_from("&*!<:[]{}-,'\"| \n#%@ab01.?~e+"), max_size=40))
def test_a_text_is_read_as_plain_values_that_read_the_same_again_or_refused_with_a_word(text: str) -> None:
    value, refused = _reading(text)
    if refused is None:
        assert load(yaml.dump(value, Dumper=Dumper)) == value
    else:
        assert refused.strip()


def _reading(text: str) -> tuple[Any, str | None]:
    """Return what a text holds, or the words of its refusal. Any other error is one of the test."""
    try:
        return load(text), None
    except yaml.YAMLError as error:
        return None, str(error)


def test_a_pipe_or_device_is_no_configuration(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match="is a device or a pipe"):
            load_config(DPO, path)


def test_what_the_shell_pipes_in_is_read() -> None:
    code = "from penchant.config import load_config; from penchant.methods import DPO; import sys;"
    code += "print(load_config(DPO, sys.argv[1], ['model=m', 'data=d', 'out=o']).epochs)"
    command = ["bash", "-c", f'{sys.executable} -c "{code}" <(echo "epochs: 7")']
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "7\n"
