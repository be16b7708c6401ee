"""`penchant cache`: what is kept of earlier runs, and how it is removed. Imports no torch."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator

from penchant.cli.arguments import Arguments, Command
from penchant.config import Config
from penchant.text_table import text_table, wrapped

if TYPE_CHECKING:
    from penchant.upkeep.cache_entries import Contents, Entry, Pruned, Stray

UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
MOST_LISTED = 40  # entries that are listed one by one; verdicts alone may be thousands


AGE = re.compile(r"\s*(\d{1,6})\s*([mhdw])\s*")


def _check_age(age: str) -> str:
    if not AGE.fullmatch(age):
        raise ValueError(
            f"expected a number of minutes, hours, days or weeks, such as 90m, 12h, 30d or 8w; got {age!r}"
        )
    return age


class Cache(Config):
    """List what Penchant keeps of earlier runs (`list`), or remove what was not used for long (`prune`).

    Whatever is removed is made again where it is needed. The hub's models and data sets are not touched: its own client
    keeps and removes them (`hf cache`).
    """

    method: ClassVar[str] = "cache"

    action: Literal["list", "prune"] = "list"
    """`list`, or `prune` to remove."""
    older: Annotated[str, AfterValidator(_check_age)] = "30d"
    """Prune what was not used for so long: minutes, hours, days or weeks (`90m`, `12h`, `30d`, `8w`). `0d` is all."""
    dry_run: bool = False
    """Only say what would be removed."""


def _cache(arguments: Arguments) -> int:
    config = arguments.load(Cache)
    from penchant.upkeep.cache_entries import prune_cache, read_cache

    if config.action == "list":
        print("\n".join(_contents_lines(read_cache())))
        return 0
    pruned = prune_cache(_seconds(config.older), dry_run=config.dry_run)
    print("\n".join(_pruned_lines(pruned, config)))
    # what was removed is gone all the same, so a script has to know that something is left
    return 1 if pruned.failed else 0


def _seconds(age: str) -> float:
    match = AGE.fullmatch(age)
    assert match  # by the settings' pattern
    return int(match[1]) * UNITS[match[2]]


def _contents_lines(contents: Contents) -> list[str]:
    from penchant.reports.kit.text import count, file_size
    from penchant.upkeep.cache_entries import KINDS

    if not contents.entries and not contents.strays:
        return wrapped(f"The cache ({contents.folder}) is empty.")
    sums = []
    for kind in KINDS:
        entries = [entry for entry in contents.entries if entry.kind is kind]
        # a row of zeros says nothing
        if entries:
            size = file_size(sum(entry.size for entry in entries))
            sums.append(
                (kind.folder, str(len(entries)), size, _date(max(entry.used for entry in entries)), kind.description)
            )
    total = file_size(sum(entry.size for entry in contents.entries))
    entries_count = count(len(contents.entries), "entry", "entries")
    lines = wrapped(f"The cache ({contents.folder}) has {entries_count}, {total}:")
    lines += text_table(("folder", "entries", "size", "last used", "what"), sums) if sums else []
    # who is short of disk wants to know these, and not each of a thousand small ones
    if largest := sorted(contents.entries, key=lambda entry: -entry.size)[:5]:
        lines += ["", "The largest:", *_entry_lines(largest)]
    lines += _stray_lines(contents.strays)
    lines += [f"in use by {user.title} (process {user.process})" for user in contents.users]
    return [*lines, "", *wrapped("penchant cache prune older=30d removes what was not used for 30 days.")]


def _pruned_lines(pruned: Pruned, config: Cache) -> list[str]:
    from penchant.reports.kit.text import count, file_size

    # the same lines in both cases, so that a dry run can be compared with what was done
    verb = "would be removed" if config.dry_run else "removed"
    size = file_size(sum(entry.size for entry in pruned.removed))
    head = f"{count(len(pruned.removed), 'entry', 'entries')} {verb} ({size}), {pruned.remaining} kept"
    lines = [head, *_entry_lines(pruned.removed[:MOST_LISTED])]
    if len(pruned.removed) > MOST_LISTED:
        lines.append(f"  and {len(pruned.removed) - MOST_LISTED} more")
    lines += [f"not removed: {stray.path}: {stray.reason}" for stray in pruned.failed]
    return lines + _stray_lines(pruned.strays)


def _entry_lines(entries: list[Entry] | tuple[Entry, ...]) -> list[str]:
    from penchant.reports.kit.text import file_size

    rows = [(f"{entry.kind.folder}/{entry.path.name}", file_size(entry.size), _date(entry.used)) for entry in entries]
    return text_table(("entry", "size", "last used"), rows) if rows else []


def _stray_lines(strays: tuple[Stray, ...]) -> list[str]:
    return [f"left alone: {stray.path} ({stray.reason})" for stray in strays]


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))


CACHE = Command(
    "cache",
    Cache,
    _cache,
    help="list what is kept of earlier runs, or remove what was not used for long",
    positionals={"action": "[list|prune]"},
    example="prune older=30d",
)
