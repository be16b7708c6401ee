"""The part of a model card that says how a model was trained: base, data with digests, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from penchant.export.card_words import cell, redacted
from penchant.models.hub import is_hub_id
from penchant.reports.kit.text import count
from penchant.reports.run.tables import facts
from penchant.runs.read import Run


def data_names(run: Run) -> list[tuple[str, bool]]:
    """Return the names of the data, and of each whether it is a hub's: a file by its last name alone."""
    sources = _sources(run)
    return [(path if is_hub_id(path) and not digest else Path(path).name, is_hub_id(path) and not digest)
            for path, digest in sources]  # fmt: skip


def _sources(run: Run) -> list[tuple[str, str]]:
    """Return path and digest of each data source, as the run recorded them."""
    record = run.provenance.get("data")
    entries = record if isinstance(record, list) else [record]
    recorded_sources = [
        (str(entry["path"]), str(entry.get("sha256") or ""))
        for entry in entries
        if isinstance(entry, Mapping) and entry.get("path")
    ]
    path = run.setting("data", "path")
    return recorded_sources or ([(str(path), "")] if isinstance(path, str) else [])


def training_text(run: Run, base: str) -> str:
    rows = [(label, text) for label, text in facts(run) if label not in ("Started", "Samples", "Model", "Data")]
    table = [("Base", base), *_data_rows(run), *rows, *_chosen_settings(run)]
    lines = ["| | |", "|---|---|", *(f"| {label} | {cell(text)} |" for label, text in table if text)]
    settings = yaml.safe_dump(_shown(run.config), sort_keys=False, allow_unicode=True)
    return "\n".join(
        [
            *lines,
            "",
            "<details><summary>All settings</summary>",
            "",
            "```yaml",
            settings.rstrip(),
            "```",
            "",
            "</details>",
        ]
    )


def _data_rows(run: Run) -> Iterator[tuple[str, str]]:
    for (name, is_hub), (_, digest) in zip(data_names(run), _sources(run), strict=True):
        yield "Data", f"{name} (hub)" if is_hub else f"{name}, SHA-256 {digest}" if digest else name
    nouns = (("groups", "prompt"), ("comparisons", "comparison"), ("responses", "response"),
             ("desirable", "good label"), ("undesirable", "bad label"))  # fmt: skip
    counts = [count(n, noun) for key, noun in nouns if (n := run.data(key))]
    held_out = run.data("held_out_groups")
    yield "Amount", ", ".join([*counts, *([f"{count(held_out, 'prompt')} held out"] if held_out else [])])


def _chosen_settings(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the settings that decide most, in words of their own."""
    optimizer, lora = run.setting("optimizer"), run.setting("model", "lora")
    if isinstance(optimizer, Mapping):
        yield "Optimizer", f"{optimizer.get('name')}, learning rate {optimizer.get('learning_rate')}"
    if (size := run.setting("batch_size")) is not None:
        yield "Batch", f"{size} per step, {run.setting('epochs')} epochs"
    if isinstance(lora, Mapping):
        yield "Adapters", f"LoRA of rank {lora.get('rank')}, alpha {lora.get('alpha')}"
    for label, keys in (
        ("Template", ("data", "template")),
        ("Template's arguments", ("data", "template_args")),
        ("Thoughts", ("data", "thoughts")),
        ("Longest row", ("data", "max_length")),
    ):
        if (value := run.setting(*keys)) not in (None, {}, ""):
            yield label, f"{value} tokens" if label == "Longest row" else str(value)


def _shown(value: object) -> object:
    """Return settings as others may see them: paths by their last names, `out` left out."""
    if isinstance(value, Mapping):
        return {str(key): _shown(entry) for key, entry in value.items() if key != "out"}
    if isinstance(value, (list, tuple)):
        return [_shown(entry) for entry in value]
    if isinstance(value, str):
        # a whole value may have spaces inside, which the pattern for running text stops at
        absolute = value.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:\\", value)
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if absolute else redacted(value)
    return value
