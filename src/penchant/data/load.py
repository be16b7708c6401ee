"""Preferences, prompts and demonstrations from files and hub data sets, as lists of `PromptGroup`."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penchant.data import formats
from penchant.data.columns import COMMENTARY, Columns, ReadRow, quality_columns
from penchant.data.fields import RowError, cut
from penchant.data.merge import Contradictions, count_ties, find_contradictions, merge_groups, without_ties
from penchant.data.pairs import speaks_for_both
from penchant.data.parse import BadRows, Parsed, listed, parse_source
from penchant.errors import InputError
from penchant.types import Prompt, PromptGroup

logger = logging.getLogger("penchant.data")
Ties = Literal["error", "drop", "half"]


@dataclass(frozen=True)
class LoadedPreferences:
    """What a preference file holds, and what reading it did.

    Attributes:
        groups: one a prompt (one a row with `merge=False`); at most `limit`. All counts are of the whole
            file.
        layout: the name of the layout that was found.
        rows: rows in the file, usable or not.
        ties: tied comparisons in the file.
        dropped_ties: how many of them were dropped.
        contradictions: pairs of responses preferred in both directions, whoever said so.
        duplicates: comparisons that repeat an earlier one (their weights were added).
        skipped_rows: rows left out with `bad_rows="skip"`.
        unread: the columns that hold something and are not read, with the number of their rows.
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


def load_preferences(
    source: str | Path,
    *,
    ties: Ties = "error",
    merge: bool = True,
    contradictions: Literal["warn", "error", "keep"] = "warn",
    bad_rows: BadRows = "error",
    layout: str | None = None,
    split: str = "train",
    limit: int | None = None,
    columns: Columns | None = None,
) -> list[PromptGroup]:
    """Read a preference file of any known layout; `read_preferences` gives the counts as well.

    Args:
        source: a file (JSONL, JSON, CSV, TSV, Parquet; gzipped or not), or a hub id `org/name` or
            `org/name:config` where no such file exists.
        ties: `"error"` refuses a file with tied comparisons, `"drop"` leaves them out (and groups that have
            nothing else) with a logged count, `"half"` keeps them: training counts a tie as half a win each
            way.
        merge: rows with the same prompt become one group (see `penchant.data.merge`).
        contradictions: A > B and B > A for one prompt: `"warn"` logs a count, `"error"` refuses the file,
            `"keep"` says nothing of it (several annotators are meant to disagree).
        bad_rows: `"skip"` leaves unusable rows out with a logged count. Damaged lines (broken JSON, invalid
            UTF-8) and mixed layouts are always errors.
        layout: the layout's name, to prescribe it; else it is recognised by the rows' fields.
        split: which split of a hub data set.
        limit: keep the groups of only the first so many prompts, for trying things.
        columns: by field of a layout, the column that holds it, such as `{"prompt": "problem"}`; None leaves the
            column of that name out.

    Raises:
        InputError: anything wrong with the input; the message names the file, all bad rows, the fields, what
            was expected and what to do.
    """
    return read_preferences(
        source,
        ties=ties,
        merge=merge,
        contradictions=contradictions,
        bad_rows=bad_rows,
        layout=layout,
        split=split,
        limit=limit,
        columns=columns,
    ).groups


def read_preferences(
    source: str | Path,
    *,
    ties: Ties = "error",
    merge: bool = True,
    contradictions: Literal["warn", "error", "keep"] = "warn",
    bad_rows: BadRows = "error",
    layout: str | None = None,
    split: str = "train",
    limit: int | None = None,
    columns: Columns | None = None,
) -> LoadedPreferences:
    """As `load_preferences`, with the counts of what was found and done."""
    _require_choice("ties", ties, ("error", "drop", "half"))
    _require_choice("contradictions", contradictions, ("warn", "error", "keep"))
    _require_limit(limit)
    parsed = parse_source(
        source, split=split, layouts=formats.PREFERENCES, layout=layout, hints=formats.DEMONSTRATIONS, columns=columns
    )
    warnings = settle_bad_rows(source, parsed, bad_rows)
    refuse_merging(source, parsed)
    tied = count_ties(parsed.groups)
    groups = _settle_ties(source, parsed.groups, tied, ties, warnings)
    merged = merge_groups(groups, counts_add=parsed.layout.counts_add)
    found = find_contradictions(merged.groups)
    if found.pairs and contradictions != "keep":
        _settle_contradictions(source, found, contradictions, warnings)
    if merge and merged.scores_dropped:
        warnings.append(
            f"{source}: {merged.scores_dropped} prompts have scores in some rows only; their scores were dropped"
        )
    warnings += _curiosities(source, parsed, merged.groups)
    _log(warnings)
    kept = merged.groups if merge else groups
    return LoadedPreferences(
        groups=kept[: _cut(kept, limit)],
        layout=parsed.layout.name,
        rows=parsed.rows,
        ties=tied,
        dropped_ties=tied if ties == "drop" else 0,
        contradictions=found.pairs,
        duplicates=merged.duplicates,
        skipped_rows=len(parsed.problems),
        unread=dict(parsed.unread),
        warnings=tuple(warnings),
    )


