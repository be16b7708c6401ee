"""Settings of data: which file, and how it is read, rendered and split. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from penchant.config import Config
from penchant.config.limits import Rows, Text, Weight
from penchant.data.in_memory import DataPath
from penchant.data.options import BadRows, Overflow, ReadKeywords, RenderOptions, Thoughts, Ties
from penchant.data.rendering.template_source import TemplateName

Share = Annotated[float, Field(ge=0)]
Batches = Literal["mixed", "one_source"]


class MixtureSource(Config):
    """One of several sources, with what differs from the settings of `data` for it."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[DataPath, Field(min_length=1)]
    """A file, folder, pattern or hub id, as `data.path`."""
    weight: Weight | None = None
    """Share of an epoch's prompts, relative to the other sources' weights. Without weights each prompt of each source
    is used once."""
    limit: Rows | None = None
    """Use only the first so many prompts of this source; `data.limit` if not given."""
    layout: str | None = None
    """The layout's name; `data.layout` if not given."""
    columns: dict[str, str | None] | None = None
    """By field of the layout, the column that holds it; `data.columns` if not given."""
    system: Text | None = None
    """A system turn for this source's prompts that have none; `data.system` if not given."""
    split: str | None = None
    """Which split of a hub data set or folder; `data.split` if not given."""
    bad_rows: BadRows | None = None
    """What to do with rows that cannot be used; `data.bad_rows` if not given."""
    template: TemplateName | None = None
    """The template of this source's rows; `data.template` if not given."""
    template_args: dict[str, JsonValue] | None = None
    """What the template is told for this source; `data.template_args` if not given."""
    score: str | dict[str, float] | None = None
    """The rating that compares responses of this source; `data.score` if not given."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """By how much that rating has to be better, at least; `data.margin` if not given."""
    evaluation: bool = False
    """Held out as a whole: nothing of it is trained on, and prompts of it leave the other sources (counted)."""


class Proportions(Config):
    """Weights of sources by their sizes: min(prompts, cap) ** (1 / temperature) (Raffel et al. 2020, section 3.5.2)."""

    cap: Rows | None = None
    """Prompts that count of a source, at most, so that a large source does not crowd out the others; null for all."""
    # below 1 large sources would count even more than their size, which no mixture of tasks wants
    temperature: Annotated[float, Field(ge=1, le=1_000_000)] = 1.0
    """1 draws sources by their sizes; the higher, the more alike."""


class PromptsConfig(Config):
    """A file of prompts or a hub id, and the reader's choices."""

    shorthand: ClassVar[str] = "path"
    mixture_fields: ClassVar[Mapping[str, object]] = {"sources": ()}
    """What is said of several sources together, with its value for each of them alone."""
    added_fields: ClassVar[frozenset[str]] = frozenset({"sources", "system", "template_args", "thoughts"})

    path: DataPath = ""
    """A file (JSONL, JSON, CSV, Parquet, Arrow, .xlsx, text also as .gz or .zst; prompts alone also one per line), a
    folder of shards or of `save_to_disk`, a pattern or a hub id, in any layout that `penchant data check` knows. In
    Python, rows too: prompt groups, mappings, or a DataFrame."""
    sources: tuple[MixtureSource, ...] = ()
    """Several sources in place of `path`: paths, or settings such as `{path: a.jsonl, weight: 2, limit: 1000}`."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of the layout, the column that holds it, such as `{prompt: problem}`; null leaves a column out."""
    system: Text | None = None
    """A system turn for prompts that have none; a prompt that is text becomes a user's turn behind it."""
    split: str = "train"
    """Which split of a hub data set or folder, or which sheet of a workbook."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: name them all and stop, or skip them with a count."""
    limit: Rows | None = None
    """Use only the first so many prompts."""
    held_out: Share = 0.1
    """Prompts kept for evaluation: a share below 1, a number from 1 up. A prompt is never on both sides."""
    template: TemplateName = "auto"
    """`chat` renders with the tokenizer's chat template, `plain` joins texts as they are, `auto` prefers chat. Or a
    template for a model without one: `chatml` and others that come with this package, or a `.jinja` file."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`; `{today: 2026-01-31}`
    fixes the date that it writes."""
    thoughts: Thoughts = "score"
    """Thoughts before an answer (`<think>`, `reasoning_content`): `score` them with it, `mask` them (shown to the
    model, not scored), or `drop` them."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if bool(self.path) == bool(self.sources):
            raise ValueError(
                "both `path` and `sources` are given: leave one of them out"
                if self.path
                else "`path` is missing: a file, a hub id, or in its place `sources`, a list of them"
            )
        if self.sources:
            check_mixture(self.sources)
        return self

    @property
    def title(self) -> str:
        """Return what messages call the data: the path, or those of all sources."""
        return self.path or " + ".join(source.path for source in self.sources)

    @property
    def parts(self) -> tuple[Self, ...]:
        """Return the settings of each source as those of data with a single path."""
        if not self.sources:
            return (self,)
        return tuple(self._part(source) for source in self.sources)

    def _part(self, source: MixtureSource) -> Self:
        names = (
            "limit",
            "layout",
            "columns",
            "system",
            "split",
            "bad_rows",
            "template",
            "template_args",
            "score",
            "margin",
        )
        # null means "as the others": a source cannot take a limit or a system turn of `data` back
        own_settings = {name: value for name in names if (value := getattr(source, name)) is not None}
        return self.replace(path=source.path, **self.mixture_fields, **own_settings)

    @property
    def rendering(self) -> RenderOptions:
        """Return how prompts and responses become token ids."""
        return RenderOptions(self.template, self.template_args, self.thoughts)

    @property
    def reading(self) -> ReadKeywords:
        """Return what loaders take as keywords."""
        return {
            "layout": self.layout,
            "split": self.split,
            "columns": self.columns,
            "system": self.system,
            "bad_rows": self.bad_rows,
            "limit": self.limit,
        }


class RowsConfig(PromptsConfig):
    """A data file or hub id, and the reader's choices."""

    added_fields: ClassVar[frozenset[str]] = PromptsConfig.added_fields | {
        "mixing",
        "batches",
        "media",
        "media_folder",
    }
    mixture_fields: ClassVar[Mapping[str, object]] = {
        **PromptsConfig.mixture_fields,
        "mixing": None,
        "batches": "mixed",
    }

    mixing: Proportions | None = None
    """Weights of `sources` that follow from their sizes, in place of a `weight` for each: `{cap: 3000, temperature: 2}`
    draws each source by at most 3000 prompts, and then by the square root. null uses each prompt once."""
    batches: Batches = "mixed"
    """What a step is made of, where there are several `sources`: prompts of all of them, or of one source at a time
    (`one_source`), in a random order of steps. A step of one source may then be smaller than `batch_size`."""
    merge: bool = True
    """Whether rows with the same prompt become one group."""
    max_length: Annotated[int, Field(ge=2, le=10_000_000)] | None = None
    """Tokens of prompt and response together, at most; the model's context if not given."""
    overflow: Overflow = "error"
    """What to do with a longer row: stop and name it, drop its group (counted), or cut its prompt from the
    left. A prompt with pictures is never cut."""
    media: bool | None = None
    """Whether pictures in the rows are read; null reads them where the model has a tower for them."""
    media_folder: Text | None = None
    """The folder that paths of pictures start from; that of the data unless given."""

    @model_validator(mode="after")
    def _mixes_sources(self) -> Self:
        if self.batches != "mixed" and len(self.sources) < 2:
            raise ValueError(
                f"`batches: {self.batches}` says what steps are made of where there are several sources: give them as "
                "`sources`, or leave it out"
            )
        if self.mixing is None:
            return self
        if len(self.sources) < 2:
            raise ValueError(
                "`mixing` weighs several sources against each other: give them as `sources`, or leave it out"
            )
        if weighted := next((source for source in self.sources if source.weight is not None), None):
            raise ValueError(
                f"sources: {weighted.path} has a weight, and `mixing` makes weights of the sizes: leave one of them out"
            )
        return self

    @property
    def rendering(self) -> RenderOptions:
        """Return how prompts and responses become token ids."""
        return replace(super().rendering, max_length=self.max_length, overflow=self.overflow, media=self.media)

    @property
    def reading(self) -> ReadKeywords:
        """Return what loaders take as keywords."""
        return {**super().reading, "merge": self.merge, "media": bool(self.media), "media_folder": self.media_folder}


