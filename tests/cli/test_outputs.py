"""What is there is not lost: one rule for every command that writes a file, and for those that need a folder."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.cli.arguments import Command
from penchant.cli.commands import load_commands
from penchant.cli.main import main
from penchant.cli.outputs import check_file
from penchant.errors import InputError

ROW = {"prompt": "Who?", "chosen": " Me.", "rejected": " You."}
FILES = {
    "data check": "data check prefs.jsonl -o {out}.txt",
    "data convert": "data convert prefs.jsonl -o {out}.jsonl",
    "data show": "data show prefs.jsonl model=penchant-0.5m -o {out}.html",
    "sample": "sample penchant-0.5m prompts.txt -o {out}.jsonl",
    "score": "score penchant-0.5m prefs.jsonl -o {out}.jsonl",
    "report": "report runs/first -o {out}.html",
    "compare": "compare runs/first -o {out}.html",
    "convert-config": "convert-config trl.yaml -o {out}.yaml",
    "weak label": "weak label data=prefs.jsonl train=prefs.jsonl -o {out}.jsonl",
    "chat": "chat penchant-0.5m prompt=Who? -o {out}.jsonl",
    "init": "init prefs.jsonl -o {out}.yaml",
    "collect": "collect --export {out}.jsonl",
    "train dpo": "train dpo model=penchant-0.5m data=prefs.jsonl --report {out}.html",
    "study noise": "study noise model=penchant-0.5m prompts=prompts.txt eval_prompts=prompts.txt --report {out}.html",
}
"""Commands that write a file, by name."""
FOLDERS = {
    "train sft": "train sft model=penchant-0.5m data=answers.jsonl -o {out}",
    "train spin": "train spin model=penchant-0.5m data=answers.jsonl -o {out}",
    "train self_rewarding": "train self_rewarding model=penchant-0.5m data=answers.jsonl -o {out}",
    "train iterative": "train iterative model=penchant-0.5m data=prompts.txt reward=vader -o {out}",
    "train online_rlhf": "train online_rlhf model=penchant-0.5m data=prompts.txt -o {out}",
    "weak train": "weak train data=prefs.jsonl student=tfidf -o {out}",
    "weak sources": "weak sources votes=votes.csv -o {out}",
    "judge": "judge good.jsonl against=good.jsonl judge=longest -o {out}",
    "agree": "agree prefs.jsonl prefs.jsonl -o {out}",
    "rank": "rank prefs.jsonl -o {out}",
    "export": "export penchant-0.5m -o {out}",
    "evaluate": "evaluate benchmark=rewardbench path=bench.jsonl judge=longest -o {out}",
    "study noise": "study noise model=penchant-0.5m prompts=prompts.txt eval_prompts=prompts.txt -o {out}",
}
"""Commands that write into a folder, by name."""
ELSEWHERE = {"data get", "data hallucinations", "demo"}
"""Commands whose `out` is looked at by tests of their own."""

Refusal = Callable[[str], str]


@pytest.fixture
def refusal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> Refusal:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prefs.jsonl").write_text("".join(json.dumps(ROW | {"prompt": f"Who {n}?"}) + "\n" for n in range(4)))
    (tmp_path / "answers.jsonl").write_text(json.dumps({"prompt": "Who?", "completion": " Me."}) + "\n")
    (tmp_path / "good.jsonl").write_text(json.dumps({"prompt": "Who?", "responses": [" Me."]}) + "\n")
    bench = {"prompt": "Who?", "chosen": "Me.", "rejected": "You.", "subset": "alpacaeval-easy"}
    (tmp_path / "bench.jsonl").write_text(json.dumps(bench) + "\n")
    (tmp_path / "votes.csv").write_text("a,b,c\nyes,yes,no\nno,yes,no\n")
    (tmp_path / "prompts.txt").write_text("Who?\nWhat?\nWhen?\n")
    (tmp_path / "trl.yaml").write_text("model_name_or_path: m\nloss_type: sigmoid\nbeta: 0.1\n")

    def end(line: str) -> str:
        assert main(shlex.split(line)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return end


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_there_is_refused_before_the_work(name: str, refusal: Refusal, tmp_path: Path) -> None:
    line = FILES[name].format(out="mine")
    written = tmp_path / next(word for word in line.split() if word.startswith("mine"))
    written.write_text("my own work\n")
    message = refusal(line)
    assert written.name in message
    assert "exists and is not overwritten" in message
    assert written.read_text() == "my own work\n"
    written.unlink()
    written.mkdir()
    assert "folder" in refusal(line)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_is_needed_is_named(name: str, refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("my own work\n")
    message = refusal(FOLDERS[name].format(out="taken"))
    assert "taken is a file" in message.replace("out=", "")
    assert (tmp_path / "taken").read_text() == "my own work\n"


@pytest.mark.parametrize("line", [*FILES.values(), *FOLDERS.values()])
def test_a_name_below_a_file_is_refused_before_the_work(line: str, refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("my own work\n")
    # a run's folder is made with those above it, also from a page's name
    message = refusal(line.format(out="taken/mine"))
    assert "taken is a file" in message
    assert "converting" not in message
    assert (tmp_path / "taken").read_text() == "my own work\n"


def test_overwrite_replaces_a_file_and_never_what_is_read(
    refusal: Refusal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ours.jsonl").write_text("my own work\n")
    assert main(["data", "convert", "prefs.jsonl", "-o", "ours.jsonl", "--overwrite"]) == 0
    assert len((tmp_path / "ours.jsonl").read_text().splitlines()) == 4
    capsys.readouterr()
    assert "is the file that is read" in refusal("data convert prefs.jsonl -o prefs.jsonl --overwrite")


def test_pages_of_ours_are_made_again_and_others_are_not(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html><title>Mine</title></html>")
    flags = Namespace(overwrite=False)
    with pytest.raises(InputError, match="exists and is not overwritten"):
        check_file(page, flags, page=True)
    page.write_text("<!doctype html>\n<title>Rows – Penchant</title>\n", encoding="utf-8")
    assert check_file(page, flags, page=True) == page
    with pytest.raises(InputError, match=r"or add --overwrite"):
        check_file(page, flags)  # rows are written to a name that a page has
    assert check_file("/dev/null", flags) == Path("/dev/null")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists"):
        check_file(dangling, flags)


def test_every_command_that_writes_is_in_one_of_the_tables() -> None:
    commands = {
        " ".join([*group, command.name]): command
        for entry in load_commands()
        for group, inner in ([((), [entry])] if isinstance(entry, Command) else [((entry.name,), entry.commands)])
        for command in inner
    }
    writing = {name for name, command in commands.items() if "out" in command.settings.model_fields}
    tried = {name.split()[0] if name.startswith(("train", "study")) else name for name in (*FILES, *FOLDERS)}
    assert {name for name in writing if name.split()[0] not in tried and name not in tried} <= ELSEWHERE
