"""Files of rows and of comparisons that a supervisor of words labels well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

GOOD, BAD = ("fine", "lovely", "warm"), ("dull", "awful", "cold")


def write_texts(path: Path, start: int, size: int, *, labels: bool = True) -> str:
    rng = np.random.default_rng(start)
    rows = []
    for number in range(start, start + size):
        row: dict[str, Any] = {"text": f"a {rng.choice((BAD, GOOD)[number % 2])} film, number {number}"}
        rows.append(json.dumps(row | ({"label": ("bad", "good")[number % 2]} if labels else {})))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def write_pairs(path: Path, start: int, size: int, *, labels: bool = True) -> str:
    """Of two answers the one with a good word is preferred; the longer one is not."""
    rng = np.random.default_rng(start)
    rows: list[dict[str, Any]] = []
    for number in range(start, start + size):
        better, worse = f"A {rng.choice(GOOD)} one.", f"A really {rng.choice(BAD)} one."
        prompt = [{"role": "user", "content": f"Film {number}?"}]
        pair = [better, worse] if number % 2 else [worse, better]
        rows.append({"prompt": prompt, "chosen": better, "rejected": worse} if labels else
                    {"prompt": prompt, "responses": pair})  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
