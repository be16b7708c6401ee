"""What rows say beside their group: models, topics, orders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant.raters.row_metadata import RowMetadata, read_row_metadata, topic_field

ROW = {"prompt": "p", "responses": ["a", "b"]}


def beside(tmp_path: Path, **more: Any) -> RowMetadata:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(ROW | more) + "\n")
    return read_row_metadata(path, "penchant", topic="meta.kind")["f.jsonl:1"]


def test_who_wrote_and_what_about(tmp_path: Path) -> None:
    assert beside(tmp_path, models=["m", "n"]).models == ("m", "n")
    found = beside(
        tmp_path, topic=" maths ", source=7, task=True, dataset="", info={"subreddit": "r"}, meta={"kind": "k"}
    )
    assert found.topics == {"topic": "maths", "source": "7", "info.subreddit": "r", "meta.kind": "k"}
    assert beside(tmp_path) == RowMetadata()
    with pytest.raises(InputError, match="a list of names"):
        beside(tmp_path, models="m")


def test_the_order_in_which_somebody_saw_two(tmp_path: Path) -> None:
    said = [{"annotator": "Ann", "order": [2, 0, 1]}, {"annotator": "Bob", "order": [0, 2]}]
    found = beside(tmp_path, judgments=[*said, {"annotator": "Bob", "order": [2, 0]}])
    assert found.stood_before("Ann", 2, 1) is True
    assert found.stood_before("Ann", 1, 0) is False
    assert found.stood_before("Bob", 0, 2) is None  # now so and now so
    assert found.stood_before("Bob", 0, 1) is None  # not shown
    assert found.stood_before("Cleo", 0, 1) is None
    for other in ("good", [3], [{"annotator": "Ann", "order": "01"}], [{"annotator": "Ann", "order": [0, 0]}]):
        assert beside(tmp_path, judgments=other).orders == ()


def test_a_topic_covers_many_prompts_and_is_no_address() -> None:
    shared = [(f"prompt {n}", {"category": f"topic {n % 3}", "topic": f"address {n}"}) for n in range(12)]
    assert topic_field(shared) == "category"
    assert topic_field(shared, "topic") == "topic"
    assert topic_field([(prompt, {"topic": "one and the same"}) for prompt, _ in shared]) is None
    assert topic_field([*shared, *((f"more {n}", {}) for n in range(20))]) is None
    with pytest.raises(InputError, match=r"topic=categroy: no row has this field .* did you mean 'category'"):
        topic_field(shared, "categroy")
    with pytest.raises(InputError, match="leave the setting out for clusters"):
        topic_field([("p", {})], "x")


def test_columns_of_another_name_say_who_wrote_what(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("prompt,response_a,response_b,winner,left,right\np,x,y,a,m,n\n")
    columns = {"model_a": "left", "model_b": "right"}
    assert read_row_metadata(path, "response-pair", columns=columns)["f.csv row 1"].models == ("m", "n")
    assert read_row_metadata(path, "response-pair")["f.csv row 1"].models is None
