"""Ask the hub what it has: commits, splits, rows, columns and the first row, from the ends of Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.data.sources.hub import PARQUET_REVISION, list_parquet_files
from penchant.data.sources.hub_table import HubDataset, HubModel

UNREACHABLE = {
    "OfflineModeIsEnabled",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "ReadTimeout",
    "ProxyError",
    "NameResolutionError",
}


class Unreachable(Exception):
    """Raised where the hub does not answer at all."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the hub has of a data set.

    Attributes:
        revision, parquet: commits of the main branch and of the conversion to Parquet.
        splits: rows by split, of the splits that were asked for and are there.
        there: all configs and splits, as `config/split`.
        columns: of the first file.
        first_row: of the first split.
    """

    revision: str
    parquet: str
    splits: Mapping[str, int]
    there: tuple[str, ...]
    columns: tuple[str, ...]
    first_row: Mapping[str, object]


@dataclass(frozen=True)
class ModelFacts:
    """What the hub has of a model: its commit and its files."""

    revision: str
    files: tuple[str, ...]


def refuse_unreachable(error: Exception) -> None:
    """Raise `Unreachable` for an error that says so; others are of one repository alone."""
    cause: BaseException | None = error
    while cause is not None:
        if {kind.__name__ for kind in type(cause).__mro__} & UNREACHABLE:
            raise Unreachable(f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}") from error
        cause = cause.__cause__ or cause.__context__


def ask_dataset(entry: HubDataset) -> DatasetFacts:
    """Return what the hub has of a data set; raises what its client raises."""
    from huggingface_hub import HfApi

    api = HfApi()
    revision = api.dataset_info(entry.id).sha or ""
    parquet = api.dataset_info(entry.id, revision=PARQUET_REVISION).sha or ""
    files = list_parquet_files(entry.id)
    configs = sorted({file.split("/")[0] for file in files})
    config = entry.config or ("default" if "default" in configs else configs[0] if len(configs) == 1 else "")
    splits: dict[str, int] = {}
    columns: tuple[str, ...] = ()
    first_row: Mapping[str, object] = {}
    for split in entry.splits:
        folders = (f"{config}/{split}/", f"{config}/partial-{split}/")
        for file in (file for file in files if file.startswith(folders)):
            rows, names, row = _read_end(entry.id, file, parquet, with_row=not first_row)
            splits[split] = splits.get(split, 0) + rows
            columns, first_row = columns or names, first_row or row
    there = tuple(sorted({"/".join(file.split("/")[:2]) for file in files}))
    return DatasetFacts(revision, parquet, splits, there, columns, first_row)


def _read_end(
    repository: str, file: str, revision: str, *, with_row: bool
) -> tuple[int, tuple[str, ...], Mapping[str, object]]:
    """Return rows, columns and the first row of a Parquet file, without fetching all of it."""
    import pyarrow.parquet
    from huggingface_hub import HfFileSystem

    with (
        HfFileSystem().open(f"datasets/{repository}/{file}", revision=revision) as stream,
        pyarrow.parquet.ParquetFile(stream) as table,
    ):
        rows, names = table.metadata.num_rows, tuple(table.schema_arrow.names)
        if not with_row or rows == 0:
            return rows, names, {}
        return rows, names, next(table.iter_batches(batch_size=1)).to_pylist()[0]


def ask_model(entry: HubModel) -> ModelFacts:
    """Return what the hub has of a model; raises what its client raises."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(entry.id)
    return ModelFacts(info.sha or "", tuple(file.rfilename for file in info.siblings or ()))
