"""What is mistyped behind a command is answered with the line to copy."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.cli.arguments import make_parser, read_arguments
from penchant.cli.commands import load_commands
from penchant.cli.main import main

GOOD = "model=penchant-0.5m data=d.jsonl"


@pytest.fixture
def refusal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").touch()

    def end(line: str) -> str:
        try:
            code = main(shlex.split(line))
        except SystemExit as stop:
            code = int(stop.code or 0)
        assert code == 2
        return capsys.readouterr().err

    return end


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        # methods and other inner words
        (f"train dop {GOOD}", f"train dpo {GOOD}"),
        (f"train DPO {GOOD}", f"train dpo {GOOD}"),
        (f"train reward-model {GOOD}", f"train reward_model {GOOD}"),
        (f"train simpo {GOOD}", f"train dpo loss=simpo {GOOD}"),
        (f"train ipo {GOOD} loss.tau=1", f"train dpo loss=ipo {GOOD} loss.tau=1"),
        ("data chek d.jsonl", "data check d.jsonl"),
        # settings
        (f"train dpo {GOOD} lr=1e-5", f"train dpo {GOOD} optimizer.learning_rate=1e-5"),
        (f"train dpo {GOOD} learning_rate=1e-5", f"train dpo {GOOD} optimizer.learning_rate=1e-5"),
        (f"train dpo {GOOD} beta=0.2 epoch=2", f"train dpo {GOOD} loss.beta=0.2 epochs=2"),
        (f"train dpo {GOOD} num_train_epochs=2", f"train dpo {GOOD} epochs=2"),
        ("train dpo mdoel=penchant-0.5m data=d.jsonl", f"train dpo {GOOD}"),
        (f"train dpo {GOOD} lora_rank=8 lora_alpha=16", f"train dpo {GOOD} model.lora.rank=8 model.lora.alpha=16"),
        # choices
        (f"train dpo {GOOD} loss=dpo", f"train dpo {GOOD} loss=sigmoid"),
        (f"train dpo {GOOD} loss.name=dpo", f"train dpo {GOOD} loss.name=sigmoid"),
        (f"train dpo {GOOD} optimizer=adam lr=1", f"train dpo {GOOD} optimizer=adamw optimizer.learning_rate=1"),
        (f"train dpo {GOOD} data.ties=dorp", f"train dpo {GOOD} data.ties=drop"),
        # flags
        ("train dpo --model penchant-0.5m --data d.jsonl", f"train dpo {GOOD}"),
        (f"train dpo {GOOD} --learning-rate 1e-5", f"train dpo {GOOD} optimizer.learning_rate=1e-5"),
        (f"train dpo {GOOD} --lr=1e-5 -o x", f"train dpo {GOOD} optimizer.learning_rate=1e-5 -o x"),
        ("sample penchant-0.5m d.jsonl -o s.jsonl --prefix x --n 2", ""),
        # a file of data
        ("train dpo d.jsonl model=penchant-0.5m", "train dpo data=d.jsonl model=penchant-0.5m"),
    ],
)
def test_a_slip_is_answered_with_the_line_to_copy(typed: str, meant: str, refusal: Callable[[str], str]) -> None:
    text = refusal(typed)
    assert ("did you mean this?\n  penchant " in text) == bool(meant)
    if meant:
        assert text.endswith(f"did you mean this?\n  penchant {meant}\n")
        arguments = read_arguments(make_parser("", load_commands()), shlex.split(meant))
        if arguments.command.name != "check":
            arguments.command.resolve(arguments)


def test_a_line_is_only_offered_where_it_mends_everything(refusal: Callable[[str], str], tmp_path: Path) -> None:
    assert "did you mean this?" not in refusal(f"train dpo {GOOD} lr=1e-5 zzz=3")
    # like both `dpo` and `ppo`: to name one of them would be a guess
    assert "did you mean ppo or dpo?" in refusal("train dpp")
    (tmp_path / "c.yaml").write_text("lr: 1\nmodel: m\ndata: d\n")
    assert "did you mean `optimizer.learning_rate`?" in refusal("train dpo c.yaml")
    assert "did you mean this?" not in refusal("train dpo c.yaml")  # it is the file that is wrong


def test_the_choices_stand_in_the_message(refusal: Callable[[str], str]) -> None:
    assert "there is no method 'xyzzy': expected one of sft, preferred_ft" in refusal("train xyzzy")
    assert "there is no action 'xyzzy': expected one of check, convert, show" in refusal("data xyzzy")


@pytest.mark.parametrize(
    "line", ["judge a.jsonl", "rank a.jsonl", "agree a.jsonl", "study noise", "weak train", "collect"]
)
def test_a_dry_run_of_other_commands_is_answered_with_what_they_have(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*line.split(), "--dry-run"])
    assert end.value.code == 2
    assert "--print-config shows what this command would run with" in capsys.readouterr().err
