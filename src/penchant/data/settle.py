"""What is done about rows that cannot be used, ties, contradictions, and columns that nobody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from penchant.data.damage import damage_sentences, missing_scores, one_sided_prompts
from penchant.data.layouts.columns import COMMENTARY, ReadRow
from penchant.data.layouts.parse import Parsed, listed
from penchant.data.layouts.quality import quality_columns
from penchant.data.marks import (
    alike_sentence,
    begins_with_prompt,
    disguised_marks,
    find_marks,
    has_odd_turns,
    look_alike,
    prompt_words,
)
from penchant.data.merge import Contradictions, without_ties
from penchant.data.options import BadRows
from penchant.data.sources.values import RowError, cut
from penchant.errors import InputError
from penchant.types import Prompt, PromptGroup

Ties = Literal["error", "drop", "half"]
FEWEST_PROMPT_WORDS = 3  # a word or two may well begin an answer


def require_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def refuse_judged(group: PromptGroup, row: ReadRow) -> None:
    """Refuse a demonstration that somebody judged: it may be a bad one, and `sft` would teach it."""
    if group.comparisons:
        raise RowError(
            "value", "its responses are compared, and sft would teach the losing ones too: use the method preferred_ft"
        )
    judged = quality_columns(row)
    if group.prompt == "":  # a plain text, whose label is its class, unless it says yes or no
        judged = [name for name in judged if isinstance(row[name], bool)]
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


def judging_sentences(judging: Iterable[str]) -> list[str]:
    """Return what to say of columns that judge and that nobody reads."""
    names = [cut(name) for name in judging]
    if not names:
        return []
    return [
        f"columns that judge and are not read: {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}. Where one "
        "says that another response is the better one, or that a row is not to be used, correct the file; "
        f"data.columns={{{names[0]}: null}} leaves it out without this warning"
    ]


def text_sentences(groups: Sequence[PromptGroup], special: Sequence[str] = ()) -> list[str]:
    """Return what to say of texts and scores that are read as they stand, and may be damaged.

    Args:
        special: special tokens of the tokenizer at hand.
    """
    return [
        *disguised_marks(groups, special),
        *damage_sentences(groups),
        *one_sided_prompts(groups),
        *missing_scores(groups),
    ]


def mark_warnings(source: str | Path, parsed: Parsed) -> list[str]:
    """Return what to say of texts written for a chat template or damaged, and of responses that look alike."""
    sentence = "" if parsed.layout.name == "hh" else find_marks(parsed.groups).sentence()
    alike = look_alike(parsed.groups)
    said = [f"{source}: {sentence}"] if sentence else []
    said += [f"{source}: {each}" for each in (*text_sentences(parsed.groups), *judging_sentences(parsed.judging))]
    repeated = [group.source for group in parsed.groups if begins_with_prompt(group)]
    if repeated:
        said.append(
            f"{source}: {len(repeated)} prompts stand again at the beginning of all their responses (the first: "
            f"{repeated[0]}), so they are shown twice"
        )
    odd = [group.source for group in parsed.groups if has_odd_turns(group)]
    if odd:
        said.append(
            f"{source}: {len(odd)} conversations have turns that do not alternate, or do not end with the user's (the "
            f"first: {odd[0]}): each is written as a turn of its own, and none continues another"
        )
    if alike:
        said.append(f"{source}: {alike_sentence(alike)}")
    return said


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


def refuse_repeated_prompts(source: str | Path, parsed: Parsed) -> None:
    """Refuse a file whose responses all hold their prompt again: a model would be shown it twice.

    Raises:
        InputError: names the first row, and how to read it all the same.
    """
    if parsed.prescribed or not parsed.groups:
        return
    if all(begins_with_prompt(group) and prompt_words(group) >= FEWEST_PROMPT_WORDS for group in parsed.groups):
        raise InputError(
            f"{source}: all responses begin with their prompt (the first: {parsed.groups[0].source}), which would be "
            f"shown twice. Take it off the responses, or set layout={parsed.layout.name} if it is meant"
        )


def refuse_codes(source: str | Path, parsed: Parsed) -> None:
    """Refuse a file whose verdicts may mean one thing or the opposite.

    Raises:
        InputError: says which column, and how to say what is meant.
    """
    if parsed.layout.codes is None or parsed.prescribed:
        return
    doubt = parsed.layout.codes[1](parsed.codes)
    if doubt:
        raise InputError(f"{source}: {doubt}")


def settle_bad_rows(source: str | Path, parsed: Parsed, bad_rows: BadRows) -> list[str]:
    """Warnings for skipped rows.

    Raises:
        InputError: bad rows that may not be skipped, or no row left.
    """
    require_choice("bad_rows", bad_rows, ("error", "skip"))
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


def settle_ties(
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
            'ties="drop" (data.ties=drop) leaves them out, ties="half" (data.ties=half) counts each as half a win for '
            "both sides"
        )
    kept = without_ties(groups)
    if not kept:
        raise InputError(f'{source}: all {tied} comparisons are ties, so ties="drop" leaves nothing; use ties="half"')
    gone = len(groups) - len(kept)
    nothing_else = f", and {gone} rows that have nothing else" if gone else ""
    warnings.append(f"{source}: dropped {tied} tied of {comparisons} comparisons{nothing_else}")
    return kept


def settle_contradictions(source: str | Path, found: Contradictions, choice: str, warnings: list[str]) -> None:
    same = f", {found.same_annotator} of them by one and the same annotator" if found.same_annotator else ""
    message = (
        f"{source}: {found.pairs} pairs of responses are preferred in both directions{same}, in "
        f"{len(found.sources)} "
        f"prompts (the first: {', '.join(found.sources[:5])})"
    )
    if choice == "error":
        raise InputError(f'{message}. Decide which holds, or keep them with contradictions="warn"')
    warnings.append(f"{message}; both directions are kept")
