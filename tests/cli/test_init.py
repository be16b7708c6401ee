"""`penchant init`: a file becomes a configuration that trains, and nothing is overwritten."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest

import penchant.train.costs  # noqa: F401 - for the table of modules
from penchant.cli.main import main
from penchant.config import load_config
from penchant.data import layouts
from penchant.drafts import draft as draft_module
from penchant.drafts.labels import look_for_labels
from penchant.drafts.look import look_at
from penchant.methods import METHODS
from penchant.models.builtin import EMBEDDED
from penchant.weak.command_settings import WeakTrain
from penchant.weak.rows import read_labelled


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"How was film {n}?", "chosen": "I loved it.", "rejected": "It was dull."} for n in range(count)]


def test_what_is_written_trains_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("prefs.jsonl", pairs(20))
    assert main(["init", "prefs.jsonl", "model=penchant-0.5m"]) == 0
    printed = capsys.readouterr().out
    assert "20 prompts, 20 comparisons: for dpo" in printed
    assert printed.endswith("\n  penchant train dpo penchant.yaml\n")
    text = Path("penchant.yaml").read_text()
    assert "# Rows in tokens of penchant-0.5m: half have at most" in text
    assert "layout trl, 20 rows" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert main(["train", "dpo", "penchant.yaml", "max_steps=2", "evaluate.samples=null"]) == 0
    assert Path("runs/prefs/result.json").exists()


def test_a_second_draft_names_a_new_folder_and_a_file_is_never_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("prefs.jsonl", pairs(12))
    Path("runs/prefs").mkdir(parents=True)
    Path("penchant.yaml").write_text("mine")
    assert main(["init", "prefs.jsonl", "model=penchant-0.5m"]) == 2
    assert "penchant.yaml exists and is not overwritten" in capsys.readouterr().err
    assert Path("penchant.yaml").read_text() == "mine"
    assert main(["init", "prefs.jsonl", "model=penchant-0.5m", "out=second.yaml"]) == 0
    assert load_config(METHODS["dpo"], "second.yaml").out == "runs/prefs-2"


def test_ties_bad_rows_and_long_rows_are_settled_in_the_file(here: Path) -> None:
    rows = pairs(12)
    rows += [{"prompt": "long " * 400, "chosen": "I loved it.", "rejected": "It was dull."}]
    rows += [{"prompt": "same", "chosen": "x", "rejected": "x"}]
    write("spoiled.jsonl", rows)
    assert main(["init", "spoiled.jsonl", "model=penchant-0.5m"]) == 0
    text = Path("penchant.yaml").read_text()
    assert "1 row cannot be used and is left out, such as" in text
    config = load_config(METHODS["dpo"], "penchant.yaml")
    assert (config.data.bad_rows, config.data.overflow) == ("skip", "drop")
    assert main(["train", "dpo", "penchant.yaml", "max_steps=1", "evaluate.samples=null"]) == 0


def test_a_bad_row_among_demonstrations_is_left_out_and_named(here: Path) -> None:
    write(
        "answers.jsonl",
        [*({"prompt": f"p {n}", "completion": f"t {n}"} for n in range(12)), {"prompt": "p", "completion": 7}],
    )
    assert main(["init", "answers.jsonl", "model=penchant-0.5m"]) == 0
    text = Path("penchant.yaml").read_text()
    assert "layout completion, 13 rows, 12 prompts" in text
    assert "1 row cannot be used and is left out, such as answers.jsonl:13" in text
    assert load_config(METHODS["sft"], "penchant.yaml").data.bad_rows == "skip"


def test_a_model_of_somebody_else_that_is_called_like_ours_takes_the_usual_rate(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["penchant.train.costs"], "measure_speed", lambda device=None: 1e11)
    write("prefs.jsonl", pairs(12))
    Path("penchant-mine").symlink_to(EMBEDDED["penchant-0.5m"])
    look = look_at("prefs.jsonl")
    rates = [
        draft_module.make_draft("prefs.jsonl", draft_module.Reading(), look, name).rate
        for name in ("penchant-0.5m", "penchant-mine")
    ]
    assert rates == [draft_module.TINY_RATE, draft_module.RATES["dpo", False]]


def test_the_home_folder_is_written_out(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    write("prefs.jsonl", pairs(12))
    # zsh hands `out=~/x` on as it stands
    assert main(["init", "prefs.jsonl", "model=penchant-0.5m", "out=~/first.yaml"]) == 0
    assert f"penchant train dpo {here}/home/first.yaml" in capsys.readouterr().out
    assert (here / "home" / "first.yaml").is_file()
    assert not Path("~").exists()


@pytest.mark.parametrize("method", ["kto", "sft"])
def test_labels_and_demonstrations_get_their_method(here: Path, method: str) -> None:
    if method == "kto":
        write("rows.jsonl", [{"prompt": f"p {n}", "completion": f"t {n}", "label": n % 3 > 0} for n in range(12)])
    else:
        write("rows.jsonl", [{"prompt": f"p {n}", "completion": f"t {n}"} for n in range(12)])
    assert main(["init", "rows.jsonl", "model=penchant-0.5m"]) == 0
    assert Path("penchant.yaml").read_text().startswith(f"# Run it: penchant train {method} penchant.yaml\n")
    load_config(METHODS[method], "penchant.yaml")


def test_an_unreadable_file_is_answered_and_nothing_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.jsonl").write_text('{"prompt": \n')
    assert main(["init", "bad.jsonl"]) == 2
    assert "bad.jsonl" in capsys.readouterr().err
    assert main(["init", "missing.jsonl"]) == 2
    assert "missing.jsonl" in capsys.readouterr().err
    assert not Path("penchant.yaml").exists()


def test_names_with_signs_survive_the_way_through_yaml(here: Path) -> None:
    name = "my: file #1 (päärit).jsonl"
    write(name, pairs(12))
    assert main(["init", name, "model=penchant-0.5m", "out=a b.yaml"]) == 0
    assert load_config(METHODS["dpo"], "a b.yaml").data.path == name


def test_out_is_named_as_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("prefs.jsonl", pairs(12))
    assert main(["init", "prefs.jsonl", "out=draft"]) == 2
    assert "ends in .yaml" in capsys.readouterr().err


def test_batches_epochs_and_held_out_follow_the_size_of_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # by its name in the table of modules: `penchant.train` is the function of that name
    monkeypatch.setattr(sys.modules["penchant.train.costs"], "measure_speed", lambda device=None: 1e11)

    sizes = {}
    for count in (8, 40, 4000):
        write("rows.jsonl", pairs(count))
        draft = draft_module.make_draft("rows.jsonl", draft_module.Reading(), look_at("rows.jsonl"), "penchant-0.5m")
        sizes[count] = (draft.held_out, draft.batch_size, draft.epochs, draft.steps)
    # 8 comparisons, 4 per step, as many passes as there are at most; 36 and 9 steps; 3,600 and 64 per step
    assert sizes == {8: (0, 4, 10, 20), 40: (4, 4, 4, 36), 4000: (400, 64, 1, 57)}
    assert draft.lengths.measured == draft_module.MEASURED


def test_the_estimate_counts_samples_as_training_draws_them() -> None:
    lengths = draft_module.TokenLengths(
        median=110, p95=130, longest=150, per_prompt=210.0, prompt=10.0, longest_prompt=20, response=100.0,
        longest_response=130, measured=40, too_long=0, context=1024,
    )  # fmt: skip
    # 10 prompts at least, two draws of 130 tokens each, by the policy twice and the reference once
    assert draft_module.sampled_tokens(lengths, 4, 36, trained=0.0) == 3 * 2 * 10 * 130
    # training on many rows leaves room for 32 prompts, of which four are held out
    assert draft_module.sampled_tokens(lengths, 4, 4, trained=1e9) == 3 * 2 * 4 * 130
    assert draft_module.sampled_tokens(lengths, 400, 400, trained=1e9) == 3 * 2 * 32 * 130


def test_columns_and_a_template_are_taken_and_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"problem": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]} for row in pairs(12)]
    write("prefs.jsonl", rows)
    assert main(["init", "prefs.jsonl", "model=penchant-0.5m"]) == 2
    # the line that it offers is one that it takes
    assert "(columns={prompt: problem})" in capsys.readouterr().err
    words = ["init", "prefs.jsonl", "model=penchant-0.5m", "columns={prompt: problem}", "template=chatml"]
    assert main(words) == 0
    config = load_config(METHODS["dpo"], "penchant.yaml")
    assert (config.data.columns, config.data.template) == ({"prompt": "problem"}, "chatml")
    assert main(["train", "dpo", "penchant.yaml", "max_steps=1", "evaluate.samples=null"]) == 0


def test_a_file_whose_rows_are_all_too_long_is_refused_as_training_would(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("long.jsonl", [{**row, "prompt": "long " * 400} for row in pairs(3)])
    assert main(["init", "long.jsonl", "model=penchant-0.5m"]) == 2
    assert "every row is longer than the 256 tokens" in capsys.readouterr().err
    assert not Path("penchant.yaml").exists()


def test_a_name_below_a_file_is_refused_before_the_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("mine")
    assert main(["init", "file.jsonl", "out=file/x.yaml"]) == 2
    assert "out=file/x.yaml: file is a file, expected a folder" in capsys.readouterr().err


EXAMPLES = Path(layouts.__file__).parent / "examples"
NEEDS_TEMPLATE = {"llamafactory-tools", "openai-chat", "reasoning-chat", "swift-agent"}
TOO_LONG = {"llamafactory-tools", "openai-chat", "swift-agent"}
"""Lists of functions take more tokens than the smallest model has."""
SHOWN = {"rlhf-v", "ha-dpo", "ha-dpo-descriptions", "trl-vision", "llamafactory-media"}
"""Their rows show pictures, which no method learns from yet."""
PROMPTS = {"instructgpt-summaries", "open-conversation", "prompts", "question-prompts", "verl"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.jsonl")))
def test_what_is_written_for_each_layout_trains_as_it_is(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # beside each other: with the package's path in it no comment would be as wide as for a user
    for file in (EXAMPLES / f"{name}.jsonl", *EXAMPLES.glob("*.png")):
        shutil.copy(file, here)
    template = ["template=chatml"] if name in NEEDS_TEMPLATE else []
    code = main(["init", f"{name}.jsonl", "model=penchant-0.5m", *template])
    printed = capsys.readouterr()
    if name in PROMPTS:
        assert code == 2
        assert "no responses, so there is nothing to train on yet" in printed.err
        return
    if name in SHOWN:
        assert code == 2
        assert "prompts with images, and drafts are for models of text" in printed.err
        return
    if name in TOO_LONG:
        assert code == 2
        assert "every row is longer than the 256 tokens that penchant-0.5m takes at once" in printed.err
        return
    assert code == 0, printed.err
    words = shlex.split(printed.out.splitlines()[-1])[1:]
    assert main([*words, "max_steps=1", "evaluate.samples=null"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl.gz", "jsonl.zst", "parquet", "xlsx"])
def test_what_is_written_for_each_kind_of_file_trains_as_it_is(
    here: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pandas.DataFrame(pairs(12))
    file = f"prefs.{kind}"
    if kind in ("csv", "tsv"):
        frame.to_csv(file, index=False, sep="\t" if kind == "tsv" else ",")
    elif kind == "parquet":
        frame.to_parquet(file)
    elif kind == "xlsx":
        frame.to_excel(file, index=False)
    elif kind == "json":
        Path(file).write_text(json.dumps(pairs(12)))
    else:
        write("plain.jsonl", pairs(12))
        codec = {"jsonl.gz": "gzip", "jsonl.zst": "zstd"}[kind]
        with pyarrow.CompressedOutputStream(file, codec) as stream:
            stream.write(Path("plain.jsonl").read_bytes())
    assert main(["init", file, "model=penchant-0.5m"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])[1:]
    assert main([*words, "max_steps=1", "evaluate.samples=null"]) == 0


def labelled(count: int) -> str:
    rows = (f"film {n} was watched by many people,{'good' if n % 2 else 'bad'}\n" for n in range(count))
    return "".join(rows)


@pytest.mark.parametrize("header", ["text,label", "review,sentiment"])
def test_texts_with_classes_are_for_weak_labels(here: Path, capsys: pytest.CaptureFixture[str], header: str) -> None:
    Path("rows.csv").write_text(f"{header}\n" + labelled(24))
    assert main(["init", "rows.csv"]) == 0
    assert capsys.readouterr().out.endswith("\n  penchant weak train penchant.yaml\n")
    config = load_config(WeakTrain, "penchant.yaml")
    assert (config.data, config.student.name, config.out) == ("rows.csv", "tfidf", "runs/rows")
    rows = read_labelled(config.data, columns=config.columns)
    assert (rows.names, len(rows.examples)) == (("bad", "good"), 24)
    assert "# rows.csv: 24 rows with a class: bad 12 and good 12" in Path("penchant.yaml").read_text()


def test_texts_with_classes_may_be_meant_as_texts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text("text,label\n" + labelled(24))
    assert main(["init", "rows.csv", "columns={label: null}", "model=penchant-0.5m"]) == 0
    assert "for sft" in capsys.readouterr().out
    # a column that says something else of each row is no class
    Path("names.csv").write_text("text,label\n" + "".join(f"film {n},name {n}\n" for n in range(24)))
    assert look_for_labels("names.csv") is None


def test_votes_are_answered_with_the_commands_that_join_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [("good" if n % 2 else "bad", "" if n % 3 else "good", "bad", "en", "good") for n in range(24)]
    lines = [f"film {n} was watched by many people,{','.join(row)}\n" for n, row in enumerate(cells)]
    Path("votes.csv").write_text("review,rule,word,model,language,label\n" + "".join(lines))
    assert main(["init", "votes.csv"]) == 0
    printed = capsys.readouterr().out
    assert "votes of 3 sources (rule, word and model), the truth in `label`" in printed
    assert "penchant weak sources votes.csv text=review truth=label out=runs/votes 'ignore=[language]'" in printed
    assert "penchant weak train data=runs/votes/labels.jsonl student=tfidf" in printed
    assert not Path("penchant.yaml").exists()


def test_prompts_with_responses_are_no_texts_with_classes(here: Path) -> None:
    rows = [{"question": f"How was film {n}, tell me more?", "answer": f"It was film {n} of many.", "stars": n % 5}
            for n in range(40)]  # fmt: skip
    write("ratings.jsonl", rows)
    assert look_for_labels("ratings.jsonl") is None
