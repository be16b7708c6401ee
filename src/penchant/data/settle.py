"""Settle what a file may not hold without a choice: bad rows, ties, contradictions, columns that nobody reads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

from penchant.data import marks
from penchant.data.damage import damage_sentences, missing_scores, one_sided_prompts
from penchant.data.layouts.columns import COMMENTARY, ReadRow
from penchant.data.layouts.parse import Parsed, listed
from penchant.data.layouts.quality import quality_columns
from penchant.data.merge import Contradictions, without_ties
from penchant.data.options import BadRows, Ties
from penchant.data.sources.values import RowError, cut
from penchant.errors import InputError
from penchant.types import Prompt, PromptGroup

FEWEST_PROMPT_WORDS = 3  # a word or two may well begin an answer


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a choice that is none of these: callers from Python have no configuration that would check it."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def refuse_judged(group: PromptGroup, row: ReadRow) -> None:
    """Refuse a demonstration that somebody judged: it may be a bad one, and `sft` would teach it."""
    # Before the columns: our own JSONL has no column that would say it, only its comparisons.
    if group.comparisons:
        raise RowError(
            "value", "its responses are compared, and sft would teach the losing ones too: use the method preferred_ft"
        )
    verdict_columns = quality_columns(row)
    if group.prompt == "":  # a plain text, whose label is its class (a star rating, a topic), unless it says yes or no
        verdict_columns = [name for name in verdict_columns if isinstance(row[name], bool)]
    if verdict_columns or group.scores is not None:
        name = cut(verdict_columns[0] if verdict_columns else "scores")
        raise RowError(
            "value",
            f"field {name!r} says how good the response is, and sft would teach the bad ones: the method kto learns "
            f"from labels (`label`: true or false), those of comparisons from `responses` with `scores` or `ranks`. "
            f"data.columns={{{name}: null}} leaves it out",
        )


def unread_warnings(source: str | Path, parsed: Parsed) -> list[str]:
    """Return a warning about columns with text that nobody reads, if there are any."""
    columns = [cut(name) for name in dict.fromkeys(name for row in parsed.texts for name in row.digests)]
    if not columns:
        return []
    first = columns[0]
    return [
        f"{source}: columns with text that are not read: {_first_names(columns)}. Where one is part of the prompt, "
        f"say so (data.columns={{input: {first}}}); data.columns={{{first}: null}} leaves it out without this warning"
    ]


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")


def judging_sentences(judging: Iterable[str]) -> list[str]:
    """Return a sentence about columns that judge and that nobody reads, if there are any."""
    names = [cut(name) for name in judging]
    if not names:
        return []
    return [
        f"columns that judge and are not read: {_first_names(names)}. Where one "
        "says that another response is the better one, or that a row is not to be used, correct the file; "
        f"data.columns={{{names[0]}: null}} leaves it out without this warning"
    ]


def text_sentences(groups: Sequence[PromptGroup], special: Sequence[str] = ()) -> list[str]:
    """Return sentences about texts and scores that may be damaged, and are read as they stand.

    Args:
        special: special tokens of the tokenizer, where one is used.
    """
    return [
        *marks.disguised_marks(groups, special),
        *damage_sentences(groups),
        *one_sided_prompts(groups),
        *missing_scores(groups),
    ]


def mark_sentence(parsed: Parsed, groups: Sequence[PromptGroup] | None = None, special: Sequence[str] = ()) -> str:
    """Return a sentence about marks of a chat template in the texts; nothing without any.

    Args:
        groups: the groups to look at, those of the file unless given.
        special: special tokens of the tokenizer, where one is used.
    """
    # in HH the marks "Human:" and "Assistant:" are the layout itself
    if parsed.layout.name == "hh":
        return ""
    # with these fields such a prompt may as well be a text to be continued
    if parsed.layout.name == "hh-dahoas":
        return (
            f"{len(parsed.groups)} prompts hold marks of a conversation ('Human:', 'Assistant:'), which are read as "
            "its turns; data.layout=trl reads them as texts to be continued"
        )
    return marks.find_marks(parsed.groups if groups is None else groups, special).sentence()


def mark_warnings(source: str | Path, parsed: Parsed) -> list[str]:
    """Return warnings about texts that were written for a chat template or damaged, and responses that look alike."""
    groups = parsed.groups
    sentence = mark_sentence(parsed)
    findings = [sentence] if sentence else []
    findings += [*text_sentences(groups), *judging_sentences(parsed.judging)]
    if repeated := [group.source for group in groups if marks.begins_with_prompt(group)]:
        findings.append(
            f"{len(repeated)} prompts stand again at the beginning of all their responses (the first: "
            f"{repeated[0]}), so they are shown twice"
        )
    if odd_turns := [group.source for group in groups if marks.has_odd_turns(group)]:
        findings.append(
            f"{len(odd_turns)} conversations have turns that do not alternate, or do not end with the user's "
            f"(the first: {odd_turns[0]}): each is written as a turn of its own, and none continues another"
        )
    if same_looking := marks.look_alike(groups):
        findings.append(marks.alike_sentence(same_looking))
    return [f"{source}: {finding}" for finding in findings]


def refuse_merging(source: str | Path, parsed: Parsed) -> None:
    """Refuse rows with one prompt whose other texts differ: those may well be what the prompt is about.

    Raises:
        InputError: names the column and two rows.
    """
    first: dict[tuple[Prompt, str], tuple[int, str]] = {}
    for row in parsed.texts:
        for name, digest in row.digests.items():
            if COMMENTARY.fullmatch(name):  # a critique differs from response to response of one prompt
                continue
            earlier_digest, where = first.setdefault((row.prompt, name), (digest, row.source))
            if earlier_digest != digest:
                raise InputError(
                    f"{source}: {where} and {row.source} have the same prompt, but other texts in the column "
                    f"{cut(name)!r}, which is not read. If it is part of the prompt, set data.columns={{input: "
                    f"{cut(name)}}}; if not, data.columns={{{cut(name)}: null}}"
                )


def refuse_repeated_prompts(source: str | Path, parsed: Parsed) -> None:
    """Refuse a file whose responses all hold their prompt again: a model would be shown it twice.

    Raises:
        InputError: names the first row, and how to read it all the same.
    """
    if parsed.prescribed or not parsed.groups:  # who names the layout says that the texts are meant so
        return
    # All of them, or it is chance: only a program writes every prompt once more.
    if all(
        marks.begins_with_prompt(group) and len(marks.last_text(group.prompt).split()) >= FEWEST_PROMPT_WORDS
        for group in parsed.groups
    ):
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
    if doubt := parsed.layout.codes[1](parsed.codes):
        raise InputError(f"{source}: {doubt}")


def rater_sentences(parsed: Parsed) -> list[str]:
    """Return a sentence on ratings of several raters: how they are compared, and where nothing could be."""
    raters = {*parsed.raters.values()}
    if not raters:
        return []
    field = "annotator" if any("within each annotator" in rule for rule in parsed.ratings) else "rater"
    sentence = (
        f"ratings are compared within each {field} ({len(raters)} in all), so that a harsh one does not change who "
        f"wins; data.columns={{{field}: null}} compares means over all"
    )
    choices = [group for group in parsed.groups if len(group.responses) > 1]
    if lacking := sum(not group.comparisons for group in choices):
        sentence += f". Of {lacking} of {len(choices)} prompts nobody rated two responses, so they have no comparison"
    return [sentence]


def settle_bad_rows(source: str | Path, parsed: Parsed, bad_rows: BadRows) -> list[str]:
    """Return warnings for skipped rows, or refuse the file.

    Raises:
        InputError: bad rows that may not be skipped, or no row left.
    """
    require_choice("bad_rows", bad_rows, get_args(BadRows))
    problems = parsed.problems
    if not problems:
        return []
    # Before all else, and never skipped: half of the file may be of the other layout.
    if mixed := [problem for problem in problems if problem.kind == "mixed"]:
        first = parsed.groups[0].source if parsed.groups else "the first row"
        raise InputError(
            f"{source}: mixed layouts. {first} is of the layout {parsed.layout.name} ({parsed.layout.fields}); of "
            f"another layout are {len(mixed)} rows, the first: {mixed[0]}. Split the file, one layout per file"
        )
    # A line that is no JSON may be the rest of a file that was cut or joined: nobody knows how much is missing.
    damaged = any(problem.kind == "damaged" for problem in problems)
    if bad_rows == "error" or damaged or not parsed.groups:
        advice = 'Correct these rows, or leave them out with bad_rows="skip" (they are counted).'
        if damaged:
            advice = "Correct these rows; damaged lines are never skipped, for what else the file lost is unknown."
        elif all(problem.kind == "unread" for problem in problems):
            advice = ""  # each of these says by itself what to do about its column
        elif not parsed.groups and all(problem.kind == "history" for problem in problems):
            advice = "No row is left."  # each is of the layout, and says what keeps it from being a comparison
        elif not parsed.groups:
            advice = f"No row is left. {_likely_columns(parsed)}"
        raise InputError(f"{source}: {listed(problems, parsed.rows)}\n{advice}".rstrip())
    return [f"{source}: left out {listed(problems, parsed.rows, limit=3)}"]


def _likely_columns(parsed: Parsed) -> str:
    """Return what may be wrong with a file of which no row can be used: columns that nobody reads, or the layout."""
    names = [name for name, count in parsed.passed_over.items() if count == parsed.rows]
    # two responses are what a comparison lacks; with more columns nobody can tell which are meant
    wants_pair = {"chosen", "rejected"} <= {spelling for spellings in parsed.layout.required for spelling in spellings}
    if not wants_pair or len(names) != 2:
        return f"Are they of another layout than {parsed.layout.name}?"
    columns = f"{{chosen: {json.dumps(names[0])}, rejected: {json.dumps(names[1])}}}"
    return (
        f"The columns {names[0]!r} and {names[1]!r} hold texts that nobody reads. If they are the responses, the "
        f"better one first, set {shlex.quote(f'data.columns={columns}')}"
    )


def settle_ties(
    source: str | Path, groups: list[PromptGroup], tied: int, ties: Ties, warnings: list[str]
) -> list[PromptGroup]:
    """Return the groups that are left of ties; a warning is added to `warnings` where some were dropped.

    Args:
        tied: how many comparisons are ties.

    Raises:
        InputError: there are ties and nobody chose, or without them nothing is left.
    """
    if not tied or ties == "half":  # a tie stays a comparison, which every loss counts as half a win each way
        return groups
    comparisons = sum(len(group.comparisons) for group in groups)
    if ties == "error":
        first = next(group.source for group in groups if any(comparison.tie for comparison in group.comparisons))
        raise InputError(
            f"{source}: {tied} of {comparisons} comparisons are ties (the first: {first}). Choose what "
            'they mean: ties="drop" (data.ties=drop) leaves them out, ties="half" (data.ties=half) counts each as '
            "half a win for both sides"
        )
    if not (remaining := without_ties(groups)):
        raise InputError(f'{source}: all {tied} comparisons are ties, so ties="drop" leaves nothing; use ties="half"')
    emptied = len(groups) - len(remaining)
    nothing_else = f", and {emptied} rows that have nothing else" if emptied else ""
    warnings.append(f"{source}: dropped {tied} tied of {comparisons} comparisons{nothing_else}")
    return remaining


def settle_contradictions(source: str | Path, contradictions: Contradictions, choice: str, warnings: list[str]) -> None:
    """Add a warning about pairs that were decided both ways.

    Raises:
        InputError: the choice is `error`.
    """
    by_one, sources = contradictions.same_annotator, contradictions.sources
    detail = f", {by_one} of them by one and the same annotator" if by_one else ""
    message = (
        f"{source}: {contradictions.pairs} pairs of responses are preferred in both directions{detail}, in "
        f"{len(sources)} prompts (the first: {', '.join(sources[:5])})"
    )
    if choice == "error":
        raise InputError(f'{message}. Decide which holds, or keep them with contradictions="warn"')
    warnings.append(f"{message}; both directions are kept")
