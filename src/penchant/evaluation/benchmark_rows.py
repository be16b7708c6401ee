"""Read the rows of RewardBench 1 and 2 from a file or the hub. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.data.sources.values import describe
from penchant.errors import InputError
from penchant.evaluation.grades import BenchmarkRow
from penchant.types import Message, Prompt


@dataclass(frozen=True)
class BenchmarkSource:
    """The place of a benchmark on the hub, and how many wrong completions a row has (None: any number)."""

    hub: str
    split: str
    wrong: int | None


SOURCES: Mapping[str, BenchmarkSource] = {
    # split: `load_eval_dataset` in rewardbench/utils.py; its other split, `raw`, has pairs that were filtered out later
    "rewardbench": BenchmarkSource("allenai/reward-bench", "filtered", 1),
    # id: default of `--dataset` in scripts/run_v2.py; split: `load_bon_dataset_v2` reads `test`
    "rewardbench2": BenchmarkSource("allenai/reward-bench-2", "test", None),
}


def read_benchmark(
    benchmark: str, path: str | Path | None = None, split: str | None = None, limit: int | None = None
) -> list[BenchmarkRow]:
    """Return the rows of a benchmark, the first `limit` of each subset.

    Args:
        benchmark: a name in `SOURCES`.
        path: a file or a hub id; the benchmark's own if not given.
        split: of a hub data set; the benchmark's own if not given.

    Raises:
        InputError: nothing to read, or a row of another shape, with its place and field.
    """
    source = SOURCES[benchmark]
    name = str(path or source.hub)
    rows: list[BenchmarkRow] = []
    counts: Counter[str] = Counter()
    # whole file, though few may be taken: its subsets stand one after the other
    for number, row in enumerate(read_rows(name, split or source.split)):
        if isinstance(row, RowProblem):
            raise InputError(f"{name}: {row}")
        read = _read(row.values, row.source, number, source.wrong)
        counts[read.subset] += 1
        if limit is None or counts[read.subset] <= limit:
            rows.append(read)
    if not rows:
        raise InputError(f"{name}: no row; expected those of {benchmark}, with prompt, chosen, rejected and subset")
    return rows


def _read(values: Mapping[str, object], source: str, number: int, wrong_count: int | None) -> BenchmarkRow:
    for column in ("prompt", "chosen", "rejected", "subset"):
        if values.get(column) is None:
            columns = ", ".join(values)
            raise InputError(f"{source}: expected the column `{column}` of a benchmark, got {columns}")
    right, wrong = (_completions(values[column], f"{source}: {column}") for column in ("chosen", "rejected"))
    if wrong_count is not None and (len(right), len(wrong)) != (1, wrong_count):
        raise InputError(
            f"{source}: expected one chosen and {wrong_count} rejected completion, got {len(right)} and {len(wrong)}; "
            "rows with several are those of benchmark=rewardbench2"
        )
    subset = values["subset"]
    if not isinstance(subset, str):
        raise InputError(f"{source}: expected `subset` as text, got {describe(subset)}")
    return BenchmarkRow(_prompt(values["prompt"], source), right, wrong, subset, str(values.get("id", number)), source)


def _completions(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InputError(f"{where}: expected a text or a list of texts, got {describe(value)}")


def _prompt(value: object, source: str) -> Prompt:
    """Return the prompt: a text, or the turns of the prior sets."""
    if isinstance(value, str):
        return value
    turns = (
        [(turn.get("role"), turn.get("content")) for turn in value if isinstance(turn, Mapping)]
        if isinstance(value, Sequence)
        else []
    )
    if not turns or not all(isinstance(part, str) for turn in turns for part in turn):
        raise InputError(
            f"{source}: expected `prompt` as text or as turns with role and content, got {describe(value)}"
        )
    return tuple(Message(str(role), str(content)) for role, content in turns)
