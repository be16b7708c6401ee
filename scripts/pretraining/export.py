"""A trained model as it is shipped: bfloat16 weights, tokenizer, record of the training, model card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from penchant.files import atomic_folder
from pretraining.command import environment
from pretraining.corpus import Corpus
from pretraining.evaluation import perplexity
from pretraining.shapes import Shape
from pretraining.sources import CORPORA, PROTECTED, Document
from pretraining.training import TrainingRun

CARD = Path(__file__).with_name("card.md")
CHECKED = 20
"""Held-out documents whose perplexity a test computes again."""


def export(
    shape: Shape,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    run: TrainingRun,
    to: Path,
) -> Path:
    """Write the folder `to`/NAME anew, evaluate what lies in it, and describe it.

    Returns:
        The folder; it opens with `from_pretrained`, and `record.json` and `README.md` say how it came to be.
    """
    with atomic_folder(to / shape.name) as building:  # the package must never hold half a model
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(building)
        tokenizer.save_pretrained(building)
        documents = {source: dict(counts) for source, counts in corpus.counts.items()}
        record = {
            "name": shape.name,
            "parameters": shape.parameters(len(tokenizer)),
            "shape": shape.described(),
            "vocabulary": len(tokenizer),
            "corpus": {"fingerprint": corpus.fingerprint(), "documents": documents},
            "training": run.described(),
            **environment("torch", "transformers", "tokenizers"),
            # of what lies in the folder, not of the model in memory: rounding to bfloat16 costs a little
            "held_out": held_out_record(building, corpus.held_out, shape.training.context),
        }
        (building / "record.json").write_text(json.dumps(record, indent=1) + "\n")
        (building / "README.md").write_text(card(record))
    return to / shape.name


def held_out_record(folder: Path, documents: Sequence[Document], context: int) -> dict[str, dict[str, float]]:
    """Return the perplexity of the shipped weights, as float32, on each source's held-out documents.

    `checked` is that of the first few, which a test computes again.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    parts = {source.name: [document for document in documents if document.source == source.name] for source in CORPORA}
    parts["all"] = list(documents)
    parts["checked"] = parts[CORPORA[0].name][:CHECKED]
    return {
        name: {"documents": len(part)}
        | perplexity(model, tokenizer, [document.text for document in part], context=context).described()
        for name, part in parts.items()
        if part
    }


def card(record: Mapping[str, Any]) -> str:
    """Return the model card that goes with the content of a `record.json`."""
    shape, run, counts = record["shape"], record["training"], record["corpus"]["documents"]
    restart = shape["training"]["restart_at"]
    corpora = [
        f"| `{source.name}` | {source.licence} | {source.credit} | {counts[source.name].get('train', 0):,} "
        f"| {counts[source.name].get('overlap', 0):,} | {counts[source.name].get('held_out', 0):,} |"
        for source in CORPORA
        if source.name in counts
    ]
    held_out = [
        f"| {name} | {row['documents']:,} | {row['perplexity_per_token']:.1f} | {row['perplexity_per_word']:.0f} "
        f"| {row['bits_per_byte']:.2f} |"
        for name, row in record["held_out"].items()
        if name != "checked"
    ]
    return CARD.read_text().format(
        **{key: record[key] for key in ("name", "vocabulary", "machine")},
        parameters=f"{record['parameters']:,}",
        shape=shape,
        settings=shape["training"],
        restart="" if restart is None else f" (warm-up and cosine start anew after {restart} epochs)",
        head=shape["width"] // shape["heads"],
        steps=f"{run['steps']:,}",
        tokens=f"{run['tokens'] / 1e6:.1f} million",
        minutes=f"{run['seconds'] / 60:.0f}",
        protected=", ".join(source.name for source in PROTECTED),
        corpora="\n".join(corpora),
        held_out="\n".join(held_out),
        fingerprint=record["corpus"]["fingerprint"],
    )
