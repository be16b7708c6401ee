"""Rows of a session as data: what is taken, what they become, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset

import penchant as pt
from media_files import picture_bytes, sound_bytes
from penchant.data.in_memory import data_source
from penchant.data.load import load_responses
from penchant.session.store import session_path
from penchant.text_alone import media_of

ROWS = [{"prompt": f"How was film {number}?", "chosen": "Good.", "rejected": "Dull."} for number in range(3)]
GROUP = pt.PromptGroup("Hi", ["a", "b"], [pt.Comparison(0, 1)], scores=[1.0, 0.5])


def lines(name: str) -> str:
    return Path(session_path(name)).read_text()


def test_groups_are_kept_in_our_own_layout_and_read_back_equal() -> None:
    name = data_source([GROUP, GROUP.replace(prompt="Ho", source="elsewhere:3")])
    assert name.startswith("session:groups-")
    assert pt.load_preferences(name) == [GROUP, GROUP.replace(prompt="Ho")]
    assert data_source((GROUP,)) == data_source([GROUP]) != data_source([GROUP.replace(prompt="Ho")])


@pytest.mark.parametrize("make", [list, tuple, pd.DataFrame, Dataset.from_list, pa.Table.from_pylist])
def test_rows_of_any_kind_become_the_same_groups(make) -> None:  # type: ignore[no-untyped-def]
    groups = pt.load_preferences(make(ROWS))
    assert [group.prompt for group in groups] == [row["prompt"] for row in ROWS]
    assert {(group.responses[0].text, group.responses[1].text) for group in groups} == {("Good.", "Dull.")}


def test_every_loader_and_the_check_take_rows_with_the_reports_of_a_file(tmp_path: Path) -> None:
    frame = pd.DataFrame([*ROWS, {"prompt": "Tied?", "chosen": "Same.", "rejected": None}])
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    with pytest.raises(
        pt.InputError,
        match=r"^the DataFrame: 1 of 4 rows cannot be used:\n  row 3 of the DataFrame: field 'rejected'",
    ):
        pt.load_preferences(frame)
    of_rows, of_file = (pt.check_preferences(source) for source in (frame, tmp_path / "rows.jsonl"))
    assert replace(of_rows, source="") == replace(
        of_file, source="", bad_rows=of_rows.bad_rows, refusals=of_rows.refusals
    )
    assert pt.load_preferences(frame, bad_rows="skip") == pt.load_preferences(tmp_path / "rows.jsonl", bad_rows="skip")
    assert [group.prompt for group in pt.load_prompts(ROWS)] == [row["prompt"] for row in ROWS]
    assert pt.load_prompts([GROUP]) == [pt.PromptGroup("Hi")]
    taught = pt.load_demonstrations(Dataset.from_list([{"prompt": "Hi", "completion": "Ho"}]))
    assert taught == [pt.PromptGroup("Hi", ["Ho"])]
    assert load_responses([GROUP]) == [GROUP]


def test_cells_become_json_and_missing_ones_null() -> None:
    frame = pd.DataFrame(
        {"a": ["x", None], "b": [np.nan, 2.0], "c": [np.arange(2), [1]], "d": [date(2026, 1, 31), pd.NaT]}
    )
    frame["e"] = [np.int64(3), {"k": (1, np.float32(0.5))}]
    frame["f"] = [Decimal("1.5"), Decimal("nan")]
    assert lines(data_source(frame)) == (
        '{"a": "x", "b": null, "c": [0, 1], "d": "2026-01-31", "e": 3, "f": 1.5}\n'
        '{"a": null, "b": 2.0, "c": [1], "d": null, "e": {"k": [1, 0.5]}, "f": null}\n'
    )


def test_pictures_and_sounds_of_a_session_are_rows(tmp_path: Path) -> None:
    content, sound = picture_bytes("red"), sound_bytes()
    file = tmp_path / "red.png"
    file.write_bytes(content)
    cells = {"image": [content, {"bytes": content, "path": "x.png"}, pt.Image.make(content), pt.Image.make(file)],
             "audio": [sound, {"bytes": sound, "path": None}, pt.Audio.make(sound)]}  # fmt: skip
    shown: dict[str, pt.Image | pt.Audio] = {"image": pt.Image.make(content), "audio": pt.Audio.make(sound)}
    for column, alike in cells.items():
        for cell in alike:
            rows = [{"prompt": "What?", "chosen": "a", "rejected": "b", column: cell}]
            (group,) = pt.load_preferences(rows, media=True)
            assert group.prompt == (pt.Message("user", (shown[column], "What?")),)
            with pytest.raises(pt.InputError, match=f"field '{column}': pictures, videos and sounds cannot be used"):
                pt.load_preferences(rows)
    # as `datasets` decodes them, file by file
    decoded = Dataset.from_list([{"prompt": "What?", "chosen": "a", "rejected": "b", "image": str(file)}])
    (group,) = pt.load_preferences(decoded.cast_column("image", datasets.Image()), media=True)
    (picture,) = media_of(group)
    assert isinstance(picture, pt.Image)
    assert picture.pixel_digest() == pt.Image.make(file).pixel_digest()


def test_an_index_with_a_name_is_a_column() -> None:
    frame = pd.DataFrame(ROWS)
    assert data_source(frame.set_index("prompt")) == data_source(frame)
    assert data_source(frame.set_index(pd.Index([7, 8, 9]))) == data_source(frame)


def test_frames_of_polars_are_taken_also_lazy_ones() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    assert data_source(frame) == data_source(frame.lazy()) == data_source(pd.DataFrame(ROWS))


def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    assert data_source("prefs.jsonl") == "prefs.jsonl"
    assert pt.DPO(model="m", data=tmp_path / "prefs.jsonl").data.path == str(tmp_path / "prefs.jsonl")


def test_the_settings_of_a_file_hold_for_rows(tiny_model: str) -> None:
    frame = pd.DataFrame(ROWS).rename(columns={"prompt": "question"})
    config = pt.DPO(model=tiny_model, data={"path": frame, "columns": {"prompt": "question"}, "limit": 2})
    assert len(pt.load_preferences(config.data.path, **config.data.reading)) == 2
    mixture = pt.DPO(model=tiny_model, data={"sources": [{"path": ROWS, "weight": 2}, {"path": [GROUP], "weight": 1}]})
    assert [source.path.partition("-")[0] for source in mixture.data.sources] == ["session:rows", "session:groups"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the list is empty; expected one row or more"),
        (3, r"expected a path, a list of PromptGroup or of mappings, .*, got a int \(3\)"),
        ([GROUP, {}], r"item 1 of the list is a dict \(\{\}\), expected a PromptGroup as the others"),
        ([ROWS[0], "text"], r"item 1 of the list is a str \('text'\), expected a list of PromptGroup"),
        (["Who?"], r"item 0 of the list .* prompts alone are \[\{'prompt': 'a text'\}, ...\], several files are"),
        (pd.DataFrame([["a", "b"]]), r"the DataFrame has the column 0, expected names that are text"),
        (pd.DataFrame([["a", "b"]], columns=["x", "x"]), "the DataFrame has several columns 'x': leave one"),
        ([{"prompt": {1, 2}}], r"row 0 of the list has a set \(\{1, 2\}\) in `prompt`; expected text, finite numbers"),
        ([{"scores": [1.0, float("inf")]}], r"row 0 .* has a float \(inf\) in `scores`; expected text, finite numbers"),
        ([{"prompt": "\ud800"}], "row 0 of the list holds half a character"),
    ],
)
def test_what_is_no_data_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(pt.InputError, match=r"configuration of dpo: `data.path`: " + message):
        pt.DPO(model="m", data=value)


def test_splits_are_no_rows() -> None:
    with pytest.raises(pt.InputError, match="got a dict with train, test: give one of its values"):
        data_source({"train": ROWS, "test": ROWS})


def test_a_frame_without_a_known_column_names_its_columns() -> None:
    with pytest.raises(pt.InputError, match=r"^row 0 of the DataFrame: unknown layout. The rows have a, b"):
        pt.load_preferences(data_source(pd.DataFrame([{"a": 1, "b": 2}])))
