"""The drill of bad inputs: each ends a command with one message and exit code 2, leaves nothing, and takes no minute.

The count of cases is printed at the end (`pytest -s`). Other tests hold the words of single messages; this one holds
what all of them have in common.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.cli.main import main

ROW = json.dumps({"prompt": "Who?", "chosen": " Me.", "rejected": " You."})
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)

TRAIN = "train dpo model=MODEL data=good.jsonl out=new"
PPO = "train ppo_gt model=MODEL data=prompts.txt prompts_per_step=2 out=new"
STUDY = "study frontier model=MODEL prompts=prompts.txt eval_prompts=prompts.txt out=new"
KEPT = ("reward that exits",)  # a run that stops keeps its last checkpoint

# name: (arguments after `MODEL` is put in, words of the message)
CASES: dict[str, tuple[str, str]] = {
    # settings
    "negative seed": (TRAIN + " seed=-1", "`seed`"),
    "huge seed": (TRAIN + f" seed={10**30}", "`seed`"),
    "huge rank": (TRAIN + " model.lora.rank=1000000000", "`model.lora.rank`"),
    "huge epochs": (TRAIN + " epochs=1000000000", "`epochs`"),
    "infinite beta": (TRAIN + " loss.beta=.inf", "`loss.beta`"),
    "nan rate": (TRAIN + " optimizer.learning_rate=.nan", "learning_rate"),
    "unknown loss": (TRAIN + " loss=dop", "loss"),
    "sum of rankings": (
        TRAIN + " loss={name: sum,losses: [plackett_luce]}",
        "plackett_luce",
    ),
    # configuration files
    "yaml bomb": ("train dpo bomb.yaml", "bomb.yaml"),
    "yaml cycle": ("train dpo cycle.yaml", "cycle.yaml"),
    "yaml tag": ("train dpo tag.yaml", "tag.yaml"),
    "yaml digits": ("train dpo digits.yaml", "digits.yaml"),
    "yaml bytes": ("train dpo bytes.yaml", "bytes.yaml"),
    "yaml pipe": ("train dpo pipe", "pipe"),
    "yaml folder": ("train dpo folder", "folder"),
    # data
    "no file": ("train dpo model=MODEL data=nope.jsonl out=new", "nope.jsonl"),
    "empty file": ("train dpo model=MODEL data=empty.jsonl out=new", "empty.jsonl"),
    "pipe": ("train dpo model=MODEL data=pipe.jsonl out=new", "pipe.jsonl"),
    "device": ("train dpo model=MODEL data=/dev/zero out=new", "/dev/zero"),
    "binary": ("train dpo model=MODEL data=binary.jsonl out=new", "binary.jsonl"),
    "cut gzip": ("train dpo model=MODEL data=cut.jsonl.gz out=new", "cut.jsonl.gz"),
    "long name": ("train dpo model=MODEL data=names.jsonl out=new", "names.jsonl"),
    "deep": ("train dpo model=MODEL data=deep.jsonl out=new", "deep.jsonl"),
    "labels to sft": ("train sft model=MODEL data=labels.jsonl out=new", "kto"),
    "all ties": ("train dpo model=MODEL data=ties.jsonl out=new", "ties"),
    "aot with weights": ("train dpo model=MODEL data=weights.jsonl out=new loss=aot", "sorts comparisons"),
    "pl without rankings": ("train dpo model=MODEL data=cycle.jsonl out=new loss=plackett_luce", "no full ranking"),
    "check no file": ("data check nope.jsonl", "nope.jsonl"),
    "check empty": ("data check empty.jsonl", "empty.jsonl"),
    "convert to nowhere": ("data convert good.jsonl -o /proc/none/x.jsonl", "/proc/none"),
    # models and rewards
    "no model": ("train dpo model=nope/nope/nope data=good.jsonl out=new", "nope"),
    "empty model": ("train dpo model=folder data=good.jsonl out=new", "folder"),
    "no reward": (PPO + " reward=nope", "nope"),
    "reward that exits": (
        PPO + "-kept reward=exits.py:score",
        "exits.py",
    ),
    "reward without scheme": (
        PPO + " reward=localhost:99999",
        "localhost",
    ),
    "sample no reward": ("sample MODEL prompts.txt -o new.jsonl reward=nope", "nope"),
    "sample of a pipe": ("sample MODEL pipe.txt -o new.jsonl", "pipe.txt"),
    # studies
    "study no reward": (
        STUDY + " reward=nope",
        "nope",
    ),
    "study of nothing": (
        STUDY + " reward=vader dpo=null preferred_ft=null unlikelihood=null ppo=null ppo_gt=null best_of_n=null",
        "null",
    ),
    "study seeds twice": (
        STUDY + " reward=vader seeds=[0,0]",
        "seeds",
    ),
    # judges, people, reports
    "judge address": (
        "judge MODEL against=reference judge={name: endpoint,model: m,base_url: localhost:1} out=new",
        "",
    ),
    "judge template device": (
        "judge good.jsonl against=good.jsonl judge={name: endpoint,model: m,base_url: http://localhost:1,"
        "template: /dev/zero} out=new",
        "/dev/zero",
    ),
    "judge template pipe": (
        "judge good.jsonl against=good.jsonl judge={name: endpoint,model: m,base_url: http://localhost:1,"
        "template: pipe} out=new",
        "pipe",
    ),
    "collect into a device": ("collect good.jsonl -o /dev/null port=0", "/dev/null"),
    "collect into a pipe": ("collect good.jsonl -o pipe port=0", "pipe"),
    "collect key pipe": ("collect good.jsonl -o new.sqlite key=pipe port=0", "pipe"),
    "collect key device": ("collect good.jsonl -o new.sqlite key=/dev/zero port=0", "/dev/zero"),
    "collect checks pipe": ("collect good.jsonl -o new.sqlite checks=pipe.jsonl port=0", "pipe.jsonl"),
    "collect checks device": ("collect good.jsonl -o new.sqlite checks=/dev/zero port=0", "/dev/zero"),
    "agree pipe": ("agree pipe.jsonl out=agreed", "pipe.jsonl"),
    "report pipe": ("report pipe -o new.html", "pipe"),
    "weak pipe": ("weak train data=pipe.jsonl student=tfidf task=classes out=new", "pipe.jsonl"),
    "reward pipe": (PPO + " out=new2 reward=pipe:score", "pipe"),
    "model pipe": ("train dpo model=pipe data=good.jsonl out=new", "pipe"),
    "out pipe": ("train dpo model=MODEL data=good.jsonl out=pipe", "pipe"),
    "study pipe": ("study frontier model=MODEL prompts=pipe.txt eval_prompts=prompts.txt out=new", "pipe.txt"),
    "collect port": ("collect good.jsonl -o new.sqlite port=99999", "port"),
    "report of nothing": ("report nope -o new.html", "nope"),
    "report of a file": ("report good.jsonl -o new.html", "good.jsonl"),
    "resume nothing": ("train dpo --resume out=nope", "nope"),
}


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the cases name."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "good.jsonl": ROW + "\n",
        "empty.jsonl": "",
        "bomb.yaml": BOMB,
        "cycle.yaml": "model: &a {name: *a}\n",
        "tag.yaml": "seed: !!python/object/apply:os.getpid []\n",
        "digits.yaml": f"seed: {'1' * 9000}\n",
        "names.jsonl": json.dumps({"x" * 5000: 1, "y" * 5000: "text"}) + "\n",
        "deep.jsonl": '{"prompt": ' + "[" * 3000 + "]" * 3000 + "}\n",
        "labels.jsonl": "".join(
            json.dumps({"prompt": f"Q{i}", "completion": " A", "label": bool(i % 2)}) + "\n" for i in range(4)
        ),
        "ties.jsonl": json.dumps(
            {"prompt": "x", "responses": [" a", " b"], "comparisons": [{"winner": 0, "loser": 1, "tie": True}]}
        )
        + "\n",
        "weights.jsonl": ROW + "\n" + ROW + "\n" + ROW.replace("Who", "Why") + "\n",
        "cycle.jsonl": json.dumps(
            {
                "prompt": "x",
                "responses": [" a", " b", " c"],
                "comparisons": [{"winner": i, "loser": (i + 1) % 3} for i in range(3)],
            }
        )
        + "\n",
        "prompts.txt": "Who?\nWhy?\nWhere?\nWhen?\n",
        "exits.py": "import sys\n\n\ndef score(pairs):\n    sys.exit(0)\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bytes.yaml").write_bytes(b"seed: \xff\xfe\n")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress((ROW + "\n").encode() * 100)[:-20])
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "pipe.jsonl", "pipe.txt"):
        os.mkfifo(tmp_path / name)
    return tmp_path


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.slow
def test_every_bad_input_has_one_message_and_leaves_nothing(
    inputs: Path, tiny_model: str, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused, wrong = 0, []
    for name, (line, words) in CASES.items():
        before, started = names_below(inputs), time.monotonic()
        arguments = [part.replace("MODEL", tiny_model) for part in line.split(" ")]
        problem = _problem(main, _rejoined(arguments), words, capsys)
        if not problem and name not in KEPT and (new := names_below(inputs) - before):
            problem = f"it left {sorted(new)[:5]}"
        if not problem and time.monotonic() - started > 60:
            problem = f"it took {time.monotonic() - started:.0f} s"
        if problem:
            wrong.append(f"{name}: {problem}")
        else:
            refused += 1
    with capsys.disabled():
        print(f"\nbad inputs: {refused} of {len(CASES)} refused with one message")
    assert not wrong, "\n".join(wrong)


def _rejoined(parts: list[str]) -> list[str]:
    """Settings in braces hold spaces: put them together again."""
    joined: list[str] = []
    for part in parts:
        if joined and joined[-1].count("{") > joined[-1].count("}"):
            joined[-1] += " " + part
        else:
            joined.append(part)
    return joined


def _problem(
    run: Callable[[list[str]], int], arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> str:
    capsys.readouterr()
    try:
        code = run(arguments)
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    except BaseException as error:  # the drill goes on, and says which case broke out
        return f"{type(error).__name__}: {str(error)[:200]}"
    captured = capsys.readouterr()
    errors = [row for row in captured.err.splitlines() if "error: " in row]
    if code != 2:
        return f"exit code {code}: {captured.err[-300:]!r}"
    if len(errors) != 1 or "Traceback" in captured.err:
        return f"{len(errors)} messages: {captured.err[-400:]!r}"
    if words.lower() not in captured.err.lower():
        return f"the message lacks {words!r}: {errors[0][:300]!r}"
    return "" if len(captured.err) < 5000 else f"a message of {len(captured.err)} characters"
