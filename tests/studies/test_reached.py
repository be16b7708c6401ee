"""What a stage really executes is in its digest: every kind of stage, run under a profiler."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from called_modules import called_modules
from penchant.files import make_folder
from penchant.studies.annotators.settings import AnnotatorsConfig
from penchant.studies.core import source
from penchant.studies.core.address import stage_reach
from penchant.studies.core.executor import Outcome, Workers, stage_message
from penchant.studies.core.job import read_job
from penchant.studies.core.kinds import stage_makers
from penchant.studies.core.message import StageMessage
from penchant.studies.core.source import ENTRIES, reach_modules
from penchant.studies.core.stage import Stage
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.work import work
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
from penchant.typed_json import from_json, to_object

pytestmark = pytest.mark.slow

ANY = "penchant.losses"
"""Its lazy `__getattr__` is called by whoever imports a loss through it; what it then imports is reached."""


class TracedWorkers(Workers):
    """Does each stage in this process, and notes which modules were called that its digest does not hold.

    Attributes:
        kinds: how often each kind of stage was done. unseen: what was called beyond a stage's reach, by kind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()
        self.unseen: dict[str, set[str]] = {}
        self._ended: list[tuple[int, Outcome]] = []

    def give(self, task: Stage, study: Path, *, threads: int) -> int:
        message = stage_message(task, study)
        make_folder((study / task.path).parent)
        order = read_job(from_json(StageMessage, json.loads(json.dumps(to_object(message)))))
        with called_modules() as called:
            status = work(order)  # an error is the test's
        has_reward_model = any(need.kind == "reward_model" for need in task.needs.values())
        reach = stage_reach(task.kind, message.settings, task.inputs, has_reward_model=has_reward_model)
        # of a table of tasks the digest holds the row that is named, with all that this row calls
        held = {module.partition(":")[0] for module in reach_modules(source._our_tree(), *reach)}
        beyond = called - held - {ANY}
        if beyond:
            self.unseen.setdefault(task.kind, set()).update(beyond)
        self.kinds[task.kind] += 1
        self._job_count += 1
        self._ended.append((self._job_count, Outcome(status)))
        return self._job_count

    def wait(self) -> tuple[int, Outcome]:
        return self._ended.pop(0)


PPO = {"target_nats": [1], "learning_rate": 1e-3, "steps": 1, "prompts_per_step": 3, "samples_per_prompt": 2}
GROUP = {"learning_rate": 1e-3, "steps": 1, "prompts_per_step": 3, "samples_per_prompt": 2}
FEW = {"times": 1, "samples": 2, "reference_samples": 16}
ONE = {"dpo": {"beta": [0.1], "learning_rate": 1e-3}, "unlikelihood": None, "evaluation": FEW}


