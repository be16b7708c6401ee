"""Every mistake is named at once, in our words, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config_example import BASE, LOSS_NAMES, Method, message, write
from penchant.errors import InputError
from penchant.losses import Sigmoid


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "modle: m\ndata:\n  path: x\n  ties: dorp\nloss: {name: ipo, beta: 0.1}\nlora: {rank: 0}\n")
    text = message(path, ["evaluate=soon", "out.deep=1", "junk"])
    assert text.startswith("configuration of dpo: 8 problems\n  - ")
    for line in [
        "the override `junk` is not of the form key=value",
        "`out.deep`: `out` has no settings of its own; expected a path (command line)",
        "`model` is missing; expected text",
        f"`modle` is unknown; did you mean `model`? Settings of dpo: model, data, loss, {''}",
        f"`data.ties`: expected one of drop, half, got 'dorp'; did you mean `drop`? ({path}:4)",
        "`loss.beta`: `beta` does not belong to loss `ipo`; it belongs to sigmoid, sigmoid_norm, robust, "
        f"hinge and 16 more. Settings of loss `ipo`: tau, nll_weight ({path}:5)",
        f"`lora.rank`: expected a whole number at least 1, got 0 ({path}:6)",
        "`evaluate`: expected a whole number or null, got 'soon' (command line)",
    ]:
        assert line in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"mdoel": "m", "data": "x"},
            "`mdoel` is unknown; did you mean `model`? Settings of dpo: model, data",
        ),
        ({**BASE, "beta": 1}, "`beta` is unknown; did you mean `loss.beta`?"),
        ({**BASE, "betta": 1}, "`betta` is unknown; did you mean `loss.beta`?"),
        ({**BASE, "zzz": 1}, "`zzz` is unknown. Settings of dpo: model, "),
        (
            {**BASE, "loss": {"beat": 1}},
            "`loss.beat` is unknown; did you mean `loss.beta`? Settings of loss `sigmoid`",
        ),
        (
            {**BASE, "loss": {"tau": 1}},
            "`tau` does not belong to loss `sigmoid`; it belongs to ipo, ipo_mean",
        ),
        ({**BASE, "loss": "ipoo"}, "`loss.name`: expected one of sigmoid, sigmoid_norm, robust, "),
        ({**BASE, "loss": "ipoo"}, "got 'ipoo'; did you mean `ipo`?"),
        (
            {**BASE, "loss": None},
            f"`loss`: expected one of {LOSS_NAMES}, got null",
        ),
        ({**BASE, "loss": {"beta": "much"}}, "`loss.beta`: expected a number above 0, got 'much'"),
        ({**BASE, "loss": {"beta": True}}, "`loss.beta`: expected a number above 0, got 'true'"),
        ({**BASE, "loss": {"beta": float("nan")}}, "`loss.beta`: expected a number above 0, got nan"),
        ({**BASE, "loss": {"label_smoothing": 0.5}}, "expected a number at least 0 and below 0.5, got 0.5"),
        ({**BASE, "out": "x\udcff"}, "`out`: holds bytes that are no text in UTF-8"),
        ({**BASE, "data": "x\udcff"}, "`data.path`: holds bytes that are no text in UTF-8"),
        ({**BASE, "lora": {"target": ["x\udcff"]}}, "`lora.target`: holds bytes that are no text in UTF-8"),
        ({**BASE, "evaluate": 1.5}, "`evaluate`: expected a whole number or null, got 1.5"),
        ({**BASE, "evaluate": False}, "`evaluate`: expected a whole number or null, got 'false'"),
        ({**BASE, "shuffle": 3}, "`shuffle`: expected true or false, got 3"),
        ({**BASE, "lora": 8}, "`lora`: expected settings (rank, target) or null, got 8"),
        ({**BASE, "lora": {"target": [1]}}, "`lora.target.0`: expected text, got 1"),
        ({**BASE, "weights": {"a": "x"}}, "`weights.a`: expected a number, got 'x'"),
        ({**BASE, "weights": 1}, "`weights`: expected a mapping (each value a number), got 1"),
        ({**BASE, "more": [{"path": "x", "tie": 1}]}, "`more.0.tie` is unknown; did you mean `more.0.ties`?"),
        ({**BASE, "more": 3}, "`more`: expected a list (each its path, or settings (path, ties)), got 3"),
        ({"model": "m"}, "`data` is missing; expected its path, or settings (path, ties)"),
        ({"model": "m", "data": None}, "`data`: expected its path, or settings (path, ties), got null"),
        ({"model": "m", "data": {"ties": "half"}}, "`data.path` is missing; expected a path"),
        ({"model": "m", "data": 3}, "`data.path`: expected a path, got 3"),
        ({"model": ["x" * 99], "data": "x"}, "`model`: expected text, got ['xxx"),
        (
            {"model": "forbidden", "data": "x"},
            "configuration of dpo: the model `forbidden` cannot be trained",
        ),
    ],
)
def test_mistakes_in_python(values: dict[str, Any], expected: str) -> None:
    text = message(**values)
    assert expected in text
    assert all(len(line) < 400 for line in text.splitlines())


def test_a_configuration_built_inside_another_names_itself() -> None:
    with pytest.raises(InputError, match=r"^Sigmoid: `beta`: expected a number above 0, got -1$"):
        Method(**BASE, loss=Sigmoid(beta=-1))
