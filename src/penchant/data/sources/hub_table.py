"""What the hub should have of all that the `paper` presets and the tasks read: `hub_table.yaml`. Imports no torch.

Where `scripts/first_contact.py` has filled in a commit, that commit is what is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from penchant.typed_json import from_json

TABLE = Path(__file__).with_name("hub_table.yaml")


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub, as we ask for it.

    Attributes:
        config: empty where none is named.
        splits: rows by split; None where nobody read how many there are.
        columns: those that we read.
        used: presets, tasks and benchmarks that read it.
        read: where all this was seen.
        revision: the commit of its main branch; empty until somebody was there.
        parquet: the commit of the hub's conversion to Parquet, likewise.
    """

    id: str
    config: str
    splits: Mapping[str, int | None]
    columns: tuple[str, ...]
    used: tuple[str, ...]
    read: str
    revision: str = ""
    parquet: str = ""

    @property
    def name(self) -> str:
        """The name under which it is read: `owner/name`, or `owner/name:config`."""
        return f"{self.id}:{self.config}" if self.config else self.id


@dataclass(frozen=True)
class HubModel:
    """A model of the hub; attributes as those of `HubDataset`."""

    id: str
    used: tuple[str, ...]
    read: str
    revision: str = ""


@dataclass(frozen=True)
class HubTable:
    """All data sets and models of the hub that come with a name here."""

    datasets: tuple[HubDataset, ...]
    models: tuple[HubModel, ...]


@cache
def read_table(path: Path = TABLE) -> HubTable:
    """Return the table."""
    return from_json(HubTable, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)


def split_file(folder: Path, name: str, split: str) -> Path:
    """Return where `penchant data get` writes a split of a data set of the hub, below a folder of data."""
    return folder / name.replace("/", "--").replace(":", "--") / f"{split}.jsonl"


def pinned_parquet(repository: str) -> str:
    """Return the commit of a data set's Parquet files that is read; empty where none is pinned."""
    return _pin(read_table().datasets, repository, "parquet")


def pinned_dataset(repository: str) -> str:
    """Return the commit of a data set's main branch that is read; empty where none is pinned."""
    return _pin(read_table().datasets, repository, "revision")


def pinned_model(name: str) -> str:
    """Return the commit of a model that is read; empty where none is pinned."""
    return _pin(read_table().models, name, "revision")


def _pin(entries: Sequence[HubDataset | HubModel], repository: str, field: str) -> str:
    # an id may stand in several lines, one per config, which have the same commit
    return next((str(getattr(entry, field)) for entry in entries if entry.id == repository), "")
