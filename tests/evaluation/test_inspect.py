"""An exported run as a model of Inspect: the block of the tutorial, run as it stands there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "tutorials" / "evaluation.md"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None, reason="needs inspect_ai: pip install 'penchant[inspect]'"
)
def test_an_exported_run_answers_in_inspect(
    tmp_path: Path, tiny_model: str, preference_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    settings = [f"model={tiny_model}", f"data={preference_file}", f"out={run}", "max_steps=2", "batch_size=4"]
    assert main(["train", "dpo", *settings, "evaluate.samples=null"]) == 0
    assert main(["export", str(run), "out=exported"]) == 0
    (code,) = re.findall(r"<!-- not run: needs inspect_ai.*?-->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec"), names)
    log = names["log"]
    assert log.status == "success"
    # what Inspect opened is what the run trained
    from transformers import AutoModelForCausalLM

    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    trained = AutoModelForCausalLM.from_pretrained(run / "checkpoint")
    for (name, weight), other in zip(exported.named_parameters(), trained.parameters(), strict=True):
        assert weight.equal(other), name
    assert log.samples[0].output.usage.output_tokens <= 8
    assert log.results.total_samples == 1
