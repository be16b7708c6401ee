"""`--dry-run`: what training would do, and nothing of it done."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.cli.dry_run import _cost_lines, changed_settings
from penchant.cli.main import main
from penchant.config import load_config
from penchant.methods import DPO, METHODS
from penchant.rounds import ROUNDS
from penchant.train.costs import Cost

ROWS = [{"prompt": f"Who is number {n}?", "chosen": " It is me.", "rejected": " You."} for n in range(9)]
SETTINGS = {
    "sft": (),
    "kto": (),
    "ppo": ("reward=vader", "prompts_per_step=2", "steps=5"),
    "ppo_gt": ("reward=vader", "prompts_per_step=2", "steps=5"),
    "rloo": ("reward=vader", "prompts_per_step=2", "steps=5"),
    "grpo": ("reward=vader", "prompts_per_step=2", "steps=5"),
    "online_rlhf": ("rounds=3", "out=new"),
    "iterative": ("rounds=3", "out=new", "reward=vader"),
    "spin": ("rounds=3", "out=new"),
    "self_rewarding": ("rounds=3", "out=new"),
}
DEMONSTRATED = ("sft", "spin", "self_rewarding")
FILES = {**dict.fromkeys(DEMONSTRATED, "answers.jsonl"), "kto": "labels.jsonl"} | dict.fromkeys(
    ("ppo", "ppo_gt", "rloo", "grpo", "online_rlhf", "iterative"), "prompts.txt"
)

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> Call:
    monkeypatch.chdir(tmp_path)

    def write(name: str, rows: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("prefs.jsonl", list(ROWS))
    write("answers.jsonl", [{"prompt": row["prompt"], "completion": row["chosen"]} for row in ROWS])
    labels = [{"prompt": row["prompt"], "completion": row["chosen"], "label": n % 2 > 0} for n, row in enumerate(ROWS)]
    write("labels.jsonl", labels)
    (tmp_path / "prompts.txt").write_text("".join(f"{row['prompt']}\n" for row in ROWS))

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return (main(list(words)), *capsys.readouterr())

    return run


@pytest.mark.parametrize("method", [*METHODS, *ROUNDS])
def test_every_method_shows_what_it_would_do_and_writes_nothing(
    method: str, call: Call, tiny_model: str, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    data = FILES.get(method, "prefs.jsonl")
    words = [f"model={tiny_model}", f"data={data}", "data.held_out=2", *SETTINGS.get(method, ())]
    code, out, err = call("train", method, *words, "--dry-run")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    lines = out.splitlines()
    assert lines[0] == f"{method}: this is what training would do; no run directory is made"
    assert f" data={data} " in f"{lines[1]} "
    assert "2 prompts held out" in lines[3]
    assert out.count(f"\n{data}:") == 3
    rollouts = dict.fromkeys(("ppo", "ppo_gt", "rloo", "grpo"), "5 optimizer steps")
    length = {**rollouts, **dict.fromkeys(ROUNDS, "3 rounds")}
    assert f"\nlength: {length.get(method, '1 optimizer step')}, on cpu\n" in out
    assert bool(re.search(r"\ntime: (about \S|between .+ and )", out)) == (method not in ROUNDS)
    # what is scored is marked as `data show` marks it
    assert ("⟦" in out.partition("⋔")[2]) == (method in METHODS and method not in rollouts)


@pytest.mark.parametrize(
    "words",
    [
        ("data=nowhere.jsonl",),
        ("data=broken.jsonl",),
        ("data=prefs.jsonl", "data.held_out=9"),
        ("data=prefs.jsonl", "loss=dpo"),
        ("data=prefs.jsonl", "out=prefs.jsonl"),
        ("data=prefs.jsonl", "data.max_length=4"),
    ],
)
def test_what_training_refuses_ends_a_dry_run_in_the_same_words(
    words: tuple[str, ...], call: Call, tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.jsonl").write_text(f'{json.dumps(ROWS[0])}\n{{"prompt": "x", "chos\n')
    line = ["train", "dpo", f"model={tiny_model}", *words]
    dry, wet = call(*line, "--dry-run"), call(*line)
    assert dry[0] == wet[0] == 2
    assert dry[1] == wet[1] == ""
    # the line that is offered to be copied has the flag
    assert dry[2].replace(" --dry-run", "") == wet[2]


def test_a_dry_run_continues_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: m\ndata: d\n")
    with pytest.raises(SystemExit, match="2"):
        call("train", "dpo", "c.yaml", "--resume", "--dry-run")


def test_a_run_after_a_dry_run_is_as_if_there_had_been_none(call: Call, tiny_model: str, tmp_path: Path) -> None:
    line = ["train", "dpo", f"model={tiny_model}", "data=prefs.jsonl", "data.held_out=2", "evaluate.samples=null"]
    assert call(*line, "out=first")[0] == 0
    assert call(*line, "out=second", "--dry-run")[0] == 0
    assert call(*line, "out=second")[0] == 0
    losses = [
        [json.loads(row).get("loss") for row in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("first", "second")
    ]
    assert losses[0] == losses[1]


def test_settings_are_shown_as_they_are_typed() -> None:
    typed = ["model=m", "data=d", "loss=ipo", "loss.tau=0.2", "model.lora.rank=4", "epochs=2", "data.held_out=4",
             "evaluate.samples=null"]  # fmt: skip
    shown = list(changed_settings(load_config(DPO, None, typed)))
    # adapters have a learning rate of their own, which nobody typed
    assert set(shown) == {*typed, "optimizer.learning_rate=1e-05"}
    assert load_config(DPO, None, shown) == load_config(DPO, None, typed)


@pytest.mark.parametrize("lora", ["{}", "{rank: 4}", "{alpha: 7.0}"])
def test_adapters_are_shown_whatever_of_them_was_given(lora: str) -> None:
    typed = ["model=m", "data=d", f"model.lora={lora}"]
    shown = list(changed_settings(load_config(DPO, None, typed)))
    assert load_config(DPO, None, shown) == load_config(DPO, None, typed)


def test_settings_that_a_shell_would_break_are_quoted(call: Call, tiny_model: str) -> None:
    words = [f"model={tiny_model}", "data=prefs.jsonl", "data.system=Be kind.", "evaluate.samples=null"]
    code, out, _ = call("train", "dpo", *words, "--dry-run")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("settings: "))
    assert set(words) <= set(shlex.split(line.removeprefix("settings: ")))


def test_two_bounds_that_are_written_alike_are_one() -> None:
    same, apart = (next(_cost_lines(Cost(15.0, slowest, 1e9))) for slowest in (15.1, 600.0))
    assert same == "time: about 15 s, by how fast this machine is now"
    assert apart == "time: between 15 s and 10 minutes, by how fast this machine is now"
