"""Read preferences about what pictures show, as RLHF-V and HA-DPO publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from penchant.data.layouts.media import MediaReference
from penchant.data.layouts.pair_ratings import rated_pair
from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, RowValues, as_integer, as_list, as_object, as_text
from penchant.types import Comparison, Message, PromptGroup

if TYPE_CHECKING:
    from penchant.media import Part

# HA-DPO draws one of four such questions per row; a file must read the same each time
DESCRIBE = "Describe this image in detail."
# The folders in which Visual Genome's pictures come, and those of a copy that has them in one.
GENOME_FOLDERS = ("", "VG_100K/", "VG_100K_2/", "images/")
GENOME_SUFFIXES = (".jpg", ".png")
PAIR_FIELDS = ("question", "chosen", "rejected")


def has_pair_as_text(row: RowValues) -> bool:
    """Return whether the text of a row is an object with a question and two answers, as RLHF-V has it."""
    text = row.get("text")
    return isinstance(text, str) and text.lstrip().startswith("{") and all(f'"{name}"' in text for name in PAIR_FIELDS)


def has_answer_lists(row: RowValues) -> bool:
    """Return whether a row has several right and several hallucinated descriptions, as HA-DPO has them."""
    return all(isinstance(row.get(name), list) for name in ("chosen", "rejected"))


def read_rlhf_v(row: RowValues) -> PromptGroup:
    """Read RLHF-V: an `image`, and `text` with `question`, `chosen` (corrected by people) and `rejected` as JSON."""
    try:
        pair = as_object(parsed_json(as_text(row["text"], "text")), "text")
    except RowError as error:
        # the line itself is whole, so that it may be left out as other bad rows are
        raise RowError("value" if error.kind == "damaged" else error.kind, f"field 'text': {error}") from error
    question, chosen, rejected = (as_text(pair.get(name), f"text.{name}") for name in PAIR_FIELDS)
    return rated_pair(row, (Message("user", question),), chosen, rejected)


def read_ha_dpo(row: RowValues) -> PromptGroup:
    """Read HA-DPO's questions: `image_id` of Visual Genome, `question`, `chosen` and the hallucinated `reject`.

    Where `correct` says that the model had answered right, there is nothing to prefer.
    """
    prompt = _about_picture(row, as_text(row["question"], "question"))
    row.get("answer")  # yes or no, which `chosen` says in a sentence
    chosen = as_text(row["chosen"], "chosen")
    if row.get("correct") is True:
        return PromptGroup(prompt, [chosen])
    return rated_pair(row, prompt, chosen, as_text(row["reject"], "reject"))


def read_ha_dpo_descriptions(row: RowValues) -> PromptGroup:
    """Read HA-DPO's descriptions: each of `chosen` beats each of `rejected`, all rewritten in one style."""
    sides = [
        [as_text(text, f"{name}[{index}]") for index, text in enumerate(as_list(row[name], name, of="texts"))]
        for name in ("chosen", "rejected")
    ]
    if not (sides[0] and sides[1]):
        raise RowError("empty", f"field {'rejected' if sides[0] else 'chosen'!r} is empty: nothing is compared")
    if shared := set(sides[0]) & set(sides[1]):
        raise RowError("identical", f"fields 'chosen' and 'rejected' share a description ({min(shared)[:40]!r})")
    # a text that was rewritten to the same words twice is one response
    responses = list(dict.fromkeys([*sides[0], *sides[1]]))
    comparisons = [
        Comparison(responses.index(better), responses.index(worse))
        for better in dict.fromkeys(sides[0])
        for worse in dict.fromkeys(sides[1])
    ]
    return PromptGroup(_about_picture(row, DESCRIBE), responses, comparisons)


def _about_picture(row: RowValues, question: str) -> tuple[Message, ...]:
    """Return a user's turn with a picture of Visual Genome before a question."""
    # a row that was joined with its picture already
    if dict.get(row, "image") is not None:
        row.get("image_id")
        return (Message("user", question),)
    cell = row["image_id"]
    number = as_integer(
        int(cell) if isinstance(cell, str) and cell.isdecimal() else cell, "image_id", low=0, high=2**63
    )
    # which of the two folders has a picture is written in a list of Visual Genome's that rows do not come with
    paths = tuple(f"{folder}{number}{suffix}" for folder in GENOME_FOLDERS for suffix in GENOME_SUFFIXES)
    return (Message("user", (cast("Part", MediaReference("image", paths, name="image_id")), question)),)
