"""Say how a source is read, whatever it is read for: one class that loaders pass along whole. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from penchant.errors import InputError
from penchant.types import PromptGroup

# Settings, loaders and the renderer take the same choices, so each list of them stands here alone.
BadRows = Literal["error", "skip"]
Ties = Literal["error", "drop", "half"]
Template = str
"""`auto`, `chat`, `plain`, the name of a template that comes with this package, or a `.jinja` file."""
TemplateArgs = Mapping[str, object]
"""What a template is told beside the conversation, such as `{"enable_thinking": False}`."""
Thoughts = Literal["score", "mask", "drop"]
Overflow = Literal["error", "drop", "truncate_prompt"]
Columns = Mapping[str, str | None]
"""By field of a layout, the column that holds it; None leaves the column of that name out."""
Score = str | Mapping[str, float]
"""The rating that compares responses: its name, or weights by name whose weighted sum does."""


class ReadKeywords(TypedDict, total=False):
    """The keywords that every loader takes: those of `ReadOptions`, which says what each means."""

    layout: str | None
    split: str
    columns: Columns | None
    system: str | None
    bad_rows: BadRows
    limit: int | None
    merge: bool
    score: Score | None
    margin: float
    keep_columns: bool
    media: bool
    media_folder: str | None


@dataclass(frozen=True)
class RenderOptions:
    """The choices by which prompts and responses become token ids.

    Attributes:
        template: `chat` is the tokenizer's chat template, `plain` joins the texts as they are, `auto` takes the chat
            template where there is one; or the name of a template that comes with this package, or a `.jinja` file.
        template_args: what the template is told beside the conversation; `today` fixes the date that it writes.
        thoughts: what becomes of a response's thoughts: `score` them with the answer, `mask` them (in the context,
            not scored), or `drop` them before rendering.
        max_length: tokens of prompt and response together, at most; None for the model's context.
        overflow: what to do with a longer row: `error`, `drop` the group (counted), or `truncate_prompt`.
        media: pictures are read; None where the model reads them. False opens it as a model of text alone.
    """

    template: Template = "auto"
    template_args: TemplateArgs = field(default_factory=dict, hash=False)
    thoughts: Thoughts = "score"
    max_length: int | None = None
    overflow: Overflow = "error"
    media: bool | None = None


@dataclass(frozen=True)
class RatingRules:
    """The choices by which ratings become comparisons.

    Attributes:
        score: which rating compares the responses, where rows have several (a name, or weights by name); None for the
            one that the layout takes by itself.
        margin: by how much a rating has to be better, at least; pairs that are nearer are ties.
    """

    score: Score | None = None
    margin: float = 0.0


@dataclass(frozen=True)
class ReadOptions:
    """The choices by which the rows of a file or hub data set become groups.

    Attributes:
        layout: the layout's name, to prescribe it; else it is recognised by the rows' fields.
        split: which split of a hub data set.
        columns: by field of a layout, the column that holds it, such as `{"prompt": "problem"}`; None leaves the
            column of that name out.
        system: a system turn for prompts that have none; a prompt that is text becomes a user's turn behind it.
        bad_rows: `"skip"` leaves unusable rows out with a logged count. Damaged lines (broken JSON, invalid UTF-8) and
            mixed layouts are always errors.
        limit: keep the groups of only the first so many prompts, for trying things.
        merge: rows with the same prompt become one group (see `penchant.data.merge`).
        score, margin: see `RatingRules`.
        keep_columns: groups keep the other columns of their rows, for rewards that read them (`PromptGroup.columns`).
        media: pictures, sounds and videos are read; else rows that hold some are refused, as for all that reads text
            alone.
        media_folder: the folder that their paths start from, and that none leaves; that of the data unless given.

    Raises:
        InputError: a limit below 1, a margin below 0, or an empty system turn.
    """

    layout: str | None = None
    split: str = "train"
    columns: Columns | None = None
    system: str | None = None
    bad_rows: BadRows = "error"
    limit: int | None = None
    merge: bool = True
    score: Score | None = None
    margin: float = 0.0
    keep_columns: bool = False
    media: bool = False
    media_folder: str | None = None

    def __post_init__(self) -> None:
        weights = list(self.score.values()) if isinstance(self.score, Mapping) else [1.0]
        if not any(weights) or not all(map(math.isfinite, weights)):
            raise InputError(f"score must weight at least one rating by a number that is not 0, got {self.score}")
        if not 0 <= self.margin < math.inf:
            raise InputError(f"margin must be a number from 0 up, got {self.margin}")
        if self.system is not None and not self.system.strip():
            raise InputError("system is empty; give it the text of a system turn, or leave it out")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be at least 1 (or None for all), got {self.limit}")

    @property
    def rules(self) -> RatingRules:
        """Return how ratings become comparisons."""
        return RatingRules(self.score, self.margin)

    def first(self, groups: Sequence[PromptGroup]) -> list[PromptGroup]:
        """Return the groups of the first `limit` prompts; a prompt has several groups where none were merged."""
        if self.limit is None:
            return list(groups)
        # By prompts and not by groups: without merging a prompt has a group per row, and none of them is to be cut off.
        prompts = set()
        for index, group in enumerate(groups):
            prompts.add(group.prompt)
            if len(prompts) > self.limit:
                return list(groups[:index])
        return list(groups)
