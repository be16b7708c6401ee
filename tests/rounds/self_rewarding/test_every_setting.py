"""If a setting of self-rewarding exists, changing it changes something. A new setting without an entry here fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import penchant as pt
from penchant.config import Config
from penchant.errors import PenchantError
from penchant.rewards import rubric
from penchant.rewards.score_words import ScoreReading
from penchant.rounds.self_rewarding import new_prompts, settings
from penchant.types import Response

Changes = dict[str, Any]
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")
OWN = {"new_prompts": {"name": "self_instruct", "count": 2, "shots": 2, "template": "lines", "max_new_tokens": 4}}
RUBRIC = {"judge": {"name": "rubric", "template": "rubric.j2", "draws": 2, "max_new_tokens": 3}}
VERDICTS = {"judge": {"name": "verdicts", "template": "verdict.j2"}}
REWARD = {"judge": {"name": "reward", "reward": "rewards.py:codes"}}
LONGEST = {"judge": {"name": "judge", "judge": {"name": "longest"}}}
NOBODY = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "attempts": 1}
META = {**RUBRIC, "meta": {"template": "verdict.j2"}}
PEOPLE = {"comparisons": {"path": "people.jsonl"}}
BROKEN = {"comparisons": {"path": "broken.jsonl"}}


def within(start: Changes, name: str, **changes: Any) -> Changes:
    """Return settings with some of one of their parts changed."""
    return {**start, name: {**start[name], **changes}}


FILE = {"new_prompts": {"name": "file", "path": "more.txt", "count": 2}}
LIKELIHOOD = {"judge": {"name": "likelihood", "template": "question.j2"}}
SEED_ROWS = {"sft": {"max_steps": 1, "evaluate": {"samples": None}}}

# setting: (what a run starts from, what it is changed to)
TABLE: dict[str, tuple[Changes, Changes]] = {
    "SelfRewarding.rounds": ({}, {"rounds": 2}),
    "SelfRewarding.max_new_tokens": ({}, {"max_new_tokens": 3}),
    "SelfRewarding.seed": ({}, {"seed": 1}),
    "SelfRewarding.new_prompts": ({}, OWN),
    "SelfRewarding.judge": ({}, REWARD),
    "SelfRewarding.comparisons": ({}, PEOPLE),
    "SelfRewarding.judge_data": (SEED_ROWS, {**SEED_ROWS, "judge_data": {"path": "people.jsonl"}}),
    "SelfRewarding.samples_per_prompt": ({}, {"samples_per_prompt": 2}),
    "SelfRewarding.temperature": ({}, {"temperature": 1.5}),
    "SelfRewarding.top_p": ({}, {"top_p": 0.5}),
    "SelfRewarding.reference": ({"rounds": 2}, {"rounds": 2, "reference": "fixed"}),
    "SelfRewarding.sft": ({}, SEED_ROWS),
    "SelfRewarding.dpo": (
        {},
        {"dpo": {"max_steps": 1, "optimizer": {"learning_rate": 1e-2}, "evaluate": {"samples": None}}},
    ),
    "SelfRewarding.meta": (RUBRIC, META),
    "SelfInstruct.count": (OWN, within(OWN, "new_prompts", count=1)),
    "SelfInstruct.shots": (OWN, within(OWN, "new_prompts", shots=1)),
    "SelfInstruct.template": (OWN, within(OWN, "new_prompts", template="own.j2")),
    "SelfInstruct.temperature": (OWN, within(OWN, "new_prompts", temperature=1.5)),
    "SelfInstruct.top_p": (OWN, within(OWN, "new_prompts", top_p=0.3)),
    "SelfInstruct.max_new_tokens": (OWN, within(OWN, "new_prompts", max_new_tokens=2)),
    "SelfInstruct.similarity": (OWN, within(OWN, "new_prompts", similarity=0.0)),
    "SelfInstruct.draws": (
        within(OWN, "new_prompts", similarity=0.0),
        within(OWN, "new_prompts", similarity=0.0, draws=1),
    ),
    "PromptFile.path": (FILE, within(FILE, "new_prompts", path="seed.txt")),
    "PromptFile.count": (FILE, within(FILE, "new_prompts", count=1)),
    "PromptFile.layout": (FILE, within(FILE, "new_prompts", layout="nosuch")),
    "PromptFile.columns": (FILE, within(FILE, "new_prompts", columns={"prompt": "nosuch"})),
    "PromptFile.split": (
        within(FILE, "new_prompts", path="splits.json"),
        within(FILE, "new_prompts", path="splits.json", split="test"),
    ),
    "PromptFile.bad_rows": (
        within(FILE, "new_prompts", path="broken.jsonl"),
        within(FILE, "new_prompts", path="broken.jsonl", bad_rows="skip"),
    ),
    "PromptFile.limit": (FILE, within(FILE, "new_prompts", limit=1)),
    "RowsFile.path": (PEOPLE, within(PEOPLE, "comparisons", path="swapped.jsonl")),
    "RowsFile.layout": (PEOPLE, within(PEOPLE, "comparisons", layout="nosuch")),
    "RowsFile.columns": (PEOPLE, within(PEOPLE, "comparisons", columns={"chosen": "rejected", "rejected": "chosen"})),
    "RowsFile.split": (
        within(PEOPLE, "comparisons", path="splits.json"),
        within(PEOPLE, "comparisons", path="splits.json", split="test"),
    ),
    "RowsFile.bad_rows": (BROKEN, within(BROKEN, "comparisons", bad_rows="skip")),
    "RowsFile.limit": (PEOPLE, within(PEOPLE, "comparisons", limit=2)),
    "RubricScorer.template": (RUBRIC, within(RUBRIC, "judge", template="question.j2")),
    "RubricScorer.draws": (RUBRIC, within(RUBRIC, "judge", draws=1)),
    "RubricScorer.temperature": (RUBRIC, within(RUBRIC, "judge", temperature=1.5)),
    "RubricScorer.top_p": (RUBRIC, within(RUBRIC, "judge", top_p=0.3)),
    "RubricScorer.max_new_tokens": (RUBRIC, within(RUBRIC, "judge", max_new_tokens=2)),
    "RubricScorer.lowest": (RUBRIC, within(RUBRIC, "judge", lowest=2)),
    "RubricScorer.highest": (RUBRIC, within(RUBRIC, "judge", highest=3)),
    "RubricScorer.model": (RUBRIC, within(RUBRIC, "judge", model="penchant-0.5m")),
    "RubricScorer.endpoint": (RUBRIC, within(RUBRIC, "judge", endpoint=NOBODY)),
    "LikelihoodScorer.template": (LIKELIHOOD, within(LIKELIHOOD, "judge", template="rubric.j2")),
    "LikelihoodScorer.words": (LIKELIHOOD, within(LIKELIHOOD, "judge", words=["a", "b"])),
    "VerdictsScorer.template": (VERDICTS, within(VERDICTS, "judge", template="turned.j2")),
    "VerdictsScorer.points": (VERDICTS, within(VERDICTS, "judge", points="probability")),
    "RewardScorer.reward": (REWARD, within(REWARD, "judge", reward="rewards.py:turned")),
    "JudgeScorer.judge": (LONGEST, within(LONGEST, "judge", judge={"name": "random"})),
    "MetaRewarding.template": (META, within(META, "meta", template="turned.j2")),
}
CLASSES: tuple[type[Config], ...] = (
    settings.SelfInstruct,
    settings.PromptFile,
    settings.RowsFile,
    settings.RubricScorer,
    settings.LikelihoodScorer,
    settings.VerdictsScorer,
    settings.RewardScorer,
    settings.JudgeScorer,
    settings.MetaRewarding,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of prompts that fit a model with a context of 160; its random letters are read as scores and as prompts."""

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)

    def rows(rejected: str) -> str:
        pairs = [{"prompt": f"{name} said", "chosen": "yes", "rejected": rejected} for name in NAMES]
        return "".join(json.dumps(pair) + "\n" for pair in pairs)

    write("seed.jsonl", "".join(json.dumps({"prompt": f"{name} went", "response": " home."}) + "\n" for name in NAMES))
    write("seed.txt", "".join(f"{name} went\n" for name in NAMES))
    write("more.txt", "".join(f"{name} ran\n" for name in NAMES))
    write("people.jsonl", rows("no no"))
    write("broken.jsonl", rows("no") + '{"prompt": "Gus said"}\n')
    swapped = rows("no no").replace("chosen", "loser").replace("rejected", "chosen").replace("loser", "rejected")
    write("swapped.jsonl", swapped)
    sides = {"train": rows("no no"), "test": swapped.replace("said", "sang")}
    splits = {side: [json.loads(line) for line in text.splitlines()] for side, text in sides.items()}
    write("splits.json", json.dumps(splits))
    templates = {"question": "{{ prompt }} {{ response }}?", "rubric": "{{ response }} to {{ prompt }}, {{ highest }}"}
    templates |= {"verdict": "{{ prompt }} {{ a }} {{ b }}", "turned": "{{ b }}, {{ a }}: {{ prompt }}"}
    templates["own"] = "{% for example in examples %}{{ example }}!{% endfor %}"
    for name, text in templates.items():
        write(f"{name}.j2", text)
    write("rewards.py", "def codes(pairs):\n    return [float(sum(map(ord, r))) for _, r in pairs]\n\n"
          "def turned(pairs):\n    return [-number for number in codes(pairs)]\n")  # fmt: skip

    def read(text: str, lowest: float, highest: float) -> ScoreReading:
        score = float(sum(map(ord, text)) % 6)
        return ScoreReading(score if lowest <= score <= highest else None)

    def read_prompt(response: Response, *, one_line: bool) -> tuple[str, bool]:
        return " ".join(response.text.encode().hex()), False

    monkeypatch.setattr(rubric, "read_score", read)
    monkeypatch.setattr(new_prompts, "read_prompt", read_prompt)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(model: str, out: str, changes: Changes) -> object:
    """Return all that a run wrote, without times; of settings that are refused the message."""
    defaults: Changes = {
        "model": {"name": model, "device": "cpu"},
        "data": {"path": "seed.jsonl", "held_out": 1},
        "rounds": 1,
        "max_new_tokens": 5,
        "sft": None,
        "dpo": {"max_steps": 1, "evaluate": {"samples": None}},
        "out": out,
    }
    try:
        run = pt.train(pt.SelfRewarding(**{**defaults, **FILE, **LIKELIHOOD, **changes}))
    except PenchantError as error:
        return str(error).replace(out, "")
    files = sorted(file for file in run.path.rglob("*.jsonl") if file.name != "metrics.jsonl")
    texts = {str(file.relative_to(run.path)): file.read_text() for file in files}
    prompts = [file.read_text() for file in sorted(run.path.glob("round-*/prompts.json"))]
    weights = [load_file(file) for file in sorted(run.path.glob("round-*/policy/checkpoint/model.safetensors"))]
    sums = [{name: float(tensor.double().sum()) for name, tensor in entry.items()} for entry in weights]
    return json.dumps([run.metrics["rounds"], texts, prompts, sums], sort_keys=True)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("setting", TABLE)
def test_a_changed_setting_changes_something(setting: str, tiny_model: str) -> None:
    start, change = TABLE[setting]
    before, after = outcome(tiny_model, "before", start), outcome(tiny_model, "after", change)
    assert before != after


def test_every_setting_has_an_entry() -> None:
    fields = {f"{kind.__name__}.{name}" for kind in CLASSES for name in kind.model_fields if name != "name"}
    own = set(pt.SelfRewarding.model_fields) - {"model", "data", "out"}  # tested with all other methods
    assert fields | {f"SelfRewarding.{name}" for name in own} == set(TABLE)
