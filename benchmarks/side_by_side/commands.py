"""Penchant's own command line, as the sweep and the start rows run it."""

from __future__ import annotations

import sys
from pathlib import Path

from side_by_side.workers import CLIP, Data

PENCHANT = Path(sys.executable).parent / "penchant"


def train_command(data: Data, out: Path, more: list[str]) -> list[str]:
    """The command line: no held-out prompts and no samples, else as anyone would run it."""
    return [
        str(PENCHANT),
        "train",
        "dpo",
        f"model={data.told['model']}",
        f"data.path={data.folder / 'prefs.jsonl'}",
        "data.template=plain",
        "data.held_out=0",
        f"batch_size={data.pairs_per_step}",
        "optimizer.name=adamw",
        "optimizer.learning_rate=1e-6",
        f"clip={CLIP}",
        "evaluate.samples=null",
        f"out={out}",
        *more,
    ]