def load_responses(
    source: str | Path,
    *,
    bad_rows: BadRows = "error",
    layout: str | None = None,
    split: str = "train",
    limit: int | None = None,
    columns: Columns | None = None,
) -> list[PromptGroup]:
    """Prompts with their responses, for somebody to compare: any preference file, or what `penchant sample` wrote.
    Comparisons that it has are kept, ties and contradictions too; none are needed.

    Raises:
        InputError: as `load_preferences`.
    """
    _require_limit(limit)
    parsed = parse_source(
        source, split=split, layouts=formats.PREFERENCES, layout=layout, hints=formats.DEMONSTRATIONS, columns=columns
    )
    _log(settle_bad_rows(source, parsed, bad_rows))
    groups = merge_groups(parsed.groups, counts_add=parsed.layout.counts_add).groups
    return groups[: _cut(groups, limit)]


def load_prompts(
    source: str | Path,
    *,
    merge: bool = True,
    bad_rows: BadRows = "error",
    layout: str | None = None,
    split: str = "train",
    limit: int | None = None,
    columns: Columns | None = None,
) -> list[PromptGroup]:
    """The prompts of a file, without responses: a `.txt` with one a line (blank lines do not count), rows
    with `prompt`, or any preference or demonstration file. Repeated prompts are kept once unless
    `merge=False`.

    Raises:
        InputError: as `load_preferences`.
    """
    _require_limit(limit)
    parsed = parse_source(source, split=split, layouts=formats.PROMPTS, layout=layout, columns=columns)
    _log(settle_bad_rows(source, parsed, bad_rows))
    groups = [PromptGroup(group.prompt, source=group.source) for group in parsed.groups]
    if merge:
        unique = merge_groups(groups, counts_add=False).groups
        if len(unique) < len(groups):
            logger.info("%s: %d of %d prompts are repeated; kept once", source, len(groups) - len(unique), len(groups))
        groups = unique
    return groups[: _cut(groups, limit)]


def load_demonstrations(
    source: str | Path,
    *,
    merge: bool = True,
    bad_rows: BadRows = "error",
    layout: str | None = None,
    split: str = "train",
    limit: int | None = None,
    columns: Columns | None = None,
) -> list[PromptGroup]:
    """Prompts with responses to imitate, for SFT: `prompt` with `completion` or `response`, `messages`,
    alpaca, our own JSONL (all its responses), or plain `text` (a response to the empty prompt; never merged).

    A repeated demonstration is kept once with its `count`, unless `merge=False`.

    Raises:
        InputError: as `load_preferences`; also responses that somebody compared, rated or labelled, with the method
            that learns from such.
    """
    _require_limit(limit)
    parsed = parse_source(
        source,
        split=split,
        layouts=formats.DEMONSTRATIONS,
        layout=layout,
        refused=formats.NO_DEMONSTRATIONS,
        columns=columns,
        accept=_refuse_judged,
    )
    _log([*settle_bad_rows(source, parsed, bad_rows), *unread_warnings(source, parsed)])
    groups = [group for group in parsed.groups if group.responses]
    if merge and parsed.layout.name != "text":
        groups = merge_groups(groups, counts_add=parsed.layout.counts_add).groups
    if not groups:
        raise InputError(f"{source}: no row has a response; expected at least one to learn from")
    return groups[: _cut(groups, limit)]


def _refuse_judged(group: PromptGroup, row: ReadRow) -> None:
    """Refuse a demonstration that somebody judged: it may be a bad one, and `sft` would teach it."""
    if group.comparisons:
        raise RowError(
            "value", "its responses are compared, and sft would teach the losing ones too: use the method preferred_ft"
        )
    if group.prompt == "":  # a plain text, whose label is its class
        return
    judged = quality_columns(row)
    if judged or group.scores is not None:
        name = cut(judged[0] if judged else "scores")
        raise RowError(
            "value",
            f"field {name!r} says how good the response is, and sft would teach the bad ones: the method kto learns "
            f"from labels (`label`: true or false), those of comparisons from `responses` with `scores` or `ranks`. "
            f"data.columns={{{name}: null}} leaves it out",
        )


def unread_warnings(source: str | Path, parsed: Parsed) -> list[str]:
    """What to say of columns with text that nobody reads."""
    counts: Counter[str] = Counter(name for texts in parsed.texts for name in texts)
    if not counts:
        return []
    names = ", ".join(cut(name) for name in list(counts)[:10]) + (" ..." if len(counts) > 10 else "")
    first = cut(next(iter(counts)))
    return [
        f"{source}: columns with text that are not read: {names}. Where one is part of the prompt, say so "
        f"(data.columns={{input: {first}}}); data.columns={{{first}: null}} leaves it out without this warning"
    ]


