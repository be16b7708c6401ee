"""Rows of a session are named by what the user gave, wherever a message names them."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

import penchant as pt
from penchant.row_names import with_row_names

DIGEST = "0123456789abcdef"
ROWS = [{"prompt": "a", "chosen": " b", "rejected": " c"}, {"prompt": "d", "chosen": " e", "rejected": None}]


@pytest.mark.parametrize(
    ("index", "row"),
    [
        (None, "row 1 of the DataFrame"),
        ([7, 8], r"row 1 \(index 8\) of the DataFrame"),
        (["first", "second"], r"row 1 \(index 'second'\) of the DataFrame"),
        (pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]), r"row 1 \(index \('y', 2\)\) of the DataFrame"),
    ],
)
def test_a_bad_row_is_named_by_its_place_and_label(index: object, row: str) -> None:
    frame = pd.DataFrame(ROWS, index=index)  # type: ignore[call-overload]
    with pytest.raises(pt.InputError, match=rf"^the DataFrame: 1 of 2 rows cannot be used:\n  {row}: field 'rejected'"):
        pt.load_preferences(frame)
    report = pt.check_preferences(frame)
    assert report.source == "the DataFrame"
    assert "session:" not in repr(report)


def test_a_list_and_a_run_name_rows_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(pt.InputError, match=r"^the list: 1 of 2 rows cannot be used:\n  row 1 of the list: field"):
        pt.train(pt.DPO(model="penchant-0.5m", data=ROWS, out=str(tmp_path / "run")))
    with pytest.raises(pt.InputError, match=r"^row 0 of the tuple: unknown layout"):
        pt.load_preferences(({"prompt": "a", "left": "b"},))
    with caplog.at_level(logging.WARNING, logger="penchant"):
        pt.load_preferences(ROWS, bad_rows="skip")
    assert "the list: left out 1 of 2 rows" in caplog.text
    assert "session:" not in caplog.text


def test_another_process_knows_the_kind_alone_and_paths_stay() -> None:
    assert with_row_names(f"session:dataframe-{DIGEST}.jsonl: rows") == "the DataFrame: rows"
    assert with_row_names(f"(the first: groups-{DIGEST}.jsonl:3)") == "(the first: row 2 of the list)"
    for text in (f"/cache/session/rows-{DIGEST}.jsonl:3", f"my-rows-{DIGEST}.jsonl:3", "rows-of-mine.jsonl:3"):
        assert with_row_names(text) == text
