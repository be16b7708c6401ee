"""`penchant data get`: what is known of a data set, copies at hand, and what to do without a network."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.data.sources.file_sets import FileSet, describe_missing, file_sets, find_set
from penchant.data.sources.hub_table import read_table
from penchant.errors import InputError
from penchant.studies.core.prompts import locate_prompts
from penchant.tasks.load import load_task


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_file_that_a_preset_names_belongs_to_a_set() -> None:
    studies = Path(find_set.__code__.co_filename).parents[2] / "studies"
    named = {
        line.partition('"data:')[2].partition('"')[0]
        for preset in studies.glob("*/presets/*.yaml")
        for line in preset.read_text().splitlines()
        if '"data:' in line
    }
    named |= {
        word.removeprefix("data:").rstrip(",}")
        for preset in studies.glob("*/presets/*.yaml")
        for line in preset.read_text().splitlines()
        if not line.lstrip().startswith("#")
        for word in line.split()
        if word.startswith("data:") and "/" in word
    }
    assert named
    assert named <= {file for entry in file_sets() for file in entry.files}


def test_rows_and_bytes_are_those_of_the_files(shared_data) -> None:  # type: ignore[no-untyped-def]
    for entry in file_sets():
        paths = [shared_data(file) for file in entry.files]
        assert sum(path.stat().st_size for path in paths) == entry.bytes
        if paths[0].name.endswith(".jsonl.gz"):
            assert sum(len(gzip.decompress(path.read_bytes()).splitlines()) for path in paths) == entry.rows


def test_a_revision_is_stated_only_where_one_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(entry for entry in read_table().datasets if entry.id == "Anthropic/hh-rlhf")
    assert main(["data", "get", entry.name, "dry_run=true"]) == 0
    assert f"revision: {entry.revision or 'none was read yet'}" in capsys.readouterr().out


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "get"]) == 0
    text = capsys.readouterr().out
    assert all(entry.name in text for entry in (*file_sets(), *read_table().datasets))


@pytest.mark.parametrize("name", ["hh_rlhf/harmless-base.test.jsonl.gz", "harmless-base.test.jsonl", "test.jsonl.gz"])
def test_a_copy_at_hand_is_taken_by_any_of_its_names(here: Path, name: str) -> None:
    copy = here / "copy" / name
    copy.parent.mkdir(parents=True)
    content = b'{"chosen": "a", "rejected": "b"}\n'
    copy.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert main(["data", "get", "hh-harmless-test", "from=copy"]) == 0
    written = here / "data" / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    assert gzip.decompress(written.read_bytes()) == content


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_copy_is_named_and_leaves_nothing(
    damage: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = gzip.compress(bytes(range(256)) * 40)
    (here / "copy").mkdir()
    (here / "copy" / "test.jsonl.gz").write_bytes(packed[:-9] if damage == "cut" else packed[:-8] + b"\0" * 8)
    assert main(["data", "get", "hh-harmless-test", "from=copy"]) == 2
    assert "copy/test.jsonl.gz is damaged" in capsys.readouterr().err
    assert not list(here.glob("data/hh_rlhf/*"))


def test_a_set_of_which_a_part_is_there_is_completed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(entry for entry in file_sets() if len(entry.files) > 1)
    for source in entry.files.values():
        (here / "copy" / source).parent.mkdir(parents=True, exist_ok=True)
        (here / "copy" / source).write_text("new\n")
    first, *others = [here / "data" / name for name in entry.files]
    first.parent.mkdir(parents=True)
    first.write_bytes(gzip.compress(b"old\n"))
    assert main(["data", "get", entry.name, "from=copy"]) == 0
    assert [gzip.decompress(path.read_bytes()) for path in (first, *others)] == [b"old\n", *[b"new\n"] * len(others)]
    assert main(["data", "get", entry.name, "from=copy"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_nothing_is_overwritten_and_a_copy_without_the_file_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "copy").mkdir()
    assert main(["data", "get", "hh-harmless-test", "from=copy"]) == 2
    assert "it holds neither" in capsys.readouterr().err
    assert main(["data", "get", "hh-harmless-test", "from=nowhere"]) == 2
    assert "no such folder" in capsys.readouterr().err
    target = here / "data" / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    assert main(["data", "get", "hh-harmless-test", "from=copy"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["hh-harmless-test", "tldr-samples", "cnn-dm-t0", "Anthropic/hh-rlhf"])
def test_without_a_network_the_way_by_hand_is_said(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "get", name]) == 2
    message = capsys.readouterr().err
    entry = find_set(name)
    if isinstance(entry, FileSet):
        assert all(str(Path("data") / file) in message for file in entry.files)
    assert (entry.published if isinstance(entry, FileSet) else entry.id) in message
    assert not list(here.iterdir())


def test_a_copy_of_a_hub_data_set_becomes_rows_with_its_columns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = here / "copy"
    copy.mkdir()
    for split in ("train", "test"):
        rows = [{"chosen": f"{split} {n}", "rejected": "b"} for n in range(3)]
        (copy / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "get", "Anthropic/hh-rlhf", "from=copy", "limit=2"]) == 0
    written = here / "data" / "Anthropic--hh-rlhf" / "train.first-2.jsonl"
    assert [json.loads(line)["chosen"] for line in written.read_text().splitlines()] == ["train 0", "train 1"]
    (copy / "train.jsonl").write_text('{"text": "other"}\n')
    assert main(["data", "get", "Anthropic/hh-rlhf", "from=copy", "out=other"]) == 2
    assert (
        "no column chosen, rejected: this is no copy of Anthropic/hh-rlhf as the hub has it" in capsys.readouterr().err
    )
    assert not [path for path in (here / "other").rglob("*") if path.is_file()]


def test_a_preset_whose_file_is_missing_says_where_it_is_published(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(here))
    with pytest.raises(InputError, match=r"1,200 rows, .*penchant data get tldr-samples out=.*github\.com/openai"):
        locate_prompts("data:tldr/instructgpt_tldr_samples.csv.gz")
    assert describe_missing("mine.txt", here) == ""


def test_a_task_reads_what_was_got_for_it_but_no_part(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PENCHANT_DATA", raising=False)
    copy = here / "copy"
    copy.mkdir()
    for split, rows in {"train": 6, "validation": 4}.items():
        lines = [json.dumps({"sentence": f"{split} film {n}", "label": n % 2}) for n in range(rows)]
        (copy / f"{split}.jsonl").write_text("\n".join(lines))
    assert main(["data", "get", "sst2", "from=copy", "limit=2"]) == 0
    assert "data=data/stanfordnlp--sst2/train.first-2.jsonl" in capsys.readouterr().out
    with pytest.raises(InputError):
        load_task("sst2")
    assert main(["data", "get", "sst2", "from=copy"]) == 0
    assert "task sst2 finds it\n" in capsys.readouterr().out
    task = load_task("sst2")
    assert (len(task.train), len(task.test)) == (6, 4)
    assert task.source == "stanfordnlp--sst2/train.jsonl, stanfordnlp--sst2/validation.jsonl"
    assert main(["data", "get", "sst2", "from=copy", "out=other"]) == 0
    assert f"task sst2 finds it, with PENCHANT_DATA={here / 'other'}" in capsys.readouterr().out


def test_a_copy_of_the_files_that_a_task_reads_is_taken_as_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PENCHANT_DATA", raising=False)
    (here / "copy" / "sst2").mkdir(parents=True)
    for name, rows in {"train.txt": 6, "test.txt": 4}.items():
        lines = "".join(f"{n % 2} {name} film {n}\n" for n in range(rows))
        (here / "copy" / "sst2" / f"{name}.gz").write_bytes(gzip.compress(lines.encode()))
    assert main(["data", "get", "sst2", "from=copy/sst2"]) == 0
    assert "task sst2 finds it\n" in capsys.readouterr().out
    task = load_task("sst2")
    assert (len(task.train), len(task.test), task.source) == (6, 4, "sst2/train.txt.gz, sst2/test.txt.gz")
    assert main(["data", "get", "sst2", "from=copy"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_a_preset_that_reads_several_names_them() -> None:
    with pytest.raises(InputError, match=r"dialogue reads several: .*Anthropic/hh-rlhf.*hh-harmless-test"):
        find_set("dialogue")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean tldr-samples"):
        find_set("tldr-sample")


def test_an_out_that_is_a_file_is_refused_before_the_network_is_asked(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penchant.data.sources.files.read_rows", lambda *_: pytest.fail("the network is asked"))
    Path("file").write_text("mine")
    for out in ("file", "file/below"):
        assert main(["data", "get", "sst2", f"out={out}"]) == 2
        assert f"out={out}: file is a file, expected a folder" in capsys.readouterr().err
    assert Path("file").read_text() == "mine"
