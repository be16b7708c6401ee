"""Keep what a row says beside its prompt, for rewards that read it."""

from __future__ import annotations

from penchant.data.sources.values import RowValues
from penchant.types import PromptGroup, prompt_turns


def other_columns(values: RowValues, group: PromptGroup) -> dict[str, object]:
    """Return the columns that are no part of the prompt: texts, numbers, truth values, and lists of these.

    The fields that the layout reads as responses are among them: of `question` and `answer` a reward wants the answer.
    """
    # what the prompt says already would be kept twice
    prompt = {turn.text.strip() for turn in prompt_turns(group.prompt)}
    return {
        name: cell
        for name, cell in values.items()
        # nested cells are conversations and metadata: as objects they take many times the space of their text
        if _is_plain(cell) and not (isinstance(cell, str) and cell.strip() in prompt)
    }


def _is_plain(cell: object) -> bool:
    if isinstance(cell, list):
        return bool(cell) and all(isinstance(entry, str | int | float) for entry in cell)
    return isinstance(cell, str | int | float)
