"""YAML, overrides and Python give equal objects; files that cannot be used are refused with their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config_example import BASE, NEEDED, Data, LoRA, Method, Optimizer, message, write
from penchant.config import load_config, to_yaml
from penchant.config.yaml_text import Loader
from penchant.errors import InputError
from penchant.losses import IPO, Robust, Sigmoid
from penchant.methods import DPO


@pytest.mark.parametrize(
    ("text", "overrides", "values"),
    [
        ("", [], {}),
        ("loss: ipo", ["loss=ipo"], {"loss": IPO()}),
        ("loss: {name: ipo, tau: 0.2}", ["loss={name: ipo, tau: 0.2}"], {"loss": IPO(tau=0.2)}),
        ("loss: {name: robust}", ["loss.name=robust"], {"loss": Robust()}),
        ("loss: {label_smoothing: 0.1}", ["loss.label_smoothing=0.1"], {"loss": {"label_smoothing": 0.1}}),
        (
            "data: {path: x.jsonl, ties: drop}",
            ["data.ties=drop"],
            {"data": Data(path="x.jsonl", ties="drop")},
        ),
        ("data: {path: y}", ["data=y"], {"data": Path("y")}),
        ("lora: {}", ["lora={}"], {"lora": LoRA()}),
        ("lora: {rank: 4}", ["lora.rank=4"], {"lora": LoRA(rank=4)}),
        ("lora: null", ["lora=null"], {"lora": None}),
        ("lora: {target: [q, k]}", ["lora.target=[q, k]"], {"lora": {"target": ["q", "k"]}}),
        ("optimizer: {clip: null}", ["optimizer.clip=null"], {"optimizer": {"clip": None}}),
        (
            "optimizer: {learning_rate: 5e-7}",
            ["optimizer.learning_rate=5e-7"],
            {"optimizer": Optimizer(learning_rate=5e-7)},
        ),
        ("evaluate: null", ["evaluate=null"], {"evaluate": None}),
        ("shuffle: false", ["shuffle=false"], {"shuffle": False}),
        ("weights: {a: 1, b: 2.5}", ["weights.a=1", "weights.b=2.5"], {"weights": {"a": 1, "b": 2.5}}),
        ("more: [a, {path: b}]", ["more=[a, {path: b}]"], {"more": ["a", Data(path="b")]}),
        ("out: runs/007", ["out=runs/007"], {"out": "runs/007"}),
    ],
)
def test_yaml_overrides_and_python_agree(
    tmp_path: Path, text: str, overrides: list[str], values: dict[str, Any]
) -> None:
    expected = Method(**{**BASE, **values})
    with_data = text if text.startswith("data") else f"data: x.jsonl\n{text}"
    assert load_config(Method, write(tmp_path, f"method: dpo\nmodel: m\n{with_data}\n")) == expected
    assert load_config(Method, None, [*NEEDED[: 1 if "data=y" in overrides else 2], *overrides]) == expected
    assert load_config(Method, write(tmp_path, to_yaml(expected))) == expected


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


tricky = st.sampled_from(["no", "1e-6", "010", "null", "~", "1:30", "2024-01-01", "a: b", "- x", "#", " x ", "'"])


positive = st.floats(min_value=1e-12, max_value=1e12)


configs = st.builds(
    Method,
    model=names | tricky,
    data=st.builds(Data, path=tricky.map(Path), ties=st.sampled_from(["drop", "half"])),
    loss=st.builds(Sigmoid, beta=positive, nll_weight=positive) | st.builds(IPO, tau=positive),
    lora=st.none() | st.builds(LoRA, rank=st.integers(1), target=st.none() | st.tuples(tricky, names)),
    optimizer=st.builds(Optimizer, learning_rate=positive, clip=st.none() | positive),
    weights=st.dictionaries(names | tricky, positive, max_size=2),
    evaluate=st.none() | st.integers(),
    shuffle=st.booleans(),
)


@settings(deadline=None, derandomize=True)
@given(configs)
def test_round_trip_through_yaml(config: Method) -> None:
    text = to_yaml(config)
    assert text.startswith("method: dpo\n")
    values = yaml.load(text, Loader)
    assert values.pop("method") == "dpo"
    assert Method(**values) == config
    # a YAML 1.1 reader sees the same text
    assert yaml.safe_load(text)["model"] == config.model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 1\nmodel: m\nmodel: n\n",
            ":3: not valid YAML: the key `model` is given twice (first on line 2)",
        ),
        (
            "data:\n  path: x\n  path: y\n",
            ":3: not valid YAML: the key `path` is given twice (first on line 2)",
        ),
        ("model: m\nloss: [\n", ":3: not valid YAML: "),
        ("model: !!python/object:os.system x\n", ":1: not valid YAML: could not determine a constructor"),
        ("model: \x07\n", ": not valid YAML: "),
        ("1: x\n", ":1: not valid YAML: a key must be text"),
        ("- a\n", ": expected settings as `key: value` lines, got ['a']"),
        ("text", ": expected settings as `key: value` lines, got 'text'"),
        ("method: sft\nmodle: x\n", ": expected settings of the method dpo, got `method: sft`"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    assert message(path).startswith(f"{path}{expected}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert message(tmp_path / "confg.yaml") == f"there is no file {tmp_path / 'confg.yaml'}; there is {path}"
    assert "the folder" in message(tmp_path / "nowhere" / "config.yaml")
    assert message(tmp_path) == f"{tmp_path} is a folder, expected a YAML file; did you mean {path}?"
    path.write_bytes(b"model: \xff\n")
    assert "expected text in UTF-8, but byte 7 is not" in message(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(Method, write(tmp_path, "# nothing\n"), NEEDED) == Method(**BASE)


def test_method_is_for_classes_that_have_one(tmp_path: Path) -> None:
    path = write(tmp_path, "method: dpo\n")
    with pytest.raises(InputError, match="`method` is unknown"):
        load_config(Optimizer, path)


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
