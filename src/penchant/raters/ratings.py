"""Collect what several raters say of the same comparisons, matched by content: prompt and responses, in any order.

A file's order is no neutral ground: layouts with `chosen` and `rejected` put the winner first, so by that order
everybody says "first" of everything and chance agreement is 1. Each pair is oriented by a digest of its texts instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from penchant.data.load import read_preferences
from penchant.data.options import BadRows, Columns
from penchant.errors import InputError, did_you_mean
from penchant.raters.row_metadata import RowMetadata, read_row_metadata, topic_field
from penchant.raters.sides import Judgment, RowOrder, judgments_with_side, row_order, shown_order
from penchant.types import Comparison, PromptGroup, prompt_text, response_text

FIRST, SECOND, TIE = "first", "second", "tie"
Key = tuple[str, str, str]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Compared:
    """A pair of responses to one prompt, in the order of their digests; `models` wrote them, where a row says so."""

    prompt: str
    first: str
    second: str
    models: tuple[str, str] | None = None

    @property
    def longer_by(self) -> int:
        """The number of characters that the first has more than the second."""
        return len(self.first) - len(self.second)


@dataclass(frozen=True)
class Ratings:
    """The verdicts of raters on comparisons.

    Attributes:
        pairs: the comparisons, in order of first appearance.
        raters: names; those in `people` come from files of people.
        verdicts: for each rater, "first", "second" or "tie" of each pair, None where nothing was said.
        orders: for each rater and pair, whether the first stood before the second on the page; None where nobody knows.
        sides: for each rater and pair, the judgments of which that is known: more than one where the pair was judged in
            both orders, none where nobody knows.
        topics: of each pair, None where its row says nothing. topic: the field that says it; None where there is none.
        skipped_rows: rows that cannot be used.
        alike: comparisons of responses that differ in white space at their ends only, left out.
        contradicted: (rater, pair) that one rater judged more than once and differently: these count as ties, as a
            verdict does that flips with the order.
    """

    pairs: list[Compared] = field(default_factory=list)
    raters: list[str] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    verdicts: list[list[str | None]] = field(default_factory=list)
    orders: list[list[bool | None]] = field(default_factory=list)
    sides: list[list[tuple[Judgment, ...]]] = field(default_factory=list)
    topics: list[str | None] = field(default_factory=list)
    topic: str | None = None
    skipped_rows: int = 0
    alike: int = 0
    contradicted: int = 0

    @cached_property
    def clusters(self) -> list[str]:
        """The prompt of each pair, which intervals resample."""
        return [pair.prompt for pair in self.pairs]

    @cached_property
    def times(self) -> list[int]:
        """The number of raters that judged each pair."""
        return [sum(verdict is not None for verdict in verdicts) for verdicts in zip(*self.verdicts, strict=True)]


def read_ratings(
    files: Sequence[str],
    people: Sequence[str] = (),
    *,
    kept_raters: Sequence[str] = (),
    topic: str | None = None,
    order: Literal["both", "row"] = "both",
    layout: str | None = None,
    columns: Columns | None = None,
    bad_rows: BadRows = "error",
) -> Ratings:
    """Read files of comparisons by several raters.

    Args:
        files: preference files. Comparisons that name no annotator are those of one rater, named after the file.
        people: more of them, whose raters are people.
        kept_raters: raters to keep; all if empty.
        topic: the field that says what a prompt is about; one of `TOPIC_FIELDS` that fits if not given.
        order: whether the order of each row is the one shown (`row`), or only that of pairs judged in both orders.
        layout, columns, bad_rows: as in `read_preferences`.

    Raises:
        InputError: what `read_preferences` raises; a file that names the annotator of some comparisons only; a name
            that stands for a person and a judge, or for two files; names in `kept_raters` that nobody has; a `topic`
            that no row has; `order="row"` of rows that put the winner first.
    """
    table = RatingsTable()
    skipped = 0
    named_after: dict[str, str] = {}
    for source, is_people in [*((file, False) for file in files), *((file, True) for file in people)]:
        # A tie is a verdict like any other here, and raters are meant to contradict each other. Merging would lose the
        # row that a comparison came from, and with it who wrote what.
        loaded = read_preferences(
            source,
            ties="half",
            merge=False,
            contradictions="keep",
            bad_rows=bad_rows,
            layout=layout,
            columns=columns,
        )
        skipped += loaded.skipped_rows
        metadata_of = read_row_metadata(source, loaded.layout, topic=topic, columns=columns)
        order_of_rows = row_order(source, loaded.layout, loaded.groups, order)
        name = _file_rater(source, loaded.groups)
        # `a/prefs.jsonl` and `b/prefs.jsonl` would be one rater that judges twice
        if name is not None and named_after.setdefault(name, source) != source:
            raise InputError(f"{source} and {named_after[name]} would both be the rater {name!r}: rename one of them")
        for group in loaded.groups:
            metadata = metadata_of.get(group.source, RowMetadata())
            for comparison in group.comparisons:
                rater = comparison.annotator if name is None else name
                assert rater is not None
                table.refuse_both(rater, is_people, source)
                table.add(rater, group, comparison, metadata, order_of_rows)
    return replace(table.ratings(kept_raters, topic), skipped_rows=skipped)


class RatingsTable:
    """A table of comparisons, filled one by one, of which `ratings` gives the result.

    The files of `penchant agree` and the admin's page of `penchant collect` go through this, so that both have one
    number.
    """

    def __init__(self) -> None:
        self._verdicts: dict[str, dict[Key, set[str]]] = {}
        self._judgments: dict[str, dict[Key, set[Judgment]]] = {}
        self._pairs: dict[Key, Compared] = {}
        self._topics: dict[Key, dict[str, str]] = {}
        self._people: set[str] = set()
        self._same_texts = 0

    def add(
        self,
        rater: str,
        group: PromptGroup,
        comparison: Comparison,
        metadata: RowMetadata,
        order_of_rows: RowOrder = "unrelated",
    ) -> None:
        """Add a rater's verdict on two responses.

        Args:
            order_of_rows: whether the group's order is the one in which the rater saw them.
        """
        key, verdict, pair = oriented(group, comparison, metadata.models)
        # With the white space at their ends taken off, the two are one response.
        if key[1] == key[2]:
            self._same_texts += 1
            return
        # The same comparison may stand in several files, of which only one says who wrote the responses.
        known_pair = self._pairs.setdefault(key, pair)
        if known_pair.models is None and pair.models is not None:
            self._pairs[key] = pair
        # of two rows that name a topic by one field, the first counts
        self._topics[key] = {**metadata.topics, **self._topics.get(key, {})}
        self._verdicts.setdefault(rater, {}).setdefault(key, set()).add(verdict)
        judgment = _judgment(group, comparison, metadata, order_of_rows, verdict, pair)
        self._judgments.setdefault(rater, {}).setdefault(key, set()).add(judgment)

    def refuse_both(self, rater: str, is_people: bool, source: str) -> None:
        """Refuse a rater that is a person and a judge.

        Raises:
            InputError: it stands in a file of the other kind.
        """
        # Such a rater would stand on both sides of the table of people and judges.
        if rater in self._verdicts and (rater in self._people) != is_people:
            raise InputError(
                f"{source}: {rater!r} stands in a file of people and in a file of judges: a rater is one or the other"
            )
        if is_people:
            self._people.add(rater)

    def ratings(self, kept_raters: Sequence[str] = (), topic: str | None = None) -> Ratings:
        """Return the table of verdicts.

        Args:
            kept_raters, topic: as in `read_ratings`.

        Raises:
            InputError: names that nobody has; a topic that no row has.
        """
        verdicts_of, pairs, topics_of = self._verdicts, self._pairs, self._topics
        _require_known(kept_raters, verdicts_of)
        # Pairs that none of the kept raters judged go, or they would count as comparisons that nobody shares.
        raters = [rater for rater in verdicts_of if not kept_raters or rater in kept_raters]
        kept_keys = [key for key in pairs if any(key in verdicts_of[rater] for rater in raters)]
        field_of_topics = topic_field(((pairs[key].prompt, topics_of[key]) for key in kept_keys), topic)
        return Ratings(
            pairs=[pairs[key] for key in kept_keys],
            raters=raters,
            people=self._people & set(raters),
            # A contradiction is a tie, as for a judge whose verdict flips with the order. Left out, it would make the
            # rater look surer than they are.
            verdicts=[[_single(verdicts_of[rater].get(key), conflict=TIE) for key in kept_keys] for rater in raters],
            # who judged twice in both orders saw it in neither
            orders=[[shown_order(self._judgments[rater].get(key, ())) for key in kept_keys] for rater in raters],
            # in both orders there is a judgment per side, which the verdict above no longer has
            sides=[[judgments_with_side(self._judgments[rater].get(key, ())) for key in kept_keys] for rater in raters],
            topics=[topics_of[key].get(field_of_topics) if field_of_topics is not None else None for key in kept_keys],
            topic=field_of_topics,
            alike=self._same_texts,
            contradicted=sum(len(verdicts) > 1 for rater in raters for verdicts in verdicts_of[rater].values()),
        )


def oriented(
    group: PromptGroup, comparison: Comparison, models: Sequence[str] | None = None
) -> tuple[Key, str, Compared]:
    """Return a comparison with its responses in the order of their digests: its key, the verdict, and the texts.

    Args:
        models: who wrote each response of the group, where that is known.
    """
    # Layouts differ in the white space at the ends of a text, so that is taken off. Nothing else is: two responses that
    # differ in a comma are two responses.
    prompt = prompt_text(group.prompt).strip()
    indices = (comparison.winner, comparison.loser)
    texts = [response_text(group.responses[index]).strip() for index in indices]
    # Layouts with `chosen` and `rejected` put the winner first, so the file's own order says who won.
    winner_index = 0 if _digest(prompt, texts[0]) <= _digest(prompt, texts[1]) else 1
    verdict = TIE if comparison.tie else (FIRST, SECOND)[winner_index]
    order = (winner_index, 1 - winner_index)
    authors = None if models is None else (models[indices[order[0]]], models[indices[order[1]]])
    pair = Compared(prompt, texts[order[0]], texts[order[1]], authors)
    return (prompt, pair.first, pair.second), verdict, pair


def _digest(prompt: str, text: str) -> bytes:
    """Return a digest of both, so that one text is not the first of every pair that it stands in."""
    # The length of the prompt says where it ends, so that no other split of the same characters has this digest.
    return hashlib.sha256(f"{len(prompt)}\n{prompt}\n{text}".encode("utf-8", "surrogatepass")).digest()


def _single(values: set[Value] | None, *, conflict: Value | None) -> Value | None:
    """Return what a rater said each time, or `conflict` where that differs; None where nothing was said."""
    if values is None:
        return None
    return next(iter(values)) if len(values) == 1 else conflict


def _judgment(
    group: PromptGroup,
    comparison: Comparison,
    metadata: RowMetadata,
    order_of_rows: RowOrder,
    verdict: str,
    pair: Compared,
) -> Judgment:
    """Return a verdict with the side on which the pair's first response stood, where the row says it."""
    before = metadata.stood_before(comparison.annotator, comparison.winner, comparison.loser)
    is_certain = before is not None or order_of_rows == "shown"
    if before is None and order_of_rows != "unrelated":
        before = comparison.winner < comparison.loser
    # The row knows winner and loser, the pair first and second.
    won_first = response_text(group.responses[comparison.winner]).strip() == pair.first
    return Judgment(verdict, None if before is None else before == won_first, is_certain)


def _file_rater(source: str, groups: Sequence[PromptGroup]) -> str | None:
    """Return the name of a file's only rater; None where the comparisons name their annotators."""
    # Some named and some not: the unnamed ones may be of any of the named raters, or of one more.
    has_annotator = [comparison.annotator is not None for group in groups for comparison in group.comparisons]
    if not has_annotator:
        raise InputError(f"{source}: no comparison in the whole file, so nobody says anything there")
    if all(has_annotator):
        return None
    if any(has_annotator):
        raise InputError(
            f"{source}: {has_annotator.count(False)} of {len(has_annotator)} comparisons do not say who judged: "
            "name their annotator, or take them out"
        )
    # the file's name without its ending is all that is known of such a rater
    name = Path(source).name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _require_known(asked_raters: Sequence[str], verdicts_of: dict[str, dict[Key, set[str]]]) -> None:
    for name in asked_raters:
        if name not in verdicts_of:
            advice = did_you_mean(name, verdicts_of, form=repr) or f"; there are {', '.join(list(verdicts_of)[:20])}"
            raise InputError(f"annotators: nobody is called {name!r}{advice}")