def write_rows(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def frontier(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    demonstrations = write_rows(folder / "sft.jsonl", [{"prompt": f"{n} went", "response": " home."} for n in range(6)])
    changes = {
        "kto": {"beta": [0.1], "learning_rate": 1e-3},
        "unlikelihood": {"alpha": [0.5], "learning_rate": 1e-3},
        "ppo": PPO,
        "ppo_gt": PPO,
        "rloo": GROUP,
        "grpo": GROUP,
        "reward_model": {"learning_rate": 1e-3},
        "sft": {"data": {"path": demonstrations}},
    }
    return run_study(FrontierConfig(**{**common, **ONE, **changes}), workers=workers)


def noise(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    used = {name: common[name] for name in NoiseConfig.model_fields.keys() & common.keys()}
    few = {"prompts": 2, "epochs": 1, "times": 1}
    return run_study(NoiseConfig(**{**used, "shares": [0, 0.4], "few": few, "evaluation": FEW}), workers=workers)


def transfer(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    (folder / "news.txt").write_text("Taxes rise.\nPrices fall.\nBanks close early.\n")
    domains = {"news": {"path": str(folder / "news.txt")}}
    config = TransferConfig(**{**common, **ONE, "domains": domains, "temperatures": [0, 1]})
    return run_study(config, workers=workers)


def annotators(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    rows = [
        {
            "prompt": f"q{number}:",
            "responses": ["abcdef", "12"],
            "comparisons": [{"winner": int(who == "Eve"), "loser": int(who != "Eve"), "annotator": who} for who in WHO],
        }
        for number in range(12)
    ]
    data = {"path": write_rows(folder / "annotated.jsonl", rows), "held_out": 4}
    config = AnnotatorsConfig(model=common["model"], data=data, out=common["out"], batch_size=8, epochs=1)  # type: ignore[arg-type]
    return run_study(config, workers=workers)


WHO = ("Ann", "Bob", "Eve")


def win_rates(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    names = [f"{name}{n}\n\nTL;DR:" for name in ("Ann", "Bob") for n in range(9)]
    pairs = [{"prompt": name, "chosen": " abc", "rejected": f" {n}12"} for n, name in enumerate(names)]
    answers = [{"prompt": name, "completion": " 1a2"} for name in names]
    changes: dict[str, Any] = {
        "model": common["model"],
        "preferences": {"path": write_rows(folder / "pairs.jsonl", pairs), "limit": 8},
        "measured": {"path": write_rows(folder / "measured.jsonl", answers), "skip": 9, "limit": 4},
        "domains": {},
        "judge": {"name": "panel", "judges": [{"name": "longest"}, {"name": "reward"}, {"name": "random"}]},
        "temperatures": [0, 1],
        "samples": 2,
        "max_new_tokens": 6,
        "batch_size": 4,
        "dpo": {"beta": [0.1], "learning_rate": 1e-3},
        "preferred_ft": {"learning_rate": 1e-3},
        "ppo": None,
        "reward_model": {"learning_rate": 1e-3, "batch_size": 4},
        "best_of_n": {"n": [1, 2]},
        "few_shot": 2,
        "out": common["out"],
    }
    return run_study(TldrConfig(**changes), workers=workers)


def weak_to_strong(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    words = (("dull", "cold"), ("fine", "warm"))
    for part, size in (("train", 80), ("test", 40)):
        lines = [f"{n % 2} {words[n % 2][n // 2 % 2]} film {part} {n}\n" for n in range(size)]
        file = folder / "sst2" / f"{part}.txt.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress("".join(lines).encode()))
    model = common["model"]["name"]
    tuned = {"name": "lm", "model": model, "device": "cpu", "training": {"epochs": 1, "batch_size": 8}}
    changes: dict[str, Any] = {
        "weak": [{"name": "tfidf", "rows": 20}, {"name": "probe", "model": model, "layer": 1, "rows": 20}],
        "strong": [{"model": model}, tuned],
        "bootstrap": [{"model": model, "layer": 1}, {"model": model}],
        "generative": {"learning_rate": 1e-3},
        "train": 60,
        "test": 20,
        "seeds": [0],
        "steps": 4,
        "out": common["out"],
    }
    return run_study(WeakToStrongConfig(**changes), workers=workers)


def labels(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    rows = [{"text": f"a {('dull', 'warm')[n % 2]} film, number {n}", "label": n % 2} for n in range(120)]
    network = {"steps": 12, "batch_size": 8}
    changes: dict[str, Any] = {
        "tasks": [write_rows(folder / "mine.jsonl", rows), "digits"],
        "train": 80,
        "test": 60,
        "seeds": [0, 1],
        "texts": {**network, "model": common["model"]["name"]},
        "pictures": {**network, "width": 8},
        "few": {"counts": [20]},
        "wrong": {
            "rates": [0.4],
            "model_rows": [10],
            "algorithms": [DIVIDE, {"name": "confident_learning", "folds": 2}],
        },
        "together": {"kind": "model", "model_rows": 10, "algorithms": ["supervised"]},
        "out": common["out"],
    }
    return run_study(LabelsConfig(**changes), workers=workers)


def instructions(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    rows = [{"text": f"a {('dull', 'warm')[n % 2]} film, number {n}", "label": n % 2} for n in range(120)]
    changes: dict[str, Any] = {
        "model": common["model"],
        "clusters": {"mine": [write_rows(folder / "own.jsonl", rows), "sst2"], "topics": ["sentences:topic"]},
        "train": 40,
        "test": 20,
        "steps": 2,
        "batch_size": 4,
        "longest": 24,
        "shots": [0, 1],
        "out": common["out"],
    }
    file = folder / "sst2" / "train.txt.gz"
    make_folder(file.parent)
    for part in ("train", "test"):
        lines = [f"{n % 2} {('dull', 'fine')[n % 2]} film {part} {n}\n" for n in range(60)]
        file.with_name(f"{part}.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return run_study(InstructionsConfig(**changes), workers=workers)


def written_answers(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    rows = [{"prompt": f"number {n}, and {n}?", "answer": f"number {2 * n}"} for n in range(80)]
    shape = {"width": 16, "layers": 1, "steps": 3}
    changes: dict[str, Any] = {
        "tasks": ["addition", write_rows(folder / "sums.jsonl", rows)],
        "weak": common["model"],
        "strong": common["model"],
        "template": "plain",
        "max_new_tokens": 6,
        "train": 24,
        "validation": 10,
        "test": 12,
        "draws": 3,
        "seeds": [0],
        "methods": ["likely_half", "spin", "iterative_dpo"],
        "learning": {"steps": 3, "batch_size": 8, "learning_rates": [1e-3]},
        "pretraining": {"student": shape, "supervisor": shape, "batch_size": 16},
        "out": common["out"],
    }
    return run_study(GenerationConfig(**changes), workers=workers)


def oversight(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    model = common["model"]["name"]
    probe = {"name": "probe", "model": model}
    changes: dict[str, Any] = {
        "data": "viewers",
        "train": 40,
        "test": 20,
        "seeds": [0],
        "reader": {"name": "classifier", "classifier": probe, "rows": 20, "tokens": 120},
        "advisor": {"name": "policy", "model": "penchant-0.5m", "max_tokens": 4},
        "protocols": [
            "consultancy",
            "debate",
            {"name": "ensemble", "draws": 2, "members": [probe]},
            {"name": "recursive", "chain": [probe]},
            "informed",
        ],
        "student": probe,
        "out": common["out"],
    }
    return run_study(OversightConfig(**changes), workers=workers)


def hallucination(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    changes: dict[str, Any] = {
        "worlds": ["scenes"],
        "learners": ["dpo", "sft_best"],
        "train": 12,
        "samples": 2,
        "test": 4,
        "questions": 2,
        "max_new_tokens": 20,
        "learning": {"steps": 1, "batch_size": 2},
        "seeds": [0],
        "out": common["out"],
    }
    return run_study(HallucinationConfig(**changes), workers=workers)


def kinds(common: dict[str, Any], folder: Path, workers: Workers) -> StudyResult:
    pictures = {"prompts": "pictures", "reward": "picture_brightness", "guard": "picture_class", "max_new_tokens": 50}
    sounds = {"prompts": "sounds", "reward": "sound_seconds", "max_new_tokens": 20}
    changes: dict[str, Any] = {"pairs": 10, "samples": 2, "steps": 1, "batch_size": 2, "measured_samples": 1}
    both = {"pictures": pictures, "sounds": sounds}
    return run_study(KindsConfig(kinds=both, seeds=[0], out=common["out"], **changes), workers=workers)


DIVIDE = {"name": "divide_mix", "warm_up": 1}
STUDIES: dict[str, tuple[Callable[[dict[str, Any], Path, Workers], StudyResult], set[str]]] = {
    "frontier": (
        frontier,
        {"prompts", "sft", "comparisons", "reference", "dpo", "kto", "preferred_ft", "unlikelihood", "reward_model"}
        | {"ppo", "ppo_gt", "rloo", "grpo"},
    ),
    "noise": (noise, {"mislabelled", "judged"}),
    "transfer": (transfer, {"transfer"}),
    "annotators": (annotators, {"left_out"}),
    "win rates": (win_rates, {"preferences", "opponents", "verdicts", "few_shot"}),
    "weak to strong": (
        weak_to_strong,
        {"rows", "generative", "activations", "supervisor", "relabel", "students", "student"},
    ),
    "instructions": (instructions, {"task_rows", "task_mixture", "task_answers", "sft"}),
    "labels": (labels, {"label_rows", "label_features", "weak_labels", "label_cell"}),
    "weak to strong by written answers": (
        written_answers,
        {"generation_models", "generation_rows", "generation_student"},
    ),
    "hallucination": (
        hallucination,
        {"hallucination_pictures", "hallucination_samples", "hallucination_captioner"},
    ),
    "oversight": (
        oversight,
        {"oversight_rows", "oversight_labels", "oversight_own", "oversight_features", "oversight_students"},
    ),
    "kinds": (kinds, {"kinds_pairs", "kinds_run", "kinds_measured"}),
}


@pytest.mark.parametrize("name", STUDIES)
def test_stages_execute_only_what_their_digests_hold(
    name: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    study, kinds = STUDIES[name]
    workers = TracedWorkers()
    result = study({**settings, "out": str(tmp_path / "study")}, tmp_path, workers)
    assert not result.failures
    assert kinds <= set(workers.kinds)
    assert workers.unseen == {}


def test_every_kind_of_stage_is_run_here() -> None:
    kinds = set().union(*(kinds for _, kinds in STUDIES.values()))
    assert kinds == {*stage_makers(), *ENTRIES["penchant.methods"]}
