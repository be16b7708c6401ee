"""What several raters say of the same comparisons, matched by content: prompt and both responses, in whatever order.

A file's order is no neutral ground: layouts with `chosen` and `rejected` put the winner first, so by that order
everybody says "first" of everything and chance agreement is 1. Each pair is oriented by a digest of its texts instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from penchant.data.load import read_preferences
from penchant.data.options import BadRows
from penchant.errors import InputError, did_you_mean
from penchant.raters.row_metadata import Beside, beside_by_source, topic_field
from penchant.types import Comparison, PromptGroup, prompt_text

FIRST, SECOND, TIE = "first", "second", "tie"
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Compared:
    """Two responses to one prompt, in the order of their digests; `models` wrote them, where a row says so."""

    prompt: str
    first: str
    second: str
    models: tuple[str, str] | None = None

    @property
    def longer_by(self) -> int:
        """Characters that the first has more than the second."""
        return len(self.first) - len(self.second)


@dataclass
class Ratings:
    """Who says what of which comparison.

    Attributes:
        pairs: the comparisons, in order of first appearance.
        raters: names; those in `people` come from files of people.
        verdicts: for each rater, "first", "second" or "tie" of each pair, None where nothing was said.
        shown: for each rater and pair, whether the first stood before the second on the page; None where nobody knows.
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
    shown: list[list[bool | None]] = field(default_factory=list)
    topics: list[str | None] = field(default_factory=list)
    topic: str | None = None
    skipped_rows: int = 0
    alike: int = 0
    contradicted: int = 0

    @property
    def clusters(self) -> list[str]:
        """The prompt of each pair, which intervals resample."""
        return [pair.prompt for pair in self.pairs]

    @property
    def times(self) -> list[int]:
        """How many raters judged each pair."""
        return [sum(verdict is not None for verdict in said) for said in zip(*self.verdicts, strict=True)]


def read_ratings(
    files: Sequence[str],
    people: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    topic: str | None = None,
    layout: str | None = None,
    bad_rows: BadRows = "error",
) -> Ratings:
    """Read files of comparisons by several raters.

    Args:
        files: preference files. Comparisons that name no annotator are those of one rater, named after the file.
        people: more of them, whose raters are people.
        only: raters to keep; all if empty.
        topic: the field that says what a prompt is about; one of `TOPIC_FIELDS` that fits if not given.
        layout, bad_rows: as in `read_preferences`.

    Raises:
        InputError: what `read_preferences` raises; a file that names the annotator of some comparisons only; a name
            that stands for a person and a judge, or for two files; names in `only` that nobody has; a `topic` that no
            row has.
    """
    table = RatingsTable()
    skipped = 0
    named_after: dict[str, str] = {}
    for source, is_people in [*((file, False) for file in files), *((file, True) for file in people)]:
        loaded = read_preferences(
            source, ties="half", merge=False, contradictions="keep", bad_rows=bad_rows, layout=layout
        )
        skipped += loaded.skipped_rows
        known_beside = beside_by_source(source, loaded.layout, topic=topic)
        name = _file_rater(source, loaded.groups)
        if name is not None and named_after.setdefault(name, source) != source:
            raise InputError(f"{source} and {named_after[name]} would both be the rater {name!r}: rename one of them")
        for group in loaded.groups:
            beside = known_beside.get(group.source, Beside())
            for comparison in group.comparisons:
                rater = comparison.annotator if name is None else name
                assert rater is not None
                table.refuse_both(rater, is_people, source)
                table.add(rater, group, comparison, beside)
    return replace(table.ratings(only, topic), skipped_rows=skipped)


