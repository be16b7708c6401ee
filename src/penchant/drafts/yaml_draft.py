"""Write drafted settings as YAML with a comment on each choice. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.drafts.draft import LORA_RANK, Draft
from penchant.drafts.yaml_parts import comment, new_folder, stem_of, yaml_text
from penchant.reports.kit.text import count, file_size, rough_duration


def draft_yaml(draft: Draft, out: str) -> str:
    """Return the text of the file.

    Args:
        out: the file's own name, for the command that runs it.
    """
    return "\n".join([*_head(draft, out), *_model(draft), *_data(draft), *_training(draft), *_folder(draft), ""])


def _head(draft: Draft, out: str) -> Iterator[str]:
    look, lengths = draft.look, draft.lengths
    yield from comment(f"Run it:  penchant train {draft.method} {out}")
    yield from comment(
        f"{draft.path}: layout {look.layout}, {count(look.rows, 'row')}, {count(len(look.groups), 'prompt')}, "
        + _units(draft)
    )
    yield from comment(
        f"Rows in tokens of {draft.model}: half have at most {lengths.median:,}, 95% at most {lengths.p95:,}, the "
        f"longest {lengths.longest:,}" + _sampled(draft)
    )
    yield from comment(
        f"Estimate on this machine: {count(draft.steps, 'step')}, {cost_words(draft)}. The time is rough; the progress "
        "bar knows better after a minute."
    )
    for note in look.notes:
        yield from comment(f"Worth a look: {note}")


def cost_words(draft: Draft) -> str:
    """Return what training takes, in words."""
    cost = draft.cost
    times = f"{rough_duration(cost.fastest_s)} to {rough_duration(cost.slowest_s)}"
    return f"{times}, about {file_size(cost.memory)} of memory"


def _units(draft: Draft) -> str:
    look = draft.look
    ties = f", {count(look.ties, 'tie')}" if look.ties else ""
    return f"{count(look.units, look.noun)}{ties}"


def _sampled(draft: Draft) -> str:
    lengths, prompts = draft.lengths, len(draft.look.groups)
    return "" if lengths.measured == prompts else f" (of {lengths.measured:,} prompts that were measured)"


def _model(draft: Draft) -> Iterator[str]:
    yield ""
    yield from comment(f"{draft.shape.parameters / 1e6:,.3g}M weights. `penchant models` lists other names")
    yield "model:"
    yield f"  name: {yaml_text(draft.model)}"
    if draft.lora:
        yield from comment(
            f"adapters: {draft.shape.trained / 1e6:,.3g}M weights learn, the others stay. null trains all, for about "
            "three times the memory",
            indent="  ",
        )
        yield f"  lora: {{rank: {LORA_RANK}}}"


def _data(draft: Draft) -> Iterator[str]:
    look, lengths = draft.look, draft.lengths
    yield ""
    yield "data:"
    # as it was typed: `train` is given from the same folder
    yield f"  path: {yaml_text(draft.path)}"
    if draft.reading.split != "train":
        yield f"  split: {yaml_text(draft.reading.split)}"
    if draft.reading.columns:
        yield "  columns:"
        for name, column in draft.reading.columns.items():
            yield f"    {yaml_text(name)}: {'null' if column is None else yaml_text(column)}"
    if draft.reading.template != "auto":
        yield f"  template: {yaml_text(draft.reading.template)}"
    sentence = f"{count(draft.held_out, 'prompt')} for evaluation, never trained on"
    yield from comment(sentence if draft.held_out else "too few prompts to keep some for evaluation", indent="  ")
    yield f"  held_out: {draft.held_out}"
    if look.ties:
        yield from comment(f"{count(look.ties, 'tie')} left out; half counts each as half a win", indent="  ")
        yield "  ties: drop"
    if look.bad_rows:
        yield from comment(
            f"{count(len(look.bad_rows), 'row')} cannot be used and {'is' if len(look.bad_rows) == 1 else 'are'} left "
            f"out, such as {look.bad_rows[0]}",
            indent="  ",
        )
        yield "  bad_rows: skip"
    if lengths.too_long:
        yield from comment(
            f"{count(lengths.too_long, 'prompt')} of {lengths.measured:,} longer than the model's context of "
            f"{lengths.context:,} tokens: left out. truncate_prompt cuts prompts from the left instead",
            indent="  ",
        )
        yield "  overflow: drop"


def _training(draft: Draft) -> Iterator[str]:
    rate, reason = draft.rate
    yield ""
    yield from comment(f"{draft.look.noun}s per step; with {count(draft.epochs, 'pass', 'passes')} over the file, "
                        f"{count(draft.steps, 'step')}")  # fmt: skip
    yield f"batch_size: {draft.batch_size}"
    yield f"epochs: {draft.epochs}"
    yield from comment(reason)
    yield "optimizer:"
    yield f"  name: {draft.optimizer}"
    # with a point: some readers of YAML take 1e-4 for a text
    mantissa, exponent = f"{rate:e}".split("e")
    yield f"  learning_rate: {float(mantissa)}e{int(exponent)}"
    if draft.method != "sft":
        yield from comment("how strongly the policy is held to its start: a larger beta stays closer")
        yield from ("loss: {beta: 0.1}",) if draft.method == "dpo" else ("beta: 0.1",)


def _folder(draft: Draft) -> Iterator[str]:
    yield ""
    yield from comment("a new folder; a second run needs another one, or --resume")
    yield f"out: {yaml_text(new_folder('runs/' + stem_of(draft.path)))}"
