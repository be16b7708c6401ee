"""Settings of data: which file, and how it is read, rendered and split. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from penchant.config import Config
from penchant.config.limits import Rows, Text
from penchant.data.options import BadRows, Overflow, ReadKeywords, RenderOptions, Thoughts, Ties
from penchant.data.rendering.template_source import TemplateName


class PromptsConfig(Config):
    """A file of prompts or a hub id, and the reader's choices."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[str, Field(min_length=1)]
    """A file (JSONL, JSON, CSV, Parquet, Arrow, .xlsx, text also as .gz or .zst; prompts alone also one per line), a
    folder of shards or of `save_to_disk`, a pattern or a hub id, in any layout that `penchant data check` knows."""
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
    held_out: Annotated[float, Field(ge=0)] = 0.1
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

    merge: bool = True
    """Whether rows with the same prompt become one group."""
    max_length: Annotated[int, Field(ge=2, le=10_000_000)] | None = None
    """Tokens of prompt and response together, at most; the model's context if not given."""
    overflow: Overflow = "error"
    """What to do with a longer row: stop and name it, drop its group (counted), or cut its prompt from the
    left."""

    @property
    def rendering(self) -> RenderOptions:
        """Return how prompts and responses become token ids."""
        return replace(super().rendering, max_length=self.max_length, overflow=self.overflow)

    @property
    def reading(self) -> ReadKeywords:
        """Return what loaders take as keywords."""
        return {**super().reading, "merge": self.merge}


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
