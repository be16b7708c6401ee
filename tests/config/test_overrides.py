"""What an override does to the settings of a file, and how its value is read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config_example import NEEDED, Data, LoRA, Method, Optimizer, message, write
from penchant.config import load_config
from penchant.losses import IPO, Robust, Sigmoid

positive = st.floats(min_value=1e-12, max_value=1e12)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(beta=positive, tau=positive, order=st.permutations(range(4)))
def test_order_of_overrides_does_not_matter(beta: float, tau: float, order: list[int]) -> None:
    overrides = ["loss.name=ipo", f"loss.tau={tau!r}", f"optimizer.learning_rate={beta!r}", "data.ties=drop"]
    config = load_config(Method, None, [*(overrides[i] for i in order), *NEEDED])
    assert config.loss == IPO(tau=tau)
    assert config.optimizer == Optimizer(learning_rate=beta, clip=1.0)
    assert config.data == Data(path="x.jsonl", ties="drop")


FILE = "method: dpo\nmodel: m\ndata: x.jsonl\nloss: {name: sigmoid, beta: 0.1, nll_weight: 2}\nlora: {rank: 4}\n"


def test_another_branch_drops_the_old_settings_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, FILE)
    for override in ("loss.name=robust", "loss=robust", "loss={name: robust}"):
        with caplog.at_level(logging.INFO, logger="penchant.config"):
            assert load_config(Method, path, [override]).loss == Robust()
        assert "loss=robust replaces sigmoid" in caplog.text
        assert "beta=0.1, nll_weight=2" in caplog.text
        caplog.clear()


def test_the_same_branch_keeps_its_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, FILE)
    assert load_config(Method, path, ["loss=sigmoid", "loss.beta=3"]).loss == Sigmoid(beta=3, nll_weight=2)
    assert not caplog.records


def test_a_whole_mapping_replaces_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    assert load_config(Method, path, ["lora={}"]).lora == LoRA()
    assert load_config(Method, path, ["loss={nll_weight: 1}"]).loss == Sigmoid(beta=0.5, nll_weight=1)
    other = write(tmp_path, FILE.replace("{name: sigmoid, beta: 0.1, nll_weight: 2}", "{name: ipo, tau: 3}"))
    assert load_config(Method, other, ["loss={nll_weight: 1}"]).loss == IPO(nll_weight=1)


def test_a_bare_value_changes_only_what_it_stands_for(tmp_path: Path) -> None:
    path = write(tmp_path, "model: m\ndata: {path: x, ties: drop}\n")
    assert load_config(Method, path, ["data=y"]).data == Data(path="y", ties="drop")


def test_the_last_of_two_equal_overrides_wins() -> None:
    assert load_config(Method, None, [*NEEDED, "evaluate=1", "evaluate=2"]).evaluate == 2


@pytest.mark.parametrize("text", ["no", "007", "1e-6", "true", "a: b", "[x", "@x", "x #1", "=", "%", "2024-01-01", ""])
def test_a_text_needs_no_quotes(text: str) -> None:
    assert load_config(Method, None, ["data=x", f"model={text}"]).model == text
    assert load_config(Method, None, ["model=x", f"data.path={text}"]).data.path == Path(text)
    if text:  # nothing at all would be null
        assert load_config(Method, None, ["model=x", f"data={text}"]).data.path == Path(text)


def test_quotes_are_taken_off() -> None:
    assert load_config(Method, None, ["data=x", "model='null'"]).model == "null"


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), ("1E+2", 100.0), (".5", 0.5), ("3", 3.0), ("5.", 5.0)])
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: float) -> None:
    key = "optimizer.learning_rate"
    assert load_config(Method, None, [*NEEDED, f"{key}={text}"]).optimizer.learning_rate == value
    path = write(tmp_path, f"optimizer:\n  learning_rate: {text}\n")
    assert load_config(Method, path, NEEDED).optimizer.learning_rate == value


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("-3", -3), ("0x10", 16), ("0o10", 8), ("1_000", 1000)])
def test_whole_numbers_as_people_write_them(text: str, value: int) -> None:
    assert load_config(Method, None, [*NEEDED, f"evaluate={text}"]).evaluate == value


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("junk", "the override `junk` is not of the form key=value, such as loss.beta=0.1"),
        ("=3", "the override `=3` is not of the form"),
        ("loss..beta=3", "is not of the form"),
        ("lss.beta=3", "`lss` is unknown; did you mean `loss`?"),
        ("weights={a: 1, a: 2}", "`weights`: '{a: 1, a: 2}' is not a valid YAML value (command line)"),
        ("evaluate=[", "`evaluate`: '[' is not a valid YAML value (command line)"),
        ("lora=8", "`lora`: expected settings (rank, target) or null, got 8 (command line)"),
        ("loss.tau=1", "`tau` does not belong to loss `sigmoid`; it belongs to ipo, ipo_mean"),
        ("model.size=1", "`model.size`: `model` has no settings of its own; expected text (command line)"),
    ],
)
def test_overrides_that_cannot_be_applied(override: str, expected: str) -> None:
    assert expected in message(None, [*NEEDED, override])


def test_settings_of_what_the_file_makes_a_plain_value(tmp_path: Path) -> None:
    path = write(tmp_path, "lora: 8\n")
    assert "`lora.rank`: `lora` is 8, which has no settings to change" in message(path, [*NEEDED, "lora.rank=3"])
