"""A run directory stands for its checkpoint wherever a command takes a model."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.errors import InputError
from penchant.models.locate import check_model, locate

ROWS = [{"prompt": f"Who is number {n}?", "chosen": " It is me.", "rejected": " You."} for n in range(6)]
COMMANDS = {
    "train": "train dpo model={run} data=prefs.jsonl --dry-run",
    "its reference": "train dpo model=penchant-0.5m reference={run} data=prefs.jsonl --dry-run",
    "train ppo": "train ppo model={run} reward={reward} data=prompts.txt prompts_per_step=2 --dry-run",
    "train reward_model": "train reward_model model={run} data=prefs.jsonl --dry-run",
    "data check": "data check prefs.jsonl model={run}",
    "data show": "data show prefs.jsonl model={run} n=1",
    "sample": "sample {run} prompts.txt n=1 max_new_tokens=4 -o {name}.jsonl",
    "a reward": "sample penchant-0.5m prompts.txt n=2 max_new_tokens=4 reward={reward} -o {name}.jsonl",
    "score": "score {run} prefs.jsonl -o {name}.jsonl",
    "score by rewards": "score {reward} prefs.jsonl -o {name}.jsonl",
    "chat": 'chat {run} prompt="Who?" max_new_tokens=4',
    "a judge": "judge ours.jsonl against=theirs.jsonl judge=policy judge.model={run} -o {name}",
    "a judge of rewards": "judge ours.jsonl against=theirs.jsonl judge=reward judge.reward={reward} -o {name}",
    "judge": "judge {run} against=reference judge=longest -o {name}",
    "evaluate": "evaluate {run} benchmark=rewardbench path=bench.jsonl",
    "export": "export {run} license=mit check=false -o {name}",
    "push": "push {run} me/first license=mit dry_run=true",
    "init": "init prefs.jsonl model={run} -o {name}.yaml",
}
"""A command for each place where a model can stand."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data, a run of a policy and one of a reward model; the current folder meanwhile."""
    path, before = tmp_path_factory.mktemp("runs"), Path.cwd()
    os.chdir(path)
    rows = {
        "prefs": ROWS,
        "ours": [{"prompt": row["prompt"], "responses": [row["chosen"]]} for row in ROWS],
        "theirs": [{"prompt": row["prompt"], "responses": [row["rejected"]]} for row in ROWS],
        "bench": [{"prompt": "Who?", "chosen": "Me.", "rejected": "You.", "subset": "alpacaeval-easy"}],
    }
    for name, lines in rows.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path("prompts.txt").write_text("".join(f"{row['prompt']}\n" for row in ROWS))
    for words in ("dpo evaluate.samples.max_new_tokens=4 out=run", "reward_model out=reward"):
        assert main(["train", *words.split(), "model=penchant-0.5m", "data=prefs.jsonl", "data.held_out=2"]) == 0
    yield path
    os.chdir(before)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_folder_stands_for_its_checkpoint(
    name: str, folder: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = COMMANDS[name].format(run="run", reward="reward", name=name.replace(" ", "-"))
    assert main(shlex.split(line)) == 0, capsys.readouterr().err


def test_samples_of_a_run_are_those_of_its_checkpoint(folder: Path) -> None:
    for model, out in (("run", "a.jsonl"), ("run/checkpoint", "b.jsonl")):
        assert main(["sample", model, "prompts.txt", "n=1", "max_new_tokens=4", f"out={out}"]) == 0
    assert (folder / "a.jsonl").read_text() == (folder / "b.jsonl").read_text()


def test_which_folder_a_run_stands_for(folder: Path, tmp_path: Path) -> None:
    assert locate("run") == locate("run/checkpoint") == str((folder / "run" / "checkpoint").resolve())
    (tmp_path / "config.yaml").write_text("method: dpo\n")
    with pytest.raises(InputError, match=r"this run has no checkpoint \(yet\)"):
        check_model(str(tmp_path))
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(InputError, match=r"checkpoint holds no model"):
        check_model(str(tmp_path))
    # a model's folder that happens to hold these is the model
    (tmp_path / "config.json").write_text("{}")
    assert locate(str(tmp_path)) == str(tmp_path.resolve())
