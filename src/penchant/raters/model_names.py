"""Find which model wrote each response of a row, where the row says so.

Names are no part of a `PromptGroup`: nothing that trains may depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from penchant.data.layouts.registry import PREFERENCES
from penchant.data.sources.rows import Row
from penchant.errors import InputError

PAIR_LAYOUTS = {layout.name for layout in PREFERENCES if {"chosen", "rejected"} <= {*chain(*layout.required)}}
LISTS = {
    "ultrafeedback": ("completions", "model"),
    "openai-summaries": ("summaries", "policy"),
    "nectar": ("answers", "model"),
}
SIDES = {
    "alpaca-eval": ("generator_1", "generator_2"),
    "pku-saferlhf": ("response_0_source", "response_1_source"),
    **dict.fromkeys(("mt-bench", "arena-55k", "response-pair"), ("model_a", "model_b")),
}
"""By layout, the columns with the names of the two models."""
WAYS = (
    "a list `models` in each row, one name per response; or the layouts' own: generator_1 and generator_2, cmp_key, "
    "chosen_model and rejected_model, model_a and model_b, response_0_source and response_1_source, generation_models, "
    "answers[].model, completions[].model, summaries[].policy"
)


def model_names(layout: str, row: Row) -> tuple[str, ...] | None:
    """Return the models of one row's responses, in their order; None where the row does not say.

    Raises:
        InputError: a field `models` that is no list of names.
    """
    values = row.values
    # The reader's own field goes before those of the layout.
    if (models := values.get("models")) is not None:
        if not (isinstance(models, list) and all(isinstance(name, str) and name.strip() for name in models)):
            raise InputError(f"{row.source}: field 'models': expected a list of names, one per response")
        return tuple(models)
    # PandaLM joins both names by an underscore: where a name has one too, nobody can tell where it ends.
    if layout == "pandalm":
        return _names(str(values.get("cmp_key", "")).split("_"), 2)
    # the first summary was written by a person
    if layout == "instructgpt-summaries":
        return _names(["person", values.get("model_type")], 2)
    if layout in SIDES:
        return _names([values.get(name) for name in SIDES[layout]], 2)
    if layout in PAIR_LAYOUTS or layout == "argilla":
        # Argilla joins the words of a name by hyphens
        pairs = (("chosen_model", "rejected_model"), ("chosen-model", "rejected-model"))
        return next((names for pair in pairs if (names := _names([values.get(name) for name in pair], 2))), None)
    if layout == "distilabel":
        models = values.get("generation_models")
        return _names(models, len(models)) if isinstance(models, list) else None
    if layout in LISTS:
        field, name = LISTS[layout]
        listed = values.get(field)
        items = listed if isinstance(listed, list) else []
        return _names([item.get(name) if isinstance(item, dict) else None for item in items], len(items))
    return None


def _names(values: Sequence[object], responses: int) -> tuple[str, ...] | None:
    # all or none: with one name missing the others could belong to any of the responses
    names = tuple(name for name in values if isinstance(name, str) and name.strip())
    return names if len(names) == responses and names else None
