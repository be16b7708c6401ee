"""Describe a layout of rows: the fields that recognise it, its reader, and an example that the tests read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penchant.data.layouts.answers import refuse_open_thoughts
from penchant.data.layouts.columns import NO_RULES, ReadRow, add_context, refuse_lost, refuse_pointers, refuse_texts
from penchant.data.layouts.media import settle_media
from penchant.data.layouts.rating_rules import apply_margin
from penchant.data.options import RatingRules
from penchant.data.sources.values import RowError, RowValues
from penchant.types import PromptGroup

EXAMPLES = Path(__file__).with_name("examples")


@dataclass(frozen=True)
class Layout:
    """A layout of rows: the fields that recognise it, and their reader.

    Attributes:
        name: what reports call it, and what the argument `layout` takes.
        required: fields that must be present and not null; each a tuple of spellings of which one is enough.
        read: row to group; raises `RowError` for a row that cannot be used.
        fits: decides between layouts with the same fields by the kinds of their values.
        counts_add: whether each row states samples of its own, so that merging rows adds their counts. In
            files of pairs it does not: one sample stands in several rows there.
        context: whether columns such as `system` or `input`, where the reader takes none of them, are added to the
            prompt.
        assumed: whether nobody said what the comparisons say, so that they are only made if the layout was prescribed.
        doubt: raises `RowError` for a row that is only read if the layout was prescribed by name.
        complete: whether other columns with text are refused: common names such as `question` and `answer` alone do
            not say that nothing else belongs to them.
        codes: a column, and what is uncertain of all its values in a file, unless the layout was prescribed.
        about: what has this layout and what becomes of it, for the reference.
        variants: data sets that are read by this layout though they are published under a name of their own: by that
            name, what is particular about them.
        joined: whether rows hold one rated response each, so that those of one prompt are compared by their scores.
        has_sides: whether the order of a row's responses says nothing of who won, so that it can be the order in which
            a judge saw them.
    """

    name: str
    required: tuple[tuple[str, ...], ...]
    read: Callable[[RowValues], PromptGroup]
    fits: Callable[[RowValues], bool] | None = None
    counts_add: bool = False
    context: bool = True
    assumed: bool = False
    complete: bool = False
    doubt: Callable[[RowValues], None] | None = None
    codes: tuple[str, Callable[[Collection[object]], str]] | None = None
    about: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)
    joined: bool = False
    has_sides: bool = False

    @property
    def fields(self) -> str:
        """Return the required fields, for messages."""
        return ", ".join(" or ".join(spellings) for spellings in self.required)

    @property
    def examples(self) -> dict[str, Path]:
        """Return files with example rows, which the tests read and the reference shows, by layout and variant."""
        return {name: EXAMPLES / f"{name}.jsonl" for name in (self.name, *self.variants)}

    def missing(self, row: RowValues) -> list[tuple[str, ...]]:
        """Return the required fields that a row lacks (absent or null), each with its spellings."""
        # `dict.get`: to look whether a column is there is not to read it
        return [spellings for spellings in self.required if all(dict.get(row, name) is None for name in spellings)]

    def matches(self, row: RowValues) -> bool:
        """Return whether a row looks like this layout. Its values may still be wrong."""
        return not self.missing(row) and (self.fits is None or self.fits(row))

    def parse(
        self, row: RowValues, source: str, *, prescribed: bool = False, rules: RatingRules = NO_RULES
    ) -> PromptGroup:
        """Return the group of a row.

        Args:
            row: a `ReadRow` remembers which columns were read.
            prescribed: whether somebody named this layout, instead of its being recognised.
            rules: how ratings are read, where the row is no `ReadRow`, which has them.

        Raises:
            RowError: a missing field, or whatever the reader refuses.
        """
        if absent := self.missing(row):
            words = ", ".join(" or ".join(map(repr, names)) for names in absent)
            verb = "is null" if all(any(name in row for name in names) for names in absent) else "is missing"
            raise RowError("missing", f"field {words} {verb}; the layout {self.name} needs {self.fields}")
        if self.doubt is not None and not prescribed:
            self.doubt(dict(row))  # what makes a row doubtful is not read either
        seen = row if isinstance(row, ReadRow) else ReadRow(row, rules)
        group = self.read(seen)
        # From here on the order counts: what is added to the prompt is no longer unread, and what is refused first
        # has the most particular message.
        if self.context:
            group = add_context(group, seen)
        group = settle_media(group, seen, seen.media)
        refuse_lost(group, seen, self.name, prescribed=prescribed)
        refuse_pointers(group, seen.unread())
        if self.complete and not prescribed:
            refuse_texts(group, seen.unread(), self.name)
        refuse_open_thoughts(group)
        comparisons = () if self.assumed and not prescribed else group.comparisons
        return apply_margin(group.replace(source=source, comparisons=comparisons), seen.rules.margin)
