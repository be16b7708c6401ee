"""Every layout trains: its example is read by the method that it is for, and one step is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.data.layouts import registry
from penchant.data.layouts.layout import Layout
from penchant.errors import InputError
from penchant.methods import DPO, KTO, SFT, train
from repository import REPOSITORY

QWEN3 = str(REPOSITORY / "tests" / "templates" / "qwen3.jinja")

DEMONSTRATED = tuple(layout for layout in registry.DEMONSTRATIONS if layout is not registry.OWN_LAYOUT)
METHODS = {
    **dict.fromkeys((layout.name for layout in registry.PREFERENCES), "dpo"),
    **dict.fromkeys((layout.name for layout in registry.UNPAIRED), "kto"),
    **dict.fromkeys((layout.name for layout in DEMONSTRATED), "sft"),
}
EXAMPLES = {
    name: (layout, path) for layout in (*registry.PREFERENCES, *DEMONSTRATED) for name, path in layout.examples.items()
}
SHOWN = {"rlhf-v", "ha-dpo", "ha-dpo-descriptions", "trl-vision", "llamafactory-media"}
"""Their rows show pictures, which no method learns from yet."""


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "example"), EXAMPLES.values(), ids=EXAMPLES)
def test_one_step_on_an_example(layout: Layout, example: Path, tmp_path: Path, stories: str) -> None:
    method = METHODS[layout.name]
    content = example.read_text(encoding="utf-8")
    # plain text has no place for functions and thoughts
    template = QWEN3 if any(word in content for word in ("tool", "reasoning_content")) else "plain"
    data = {"path": str(example), "held_out": 0, "template": template, "overflow": "truncate_prompt"}
    data |= {"ties": "half"} if method != "sft" else {}
    data |= {"layout": layout.name} if layout.assumed else {}
    config = {"dpo": DPO, "kto": KTO, "sft": SFT}[method](
        model={"name": stories, "device": "cpu"},
        data=data,
        batch_size=2,
        max_steps=1,
        evaluate={"samples": None},
        out=str(tmp_path / "run"),
    )
    if example.stem in SHOWN:
        with pytest.raises(InputError, match=r"cannot be used here, text alone can"):
            train(config)
        return
    train(config)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert any("loss" in key for line in lines for key in json.loads(line))
    assert (tmp_path / "run" / "result.json").exists()
