"""Trials: everything that repeats is capped, the rest stays."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.config import Config, load_config
from penchant.studies.core.definition import definitions, preset_file
from penchant.studies.core.settings import LimitedStudy, Study
from penchant.studies.core.trial import FEWEST, as_trial
from penchant.studies.transfer.settings import TransferConfig
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.win_rates.settings import DialogueConfig, JudgedTransferConfig, TldrConfig

PAPER: dict[str, type[Study]] = {
    "tldr": TldrConfig,
    "dialogue": DialogueConfig,
    "transfer": JudgedTransferConfig,
    "weak-to-strong": WeakToStrongConfig,
}


def preset(command: str, **changes: object) -> Study:
    if command == "frontier":
        (config,) = [c for d in definitions() for c in d.configs if c.method == "frontier"]
    else:
        config = PAPER[command]
    return load_config(config, preset_file("paper", command)).replace(**changes)


def counts(config: Config, path: str = "") -> dict[str, int]:
    """Every whole number of a configuration by its path."""
    found: dict[str, int] = {}

    def visit(value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(item, f"{path}.{key}")
        elif isinstance(value, list):
            for place, item in enumerate(value):
                visit(item, f"{path}.{place}")
        elif isinstance(value, int) and not isinstance(value, bool):
            found[path] = value

    visit(config.model_dump(mode="json"), path)
    return found


FREE = ("longest", "max_new_tokens", "prompt_tokens", "response_tokens", "seed", "sampling_seed", "prefix_tokens",
        "skip", "target_nats", "repeats", "updates", "few_shot", "human_turns", "max_length")  # fmt: skip
"""Settings that are no counts of what is repeated."""


@pytest.mark.parametrize("study", ["frontier", *PAPER])
def test_every_count_of_a_paper_preset_is_capped(study: str) -> None:
    trial = as_trial(preset(study, limit=3))
    over = {
        path: value
        for path, value in counts(trial).items()
        if value > 3 and not any(part in FREE for part in path.split(".")) and "judge" not in path
    }
    allowed = {path: value for path, value in over.items() if FEWEST.get(path.rpartition(".")[2]) == value}
    assert over == allowed
    assert trial.seeds == (0,)
    # as often as one likes
    assert as_trial(trial) == trial


def test_a_study_without_a_limit_stays() -> None:
    study = preset("tldr")
    assert as_trial(study) is study


def test_what_is_smaller_stays_and_what_is_all_is_capped() -> None:
    study = preset("tldr", limit=100)
    assert isinstance(study, TldrConfig)
    trial = as_trial(study)
    assert study.preferences.limit is None
    assert (trial.preferences.limit, trial.measured.limit, trial.batch_size) == (100, 100, 64)
    assert trial.ppo is not None
    assert (trial.ppo.steps, trial.warmup_steps) == (100, 100)
    assert trial.best_of_n is not None
    assert trial.best_of_n.n == (64,)
    assert trial.judge == study.judge


def test_a_step_of_ppo_leaves_room_for_rows_that_are_left_out() -> None:
    """Of 16 comparisons a few are too long, repeated or broken: a step of 16 prompts would have too few."""
    sizes = []
    for limit in (2, 4, 16, 1000):
        trial = as_trial(preset("dialogue", limit=limit))
        assert isinstance(trial, DialogueConfig)
        assert trial.ppo is not None
        sizes.append(trial.ppo.prompts_per_step)
    assert sizes == [1, 1, 4, 64]
    assert as_trial(trial) == trial


@settings(max_examples=20)
@given(st.integers(2, 300))
def test_a_trial_is_a_study_that_can_be_run(limit: int) -> None:
    trial = as_trial(preset("frontier", limit=limit))
    assert isinstance(trial, LimitedStudy)
    again = type(trial)(**yaml.safe_load(yaml.safe_dump(trial.model_dump(mode="json"))))
    assert again == trial


def test_transfer_by_a_reward_has_a_limit_too() -> None:
    study = load_config(TransferConfig, preset_file("transfer", "transfer")).replace(limit=2)
    trial = as_trial(study)
    assert {domain.limit for domain in trial.domains.values()} == {2}
