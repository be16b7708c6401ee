"""The settings that stages are addressed by: as JSON they stay what they were, so that a folder's stages are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.studies.annotators.settings import AnnotatorsConfig
from penchant.studies.core.definition import definition_of
from penchant.studies.core.kinds import resolve, stage_makers
from penchant.studies.core.settings import Study
from penchant.studies.core.source import ENTRIES
from penchant.studies.core.stage import Stage
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.hallucination.settings import HallucinationConfig
from penchant.studies.instructions.settings import InstructionsConfig
from penchant.studies.kinds.settings import KindsConfig
from penchant.studies.labels.settings import LabelsConfig
from penchant.studies.noise.settings import NoiseConfig
from penchant.studies.oversight.settings import OversightConfig
from penchant.studies.transfer.settings import TransferConfig
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong_generation.settings import GenerationConfig
from penchant.studies.win_rates.settings import TldrConfig
from penchant.typed_json import to_object

RECORDED = Path(__file__).with_name("stage_settings.json")
"""The settings of every stage by study and label, as version 0.3.0.dev0 wrote them into addresses."""
MODEL, DATA = "nobody/model", "nobody/data"  # hub ids that nobody has stand for themselves on every machine
SAMPLED: dict[str, Any] = {"model": MODEL, "prompts": "film_openings", "eval_prompts": "story_openings"}
PPO = {"target_nats": [3], "learning_rate": 1e-4, "steps": 8, "kl_start": 0.5}
LM = {"name": "lm", "model": MODEL}
WORDS = {"name": "words", "words": ["bad", "good"], "shots": 2}
CONFIGS: dict[str, Study] = {
    "frontier": FrontierConfig(
        **{**SAMPLED, "model": {"name": MODEL, "lora": {"targets": ["q", "v"]}}},
        sft={"data": DATA, "max_steps": 3},
        dpo={"beta": [0.1, 1], "learning_rate": [1e-4, 1e-3]},
        kto={"beta": [0.1]},
        preferred_ft={"repeats": 2},
        unlikelihood={"alpha": [0.5]},
        ppo=PPO,
        ppo_gt=PPO,
        rloo={"coefficient": [0.05]},
        grpo={"steps": 8},
        reward_model={"held_out": 4},
    ),
    "frontier, searched": FrontierConfig(
        **SAMPLED,
        search={"steps": 16},
        dpo={"beta": [0.1]},
        kto={"beta": [1]},
        unlikelihood={"alpha": [1]},
        ppo=PPO,
        ppo_gt=None,
    ),
    "noise": NoiseConfig(**SAMPLED, shares=[0, 0.2], labels="random", few={"epochs": 3}, sft={"data": DATA}),
    "transfer": TransferConfig(**SAMPLED, domains={"news": {"path": DATA, "prefix_tokens": [2, 4]}}, ppo_gt=None),
    "annotators": AnnotatorsConfig(model=MODEL, data=DATA, annotators=["Ann", "Bob"]),
    "win rates": TldrConfig(
        model=MODEL,
        preferences=DATA,
        measured={"path": DATA, "prompt_end": "\n\nTL;DR:"},
        domains={"news": DATA},
        judge={"name": "trained", "data": {"path": DATA, "skip": 10}},
        sft={"epochs": 2},
        temperatures=[0, 1],
    ),
    "win rates, judged by a panel": TldrConfig(
        model=MODEL,
        preferences=DATA,
        measured=DATA,
        judge={
            "name": "panel",
            "judges": [{"name": "longest"}, {"name": "reward"}, {"name": "policy", "model": MODEL}],
        },
        ppo=None,
        best_of_n=None,
    ),
    "win rates, beside a prompted model": TldrConfig(
        model=MODEL,
        preferences=DATA,
        measured=DATA,
        judge={"name": "longest"},
        few_shot=2,
        ppo=None,
        best_of_n=None,
    ),
    "weak to strong": WeakToStrongConfig(
        tasks=["sst2"],
        weak=[{"name": "tfidf", "rows": 20}, {"model": MODEL, "layer": 2}, LM | {"reading": WORDS, "training": None}],
        strong=[{"model": MODEL, "dtype": "bfloat16"}, {"model": MODEL, "rows": 50}, LM | {"lora": {}}],
        losses=[{"name": name} for name in ("cross_entropy", "confidence", "product", "adaptive_confidence")],
        bootstrap=[{"model": MODEL}],
        generative={},
        imitation=[0.5],
        templates=["Again: {text}"],
        l2=0.5,
    ),
    "labels": LabelsConfig(
        tasks=["sst2", "digits"],
        texts={"model": MODEL},
        few={"counts": [20], "algorithms": ["self_training", {"name": "fixmatch", "threshold": "flex"}]},
        wrong={"rates": [0.4], "model_rows": [20], "algorithms": ["divide_mix", "confident_learning"]},
        together={"kind": "model"},
    ),
    "instructions": InstructionsConfig(
        model={"name": MODEL, "lora": {"targets": ["q"]}},
        clusters={"opinions": ["sst2"], "topics": ["sentences:topic", "sentences:is_we"]},
        held_out=["topics"],
        wordings={"sst2": [{"prompt": "{text} Good?", "answers": ["no", "yes"]}]},
        most_wordings=1,
        mixing={"cap": 100, "temperature": 2},
    ),
    "weak to strong by written answers": GenerationConfig(
        tasks=["addition", DATA], weak=MODEL, strong=MODEL, seeds=[0], learning={"learning_rates": [1e-3]}
    ),
    "hallucination": HallucinationConfig(model=MODEL, worlds=["scenes"], seeds=[0]),
    "kinds": KindsConfig(
        model=MODEL,
        kinds={
            "pictures": {"prompts": "pictures", "reward": "vader", "guard": "vader", "max_new_tokens": 50},
            "sounds": {"prompts": "sounds", "reward": "vader", "max_new_tokens": 60, "weight": 2},
        },
    ),
    "oversight": OversightConfig(
        data="viewers",
        reader={"name": "classifier", "classifier": {"model": MODEL}},
        advisor={"name": "policy", "model": MODEL},
        protocols=[
            "consultancy",
            {"name": "debate", "rounds": 2},
            {"name": "ensemble", "members": [{"model": MODEL}]},
            {"name": "recursive", "chain": [LM]},
            "informed",
        ],
        student={"model": MODEL},
    ),
    "oversight, read by a judge": OversightConfig(
        data="viewers",
        reader={"name": "judge", "judge": {"name": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"}},
        advisor={"name": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
        protocols=["debate"],
        student=LM,
    ),
    "weak to strong, other conditions": WeakToStrongConfig(
        tasks=["sst2"],
        weak=[{"name": "tfidf", "rows": 20}],
        strong=[{"model": MODEL}, "tfidf"],
        losses=[{"name": "cross_entropy"}],
        errors=["class"],
        drift=[0.5],
        easy_to_hard={"share": 0.4},
        prompted={"prompt": "Review: {text}", "shots": 2},
        seeds=[0],
        l2=0.5,
    ),
    "weak to strong, of chess": WeakToStrongConfig(tasks=["chess_puzzles"], weak=["engine"], strong=[MODEL]),
}


def stages_of(config: Study) -> list[Stage]:
    stages: list[Stage] = resolve(definition_of(type(config)).grid)(config).stages()
    return stages


def settings_of(config: Study) -> dict[str, Any]:
    """The settings of each stage by kind and label, as JSON leaves them."""
    settings = {f"{stage.kind} {stage.label}": to_object(stage.settings) for stage in stages_of(config)}
    return json.loads(json.dumps(settings))  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks without files, so that their hub ids stand for their data."""
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_of_stages_are_the_recorded_ones(name: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    found = settings_of(CONFIGS[name])
    assert found.keys() == recorded.keys()
    for label, settings in found.items():
        # as bytes: 1 and 1.0 are equal to Python and two addresses
        assert json.dumps(settings, sort_keys=True) == json.dumps(recorded[label], sort_keys=True), label


def test_every_kind_of_stage_is_recorded() -> None:
    kinds = {stage.kind for config in CONFIGS.values() for stage in stages_of(config)}
    assert kinds == {*stage_makers(), *ENTRIES["penchant.methods"]}
