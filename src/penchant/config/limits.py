"""Types with limits: numbers beyond them are a slip of the keyboard, or memory runs out; an empty name is one too.

Imports nothing of Penchant, so that every settings file may use them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field


def _check_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no file of settings can hold, such as a function or a tensor."""
    for name, value in arguments.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"`{name}` is a {type(value).__name__}, expected text, numbers, lists or mappings; a function that "
                "needs something else can be handed over as functools.partial"
            ) from None
    return arguments


Text = Annotated[str, Field(min_length=1)]
"""A name, path or address: `model=` without anything behind it is a slip."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed of random numbers: what NumPy and torch both take."""

Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
Draws = Annotated[int, Field(ge=1, le=100_000)]
"""Samples of one prompt, or repetitions."""
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
"""A length in tokens, or a budget of them."""
Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A number of rows, prompts or calls."""
Arguments = Annotated[dict[str, Any], AfterValidator(_check_arguments)]
"""What code of the user's is called with besides, by name."""
Weight = Annotated[float, Field(gt=0, le=1_000_000_000)]
"""A share beside those of others: the sum of very large ones would be infinite, and every share zero."""
