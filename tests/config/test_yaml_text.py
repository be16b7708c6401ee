"""YAML that is made to exhaust its reader is refused; what is read reads the same again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.config import load_config
from penchant.config.yaml_text import Dumper, load
from penchant.errors import InputError
from penchant.methods import DPO

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
