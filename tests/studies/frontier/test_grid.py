"""What there is to do, and the addresses: they change with what a stage depends on, and with nothing else."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frontier_presets import PRESETS, preset
from penchant.config import load_config, to_yaml
from penchant.errors import InputError
from penchant.methods import METHODS
from penchant.rewards.content import reward_content
from penchant.studies.core.run_settings import ComparisonCounts, RunPaths, run_settings
from penchant.studies.core.settings import TRAINED
from penchant.studies.frontier.grid import Grid, grid
from penchant.studies.frontier.settings import FrontierConfig

PPO = {"target_nats": [1, 3], "learning_rate": 1e-4, "steps": 2, "prompts_per_step": 3, "samples_per_prompt": 2}
DATA = {"path": "demonstrations.jsonl"}
KTO = {"beta": [0.1], "learning_rate": 1e-3}
GROUP = {"learning_rate": 3e-3, "steps": 2, "prompts_per_step": 3, "samples_per_prompt": 2}
ALL = {"ppo": PPO, "ppo_gt": PPO, "rloo": GROUP, "grpo": GROUP, "kto": KTO, "seeds": [0, 1], "sft": {"data": DATA}}


def addresses(built: Grid) -> dict[str, str]:
    return {task.label: task.address for task in built.stages()}


def changed(before: Grid, after: Grid) -> set[str]:
    """The kinds of stages with another address, or that come or go."""
    old, new = addresses(before), addresses(after)
    kinds = {task.label: task.kind for task in [*before.stages(), *after.stages()]}
    return {kinds[label] for label in old.keys() | new.keys() if old.get(label) != new.get(label)}


def test_a_sweep_becomes_runs(study: Callable[..., FrontierConfig]) -> None:
    built = grid(study(**ALL))
    labels = [task.label for task in built.runs]
    assert labels[:4] == ["dpo-beta-0.1-seed-0", "dpo-beta-1-seed-0", "kto-beta-0.1-seed-0", "preferred-ft-seed-0"]
    assert len(labels) == len(set(labels)) == 2 * (2 + 1 + 1 + 1 + 2 + 2 + 1 + 1)
    assert len(set(addresses(built).values())) == len(built.stages())
    by_label = {task.label: task for task in built.stages()}
    assert set(by_label["ppo-target-nats-3-seed-1"].needs) == {"prompts", "start", "reward_model"}
    assert by_label["ppo-target-nats-3-seed-1"].needs["reward_model"].needs["comparisons"].seed == 1
    for name in ("ppo-gt-target-nats-3", "rloo-coefficient-0.05"):
        assert set(by_label[f"{name}-seed-1"].needs) == {"prompts", "start"}
    order = [task.address for task in built.stages()]
    for task in built.stages():
        assert all(order.index(need.address) < order.index(task.address) for need in task.needs.values())


def test_several_learning_rates_are_swept_beside_the_setting(study: Callable[..., FrontierConfig]) -> None:
    several = {"beta": [0.1, 1], "learning_rate": [1e-4, 1e-3]}
    one, both = (grid(study(dpo=dpo, preferred_ft=None)) for dpo in ({**several, "learning_rate": 1e-3}, several))
    labels = [task.label for task in both.runs if task.kind == "dpo"]
    assert labels == [f"dpo-beta-{beta}-rate-{rate}-seed-0" for beta in ("0.1", "1") for rate in ("0.0001", "0.001")]
    assert [task.rate for task in both.runs if task.kind == "dpo"] == [1e-4, 1e-3] * 2
    assert {task.rate for task in one.runs} == {None}
    # a run that was done with one rate is not done again among several
    assert {task.address for task in one.runs} < {task.address for task in both.runs}


def test_a_study_of_ppo_gt_alone_needs_no_comparisons(study: Callable[..., FrontierConfig]) -> None:
    built = grid(study(dpo=None, preferred_ft=None, unlikelihood=None, ppo_gt=PPO))
    assert [task.kind for task in built.stages()] == ["prompts", "reference", "ppo_gt", "ppo_gt"]


RUNS = set(TRAINED)
OFFLINE = {"dpo", "kto", "preferred_ft", "unlikelihood"}
ONLINE = {"ppo", "ppo_gt", "rloo", "grpo"}
COMPARED = OFFLINE | {"ppo", "reward_model", "comparisons", "judged"}
DRAWN = RUNS | {"comparisons", "reward_model", "reference", "judged"}
EVERYTHING = DRAWN | {"sft"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dpo": {"beta": [0.1, 1], "learning_rate": 1e-3}}, {"dpo"}),
        ({"dpo": None}, {"dpo"}),
        ({"kto": KTO | {"learning_rate": 1e-5}}, {"kto"}),
        ({"preferred_ft": {"learning_rate": 1e-3}}, {"preferred_ft"}),
        ({"unlikelihood": {"alpha": [0.5], "learning_rate": 1e-3}}, {"unlikelihood"}),
        ({"ppo": PPO | {"steps": 3}}, {"ppo"}),
        ({"ppo_gt": PPO | {"learning_rate": 1e-5}}, {"ppo_gt"}),
        ({"ppo_gt": PPO | {"prompts_per_step": 2}}, {"ppo_gt"}),
        ({"ppo_gt": PPO | {"samples_per_prompt": 3}}, {"ppo_gt"}),
        ({"ppo_gt": PPO | {"updates": 1}}, {"ppo_gt"}),
        ({"rloo": GROUP | {"coefficient": [0.2]}}, {"rloo"}),
        ({"grpo": GROUP | {"samples_per_prompt": 4}}, {"grpo"}),
        ({"ppo_gt": PPO | {"kl_start": 0.5}}, {"ppo_gt"}),
        ({"reward_model": {"learning_rate": 1e-3}}, {"reward_model", "ppo", "judged"}),
        ({"reward_model": {"epochs": 2}}, {"reward_model", "ppo", "judged"}),
        ({"reward_model": {"batch_size": 2}}, {"reward_model", "ppo", "judged"}),
        ({"reward_model": {"held_out": 1}}, {"reward_model", "ppo", "judged"}),
        ({"best_of_n": {"n": [1, 8]}}, set()),
        ({"batch_size": 4}, OFFLINE),
        ({"epochs": 2}, OFFLINE),
        ({"clip": 2.0}, EVERYTHING),
        ({"comparisons": {"groups": 2}}, COMPARED),
        ({"comparisons": {"samples": 3}}, COMPARED),
        ({"evaluation": {"times": 1, "samples": 2, "reference_samples": 16}}, RUNS),
        ({"evaluation": {"times": 2, "samples": 3, "reference_samples": 16}}, RUNS),
        ({"evaluation": {"times": 2, "samples": 2, "reference_samples": 16, "spacing": 1.5}}, RUNS),
        ({"preferred_ft": {"learning_rate": 3e-3, "repeats": 2}}, {"preferred_ft"}),
        ({"matched_nats": [1]}, set()),
        ({"evaluation": {"times": 2, "samples": 2, "reference_samples": 17}}, {"reference"}),
        ({"evaluation": {"times": 2, "samples": 2, "reference_samples": 16, "seed": 5}}, DRAWN - {"reward_model"}),
        ({"optimizer": "adamw"}, EVERYTHING),
        ({"warmup_steps": 1}, EVERYTHING),
        ({"template": "auto"}, DRAWN),
        ({"max_new_tokens": 5}, DRAWN),
        ({"reward": "vader"}, DRAWN),
        ({"model": "smollm2-135m"}, EVERYTHING),
        ({"sft": {"data": DATA, "epochs": 2}}, EVERYTHING),
        ({"sft": {"data": DATA, "max_steps": 2}}, EVERYTHING),
        ({"sft": {"data": DATA, "batch_size": 2}}, EVERYTHING),
        ({"sft": {"data": DATA, "learning_rate": 1e-3}}, EVERYTHING),
        ({"sft": {"data": {"path": "others.jsonl"}}}, EVERYTHING),
        ({"out": "elsewhere"}, set()),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_setting_changes_what_depends_on_it_and_nothing_else(
    study: Callable[..., FrontierConfig], changes: dict[str, Any], expected: set[str]
) -> None:
    assert changed(grid(study(**ALL)), grid(study(**{**ALL, **changes}))) == expected


@pytest.mark.parametrize(
    "changes", [{"skip": 1}, {"limit": 3}, {"prefix_tokens": [1, 2]}, {"split": "test"}], ids=lambda value: str(value)
)
@pytest.mark.parametrize("role", ["prompts", "eval_prompts"])
def test_other_prompts_are_another_study(
    study: Callable[..., FrontierConfig], settings: dict[str, Any], role: str, changes: dict[str, Any]
) -> None:
    other = study(**{**ALL, role: {"path": settings[role], **changes}})
    assert changed(grid(study(**ALL)), grid(other)) == DRAWN | {"prompts"}


def test_content_counts_and_names_do_not(
    study: Callable[..., FrontierConfig], inputs: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in inputs.glob("*.*"):
        (moved / file.name).write_bytes(file.read_bytes())
    model = tmp_path / "model"
    model.mkdir()
    for file in Path(settings["model"]["name"]).iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    there = {
        "prompts": str(moved / "train.txt"),
        "eval_prompts": str(moved / "eval.txt"),
        "reward": f"{moved / 'letters.py'}:letters",
        "model": {"name": str(model), "device": "cpu"},
    }
    assert changed(grid(study()), grid(study(**there))) == set()
    more = tmp_path / "more.txt"
    more.write_text((inputs / "train.txt").read_text() + "One more.\n")
    assert changed(grid(study()), grid(study(prompts=str(more)))) >= {"prompts", "dpo", "reference"}
    code = tmp_path / "letters.py"
    code.write_text((inputs / "letters.py").read_text() + "# changed\n")
    kinds = changed(grid(study()), grid(study(reward=f"{code}:letters")))
    assert kinds == {"comparisons", "reference", "dpo", "preferred_ft", "unlikelihood"}


def test_every_run_is_a_configuration_of_its_method(study: Callable[..., FrontierConfig], tmp_path: Path) -> None:
    counts = ComparisonCounts(comparisons=20, winners=12, losers=11)
    for task in grid(study(**ALL)).stages():
        if not task.is_run or task.kind not in METHODS:
            continue
        paths = RunPaths(task.inputs, {role: tmp_path / role for role in task.needs}, tmp_path / "run")
        values = run_settings(task.kind, task.settings, paths, counts)
        config = METHODS[task.kind](**values)
        assert config.out == str(tmp_path / "run")
        if task.kind == "dpo":
            assert config.loss.beta == task.value
            assert config.model.name == str(tmp_path / "start" / "checkpoint")
            assert config.evaluate.at_steps == (2, 3)  # 20 comparisons, 8 a step: 3 steps, evaluated twice
            assert config.evaluate.samples.seed == 10_000


@pytest.mark.slow
def test_rewards_are_told_apart_by_what_is_behind_them(inputs: Path, tiny_model: str, tmp_path: Path) -> None:
    one, other = "https://here/score", "https://there/score"
    assert reward_content(one) != reward_content(other)
    code = inputs / "letters.py"
    assert reward_content(f"{code}:letters") != reward_content(f"{code}:others")
    assert reward_content("penchant.rewards.vader:vader") != reward_content("penchant.rewards.load:vader")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Path(tiny_model).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert reward_content(f"classifier:{copy}") == reward_content(f"classifier:{tiny_model}")
    assert reward_content(f"classifier:{copy}:good") != reward_content(f"classifier:{copy}")
    assert reward_content(f"{copy},{copy}") != reward_content(str(copy))
    (copy / "model.safetensors").write_bytes(b"others")
    assert reward_content(f"classifier:{copy}") != reward_content(f"classifier:{tiny_model}")


def test_a_module_of_the_current_folder_counts_with_its_content(
    study: Callable[..., FrontierConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "lengths_of_here.py"
    code.write_text("def length(pairs):\n    return [float(len(text)) for _, text in pairs]\n")
    before = grid(study(reward="lengths_of_here:length"))
    code.write_text("def length(pairs):\n    return [-float(len(text)) for _, text in pairs]\n")
    assert "reference" in changed(before, grid(study(reward="lengths_of_here:length")))
    assert str(tmp_path) not in sys.path
    with pytest.raises(InputError, match="there is no module `no_such_module` in"):
        grid(study(reward="no_such_module:function"))


# -- presets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_good_and_have_all_that_the_study_promises(name: str) -> None:
    config = preset(name)
    built = grid(config)
    methods = {task.kind for task in built.runs}
    assert {"dpo", "preferred_ft", "unlikelihood", "ppo_gt"} <= methods
    assert config.best_of_n is not None
    assert config.best_of_n.n == (1, 2, 4, 8, 16, 32, 64, 128)
    if name != "demo":
        assert config.ppo is not None
        assert config.ppo == config.ppo_gt  # the same sweep and budget


def test_the_paper_s_preset_has_its_22_runs_and_the_others_search() -> None:
    config = preset("paper", ["seeds=[0]"])
    assert config.search is None
    assert Counter(task.kind for task in grid(config).runs) == {
        "dpo": 4, "preferred_ft": 6, "unlikelihood": 4, "ppo": 4, "ppo_gt": 4,
    }  # fmt: skip
    assert {task.value for task in grid(config).runs if task.kind == "ppo"} == {3, 6, 9, 12}
    assert all(preset(name).search is not None for name in ("demo", "small", "medium"))


@pytest.mark.parametrize("name", ["demo", "small", "medium"])
def test_presets_draw_as_many_samples_for_comparisons_as_a_run_of_ppo(name: str) -> None:
    config = preset(name)
    assert config.prompts.limit is not None
    drawn = config.prompts.limit * config.comparisons.samples * config.comparisons.groups
    for ppo in (config.ppo, config.ppo_gt):
        if ppo is not None:
            assert config.search is not None
            rounds = config.search.steps // ppo.steps_per_round
            assert rounds * ppo.prompts_per_step * ppo.samples_per_prompt == pytest.approx(drawn, rel=0.03)


def test_a_preset_is_changed_by_overrides_and_written_back(tmp_path: Path) -> None:
    config = preset("small", ["dpo.beta=[0.3]", "ppo=null", "seeds=[0, 1]", "evaluation.times=2"])
    assert config.dpo is not None
    assert config.dpo.beta == (0.3,)
    assert config.dpo.learning_rate == preset("small").dpo.learning_rate  # type: ignore[union-attr]
    assert config.ppo is None
    assert config.evaluation.reference_samples == preset("small").evaluation.reference_samples
    (tmp_path / "study.yaml").write_text(to_yaml(config))
    assert load_config(FrontierConfig, tmp_path / "study.yaml") == config


def test_bad_settings_say_what_is_wrong(study: Callable[..., FrontierConfig]) -> None:
    with pytest.raises(InputError, match=r"there is no preset 'smal': expected demo, .*; did you mean small"):
        preset("smal")
    with pytest.raises(InputError, match="goes up to 32, but there are only 16 samples per prompt"):
        study(best_of_n={"n": [1, 32]})
    with pytest.raises(InputError, match="beta"):
        study(dpo={"beta": []})
    with pytest.raises(InputError, match="learning_rate"):
        study(dpo={"learning_rate": [1e-4, 0]})
    with pytest.raises(InputError, match="seeds"):
        study(seeds=[])
    with pytest.raises(InputError, match=r"seeds.*0 stands in it more than once"):
        study(seeds=[0, 1, 0])
    with pytest.raises(InputError, match="matched_nats"):
        study(matched_nats=[1, float("inf")])
    with pytest.raises(InputError, match=r"`search.least` is 4, more than `search.most`, 3"):
        study(search={"least": 4, "most": 3})
    with pytest.raises(InputError, match=r"dpo starts with 2 settings, more than the 1 runs of `search.least`"):
        study(search={"least": 1})
    with pytest.raises(
        InputError, match=r"ppo takes 6 optimizer steps per round \(2 passes in 3 parts\): give a multiple"
    ):
        study(ppo=PPO, search={"steps": 16})
