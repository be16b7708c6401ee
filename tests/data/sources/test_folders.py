"""Paths that stand for several files: folders of `save_to_disk`, shards and patterns, and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_preferences
from penchant.data.sources.files import source_files
from penchant.errors import InputError
from penchant.runs.provenance import provenance_of_files

ROWS = [{"prompt": f"q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(5)]


def refusal(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(path, **arguments)
    return str(caught.value)


def stream(path: Path, rows: list[dict[str, Any]]) -> Path:
    """An Arrow file as `datasets` writes it."""
    import pyarrow

    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def saved(folder: Path, *shards: list[dict[str, Any]]) -> Path:
    """A folder of the shape that `Dataset.save_to_disk` leaves."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{len(shards):05}.arrow" for n in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        stream(folder / name, rows)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


def test_what_datasets_itself_saves_is_read(tmp_path: Path) -> None:
    import datasets

    part = datasets.Dataset.from_list(ROWS)
    part.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict(train=part, test=part.select([4])).save_to_disk(tmp_path / "dict")
    assert [group.prompt for group in load_preferences(tmp_path / "one")] == [row["prompt"] for row in ROWS]
    assert load_preferences(tmp_path / "one") == load_preferences(tmp_path / "dict")
    (group,) = load_preferences(tmp_path / "dict", split="test")
    assert group.responses[0].text == "good 4"
    assert group.source == "data-00000-of-00001.arrow row 1"
    said = refusal(tmp_path / "dict", split="tset")
    assert "no split 'tset' in this folder; it has train, test; did you mean data.split=test?" in said


def test_arrow_files_of_both_formats_are_read(tmp_path: Path) -> None:
    import pyarrow

    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    groups = load_preferences(tmp_path / "a.arrow")
    assert groups == load_preferences(stream(tmp_path / "b.arrow", ROWS))
    assert [group.source for group in groups] == [f"a.arrow row {n}" for n in range(1, 6)]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_arrow_file_is_refused(tmp_path: Path, kept: float) -> None:
    import pyarrow

    table = pyarrow.Table.from_pylist(ROWS * 40)
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=20)
    stream(tmp_path / "b.arrow", ROWS * 40)
    for name in ("a.arrow", "b.arrow"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(kept * len(content))])
        assert f"{name}: " in refusal(tmp_path / name)


def test_an_arrow_stream_cut_between_two_batches_is_refused(tmp_path: Path) -> None:
    import pyarrow

    # a reader would take what is left for the whole: nothing in it is damaged
    table = pyarrow.Table.from_pylist(ROWS)
    sink = pyarrow.BufferOutputStream()
    writer = pyarrow.ipc.new_stream(sink, table.schema)
    writer.write_table(table)
    size = sink.tell()
    writer.close()
    (tmp_path / "a.arrow").write_bytes(sink.getvalue().to_pybytes()[:size])
    assert "has no end mark" in refusal(tmp_path / "a.arrow")


def test_shards_are_read_in_their_order_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        text = "".join(json.dumps(row) + "\n" for row in ROWS[number : number + 1])
        (folder / f"train-{number:05}-of-00003.jsonl").write_text(text)
    (folder / "test-00000-of-00001.jsonl").write_text(json.dumps(ROWS[4]) + "\n")
    for path in (folder, tmp_path):  # the hub's repositories have a folder `data`
        assert [group.prompt for group in load_preferences(path)] == ["q0", "q1", "q2"]
    assert [group.prompt for group in load_preferences(folder, split="test")] == ["q4"]
    assert "choose a split: data.split=test" in refusal(folder, split="other")
    (folder / "train-00001-of-00003.jsonl").unlink()
    assert "2 of 3 shards are here" in refusal(folder)


def test_a_pattern_reads_files_of_one_kind(tmp_path: Path) -> None:
    for number in (2, 1):
        (tmp_path / f"part{number}.jsonl").write_text(json.dumps(ROWS[number]) + "\n")
    assert [group.prompt for group in load_preferences(tmp_path / "part*.jsonl")] == ["q1", "q2"]
    (tmp_path / "part3.csv").write_text("prompt\n")
    assert "files of different kinds, part1.jsonl and part3.csv" in refusal(tmp_path / "part*")
    assert "no file fits this pattern" in refusal(tmp_path / "x*.jsonl")


def test_files_that_only_lie_together_are_no_data_set(tmp_path: Path) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(json.dumps(ROWS[0]) + "\n")
    said = refusal(tmp_path)
    assert "it holds test.jsonl, train.jsonl. Give the path of one file" in said


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "link.arrow"])
def test_a_folder_never_leads_to_files_outside_of_it(tmp_path: Path, name: str) -> None:
    stream(tmp_path / "secret.arrow", ROWS)
    folder = saved(tmp_path / "data", ROWS)
    (folder / "link.arrow").symlink_to(tmp_path / "secret.arrow")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    assert "leads out of the folder" in refusal(folder)


def test_a_shard_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.jsonl").symlink_to(tmp_path / "secret.jsonl")
    assert "leads out of the folder" in refusal(tmp_path / "data")


def test_an_incomplete_folder_says_what_is_missing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", ROWS[:2], ROWS[2:])
    (folder / "data-00001-of-00002.arrow").unlink()
    assert "1 of 2 files are missing, the first: data-00001-of-00002.arrow" in refusal(folder)
    (folder / "state.json").write_text("[]")
    assert "expected a JSON object" in refusal(folder)
    (folder / "state.json").write_text("{}")
    assert "names no files of the data set" in refusal(folder)
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (folder / "train").mkdir()
    assert "state.json is missing" in refusal(folder)


def test_the_digest_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    def digest() -> str | None:
        return provenance_of_files([str(folder)], seed=0).data[0].sha256

    folder = saved(tmp_path / "data", ROWS[:2], ROWS[2:])
    first = digest()
    assert first is not None
    assert len(source_files(folder)) == 2
    stream(folder / "data-00001-of-00002.arrow", ROWS[3:])
    assert digest() != first
