"""Keep what was read of a large data set on disk, by content, so that the next run maps it in place of reading it."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from penchant.data.group_table import GroupTable, read_table, write_table
from penchant.data.settings import RowsConfig
from penchant.files import cache_folder
from penchant.row_names import with_row_names
from penchant.runs.progress import progress_bar
from penchant.runs.provenance import digest_data
from penchant.train.recipe import Source
from penchant.types import PromptGroup

log = logging.getLogger("penchant.train")

LARGE = 20_000  # responses: fewer are read in a second or two, and take little memory


def keep_source(data: RowsConfig, reading: str, read: Callable[[], Source]) -> Source:
    """Read data, or map what an earlier run read of it.

    Args:
        data: its settings, with a single path.
        reading: what else decides what is read: the method, and what its loss can learn from.
        read: reads it.
    """
    # a hub id has no digest, since its own cache names its content: it is read each time
    digest = digest_data(data.path, data.split)
    if digest is None:
        return read()
    path = cache_folder() / "groups" / f"{_key(data, reading, digest)}.groups"
    table = read_table(path)
    if table is not None and (source := _source_of(table)) is not None:
        for warning in source.warnings:
            log.warning("%s", with_row_names(warning))
        return source
    source = read()
    if sum(len(group.responses) for group in source.groups) < LARGE:
        return source
    try:
        with progress_bar("keeping what was read", len(source.groups), "prompts") as advance:
            groups = _watched(source.groups, lambda: advance(1))
            write_table(path, groups, {"counts": source.counts, "warnings": list(source.warnings)})
    except (OSError, TypeError) as error:
        log.warning(
            "what was read of %s cannot be kept in %s (%s): the next run reads it again", data.path, path, error
        )
        return source
    # from the file from now on: the objects that were read would stay in memory for the whole run
    table = read_table(path)
    mapped_source = _source_of(table) if table is not None else None
    return source if mapped_source is None else mapped_source


def _watched(groups: Sequence[PromptGroup], done: Callable[[], None]) -> Iterator[PromptGroup]:
    for group in groups:
        yield group
        done()


def _source_of(table: GroupTable) -> Source | None:
    counts, warnings = table.facts.get("counts"), table.facts.get("warnings")
    if not isinstance(counts, dict) or not isinstance(warnings, list):
        return None
    return Source(table.groups, counts, tuple(map(str, warnings)))


def _key(data: RowsConfig, reading: str, digest: str) -> str:
    """Return a digest of all that decides what is read: content, settings, and the code that reads."""
    key = hashlib.sha256(f"{digest} {reading} {data!r}".encode(errors="surrogatepass"))
    folder = Path(inspect.getfile(RowsConfig)).parent
    # every file of the package that reads: which of them a layout reaches would be too fine a question
    for file in [Path(inspect.getfile(PromptGroup)), *sorted(folder.rglob("*.py"))]:
        key.update(file.read_bytes())
    return key.hexdigest()[:32]
