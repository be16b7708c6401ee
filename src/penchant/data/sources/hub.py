"""Read data sets of the Hugging Face hub, as Parquet.

Data sets that are scripts no longer load. The hub converts every public one to Parquet under the revision
`refs/convert/parquet`, as `<config>/<split>/<number>.parquet`; that is what is read, and the plain repository
only where there is no conversion (private or new data sets) or no network but a cache.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from penchant.data.sources.hub_table import pinned_dataset, pinned_parquet
from penchant.data.sources.rows import Row
from penchant.data.sources.values import RowValues
from penchant.errors import InputError

PARQUET_REVISION = "refs/convert/parquet"
logger = logging.getLogger("penchant.data")


def read_hub(name: str, split: str) -> Iterator[Row]:
    """Read the hub data set `org/name` or `org/name:config`; `split` may name a part, as `train[:1000]`.

    Raises:
        InputError: not found, no network, several configs and none chosen, or no such split.
    """
    repository, _, config = name.partition(":")
    try:
        files = list_parquet_files(repository)
    except Exception as error:  # whatever the client raises: the plain repository may be readable
        logger.info("%s: no Parquet revision (%s); asking for the plain data set", name, first_line(error))
        files = []
    if files:
        table = _from_parquet(repository, config, split, files)
    else:
        pinned = pinned_dataset(repository)
        options = {"name": config} if config else {}
        table = _load(repository, split, **options, **({"revision": pinned} if pinned else {}))
    for number, values in enumerate(table, start=1):
        yield Row(f"{name}[{split}] row {number}", dict(values))


def list_parquet_files(repository: str) -> list[str]:
    """List paths inside the repository's Parquet revision; raises what the hub's client raises."""
    from huggingface_hub import HfApi

    files = HfApi().list_repo_files(repository, repo_type="dataset", revision=parquet_revision(repository))
    return sorted(file for file in files if file.endswith(".parquet"))


def parquet_revision(repository: str) -> str:
    """Return the revision of a data set's Parquet files: the pinned commit, or the current conversion."""
    return pinned_parquet(repository) or PARQUET_REVISION


def _from_parquet(repository: str, config: str, split: str, files: list[str]) -> Iterable[RowValues]:
    configs = sorted({file.split("/")[0] for file in files})
    if not config and len(configs) > 1 and "default" not in configs:
        raise InputError(
            f"{repository}: this hub data set has the configs {', '.join(configs)}; "
            f"choose one, such as '{repository}:{configs[0]}'"
        )
    # the hub calls the only config of a data set "default" where its files name none
    config = config or ("default" if "default" in configs else configs[0])
    if config not in configs:
        raise InputError(f"{repository}: no config {config!r} in this hub data set; it has {', '.join(configs)}")
    # The hub converts only the first part of a very large data set, into the folder partial-<split>.
    splits = sorted({file.split("/")[1].removeprefix("partial-") for file in files if file.startswith(f"{config}/")})
    split_name = split.partition("[")[0]
    if split_name not in splits:
        raise InputError(f"{repository}: no split {split_name!r} in this hub data set; it has {', '.join(splits)}")
    folders = (f"{config}/{split_name}/", f"{config}/partial-{split_name}/")
    chosen = [file for file in files if file.startswith(folders)]
    return _load(repository, split, revision=parquet_revision(repository), data_files={split_name: chosen})


def _load(repository: str, split: str, **arguments: object) -> Iterable[RowValues]:
    import datasets

    try:
        table: Iterable[RowValues] = datasets.load_dataset(repository, split=split, **arguments)
        return table
    except Exception as error:  # boundary: any failure of the client is the user's to see, in one message
        raise InputError(
            f"{repository}: {_reason(error, split)} ({type(error).__name__}: {first_line(error)})"
        ) from error


def _reason(error: Exception, split: str) -> str:
    """Return what went wrong and what to do, from whatever the client raised."""
    # Compared by name, with those of all parents: no class of a client has to be imported for it, and a special error
    # counts as the general one that it inherits from.
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if names & {"OfflineModeIsEnabled", "ConnectionError", "ConnectError", "ConnectTimeout"} or "offline" in text:
        return (
            "no such local file, and the Hugging Face hub cannot be reached; check the path or the network, "
            "or download the data and give the file's path"
        )
    if names & {"DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError"}:
        return (
            "no such local file, and no such data set on the Hugging Face hub (or it needs `hf auth login`); "
            "check the spelling"
        )
    if "split" in text:
        return f"the hub data set has no split {split!r}; choose another one"
    if "config" in text:
        return "the hub data set has several configs; choose one as 'org/name:config'"
    return "the hub data set cannot be read; download it and give the file's path"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, for a message of one line."""
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