class DataConfig(RowsConfig):
    """Data with comparisons, whose ties and contradictions need a choice."""

    ties: Ties = "error"
    """What a tie is: `error` asks you to choose, `drop` leaves it out (counted), `half` is half a win each
    way."""
    contradictions: Literal["warn", "error"] = "warn"
    """What to do when a pair was decided both ways, or (kto) a response labelled both ways."""
    score: str | dict[str, float] | None = None
    """The rating that compares responses, where rows have several: `helpfulness`, or a weighted sum such as
    `{helpfulness: 1, verbosity: -0.2}`; the layout's own rule unless given, which `penchant data check` prints."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """By how much a rating has to be better, at least; pairs that are nearer are ties."""

    @property
    def reading(self) -> ReadKeywords:
        """Return what loaders take as keywords."""
        return {**super().reading, "score": self.score, "margin": self.margin}


def check_mixture(sources: Sequence[MixtureSource]) -> None:
    """Refuse sources that make no mixture.

    Raises:
        ValueError: one stands there twice, some have weights and others none, or nothing is trained on.
    """
    # `a.jsonl` and `./a.jsonl` are one file; two splits of a data set are two sources
    first: dict[tuple[str, str | None], int] = {}
    for number, source in enumerate(sources):
        key = (os.path.abspath(os.path.expanduser(source.path)), source.split)
        if key in first:
            raise ValueError(
                f"sources: {source.path} stands there twice (as {first[key]} and {number}, counted from 0): leave one "
                "out, and give it a larger weight if it shall count more"
            )
        first[key] = number
    trained = [source for source in sources if not source.evaluation]
    if not trained:
        raise ValueError("sources: all of them are for evaluation, so that nothing is left to train on")
    if weighted := next((source for source in sources if source.evaluation and source.weight is not None), None):
        raise ValueError(
            f"sources: {weighted.path} is for evaluation alone, where a weight means nothing: leave it out"
        )
    # a missing weight could mean 1, or the size of the source: nobody should have to guess
    unweighted = [source.path for source in trained if source.weight is None]
    if unweighted and len(unweighted) < len(trained):
        raise ValueError(
            f"sources: {unweighted[0]} has no weight, but others have: give each a weight, or none (then each prompt "
            "is used once)"
        )


def refuse_mixture(data: PromptsConfig, use: str) -> None:
    """Refuse several sources where only one can be used.

    Raises:
        ValueError: says what can be used.
    """
    if data.sources:
        raise ValueError(f"`data.sources` cannot be used by {use}: give one file as `data.path`")
