"""What `penchant weak label` and `penchant weak train` do alike with rows."""

from __future__ import annotations

import json
from pathlib import Path

from penchant.weak.command_rows import split_rows
from penchant.weak.rows import read_labelled


def test_rows_that_share_a_text_or_a_group_stay_together(tmp_path: Path) -> None:
    """Also where one links two others: the first and the second by text, the second and the third by group."""
    rows = [{"text": f"film {n}", "label": n % 2, "group": f"g{n}"} for n in range(30)]
    rows += [{"text": f"FILM {n}", "label": n % 2, "group": f"h{n}"} for n in range(30)]
    rows += [{"text": f"another {n}", "label": n % 2, "group": f"h{n}"} for n in range(30)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    for seed in range(3):
        learned, held = (set(places) for places in split_rows(read_labelled(str(file)), 0.3, seed))
        assert learned | held == set(range(90))
        assert {place % 30 for place in learned}.isdisjoint({place % 30 for place in held})