class RatingsTable:
    """Comparisons as they come, by whom and of what, until `ratings` says who said what.

    The files of `penchant agree` and the admin's page of `penchant collect` go through this, so that both have one
    number.
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[Key, set[str]]] = {}
        self._shown: dict[str, dict[Key, set[bool | None]]] = {}
        self._pairs: dict[Key, Compared] = {}
        self._about: dict[Key, dict[str, str]] = {}
        self._people: set[str] = set()
        self._alike = 0

    def add(self, rater: str, group: PromptGroup, comparison: Comparison, beside: Beside) -> None:
        """Add what a rater says of two responses."""
        key, verdict, pair = oriented(group, comparison, beside.models)
        if key[1] == key[2]:
            self._alike += 1
            return
        known = self._pairs.setdefault(key, pair)
        if known.models is None and pair.models is not None:
            self._pairs[key] = pair
        self._about[key] = {**beside.topics, **self._about.get(key, {})}
        self._said.setdefault(rater, {}).setdefault(key, set()).add(verdict)
        self._shown.setdefault(rater, {}).setdefault(key, set()).add(_first_shown(group, comparison, pair, beside))

    def refuse_both(self, rater: str, is_people: bool, source: str) -> None:
        """Refuse a rater that is a person and a judge.

        Raises:
            InputError: it stands in a file of the other kind.
        """
        if rater in self._said and (rater in self._people) != is_people:
            raise InputError(
                f"{source}: {rater!r} stands in a file of people and in a file of judges: a rater is one or the other"
            )
        if is_people:
            self._people.add(rater)

    def ratings(self, only: Sequence[str] = (), topic: str | None = None) -> Ratings:
        """Return who says what of which comparison.

        Args:
            only, topic: as in `read_ratings`.

        Raises:
            InputError: names that nobody has; a topic that no row has.
        """
        said, pairs, about = self._said, self._pairs, self._about
        _require_known(only, said)
        raters = [rater for rater in said if not only or rater in only]
        kept = [key for key in pairs if any(key in said[rater] for rater in raters)]
        field_of_topics = topic_field(((pairs[key].prompt, about[key]) for key in kept), topic)
        return Ratings(
            pairs=[pairs[key] for key in kept],
            raters=raters,
            people=self._people & set(raters),
            verdicts=[[_one(said[rater].get(key)) for key in kept] for rater in raters],
            shown=[[_only(self._shown[rater].get(key)) for key in kept] for rater in raters],
            topics=[about[key].get(field_of_topics) if field_of_topics is not None else None for key in kept],
            topic=field_of_topics,
            alike=self._alike,
            contradicted=sum(len(verdicts) > 1 for rater in raters for verdicts in said[rater].values()),
        )


def oriented(
    group: PromptGroup, comparison: Comparison, models: Sequence[str] | None = None
) -> tuple[Key, str, Compared]:
    """A comparison with its two responses in the order of their digests: its key, the verdict, and the texts.

    Args:
        models: who wrote each response of the group, where that is known.
    """
    prompt = prompt_text(group.prompt).strip()
    places = (comparison.winner, comparison.loser)
    texts = [group.responses[place].text.strip() for place in places]
    won = 0 if _digest(prompt, texts[0]) <= _digest(prompt, texts[1]) else 1
    verdict = TIE if comparison.tie else (FIRST, SECOND)[won]
    order = (won, 1 - won)
    wrote = None if models is None else (models[places[order[0]]], models[places[order[1]]])
    pair = Compared(prompt, texts[order[0]], texts[order[1]], wrote)
    return (prompt, pair.first, pair.second), verdict, pair


def _digest(prompt: str, text: str) -> bytes:
    """Of both, so that one text is not the first of every pair that it stands in."""
    return hashlib.sha256(f"{len(prompt)}\n{prompt}\n{text}".encode("utf-8", "surrogatepass")).digest()


def _one(verdicts: set[str] | None) -> str | None:
    if verdicts is None:
        return None
    return next(iter(verdicts)) if len(verdicts) == 1 else TIE


def _first_shown(group: PromptGroup, comparison: Comparison, pair: Compared, beside: Beside) -> bool | None:
    """Whether the pair's first response stood before its second, where the row says how the annotator saw them."""
    before = beside.stood_before(comparison.annotator, comparison.winner, comparison.loser)
    won_first = group.responses[comparison.winner].text.strip() == pair.first
    return None if before is None else before == won_first


def _only(seen: set[bool | None] | None) -> bool | None:
    """Who judged twice in both orders saw it in neither."""
    return next(iter(seen)) if seen is not None and len(seen) == 1 else None


def _file_rater(source: str, groups: Sequence[PromptGroup]) -> str | None:
    """The name of the one rater of a file, or None where comparisons name their annotators."""
    named = [comparison.annotator is not None for group in groups for comparison in group.comparisons]
    if not named:
        raise InputError(f"{source}: no comparison in the whole file, so nobody says anything there")
    if all(named):
        return None
    if any(named):
        raise InputError(
            f"{source}: {named.count(False)} of {len(named)} comparisons do not say who judged: name their annotator, "
            "or take them out"
        )
    name = Path(source).name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _require_known(only: Sequence[str], said: dict[str, dict[Key, set[str]]]) -> None:
    for name in only:
        if name not in said:
            advice = did_you_mean(name, said, form=repr) or f"; there are {', '.join(list(said)[:20])}"
            raise InputError(f"annotators: nobody is called {name!r}{advice}")
