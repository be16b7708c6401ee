"""Count what is in a preference file, and say what in it is worth a look: `penchant data check`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING

from penchant.data import settle
from penchant.data.check_report import CheckReport, LengthSummary, TokenCounts, problems_of
from penchant.data.in_memory import Source, data_source
from penchant.data.layouts import registry as formats
from penchant.data.layouts.pairs import speaks_for_both
from penchant.data.layouts.parse import Parsed, parse_source
from penchant.data.layouts.unpaired import count_labels
from penchant.data.marks import begins_with_prompt, has_odd_turns, joined_words, look_alike
from penchant.data.media_counts import count_media
from penchant.data.merge import Merged, count_ties, find_contradictions, merge_groups
from penchant.data.options import BadRows, Columns, ReadOptions, Score, Ties
from penchant.data.rendering.templates import boundary_warnings, template_warnings
from penchant.errors import InputError
from penchant.row_names import with_row_names
from penchant.text_alone import has_media
from penchant.types import PromptGroup, prompt_text

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer  # the report without tokens needs no numpy
    from penchant.models.vision import VisionReader


def check_preferences(
    source: Source,
    *,
    renderer: Renderer | VisionReader | None = None,
    max_length: int | None = None,
    layout: str | None = None,
    split: str = "train",
    columns: Columns | None = None,
    system: str | None = None,
    ties: Ties = "error",
    bad_rows: BadRows = "error",
    overflow: str = "error",
    contradictions: str = "warn",
    score: Score | None = None,
    margin: float = 0.0,
    media_folder: str | None = None,
) -> CheckReport:
    """Count what a preference file holds; bad rows are listed, not raised.

    The report's `refusals` say why training would refuse the file.

    Args:
        source: as for `load_preferences`: a path, a hub id, or rows themselves.
        renderer: measures lengths in tokens and finds unstable boundaries; without it lengths are characters. Of a
            model that reads pictures it counts theirs, too.
        max_length: tokens of prompt and response; longer ones are counted. The renderer's own limit if not
            given.
        layout, split, columns, system, ties, bad_rows, score, margin: as for `load_preferences`.
        media_folder: what paths of pictures and sounds start from; the folder of the data unless given.
        overflow, contradictions: as for training (`error`, `drop`, `truncate_prompt`; `warn`, `error`).

    Raises:
        InputError: the file cannot be read at all, is empty, or no row is of a known layout.
    """
    source = data_source(source)
    reading = ReadOptions(
        layout=layout,
        split=split,
        columns=columns,
        system=system,
        bad_rows=bad_rows,
        score=score,
        margin=margin,
        media=True,
        media_folder=media_folder,
    )
    parsed = parse_source(source, reading, layouts=formats.PREFERENCES, hints=formats.DEMONSTRATIONS)
    # As `read_preferences` does it, but for ties: they are counted, and nobody has to choose for a report.
    merged = merge_groups(parsed.groups, counts_add=parsed.layout.counts_add)
    tokens = None if renderer is None else _count_tokens(merged.groups, renderer, max_length)
    special = [] if renderer is None else list(map(str, renderer.tokenizer.all_special_tokens))
    report = _counts(source, parsed, merged, tokens, special)
    return dataclasses.replace(
        report,
        # the sentences are made of the report's own numbers, so that text and JSON cannot differ
        problems=tuple(map(with_row_names, problems_of(report))),
        margin=margin,
        refusals=(
            *_refusals(report, parsed, ties=ties, bad_rows=bad_rows, overflow=overflow),
            *(_media_refusals(report) if renderer is not None and not _counts_media(renderer) else ()),
            *(_contradictions(report) if contradictions == "error" else ()),
        ),
    )


def _counts(
    source: str, parsed: Parsed, merged: Merged, tokens: TokenCounts | None, special: Sequence[str]
) -> CheckReport:
    """Return the report without its sentences.

    Args:
        parsed: the rows. merged: the same, one group per prompt. special: special tokens of the renderer.
    """
    groups = merged.groups
    contradictions = find_contradictions(groups)
    # Rows, ties and comparisons are counted in the file's rows, all else in its prompts.
    longer_won, longer_compared = _longer_wins(groups, tokens)
    counts = count_labels(groups) if parsed.layout in formats.UNPAIRED else None
    marks = settle.mark_sentence(parsed, groups, special)
    return CheckReport(
        source=with_row_names(source),
        layout=parsed.layout.name,
        rows=parsed.rows,
        bad_rows=tuple(with_row_names(str(problem)) for problem in parsed.problems),
        bad_kinds=dict(Counter(problem.kind for problem in parsed.problems).most_common()),
        groups=len(groups),
        responses=sum(len(group.responses) for group in groups),
        comparisons=sum(len(group.comparisons) for group in parsed.groups),
        responses_per_prompt=dict(sorted(Counter(len(group.responses) for group in groups).items())),
        annotators=len({comparison.annotator for group in groups for comparison in group.comparisons} - {None}),
        ties=count_ties(parsed.groups),
        duplicates=merged.duplicates,
        contradictions=contradictions.pairs,
        contradictions_same_annotator=contradictions.same_annotator,
        repeated_responses=sum(len(group.responses) - len(set(group.responses)) for group in parsed.groups),
        prompts_repeated=sum(map(begins_with_prompt, groups)),
        odd_turns=sum(map(has_odd_turns, groups)),
        speaks_for_both=sum(map(speaks_for_both, groups)),
        lengths=_length_summaries(groups, tokens),
        longer_won=longer_won,
        longer_compared=longer_compared,
        length_unit="characters" if tokens is None else "tokens",
        tokens=tokens,
        unread=dict(parsed.unread),
        ratings=dict(parsed.ratings),
        unread_texts=tuple(dict.fromkeys(name for row in parsed.texts for name in row.digests)),
        marks=marks,
        notes=(
            *settle.judging_sentences(parsed.judging),
            *settle.rater_sentences(parsed),
            *settle.text_sentences(groups, special),
            *filter(None, [joined_words(groups)]),
        ),
        look_alike=look_alike(groups),
        system_added=parsed.system_added,
        media=count_media(groups),
        labels=None if counts is None else (round(counts.desirable), round(counts.undesirable), counts.labelled_both),
    )


def _refusals(report: CheckReport, parsed: Parsed, *, ties: Ties, bad_rows: BadRows, overflow: str) -> Iterator[str]:
    """Yield why training would refuse the file, under these choices; nothing where it would not."""
    source = report.source
    # The checks of `read_preferences` themselves and in its order, so that report and training cannot differ.
    steps: list[Callable[[], object]] = [
        lambda: settle.settle_bad_rows(source, parsed, bad_rows),
        lambda: settle.refuse_codes(source, parsed),
        lambda: settle.refuse_merging(source, parsed),
        lambda: settle.refuse_repeated_prompts(source, parsed),
        lambda: settle.settle_ties(source, parsed.groups, report.ties, ties, []),
    ]
    for step in steps:
        try:
            step()
        except InputError as error:
            yield str(error)
    yield from _nothing_to_learn(report, parsed)
    if report.tokens is not None:
        yield from _token_refusals(report, report.tokens, overflow)


def _media_refusals(report: CheckReport) -> Iterator[str]:
    """Yield that a model of texts reads no pictures: its readers refuse such rows, which here are usable."""
    if report.media:
        kinds = ", ".join(f"{counts.prompts} prompts with {kind}" for kind, counts in report.media.items())
        yield f"{report.source} has {kinds}, and the model reads text alone: name one that reads them"


def _counts_media(renderer: Renderer | VisionReader) -> bool:
    """Return whether a renderer reads pictures beside text."""
    return hasattr(renderer, "count_media_tokens")


def _contradictions(report: CheckReport) -> Iterator[str]:
    """Yield what training refuses under `contradictions=error`."""
    if report.contradictions:
        yield f"{report.source}: {report.contradictions} pairs of responses are preferred in both directions"
    if report.labels is not None and report.labels[2]:
        yield f"{report.source}: {report.labels[2]} responses are labelled both good and bad"


def _nothing_to_learn(report: CheckReport, parsed: Parsed) -> Iterator[str]:
    """Yield why a file without comparisons teaches nothing: it has no labels, or of one kind alone."""
    if report.labels is None and report.comparisons:
        return
    # Without comparisons only `kto` is left, and it takes scores from 0 to 1 for labels.
    try:
        counts = count_labels(parsed.groups)
    except InputError as error:  # scores that are ratings
        yield f"{report.source} holds no comparisons to train on, and its scores are no labels for kto: {error}"
        return
    if not (counts.desirable or counts.undesirable):
        yield f"{report.source} holds no comparisons to train on"
    elif not (counts.desirable and counts.undesirable):
        kind = "good" if counts.desirable else "bad"
        yield f"{report.source}: every label is {kind}, so kto has nothing to tell apart"


def _token_refusals(report: CheckReport, tokens: TokenCounts, overflow: str) -> Iterator[str]:
    """Yield why a file cannot be rendered, or says nothing once it is."""
    source = report.source
    if tokens.unrenderable:
        yield f"{source}: {len(tokens.unrenderable)} prompts cannot be tokenized"
    if tokens.too_long and overflow == "error":
        yield (
            f"{source}: {len(tokens.too_long)} responses are too long, and overflow=error stops at them: set "
            f"overflow=drop or truncate_prompt{'' if tokens.is_context else ', or a larger max_length'}"
        )
    # A group is dropped as a whole where one of its responses is too long.
    limit = tokens.max_length if overflow == "drop" else None
    if limit is not None and report.groups and all(lengths and max(lengths) > limit for lengths in tokens.lengths):
        yield f"{source}: every row is longer than max_length={limit}, so overflow=drop leaves nothing"
    # tokens are counted after merging, comparisons before it
    if report.comparisons and len(tokens.equal) == report.comparisons - report.duplicates:
        yield f"{source}: every row says nothing: the two responses of each pair are the same tokens"


def _count_tokens(
    groups: Sequence[PromptGroup], renderer: Renderer | VisionReader, max_length: int | None
) -> TokenCounts:
    limit = renderer.max_length if max_length is None else max_length
    renderer = dataclasses.replace(renderer, max_length=None)  # lengths before any cut
    lengths: list[tuple[int, ...]] = []
    unstable, unrenderable, too_long, equal = [], [], [], []
    moved_groups = stripped = 0
    media_counts: list[int] = []
    count_tokens = getattr(renderer, "count_media_tokens", None)  # of one that reads pictures
    for group in groups:
        try:
            rendered = renderer.render(group) if group.responses else None
        except InputError as error:
            rendered = None
            unrenderable.append(str(error))
        # A group that cannot be rendered keeps its place, so that lengths and groups go together.
        lengths.append(() if rendered is None else rendered.lengths)
        if rendered is None:
            continue
        unstable += [group.source for is_unstable in rendered.unstable if is_unstable]
        # a renderer of text alone has refused such a group by now
        if count_tokens is not None and has_media(group):
            media_counts.append(count_tokens(rendered))
        moved_groups += rendered.moved_boundary
        stripped += rendered.stripped_thoughts
        too_long += [group.source for length in rendered.lengths if limit and length > limit]
        branches = rendered.branches
        equal += [group.source for pair in group.comparisons if branches[pair.winner] == branches[pair.loser]]
    texts = [group for group in groups if not has_media(group)] if renderer.chat_template else []
    warnings = template_warnings(renderer.chat_template, texts) if renderer.chat_template else []
    return TokenCounts(
        lengths=tuple(lengths),
        unstable=tuple(unstable),
        unrenderable=tuple(unrenderable),
        max_length=limit,
        is_context=limit is not None and limit == renderer.context,
        too_long=tuple(too_long),
        equal=tuple(equal),
        warnings=(*boundary_warnings(moved_groups, stripped), *warnings),
        media=tuple(media_counts),
    )


def _longer_wins(groups: Sequence[PromptGroup], tokens: TokenCounts | None) -> tuple[int, int]:
    """Count how often the longer response won; within a group the prompt is the same, so its length does not matter."""
    longer_wins = compared = 0
    for index, group in enumerate(groups):
        lengths = [len(response.text) for response in group.responses] if tokens is None else tokens.lengths[index]
        for comparison in group.comparisons if lengths else ():
            winner, loser = lengths[comparison.winner], lengths[comparison.loser]
            if not comparison.tie and winner != loser:
                longer_wins += winner > loser
                compared += 1
    return longer_wins, compared


def _length_summaries(groups: Sequence[PromptGroup], tokens: TokenCounts | None) -> dict[str, LengthSummary]:
    texts = [response.text for group in groups for response in group.responses]
    measured = {
        "prompt (characters)": [len(prompt_text(group.prompt)) for group in groups],
        "response (characters)": [len(text) for text in texts],
        "response (words)": [len(text.split()) for text in texts],
    }
    if tokens is not None:
        measured["prompt + response (tokens)"] = [length for row in tokens.lengths for length in row]
        measured["pictures of a prompt (tokens)"] = list(tokens.media)
    return {name: _summary(lengths) for name, lengths in measured.items() if lengths}


def _summary(lengths: list[int]) -> LengthSummary:
    ordered = sorted(lengths)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]  # the smallest that 95% do not exceed
    return LengthSummary(len(ordered), mean(ordered), median(ordered), p95, ordered[-1])
