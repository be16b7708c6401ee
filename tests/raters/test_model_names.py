"""Which model wrote each response, where a row says so."""

from __future__ import annotations

from typing import Any

import pytest

from penchant.data.sources.rows import Row
from penchant.errors import InputError
from penchant.raters.model_names import model_names


@pytest.mark.parametrize(
    ("layout", "values", "names"),
    [
        ("alpaca-eval", {"generator_1": "a", "generator_2": "b"}, ("a", "b")),
        ("alpaca-eval", {"generator_1": "a"}, None),
        ("pandalm", {"cmp_key": "opt-7b_pythia-6.9b"}, ("opt-7b", "pythia-6.9b")),
        ("pandalm", {"cmp_key": "x"}, None),
        ("trl", {"chosen_model": "a", "rejected_model": "b"}, ("a", "b")),
        ("ultrafeedback", {"completions": [{"model": "a"}, {"model": "b"}, {"model": "c"}]}, ("a", "b", "c")),
        ("ultrafeedback", {"completions": [{"model": "a"}, {}]}, None),
        ("openai-summaries", {"summaries": [{"policy": "a"}, {"policy": "b"}]}, ("a", "b")),
        ("trl-conversational", {"chosen-model": "a", "rejected-model": "b"}, ("a", "b")),
        ("argilla", {"chosen_model": "a"}, None),
        ("mt-bench", {"model_a": "a", "model_b": "b"}, ("a", "b")),
        ("arena-55k", {"model_a": "a", "model_b": "b"}, ("a", "b")),
        ("nectar", {"answers": [{"model": "a"}, {"model": "b"}]}, ("a", "b")),
        ("pku-saferlhf", {"response_0_source": "a", "response_1_source": "b"}, ("a", "b")),
        ("distilabel", {"generation_models": ["a", "b"]}, ("a", "b")),
        ("distilabel", {"generation_models": "a"}, None),
        ("penchant", {"models": ["a", "b", "c"]}, ("a", "b", "c")),
        ("penchant", {}, None),
    ],
)
def test_fields_that_name_models(layout: str, values: dict[str, Any], names: tuple[str, ...] | None) -> None:
    assert model_names(layout, Row("f.jsonl:1", values)) == names


def test_models_that_are_no_list_of_names_are_refused() -> None:
    with pytest.raises(InputError, match="a list of names"):
        model_names("penchant", Row("f.jsonl:1", {"models": "m"}))
