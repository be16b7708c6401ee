"""Types with limits: numbers beyond them are a slip of the keyboard, or memory runs out; an empty name is one too.

Imports nothing of Penchant, so that every settings file may use them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
Weight = Annotated[float, Field(gt=0, le=1_000_000_000)]
"""A share beside those of others: the sum of very large ones would be infinite, and every share zero."""