def refuse_merging(source: str | Path, parsed: Parsed) -> None:
    """Refuse rows with one prompt whose other texts differ: those may well be what the prompt is about.

    Raises:
        InputError: names the column and two rows.
    """
    first: dict[tuple[Prompt, str], tuple[int, str]] = {}
    for group, texts in zip(parsed.groups, parsed.texts, strict=True):
        for name, digest in texts.items():
            if COMMENTARY.fullmatch(name):
                continue
            known, where = first.setdefault((group.prompt, name), (digest, group.source))
            if known != digest:
                raise InputError(
                    f"{source}: {where} and {group.source} have the same prompt, but other texts in the column "
                    f"{cut(name)!r}, which is not read. If it is part of the prompt, set data.columns={{input: "
                    f"{cut(name)}}}; if not, data.columns={{{cut(name)}: null}}"
                )


def _require_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _require_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 (or None for all), got {limit}")


def _cut(groups: list[PromptGroup], limit: int | None) -> int:
    """How many groups to keep: those of the first `limit` prompts (a prompt has several without merging)."""
    if limit is None:
        return len(groups)
    prompts = set()
    for index, group in enumerate(groups):
        prompts.add(group.prompt)
        if len(prompts) > limit:
            return index
    return len(groups)


def settle_bad_rows(source: str | Path, parsed: Parsed, bad_rows: BadRows) -> list[str]:
    """Warnings for skipped rows.

    Raises:
        InputError: bad rows that may not be skipped, or no row left.
    """
    _require_choice("bad_rows", bad_rows, ("error", "skip"))
    problems = parsed.problems
    if not problems:
        return []
    mixed = [problem for problem in problems if problem.kind == "mixed"]
    if mixed:
        first = parsed.groups[0].source if parsed.groups else "the first row"
        raise InputError(
            f"{source}: mixed layouts. {first} is of the layout {parsed.layout.name} "
            f"({parsed.layout.fields}); "
            f"of another layout are {len(mixed)} rows, the first: {mixed[0]}. Split the file, one layout a "
            "file"
        )
    damaged = any(problem.kind == "damaged" for problem in problems)
    if bad_rows == "error" or damaged or not parsed.groups:
        advice = 'Correct these rows, or leave them out with bad_rows="skip" (they are counted).'
        if damaged:
            advice = "Correct these rows; damaged lines are never skipped, for what else the file lost is unknown."
        elif all(problem.kind == "unread" for problem in problems):
            advice = ""
        elif not parsed.groups:
            advice = f"No row is left. Are they of another layout than {parsed.layout.name}?"
        raise InputError(f"{source}: {listed(problems, parsed.rows)}\n{advice}".rstrip())
    return [f"{source}: left out {listed(problems, parsed.rows, shown=3)}"]


def _settle_ties(
    source: str | Path, groups: list[PromptGroup], tied: int, ties: Ties, warnings: list[str]
) -> list[PromptGroup]:
    if not tied or ties == "half":
        return groups
    comparisons = sum(len(group.comparisons) for group in groups)
    if ties == "error":
        first = next(group.source for group in groups if any(each.tie for each in group.comparisons))
        raise InputError(
            f"{source}: {tied} of {comparisons} comparisons are ties (the first: {first}). Choose what "
            "they mean: "
            'ties="drop" leaves them out, ties="half" counts each as half a win for both sides'
        )
    kept = without_ties(groups)
    if not kept:
        raise InputError(f'{source}: all {tied} comparisons are ties, so ties="drop" leaves nothing; use ties="half"')
    gone = len(groups) - len(kept)
    nothing_else = f", and {gone} rows that have nothing else" if gone else ""
    warnings.append(f"{source}: dropped {tied} tied of {comparisons} comparisons{nothing_else}")
    return kept


def _settle_contradictions(source: str | Path, found: Contradictions, choice: str, warnings: list[str]) -> None:
    same = f", {found.same_annotator} of them by one and the same annotator" if found.same_annotator else ""
    message = (
        f"{source}: {found.pairs} pairs of responses are preferred in both directions{same}, in "
        f"{len(found.sources)} "
        f"prompts (the first: {', '.join(found.sources[:5])})"
    )
    if choice == "error":
        raise InputError(f'{message}. Decide which holds, or keep them with contradictions="warn"')
    warnings.append(f"{message}; both directions are kept")


def _curiosities(source: str | Path, parsed: Parsed, groups: list[PromptGroup]) -> list[str]:
    """What is no error but may surprise."""
    notes = unread_warnings(source, parsed)
    if parsed.layout.assumed:
        taken = "is taken as preferred to the models', for layout=" if parsed.prescribed else "would be, with layout="
        notes.append(f"{source}: nobody compared these summaries; the person's {taken}{parsed.layout.name}")
    if not any(group.comparisons or group.scores for group in groups):  # (scores may be labels)
        notes.append(f"{source}: no comparison in the whole file")
    if parsed.layout.name == "hh":
        stray = sum(map(speaks_for_both, groups))
        if stray:
            notes.append(
                f"{source}: in {stray} prompts a response holds 'Human:' or 'Assistant:' (speaks for both sides)"
            )
    return notes


def _log(warnings: list[str]) -> None:
    for warning in warnings:
        logger.warning(warning)
