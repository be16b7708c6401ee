"""Load preferences, prompts and demonstrations from files and hub data sets, as lists of `PromptGroup`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal, Unpack, get_args

from penchant.data import settle
from penchant.data.in_memory import Source, data_source
from penchant.data.layouts import registry as formats
from penchant.data.layouts.pairs import speaks_for_both
from penchant.data.layouts.parse import Parsed, parse_source
from penchant.data.merge import count_ties, find_contradictions, merge_groups
from penchant.data.options import ReadKeywords, ReadOptions, Ties
from penchant.errors import InputError
from penchant.row_names import with_row_names
from penchant.types import PromptGroup

logger = logging.getLogger("penchant.data")


@dataclass(frozen=True)
class LoadedPreferences:
    """The content of a preference file, with counts of what reading it did.

    Attributes:
        groups: one per prompt (one per row with `merge=False`); at most `limit`. All counts are of the whole file.
        layout: the name of the layout that was found.
        rows: rows in the file, usable or not.
        ties: tied comparisons in the file.
        dropped_ties: how many of them were dropped.
        contradictions: pairs of responses preferred in both directions, whoever said so.
        duplicates: comparisons that repeat an earlier one (their weights were added).
        skipped_rows: rows left out with `bad_rows="skip"`.
        unread: the columns that hold something and are not read, with the number of their rows.
        ratings: how ratings were read, with the number of their rows.
        warnings: what was logged.
    """

    groups: list[PromptGroup]
    layout: str
    rows: int
    ties: int
    dropped_ties: int
    contradictions: int
    duplicates: int
    skipped_rows: int
    unread: dict[str, int]
    warnings: tuple[str, ...]
    ratings: dict[str, int] = field(default_factory=dict)


def load_preferences(
    source: Source,
    *,
    ties: Ties = "error",
    contradictions: Literal["warn", "error", "keep"] = "warn",
    **options: Unpack[ReadKeywords],
) -> list[PromptGroup]:
    """Read a preference file of any known layout; `read_preferences` gives the counts as well.

    Args:
        source: a file (JSONL, JSON, CSV, TSV, packed or not; Parquet, Arrow, Excel), a folder of shards or of
            `save_to_disk`, a pattern, or a hub id `org/name` or `org/name:config` where no such file exists. Or rows
            themselves: a list of mappings or of groups, a DataFrame (pandas, polars), a `datasets.Dataset`.
        ties: `"error"` refuses a file with tied comparisons, `"drop"` leaves them out (and groups that have
            nothing else) with a logged count, `"half"` keeps them: training counts a tie as half a win each
            way.
        contradictions: A > B and B > A for one prompt: `"warn"` logs a count, `"error"` refuses the file,
            `"keep"` does not mention it (several annotators are meant to disagree).
        options: `layout`, `split`, `columns`, `bad_rows`, `limit`, `merge`, `score` and `margin`, see
            `penchant.data.options.ReadOptions`.

    Raises:
        InputError: anything wrong with the input; the message names the file, all bad rows, the fields, what
            was expected and what to do.
    """
    return read_preferences(source, ties=ties, contradictions=contradictions, **options).groups


def read_preferences(
    source: Source,
    *,
    ties: Ties = "error",
    contradictions: Literal["warn", "error", "keep"] = "warn",
    **options: Unpack[ReadKeywords],
) -> LoadedPreferences:
    """Read a preference file as `load_preferences` does, with the counts of what was found and done."""
    source = data_source(source)
    settle.require_choice("ties", ties, get_args(Ties))
    settle.require_choice("contradictions", contradictions, ("warn", "error", "keep"))
    reading = ReadOptions(**options)
    parsed = parse_source(source, reading, layouts=formats.PREFERENCES, hints=formats.DEMONSTRATIONS)
    warnings = settle.settle_bad_rows(source, parsed, reading.bad_rows)
    settle.refuse_codes(source, parsed)
    settle.refuse_merging(source, parsed)
    settle.refuse_repeated_prompts(source, parsed)
    tied = count_ties(parsed.groups)
    # Ties go before merging, so that their rows add no response that nothing compares.
    groups = settle.settle_ties(source, parsed.groups, tied, ties, warnings)
    # Merged even with merge=False: contradictions and duplicates are seen only with all rows of a prompt together.
    merged = merge_groups(groups, counts_add=parsed.layout.counts_add)
    contradictory = find_contradictions(merged.groups)
    if contradictory.pairs and contradictions != "keep":
        settle.settle_contradictions(source, contradictory, contradictions, warnings)
    if reading.merge and merged.scores_dropped:  # without merging each row keeps its own
        warnings.append(
            f"{source}: {merged.scores_dropped} prompts have scores in some rows only; their scores were dropped"
        )
    warnings += _notes(source, parsed, merged.groups)
    _log(warnings)
    return LoadedPreferences(
        groups=reading.first(merged.groups if reading.merge else groups),
        layout=parsed.layout.name,
        rows=parsed.rows,
        ties=tied,
        dropped_ties=tied if ties == "drop" else 0,
        contradictions=contradictory.pairs,
        duplicates=merged.duplicates,
        skipped_rows=len(parsed.problems),
        unread=dict(parsed.unread),
        warnings=tuple(warnings),
        ratings=dict(parsed.ratings),
    )


def load_responses(source: Source, **options: Unpack[ReadKeywords]) -> list[PromptGroup]:
    """Read prompts with their responses, for somebody to compare: any preference file, or what `penchant sample` wrote.

    Comparisons that it has are kept, ties and contradictions too; none are needed.

    Raises:
        InputError: as `load_preferences`.
    """
    source, reading = data_source(source), ReadOptions(**options)
    parsed = parse_source(source, reading, layouts=formats.PREFERENCES, hints=formats.DEMONSTRATIONS)
    _log(settle.settle_bad_rows(source, parsed, reading.bad_rows))
    return _merged_first(parsed, reading)


def load_prompts(source: Source, **options: Unpack[ReadKeywords]) -> list[PromptGroup]:
    """Read the prompts of a file, without responses.

    It may be a `.txt` with one per line (blank lines do not count), rows with `prompt`, or any preference or
    demonstration file. Repeated prompts are kept once unless `merge=False`.

    Raises:
        InputError: as `load_preferences`.
    """
    source, reading = data_source(source), ReadOptions(**options)
    parsed = parse_source(source, reading, layouts=formats.PROMPTS)
    # Responses are left behind, so neither ties nor contradictions are anybody's concern here.
    groups = [PromptGroup(group.prompt, source=group.source, columns=group.columns) for group in parsed.groups]
    doubts = [f"{source}: {sentence}" for sentence in settle.text_sentences(groups)]
    _log([*settle.settle_bad_rows(source, parsed, reading.bad_rows), *doubts])
    if reading.merge:
        unique = merge_groups(groups, counts_add=False).groups
        if len(unique) < len(groups):
            logger.info("%s: %d of %d prompts are repeated; kept once", source, len(groups) - len(unique), len(groups))
        groups = unique
    return reading.first(groups)


def load_demonstrations(source: Source, **options: Unpack[ReadKeywords]) -> list[PromptGroup]:
    """Read prompts with responses to imitate, for SFT.

    The rows hold `prompt` with `completion` or `response`, `messages`, alpaca, our own JSONL (all its responses), or
    plain `text` (a response to the empty prompt; never merged).

    A repeated demonstration is kept once with its `count`, unless `merge=False`.

    Raises:
        InputError: as `load_preferences`; also responses that somebody compared, rated or labelled, with the method
            that learns from such.
    """
    source, reading = data_source(source), ReadOptions(**options)
    layouts, other_layouts = formats.DEMONSTRATIONS, formats.NO_DEMONSTRATIONS
    parsed = parse_source(source, reading, layouts=layouts, refused=other_layouts, accept=settle.refuse_judged)
    settle.refuse_repeated_prompts(source, parsed)
    _log(settle.settle_bad_rows(source, parsed, reading.bad_rows))
    _log([*settle.unread_warnings(source, parsed), *settle.mark_warnings(source, parsed)])
    # Our own JSONL may hold prompts without responses, as `penchant sample` reads them.
    parsed.groups = [group for group in parsed.groups if group.responses]
    if not parsed.groups:
        raise InputError(f"{source}: no row has a response; expected at least one to learn from")
    if parsed.layout.name == "text":  # all texts have the empty prompt, and would become one group
        return reading.first(parsed.groups)
    return _merged_first(parsed, reading)


def _merged_first(parsed: Parsed, reading: ReadOptions) -> list[PromptGroup]:
    """Return the groups of the first prompts, merged if that was asked for."""
    if not reading.merge:
        return reading.first(parsed.groups)
    return reading.first(merge_groups(parsed.groups, counts_add=parsed.layout.counts_add).groups)


def _notes(source: str, parsed: Parsed, groups: list[PromptGroup]) -> list[str]:
    """Return sentences about what is no error but may surprise."""
    notes = settle.unread_warnings(source, parsed)
    if parsed.layout.assumed:
        reading = "is taken as preferred to the models', for layout=" if parsed.prescribed else "would be, with layout="
        notes.append(f"{source}: nobody compared these summaries; the person's {reading}{parsed.layout.name}")
    notes += settle.mark_warnings(source, parsed)
    notes += [f"{source}: {sentence}" for sentence in settle.rater_sentences(parsed)]
    # Not refused here: scores may be labels, which `kto` learns from, and some loaders need no comparison.
    if not any(group.comparisons or group.scores for group in groups):
        notes.append(f"{source}: no comparison in the whole file")
    if parsed.layout.name == "hh" and (stray := sum(map(speaks_for_both, groups))):
        notes.append(f"{source}: in {stray} prompts a response holds 'Human:' or 'Assistant:' (speaks for both sides)")
    return notes


def _log(warnings: list[str]) -> None:
    for warning in warnings:
        logger.warning("%s", with_row_names(warning))
