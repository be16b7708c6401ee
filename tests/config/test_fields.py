"""Types in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model

from config_example import LOSS_NAMES
from penchant.config import Config, fields
from penchant.losses import PreferenceLoss


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Annotated[int, Field(ge=1)] | None, "a whole number at least 1 or null"),
        (Annotated[int | None, Field(ge=1, le=3)], "a whole number at least 1 and at most 3 or null"),
        (Annotated[str, Field(min_length=1)], "text of length at least 1"),
        (
            Annotated[list[Annotated[float, Field(gt=0)]], Field(max_length=2)],
            "a list (each a number above 0) of length at most 2",
        ),
        (tuple[float, float], "a list of 2 (a number, a number)"),
        (int | str, "a whole number or text"),
        (Literal["only"], "only"),
        (list, "a list"),
        (dict, "a mapping"),
        (Any, "anything"),
        (PreferenceLoss | None, f"one of {LOSS_NAMES} or null"),
    ],
)
def test_types_in_words(annotation: Any, expected: str) -> None:
    config = create_model("Some", __base__=Config, field=(annotation, ...))
    assert fields.expected(config.model_fields["field"]) == expected
