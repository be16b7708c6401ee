"""Convert the data sets of axolotl's YAML."""

from __future__ import annotations

from penchant.conversion.rules import Draft, Values
from penchant.conversion.shared import put_sources
from penchant.data.layouts.turns import ROLES

PLAIN_TYPES = ("completion", "pretraining")
CHAT_TYPES = ("chat_template", "sharegpt")
"""Types whose every answer is taught unless `roles_to_train` says otherwise."""
TURN_NAMES = {"role": ("role", "from"), "content": ("content", "value")}
"""By the property of a turn, the names under which our layouts find it."""
FIELDS = {
    "field_messages": "messages",
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "field_system": "system",
    "field_instruction": "instruction",
    "field_input": "input",
    "field_output": "output",
    "field_completion": "completion",
    "field_label": "label",
    "field": "text",
}
"""By axolotl's key of a data set, the field of our layouts (`data.columns`)."""


def write_datasets(draft: Draft, value: object, _: Values) -> None:
    """Put the data sets, each with its columns."""
    sources = [_source(draft, entry) for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    put_sources(draft, sources)


def _source(draft: Draft, entry: dict[str, object]) -> dict[str, object]:
    """Return one data set as ours, and name what of it is not carried over."""
    # with local files `path` names their kind (`json`), and `data_files` the files
    path = entry.get("data_files") or entry.get("path")
    if isinstance(path, list):
        if len(path) > 1:
            draft.lose("datasets.data_files", "name each file as a data set of its own")
        path = path[0]
    name = entry.get("name")
    source: dict[str, object] = {"path": f"{path}:{name}" if name else str(path)}
    if entry.get("split"):
        source["split"] = entry["split"]
    kind = entry.get("type")
    # a type of the user's own is a mapping with the names of fields
    fields = {**entry, **kind} if isinstance(kind, dict) else entry
    columns = {
        field_name: fields[key] for key, field_name in FIELDS.items() if fields.get(key) not in (None, field_name)
    }
    if columns:
        source["columns"] = columns
    if isinstance(kind, str):
        # text without turns, which a chat template would put into one
        if kind in PLAIN_TYPES:
            source["template"] = "plain"
        else:
            draft.remark(
                f"datasets.type {kind}: the layout is recognised by the columns here; see `penchant data check`"
            )
    # what nobody carries over is named by key: a shard or a field may decide which rows are read
    known_keys = {"path", "data_files", "name", "split", "type", "ds_type", *FIELDS}
    for key in entry:
        if key not in known_keys and not _is_usual(key, entry[key]):
            draft.lose(f"datasets.{key}", "there is no such setting of a data set here")
    if draft.method == "sft" and isinstance(kind, str) and kind.partition(".")[0] in CHAT_TYPES:
        draft.put("turns", "every")
    return source


def _is_usual(key: str, value: object) -> bool:
    """Return whether a setting of a data set says what holds here anyway."""
    if key == "roles_to_train":
        return value in (["assistant"], ["gpt"], ["assistant", "gpt"], ["gpt", "assistant"])
    if key == "train_on_eos":
        return value == "turn"  # a taught answer's end is taught
    if key == "message_property_mappings" and isinstance(value, dict):
        return all(name in TURN_NAMES.get(part, ()) for part, name in value.items())
    if key == "roles" and isinstance(value, dict):
        # other names of a speaker that our layouts know by themselves
        spellings = {role: names if isinstance(names, list) else [names] for role, names in value.items()}
        return all(ROLES.get(str(name)) == role for role, names in spellings.items() for name in names)
    return False
