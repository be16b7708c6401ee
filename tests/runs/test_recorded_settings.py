"""A default that has changed stays what it was for a run that began with it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from penchant.config import Config, to_yaml
from penchant.methods import DPO, PPO
from penchant.runs.recorded_settings import differing_settings, with_former_defaults

LORA = {"name": "m", "lora": {"rank": 2}}


def begun(folder: Path, config: Config, version: str = "0.3.0.dev0") -> str:
    """The folder of a run that a version began."""
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "provenance.json").write_text(json.dumps({"versions": {"penchant": version}}))
    return str(folder)


def old_dpo(length: object = None) -> DPO:
    samples = {"max_prompts": 32, "max_new_tokens": length}
    return DPO(model=LORA, data="d", evaluate={"samples": samples}, optimizer={"learning_rate": 1e-6})


@pytest.mark.parametrize("length", [None, 48])
def test_a_run_of_0_3_goes_on_with_the_defaults_of_0_3(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, length: object
) -> None:
    run = begun(tmp_path / "run", old_dpo(length))
    with caplog.at_level(logging.WARNING):
        config = with_former_defaults(DPO(model=LORA, data="d"), run)
    assert differing_settings(old_dpo(length), config) == []
    assert "evaluate.samples.max_prompts=32 was the default when" in caplog.text
    rollouts = PPO(model="m", data="d", reward="r", evaluate={"samples": {"max_prompts": 32, "max_new_tokens": length}})
    run = begun(tmp_path / "ppo", rollouts)
    assert with_former_defaults(PPO(model="m", data="d", reward="r"), run) == rollouts


def test_what_was_given_stays(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", old_dpo())
    given = old_dpo(7)  # no default of any version
    assert with_former_defaults(given, run) == given
    # 32 prompts in a run of this version were asked for, and so is leaving them out
    asked = begun(tmp_path / "new", old_dpo(), version="0.4.0")
    assert with_former_defaults(DPO(model=LORA, data="d"), asked) == DPO(model=LORA, data="d")
    assert with_former_defaults(given, None) == with_former_defaults(given, str(tmp_path / "none")) == given
