"""Say in which points the hub differs from the table, and what a row of it looks like."""

from __future__ import annotations

from collections.abc import Mapping

from contact.hub import DatasetFacts, ModelFacts
from penchant.data.layouts import registry as formats
from penchant.data.sources.hub_table import HubDataset, HubModel
from penchant.errors import PenchantError
from penchant.tasks.load import NAMES, task_spec

WEIGHTS = (".safetensors", ".bin")


def dataset_differences(entry: HubDataset, facts: DatasetFacts) -> list[str]:
    """Return sentences about what is not as the table says, none where all is."""
    differences = [
        f"split {split}: not there; there are {', '.join(facts.there) or 'no Parquet files'}"
        for split in entry.splits
        if split not in facts.splits
    ]
    differences += [
        f"split {split}: {facts.splits[split]:,} rows, the table says {rows:,}"
        for split, rows in entry.splits.items()
        if rows is not None and split in facts.splits and facts.splits[split] != rows
    ]
    missing = [column for column in entry.columns if column not in facts.columns]
    if missing and facts.columns:
        differences.append(f"columns: no {', '.join(missing)}; there are {', '.join(facts.columns)}")
    for pin, commit in (("revision", facts.revision), ("parquet", facts.parquet)):
        if (pinned := getattr(entry, pin)) and pinned != commit:
            differences.append(f"{pin}: {commit} now, pinned is {pinned}")
    return differences + ([] if missing or not facts.first_row else reading_problems(entry, facts.first_row))


def reading_problems(entry: HubDataset, row: Mapping[str, object]) -> list[str]:
    """Return what the readers here say of the first row: its tasks, or the layouts of data files."""
    problems = []
    tasks = [name for name in entry.used if name in NAMES]
    for name in tasks:
        try:
            list(task_spec(name).read(row))
        except Exception as error:  # whatever a reader trips over in a row of another shape
            problems.append(f"task {name} cannot read the first row ({type(error).__name__}: {error})")
    layouts = (*formats.PREFERENCES, *formats.DEMONSTRATIONS, *formats.PROMPTS)
    if not tasks and not any(name.startswith("rewardbench") for name in entry.used):
        layout = formats.detect(dict(row), layouts)
        if layout is None:
            return [*problems, "the first row is of no layout here"]
        try:
            layout.read(dict(row))
        except PenchantError as error:
            problems.append(f"the layout {layout.name} cannot read the first row ({error})")
    return problems


def model_differences(entry: HubModel, facts: ModelFacts) -> list[str]:
    """Return sentences about what is not as the table says, none where all is."""
    differences = [] if "config.json" in facts.files else ["no config.json"]
    if not any(file.endswith(WEIGHTS) for file in facts.files):
        differences.append("no weights (.safetensors or .bin)")
    if entry.revision and entry.revision != facts.revision:
        differences.append(f"revision: {facts.revision} now, pinned is {entry.revision}")
    return differences


def shape_of(value: object) -> str:
    """Return the shape of a value of the first row: `text of 120`, `list of 2 {text: text of 30}`."""
    if isinstance(value, str):
        return f"text of {len(value)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shape_of(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"list of {len(value)}" + (f" {shape_of(value[0])}" if value else "")
    return "null" if value is None else f"{type(value).__name__} {value}"
