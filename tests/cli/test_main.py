"""The command line as a user meets it: exit codes, messages, and what is on the disk afterwards."""

from __future__ import annotations

import gc
import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.cache_use import GATE, USERS
from penchant.cli import early_imports
from penchant.cli import train as train_command
from penchant.cli.commands import Entry
from penchant.cli.main import main
from penchant.config import load_config
from penchant.methods import METHODS

GOOD = {"prompt": "Who?", "chosen": " Me.", "rejected": " You."}


class Run:
    """One command line, run in this process."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Run:
        capsys.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        return Run(code, *capsys.readouterr())

    return call


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- bad input ----------------------------------------------------------------------------------------------------

ROW = json.dumps(GOOD)
BAD_FILES: dict[str, tuple[bytes, list[str]]] = {
    # what the file holds, and what the message must say
    "empty file": (b"", ["empty"]),
    "blank lines only": (b"\n\n \n", ["bad.jsonl"]),
    "broken JSON": (f'{ROW}\n{ROW}\n{{"prompt": "x", "chos\n'.encode(), ["bad.jsonl:3", "JSON"]),
    "missing field": (f'{ROW}\n{{"prompt": "x", "chosen": " a"}}\n'.encode(), ["bad.jsonl", "rejected"]),
    "mistyped field": (
        f'{ROW}\n{{"prompt": "x", "chosen": " a", "rejected": 7}}\n'.encode(),
        ["bad.jsonl:2", "rejected"],
    ),
    "chosen equals rejected": (
        f'{ROW}\n{{"prompt": "x", "chosen": " a", "rejected": " a"}}\n'.encode(),
        ["bad.jsonl:2", "chosen"],
    ),
    "empty prompt": (
        f'{ROW}\n{{"prompt": "", "chosen": " a", "rejected": " b"}}\n'.encode(),
        ["bad.jsonl:2", "prompt"],
    ),
    "empty response": (
        f'{ROW}\n{{"prompt": "x", "chosen": "", "rejected": " b"}}\n'.encode(),
        ["bad.jsonl:2", "chosen"],
    ),
    "unknown layout": (b'{"question": "x", "good_answer": "a", "bad_answer": "b"}\n', ["question", "layout"]),
    "mixed layouts": (
        f'{ROW}\n{{"prompt": "x", "responses": ["a", "b"], "comparisons": [{{"winner": 0, "loser": 1}}]}}\n'.encode(),
        ["mixed layouts", "bad.jsonl:2"],
    ),
    "invalid UTF-8": (
        f"{ROW}\n".encode() + b'{"prompt": "\xff\xfe", "chosen": " a", "rejected": " b"}\n',
        ["bad.jsonl:2", "UTF-8"],
    ),
    "not an object": (f"{ROW}\n[1, 2]\n".encode(), ["bad.jsonl:2"]),
    "a huge line": (b'{"prompt": "' + b"x" * 200_000_000 + b'", "chosen": " a", "rejected": " b"}\n', ["bad.jsonl:1"]),
    "index out of range": (
        b'{"prompt": "x", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 5}]}\n',
        ["bad.jsonl:1", "5"],
    ),
    "ties without a choice": (
        b'{"prompt": "x", "responses": [" a", " b"], "comparisons": [{"winner": 0, "loser": 1, "tie": true}]}\n',
        ["ties", "drop", "half"],
    ),
    "longer than the context": (
        f"{ROW}\n{json.dumps(GOOD | {'prompt': 'long ' * 100})}\n".encode(),
        ["bad.jsonl:2", "more than the 160 that the model takes", "overflow"],
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_data_is_refused_with_its_place_and_nothing_is_written(
    run: Callable[..., Run], tiny_model: str, tmp_path: Path, own_cache: Path, case: str
) -> None:
    content, words = BAD_FILES[case]
    (tmp_path / "bad.jsonl").write_bytes(content)
    done = run("train", "dpo", f"model={tiny_model}", "model.device=cpu", "data=bad.jsonl", "out=runs/new")
    assert done.code == 2, done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in ("bad.jsonl", *words):
        assert word.lower() in done.err.lower(), (word, done.err)
    assert "Traceback" not in done.err
    assert len(done.err) < 3000
    assert done.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl"]
    assert kept_in(own_cache) <= {"verdicts"}  # how the model may be scored holds for all data


def trains(model: str, data: str = "good.jsonl", *more: str) -> tuple[str, ...]:
    return ("train", "dpo", f"model={model}", "model.device=cpu", f"data={data}", "out=runs/new", *more)


BAD_SETTINGS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "missing data": (("data=nowhere.jsonl",), ["nowhere.jsonl"]),
    "missing model folder": (("model=./nowhere",), ["nowhere"]),
    "misspelt built-in model": (("model=smollm2-135",), ["smollm2-135m", "did you mean"]),
    "a model that is a file": (("model=good.jsonl",), ["good.jsonl", "is a file"]),
    "a folder without a model": (("model=empty",), ["config.json"]),
    "a hub id without a network": (("model=nobody/nothing",), ["nobody/nothing"]),
    "unknown key": (("los.beta=0.1",), ["los", "loss"]),
    "unknown inner key": (("loss.bta=0.1",), ["loss.bta", "beta"]),
    "key of another branch": (("loss=ipo", "loss.beta=0.1"), ["loss.beta"]),
    "unknown branch": (("loss=ippo",), ["ipo"]),
    "value out of range": (("loss.beta=-1",), ["loss.beta", "above 0"]),
    "value of another type": (("batch_size=many",), ["batch_size", "whole number"]),
    "not key=value": (("loss.beta",), ["key=value"]),
    "a device that is not here": (("model.device=cuda:7",), ["cuda:7"]),
    "a reward that is not there": (("evaluate.samples.reward=vadr",), ["vadr", "vader"]),
    "a file of prompts that is not there": (("evaluate.samples.prompts=nowhere.txt",), ["nowhere.txt"]),
    "a reference that is not there": (("reference=./nowhere",), ["nowhere"]),
    "a tracker that is not installed": (("trackers=[wandb]",), ["wandb", "pip install"]),
    "lora targets that fit nothing": (("model.lora.targets=nothing",), ["lora.targets", "nothing"]),
    "chat template asked for, none there": (("data.template=chat",), ["chat"]),
    "early stopping without held-out prompts": (("early_stopping={}", "data.held_out=0"), ["data.held_out"]),
    "early stopping without evaluations": (("early_stopping={}",), ["evaluate.every_steps"]),
    "samples longer than the context": (("evaluate.samples.max_new_tokens=500",), ["evaluate.samples.max_new_tokens"]),
    "contradictions asked to be errors": (("data=contradicting.jsonl", "data.contradictions=error"), ["both"]),
    "demonstrations as preferences": (("data=demonstrations.jsonl",), ["demonstrations.jsonl"]),
    "a config file that is not there": (("confg.yaml",), ["confg.yaml"]),
    "out is a file": (("out=good.jsonl",), ["good.jsonl", "is a file"]),
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    rows = [GOOD | {"prompt": f"Who, {n}?"} for n in range(6)]
    write(tmp_path / "good.jsonl", *rows)
    write(tmp_path / "contradicting.jsonl", *rows, rows[0] | {"chosen": " You.", "rejected": " Me."})
    write(tmp_path / "demonstrations.jsonl", {"prompt": "Who?", "completion": " Me."})
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused_and_nothing_is_written(
    run: Callable[..., Run], tiny_model: str, inputs: Path, own_cache: Path, case: str
) -> None:
    overrides, words = BAD_SETTINGS[case]
    before = tree(inputs)
    command = list(trains(tiny_model))
    if overrides[0].endswith(".yaml"):
        command[2:2] = overrides
    else:
        command += overrides
    done = run(*command)
    assert done.code == 2, done.err
    for word in words:
        assert word in done.err, (word, done.err)
    assert "Traceback" not in done.err
    assert tree(inputs) == before
    assert not (inputs / "runs").exists()
    assert kept_in(own_cache) <= {"verdicts"}  # how the model may be scored


def kept_in(cache: Path) -> set[str]:
    """What a command left in the cache, but for the locks by which pruning sees it, of which none is left."""
    assert not list((cache / USERS).glob("*"))
    return {path.name for path in cache.iterdir()} - {USERS, GATE}


def test_a_tokenizer_without_an_end_token_is_refused(run: Callable[..., Run], tiny_model: str, inputs: Path) -> None:
    shutil.copytree(tiny_model, inputs / "endless")
    settings = json.loads((inputs / "endless" / "tokenizer_config.json").read_text())
    settings.pop("eos_token")
    (inputs / "endless" / "tokenizer_config.json").write_text(json.dumps(settings))
    done = run(*trains("endless"))
    assert done.code == 2
    assert "no end-of-sequence token" in done.err
    assert "eos_token" in done.err
    assert not (inputs / "runs").exists()


def test_damaged_weights_are_refused(run: Callable[..., Run], tiny_model: str, inputs: Path) -> None:
    shutil.copytree(tiny_model, inputs / "damaged")
    weights = inputs / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    done = run(*trains("damaged"))
    assert done.code == 2
    assert "damaged" in done.err
    assert not (inputs / "runs").exists()


def test_contradictions_are_a_warning_with_a_count(run: Callable[..., Run], tiny_model: str, inputs: Path) -> None:
    done = run(*trains(tiny_model, "contradicting.jsonl", "max_steps=1", "evaluate.samples=null"))
    assert done.code == 0, done.err
    assert "warning: contradicting.jsonl: 1 pairs of responses are preferred in both directions" in done.out


def test_a_config_file_with_mistakes_names_their_lines(run: Callable[..., Run], inputs: Path) -> None:
    (inputs / "c.yaml").write_text("method: dpo\nmodel: m\ndata: d\nloss:\n  name: ipo\n  beta: 1\nsede: 3\n")
    done = run("train", "dpo", "c.yaml")
    assert done.code == 2
    assert "c.yaml:6" in done.err
    assert "c.yaml:7" in done.err
    assert "seed" in done.err
    assert run("train", "sft", "c.yaml").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("train", "trpo"),
        ("data",),
        ("data", "check"),
        ("tidy",),
        ("train", "dpo", "--fast"),
        ("data", "check", "a.jsonl", "b.jsonl"),
    ],
)
def test_what_is_no_command_exits_with_2_and_shows_the_usage(
    run: Callable[..., Run], arguments: tuple[str, ...]
) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "usage: penchant" in done.err


# -- help ---------------------------------------------------------------------------------------------------------


def paths_of(config: Any, prefix: str = "") -> set[str]:
    """Every setting by dotted path, all branches of unions."""
    from penchant.config.fields import shape_of

    found = set()
    for name, field in config.model_fields.items():
        found.add(prefix + name)
        for inner in shape_of(field.annotation).configs:
            found |= paths_of(inner, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("method", METHODS)
def test_help_names_every_setting(run: Callable[..., Run], method: str) -> None:
    done = run("train", method, "--help-all")
    assert done.code == 0
    for path in paths_of(METHODS[method]):
        if not path.endswith(".name") or path.count(".") > 1:
            assert f"{path}:" in done.out or f"{path}=" in done.out, path


def test_help_comes_without_torch() -> None:
    """Real processes: what they imported tells."""
    check = (
        "import sys; from penchant.cli.main import main\n"
        "for arguments in (['--help'], ['train', 'dpo', '--help'], ['data', '--help'], ['sample', '--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "slow = {'torch', 'transformers', 'peft', 'accelerate', 'datasets', 'matplotlib', 'scipy', 'numpy'}\n"
        "slow &= set(sys.modules)\n"
        "assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Align language models" in done.stdout


def test_a_slip_in_a_setting_imports_the_settings_of_its_method_alone() -> None:
    check = (
        "import sys; from penchant.cli.main import main\n"
        "assert main(['train', 'dpo', 'lerning_rate=1']) == 2\n"
        "methods = {name for name in sys.modules if name.startswith(('penchant.methods.', 'penchant.rounds'))}\n"
        "assert methods == {'penchant.methods.dpo'}, methods\n"
        "import gc; assert gc.isenabled() and gc.get_freeze_count() > 1000"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "did you mean `optimizer.learning_rate`?" in done.stderr


def test_early_imports_stay_out_of_the_collectors_rounds_in_our_own_process_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)  # a program that has torch calls `main`: nothing is touched
    frozen = gc.get_freeze_count()
    early_imports.import_early("no.such.module")
    assert gc.get_freeze_count() == frozen
    check = (
        "import gc, sys; from penchant.cli.early_imports import import_early\n"
        "import_early('wave')\n"
        "assert 'wave' in sys.modules and gc.isenabled() and gc.get_freeze_count() > 1000\n"
        "try: import_early('no.such.module')\n"
        "except ModuleNotFoundError: assert gc.isenabled()\n"
        "else: raise AssertionError"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_collector_rests_while_settings_are_imported_and_goes_on_afterwards(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []
    monkeypatch.setattr(Entry, "load", lambda entry: states.append(gc.isenabled()))
    # the stand-in gives no command, so that `main` ends in an error of Python's own
    with pytest.raises(AttributeError):
        main(["models"])
    assert states == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        with early_imports.collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


# -- train --------------------------------------------------------------------------------------------------------


def test_settings_come_from_file_and_command_line_in_any_order(
    run: Callable[..., Run], tiny_model: str, inputs: Path
) -> None:
    (inputs / "c.yaml").write_text(
        f"method: dpo\nmodel: {{name: {tiny_model}, device: cpu}}\ndata: good.jsonl\nevaluate: {{samples: null}}\n"
    )
    done = run("train", "dpo", "c.yaml", "max_steps=1", "loss.beta=0.2", "out=a", "--report", "page.html")
    assert done.code == 0, done.err
    assert "beta: 0.2" in (inputs / "a" / "config.yaml").read_text()
    assert done.out.splitlines()[-1] == "report: page.html"
    assert (inputs / "page.html").stat().st_size > 10_000
    assert "run directory: a" in done.out
    assert run("train", "dpo", "c.yaml", "--resume", "max_steps=1", "loss.beta=0.2", "out=a").code == 0
    assert run("train", "dpo", "--resume", "out=a").code == 0


def test_an_interruption_before_the_first_step_exits_with_130(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penchant.data.check.check_preferences", stop)
    assert run("data", "check", "x.jsonl").code == 130


# -- data ---------------------------------------------------------------------------------------------------------


def test_data_check_says_what_is_there_and_strict_exits_with_1(run: Callable[..., Run], inputs: Path) -> None:
    assert run("data", "check", "good.jsonl").code == 0
    found = run("data", "check", "contradicting.jsonl")
    assert found.code == 0
    assert "contradiction" in found.out.lower()
    assert run("data", "check", "contradicting.jsonl", "--strict").code == 1
    clean = write(
        inputs / "clean.jsonl",
        *[
            {"prompt": f"Who is number {n}?", "chosen": f" I am {n}, yes.", "rejected": f" You are {n}, no."}
            for n in range(4)
        ],
    )
    strict = run("data", "check", clean.name, "--strict")
    assert strict.code == 0, strict.out
    assert run("data", "check", "contradicting.jsonl", "-o", "report.json").code == 0
    assert json.loads((inputs / "report.json").read_text())
    assert run("data", "check", "nowhere.jsonl").code == 2
    assert run("data", "check", "good.jsonl", "max_length=5").code == 2


def test_data_check_with_a_model_counts_its_tokens(run: Callable[..., Run], inputs: Path, tiny_model: str) -> None:
    """`Who, 0?` with ` You.` is 7 + 5 bytes and an end token: 13 tokens, ` Me.` 12."""
    long = run("data", "check", "good.jsonl", f"model={tiny_model}", "max_length=12", "--strict")
    assert long.code == 2  # training would stop at them
    assert "overflow=error stops" in long.out
    drop = run("data", "check", "good.jsonl", f"model={tiny_model}", "max_length=12", "overflow=drop")
    assert drop.code == 2  # every row is too long
    assert "overflow=drop leaves nothing" in drop.out
    short = {"prompt": "Who?", "chosen": " I.", "rejected": " You."}
    write(inputs / "mixed.jsonl", short, {**short, "prompt": "Who is it that comes?"})
    some = run("data", "check", "mixed.jsonl", f"model={tiny_model}", "max_length=12", "overflow=drop")
    assert some.code == 0, some.out
    fits = run("data", "check", "good.jsonl", f"model={tiny_model}", "max_length=13", "-o", "r.json")
    assert fits.code == 0
    # without a limit it is the model's context, as in training
    write(inputs / "long.jsonl", {**short, "prompt": "Who? " * 40})
    beyond = run("data", "check", "long.jsonl", f"model={tiny_model}")
    assert (beyond.code, "longer than 160 tokens" in beyond.out) == (2, True)
    assert "or a larger max_length" not in beyond.out


def test_data_check_ends_as_training_would(run: Callable[..., Run], inputs: Path) -> None:
    pair = {"prompt": "Who?", "chosen": " I.", "rejected": " You."}
    write(inputs / "bad.jsonl", pair, {**pair, "chosen": ""})
    assert run("data", "check", "bad.jsonl").code == 2
    assert run("data", "check", "bad.jsonl", "bad_rows=skip").code == 0
    assert run("data", "check", "bad.jsonl", "bad_rows=skip", "--strict").code == 1
    write(inputs / "tied.jsonl", {**pair, "score_chosen": 1, "score_rejected": 1})
    tied = run("data", "check", "tied.jsonl")
    assert (tied.code, run("data", "check", "tied.jsonl", "ties=half").code) == (2, 0)
    assert "training refuses this file:" in tied.out
    refused = run("data", "check", "bad.jsonl").out.split("training refuses this file:")[1]
    assert "1 of 2 rows cannot be used. Correct these rows, or leave them out" in refused
    write(inputs / "named.jsonl", {**pair, "prompt": None, "problem": "Who?"})
    assert run("data", "check", "named.jsonl").code == 2
    assert run("data", "check", "named.jsonl", "columns.prompt=problem").code == 0
    assert run("data", "convert", "named.jsonl", "columns.prompt=problem", "-o", "ours.jsonl").code == 0
    assert run("data", "check", "named.jsonl", "columns=problem").code == 2
    write(inputs / "labels.jsonl", {"prompt": "Who?", "completion": " I.", "label": True})
    assert run("data", "check", "labels.jsonl").code == 2  # every label is good


@pytest.mark.parametrize("name", ["ours.jsonl", "ours.jsonl.gz"])
def test_data_convert_keeps_everything(run: Callable[..., Run], inputs: Path, name: str) -> None:
    done = run("data", "convert", "contradicting.jsonl", "-o", name)
    assert done.code == 0, done.err
    assert pt.load_preferences(inputs / name) == pt.load_preferences(inputs / "contradicting.jsonl")
    first = (inputs / name).read_bytes()
    assert run("data", "convert", name, "-o", "again.jsonl").code == 0
    content = gzip.decompress(first) if name.endswith(".gz") else first
    assert (inputs / "again.jsonl").read_bytes() == content
    assert run("data", "convert", "good.jsonl", "-o", "x.csv").code == 2
    assert "which would be lost" in run("data", "convert", "good.jsonl", "-o", "./good.jsonl").err
    assert run("data", "convert", "good.jsonl", "-o", "nowhere/x.jsonl").code == 2
    assert not (inputs / "x.csv").exists()


# -- sample -------------------------------------------------------------------------------------------------------


def test_sample_writes_what_load_preferences_reads(run: Callable[..., Run], inputs: Path, stories: str) -> None:
    (inputs / "p.txt").write_text("Once upon a time, there was a happy dog\nThe sad boy\n")
    command = ("sample", stories, "p.txt", "n=4", "max_new_tokens=25", "device=cpu", "reward=vader")
    done = run(*command, "-o", "drawn.jsonl")
    assert done.code == 0, done.err
    groups = pt.load_preferences(inputs / "drawn.jsonl", ties="half")
    assert [group.prompt for group in groups] == ["Once upon a time, there was a happy dog", "The sad boy"]
    for group in groups:
        assert sum(response.count for response in group.responses) == 4
        assert group.scores is not None
        for comparison in group.comparisons:
            lead = group.scores[comparison.winner] - group.scores[comparison.loser]
            assert (lead == 0) if comparison.tie else (lead > 0)
        assert group.comparisons
        assert all(response.token_ids for response in group.responses)
    policy = pt.load_policy(stories, device="cpu")
    texts = policy.generate([group.prompt for group in groups], n=4, max_new_tokens=25, seed=0)
    for group, row in zip(groups, texts, strict=True):
        assert {response.text for response in group.responses} == set(row)
    assert run(*command, "-o", "again.jsonl").code == 0
    assert (inputs / "again.jsonl").read_bytes() == (inputs / "drawn.jsonl").read_bytes()
    assert run(*command, "-o", "other.jsonl", "seed=1").code == 0
    assert (inputs / "other.jsonl").read_bytes() != (inputs / "drawn.jsonl").read_bytes()


def test_sample_compares_the_best_with_the_worst_where_asked(
    run: Callable[..., Run], inputs: Path, stories: str
) -> None:
    (inputs / "p.txt").write_text("Once upon a time, there was a happy dog\nThe sad boy\n")
    command = ("sample", stories, "p.txt", "max_new_tokens=25", "device=cpu", "reward=vader")
    for pairs in ("all", "best-worst"):
        done = run(*command, "-o", f"{pairs}.jsonl", f"pairs={pairs}")
        assert done.code == 0, done.err
    every, widest = (pt.load_preferences(inputs / f"{pairs}.jsonl", ties="half") for pairs in ("all", "best-worst"))
    assert widest == pt.best_worst_pairs(every)
    assert [len(group.comparisons) for group in widest] == [1, 1]


def test_sample_keeps_what_was_drawn_where_the_reward_fails(
    run: Callable[..., Run], inputs: Path, tiny_model: str
) -> None:
    (inputs / "p.txt").write_text("Hello\n")
    (inputs / "broken.py").write_text("def reward(pairs):\n    raise OSError('gone')\n")
    command = ("sample", tiny_model, "p.txt", "max_new_tokens=5", "device=cpu", "-o", "drawn.jsonl")
    done = run(*command, "reward=broken.py:reward")
    assert done.code == 2
    assert "OSError: gone" in done.err
    assert "The samples are in unscored-drawn.jsonl, without scores" in done.err
    assert not (inputs / "drawn.jsonl").exists()
    assert run(*command).code == 0
    assert (inputs / "unscored-drawn.jsonl").read_bytes() == (inputs / "drawn.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("n=0",), ["`n`"]),
        (("pairs=best-worst",), ["`pairs`", "reward="]),
        (("temperature=-1",), ["temperature"]),
        (("top_p=0",), ["top_p"]),
        (("max_new_tokens=0",), ["max_new_tokens"]),
        (("max_new_tokens=500",), ["context of 160"]),
        (("reward=nothing:here",), ["nothing"]),
        (("-o", "drawn.txt"), [".jsonl"]),
        (("-o", "nowhere/drawn.jsonl"), ["nowhere"]),
    ],
)
def test_sample_refuses_what_it_cannot_do(
    run: Callable[..., Run], inputs: Path, tiny_model: str, changes: tuple[str, ...], words: list[str]
) -> None:
    (inputs / "p.txt").write_text("Hello\n")
    before = tree(inputs)
    out = () if "-o" in changes else ("-o", "drawn.jsonl")
    done = run("sample", tiny_model, "p.txt", "device=cpu", *out, *changes)
    assert done.code == 2, done.err
    for word in words:
        assert word in done.err, done.err
    assert "Traceback" not in done.err
    assert "sampling" not in done.err.replace("sampling:", "")  # nothing was drawn in vain
    assert tree(inputs) == before


# -- report -------------------------------------------------------------------------------------------------------


def test_report_ends_with_its_path_and_is_one_page(run: Callable[..., Run], tiny_model: str, inputs: Path) -> None:
    for seed in (0, 1):
        command = trains(tiny_model, "good.jsonl", "max_steps=2", "batch_size=2", f"seed={seed}", f"out=run{seed}",
                         "evaluate.samples.max_new_tokens=6", "evaluate.samples.reward=vader")  # fmt: skip
        assert run(*command).code == 0
    done = run("report", "run0", "run1", "-o", "both.html")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "both.html"
    page = (inputs / "both.html").read_text()
    assert "<html" in page
    assert 'src="http' not in page
    assert run("report", "nowhere", "-o", "x.html").code == 2
    assert not (inputs / "x.html").exists()


def test_only_an_interrupted_run_hides_numbers_of_an_earlier_step(tmp_path: Path) -> None:
    """Early stopping ends with the numbers of its best step, which are those of the weights that it keeps."""
    estimate = {"value": 0.75, "low": 0.6, "high": 0.9}
    rows = {
        "first": {"step": 0, "held_out": {"accuracy": estimate}},
        "final": {"step": 4, "held_out": {"accuracy": estimate}},
    }
    for status, shown in (("stopped_early", True), ("done", True), ("interrupted", False)):
        metrics = {"status": status, "steps": 8, "seconds": 1.0, "warnings": [], **rows}
        text = train_command._summary(pt.RunResult("dpo", tmp_path, metrics))
        assert ("held-out accuracy: 0.750" in text) == shown, status
        assert ("not evaluated since step 4" in text) != shown, status


def test_a_run_says_where_its_best_weights_are(tmp_path: Path) -> None:
    metrics = {"status": "done", "steps": 8, "seconds": 1.0, "warnings": [], "first": None, "final": None}
    best = {"best_metric": "held_out.loss", "best_step": 4}
    text = train_command._summary(pt.RunResult("dpo", tmp_path, metrics | best))
    assert f"  best held_out.loss: at step 4, weights in {tmp_path / 'best'}" in text.splitlines()
    assert "best" not in train_command._summary(pt.RunResult("dpo", Path("out"), metrics | {"best_step": 4}))


# -- hints --------------------------------------------------------------------------------------------------------

TRAIN = "train dpo model=penchant-0.5m data=good.jsonl"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("trian dpo", "did you mean this?\n  penchant train dpo\n"),
        ("train dop", "did you mean this?\n  penchant train dpo\n"),
        ("study fronter", "did you mean this?\n  penchant study frontier\n"),
        ("data chek good.jsonl", "did you mean this?\n  penchant data check good.jsonl\n"),
        (f"{TRAIN} --max-steps 3", "max_steps=3"),
        (f"{TRAIN} --max_steps=3", "max_steps=3"),
        (f"{TRAIN} --batch-size", "batch_size=VALUE"),
        (f"{TRAIN} lr=1e-4", "`optimizer.learning_rate`"),
        (f"{TRAIN} beta=0.2", "`loss.beta`"),
        (f"{TRAIN} los=ipo", "`loss`"),
        (f"{TRAIN} loss_type=ipo", "`loss`"),
        (f"{TRAIN} num_train_epochs=1", "`epochs`"),
        (f"{TRAIN} per_device_train_batch_size=8", "`batch_size`"),
        (f"{TRAIN} output_dir=x", "`out`"),
        (f"{TRAIN} lora_rank=4", "`model.lora.rank`"),
        (f"{TRAIN} max_seq_length=64", "`data.max_length`"),
        (f"{TRAIN} eval_steps=5", "`evaluate.every_steps`"),
        (f"{TRAIN} ref_model=penchant-0.5m", "`reference`"),
        (f"{TRAIN} data.ties=dorp", "`drop`"),
        (f"{TRAIN} loss.bta=1", "`loss.beta`"),
        (f"{TRAIN} evaluate.samples.reward=vadr", "`vader`"),
        ("train dpo model=penchant-0.5m data=god.jsonl", "good.jsonl"),
        ("train dpo model=penchnt-0.5m data=good.jsonl", "'penchant-0.5m'"),
        ("judge good.jsonl against=good.jsonl judge=endpont", "`endpoint`"),
        ("collect good.jsonl ask=pair", "`pairs`"),
        ("collect good.jsonl --overlapp 2", "without dashes: overlap=2"),
        ("sample penchant-0.5m god.jsonl -o x.jsonl", "good.jsonl"),
        ("data check god.jsonl", "good.jsonl"),
        ("data check good.jsonl data.ties=drop", "`ties`"),
        ("weak train data=good.jsonl student=tfdf", "`tfidf`"),
        ("train dpo good.yml", "good.yaml"),
    ],
)
def test_a_hint_names_what_works(run: Callable[..., Run], inputs: Path, line: str, hint: str) -> None:
    """Thirty wrong words: each message names the right one, and the next test takes those for settings."""
    (inputs / "good.yaml").write_text("method: dpo\n")
    done = run(*line.split())
    assert done.code == 2
    assert hint in done.err


@pytest.mark.parametrize(
    "setting",
    [
        *(
            "optimizer.learning_rate=1e-4",
            "loss.beta=0.2",
            "loss=ipo",
            "epochs=1",
            "batch_size=8",
            "out=x",
            "max_steps=3",
        ),
        *(
            "model.lora.rank=4",
            "data.max_length=64",
            "evaluate.every_steps=5",
            "reference=penchant-0.5m",
            "data.ties=drop",
        ),
    ],
)
def test_what_hints_name_is_taken(setting: str) -> None:
    config = load_config(METHODS["dpo"], None, ["model=penchant-0.5m", "data=good.jsonl", setting])
    # what was typed is there, and no default that was left as it was
    path, _, value = setting.partition("=")
    settings: object = config
    for name in path.split("."):
        settings = getattr(settings, name)
    # a bare word may stand for a part's name
    found = getattr(settings, "name", settings)
    assert found == type(found)(value)


def test_names_in_a_foreign_file_cannot_command_the_terminal(run: Callable[..., Run], inputs: Path) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b", "x\x1b]0;title\x07": "text"} for n in range(2)]
    (inputs / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checked = run("data", "check", "odd.jsonl")
    assert "columns with text that are not read: x␛]0;title␇" in checked.out
    renamed = json.dumps({"pro\x1b[31mmpt": "q", "chosen": "a", "rejected": "b"})
    (inputs / "odd.jsonl").write_text(renamed + "\n")
    refused = run("data", "convert", "odd.jsonl", "-o", "new.jsonl")
    assert refused.code == 2
    assert "data.columns={prompt: pro␛[31mmpt}" in refused.err
    assert "\x1b" not in checked.out + checked.err + refused.out + refused.err
