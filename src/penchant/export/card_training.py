"""The part of a model card that says how a model was trained: base, data with digests, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from penchant.export.card_words import cell, redacted
from penchant.models.hub import is_hub_id
from penchant.reports.kit.text import count
from penchant.reports.run.tables import facts, rating_rule
from penchant.runs.lengthening import lengthening_sentences
from penchant.runs.read import Run

AUTO_TEMPLATE = "that of the base model, where it has one; else plain text"
THOUGHTS = {"mask": "in the context, not learned", "drop": "left out"}  # what stands where nothing is set needs no word


@dataclass(frozen=True)
class DataSource:
    """A source of a run's data.

    Attributes:
        path: as the run names it. digest: SHA-256 of its file; empty for a hub id.
        use: how it was used, where the run had several.
    """

    path: str
    digest: str = ""
    use: str = ""

    @property
    def is_hub(self) -> bool:
        """Whether it is a data set of a hub."""
        return is_hub_id(self.path) and not self.digest

    @property
    def name(self) -> str:
        """Its name for others: a file's last name alone."""
        return self.path if self.is_hub else Path(self.path).name


def data_sources(run: Run) -> list[DataSource]:
    """Return what a run was trained on, with the digests that it recorded."""
    listed = run.setting("data", "sources")
    if isinstance(listed, list) and listed:
        return [_mixed(run, source) for source in listed if isinstance(source, Mapping) and source.get("path")]
    record = run.provenance.get("data")
    if isinstance(record, Mapping) and record.get("path"):
        return [DataSource(str(record["path"]), str(record.get("sha256") or ""))]
    path = run.setting("data", "path")
    return [DataSource(path)] if isinstance(path, str) and path else []


def _mixed(run: Run, source: Mapping[str, object]) -> DataSource:
    """Return one of several sources; its digest stands among the run's inputs."""
    path, inputs = str(source["path"]), run.provenance.get("inputs")
    names = (path, Path(path).name, f"{path}[{source.get('split')}]", f"{Path(path).name}[{source.get('split')}]")
    digests = [inputs.get(f"the source {name}") for name in names] if isinstance(inputs, Mapping) else []
    weight = source.get("weight")
    use = "held out as a whole" if source.get("evaluation") else f"weight {weight}" if weight is not None else ""
    return DataSource(path, str(next((digest for digest in digests if digest), "")), use)


def training_text(run: Run, base: str, step: int | None) -> str:
    """Return the table of what a run was made of, and all its settings folded below."""
    rows = [(label, text) for label, text in facts(run) if label not in ("Started", "Samples", "Model", "Data")]
    weights = f"of step {step:,} of {run.last_step():,}" if step is not None and step != run.last_step() else ""
    table = [("Base", base), *_data_rows(run), *rows, ("Weights", weights), *_chosen_settings(run)]
    lines = ["| | |", "|---|---|", *(f"| {label} | {cell(text)} |" for label, text in table if text)]
    settings = yaml.safe_dump(_public_settings(run.config), sort_keys=False, allow_unicode=True)
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
    for source in data_sources(run):
        parts = [f"{source.name} (hub)" if source.is_hub else source.name]
        parts += [source.use] if source.use else []
        yield "Data", ", ".join([*parts, *([f"SHA-256 {source.digest}"] if source.digest else [])])
    nouns = (("groups", "prompt"), ("comparisons", "comparison"), ("responses", "response"),
             ("desirable", "good label"), ("undesirable", "bad label"))  # fmt: skip
    counts = [count(n, noun) for key, noun in nouns if (n := run.data(key))]
    held_out = run.data("held_out_groups")
    yield "Amount", ", ".join([*counts, *([f"{count(held_out, 'prompt')} held out"] if held_out else [])])
    yield "Ratings", rating_rule(run)


def _chosen_settings(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the settings that decide most, in words of their own."""
    optimizer, lora = run.setting("optimizer"), run.setting("model", "lora")
    if isinstance(optimizer, Mapping):
        yield "Optimizer", f"{optimizer.get('name')}, learning rate {optimizer.get('learning_rate')}"
    if (size := run.setting("batch_size")) is not None:
        yield "Batch", f"{size} per step"
        yield "Planned", _planned(run)
    if sentences := lengthening_sentences((run.result or {}).get("lengthened")):
        yield "Length", f"The run was {', then '.join(sentences)}"
    if isinstance(lora, Mapping):
        yield "Adapters", f"LoRA of rank {lora.get('rank')}, alpha {lora.get('alpha')}"
    template = run.setting("data", "template")
    yield "Template", AUTO_TEMPLATE if template == "auto" else str(template or "")
    for label, keys in (
        ("Template's arguments", ("data", "template_args")),
        ("Longest row", ("data", "max_length")),
    ):
        if (value := run.setting(*keys)) not in (None, {}, ""):
            yield label, f"{value} tokens" if label == "Longest row" else str(value)
    if (thoughts := run.setting("data", "thoughts")) in THOUGHTS:
        yield "Thoughts in responses", THOUGHTS[str(thoughts)]


def _planned(run: Run) -> str:
    epochs, steps = run.setting("epochs"), run.setting("max_steps")
    texts = [count(epochs, "epoch")] if isinstance(epochs, int) else []
    return ", ".join([*texts, *([f"at most {count(steps, 'step')}"] if isinstance(steps, int) else [])])


def _public_settings(value: object) -> object:
    """Return settings as others may see them: paths by their last names, `out` left out."""
    if isinstance(value, Mapping):
        return {str(key): _public_settings(entry) for key, entry in value.items() if key != "out"}
    if isinstance(value, (list, tuple)):
        return [_public_settings(entry) for entry in value]
    if isinstance(value, str):
        # a whole value may have spaces inside, which the pattern for running text stops at
        absolute = value.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:\\", value)
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if absolute else redacted(value)
    return value
