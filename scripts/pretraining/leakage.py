"""Pre-training with and without a task's text: two copies of a family, alike in all but that.

Pre-training of today's models has met the texts of most tasks, or texts about them; a future one's cannot have met what
only a superhuman model could say (Burns et al. 2023, section 6.1). Here both can be had: the copies have one shape,
start, tokenizer, number of tokens and of steps. In the one a task's texts, without any label, take the place of as many
tokens of other text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penchant.errors import InputError
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from pretraining.command import identity_of
from pretraining.evaluation import perplexity
from pretraining.overlap import Protected
from pretraining.shapes import Shape, Training
from pretraining.tokens import Rows, encode
from pretraining.training import new_model, train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ARMS = ("without", "with")
"""Of the task's text in pre-training."""
TRAINING = {"epochs": 4, "learning_rate": 1e-3}
"""Of the students: ceilings of 70 to 72% on SST-2 at the first try, and no other was tried."""


def _shape(name: str, width: int, layers: int, heads: int, inner: int) -> Shape:
    return Shape(name, width, layers, heads, inner, Training(epochs=1, batch=8, learning_rate=3e-3))


FAMILY = {
    shape.name: shape
    for shape in (
        _shape("0.1m", 32, 2, 2, 88),
        _shape("0.2m", 64, 2, 4, 176),
        _shape("0.5m", 96, 3, 3, 256),
    )
}


@dataclass(frozen=True)
class Arms:
    """What the two copies read, as ids of documents; streams of the same length.

    Attributes:
        tokens: of either, with the end of each document. leaked: how many of them are the task's, in the one copy.
        overlapping: documents that were left out since they hold a text of the task.
    """

    documents: Mapping[str, list[np.ndarray]]
    tokens: int
    leaked: int
    overlapping: int

    def fingerprint(self, arm: str) -> str:
        """A digest of what one copy reads."""
        digest = hashlib.sha256()
        for document in self.documents[arm]:
            digest.update(document.tobytes() + b"|")
        return digest.hexdigest()[:16]


def arms(
    tokenizer: PreTrainedTokenizerBase, corpus: Sequence[str], task: Sequence[str], *, tokens: int, copies: int = 1
) -> Arms:
    """Return what the copies read.

    Args:
        corpus: documents; those that hold a text of the task are left out of both. task: its texts.
        tokens: that either copy reads. copies: how often each of the task's texts comes.

    Raises:
        InputError: the task's texts alone are more than that, or the corpus is less.
    """
    guard = Protected(task)
    free = [text for text in corpus if not guard.found_in(text)]
    leaked = [ids for ids in encode(tokenizer, task) for _ in range(copies)]
    size = sum(len(ids) + 1 for ids in leaked)
    if size >= tokens:
        raise InputError(f"the task's texts are {size:,} tokens, no fewer than the {tokens:,} to train on: take more")
    documents = encode(tokenizer, free)
    parts = {"without": _first(documents, tokens), "with": leaked + _first(documents, tokens - size)}
    return Arms(parts, tokens, size, len(corpus) - len(free))


def _first(documents: Sequence[np.ndarray], tokens: int) -> list[np.ndarray]:
    """Take documents up to exactly so many tokens, each with its end; the last one is cut."""
    first_documents: list[np.ndarray] = []
    left = tokens
    for document in documents:
        if left < 2:
            break
        first_documents.append(document[: left - 1])
        left -= len(first_documents[-1]) + 1
    if left > 1:
        raise InputError(f"the corpus is {left:,} tokens short of the {tokens:,} to train on: take fewer")
    if left:  # too little for another document: the last one grows by repeating its last token
        first_documents[-1] = np.append(first_documents[-1], first_documents[-1][-1:])
    return first_documents


def pretrained(
    shape: Shape,
    tokenizer: PreTrainedTokenizerBase,
    read: Arms,
    out: Path,
    to: Path,
    looked_at: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Train both copies of a shape and write them as `to`/NAME-without and `to`/NAME-with; returns their records.

    Args:
        out: checkpoints, from which a stopped training goes on.
        looked_at: texts by what they are (the task's, held-out documents), whose surprise is recorded for each copy.
    """
    records = {}
    settings, end = shape.training, tokenizer.eos_token_id
    for arm in ARMS:
        name = f"{shape.name}-{arm}"
        model = new_model(shape, vocabulary=len(tokenizer), end=end)
        ids = read.documents[arm]
        rows = Rows(ids, end=end, context=settings.context, batch=settings.batch, seed=settings.seed)
        identity = identity_of(shape.described(), len(tokenizer), read.fingerprint(arm))
        run = train(model, rows, settings, out / name, identity)
        model.eval().save_pretrained(to / name)
        tokenizer.save_pretrained(to / name)
        nats = {
            name: round(perplexity(model, tokenizer, texts, context=settings.context).nats_per_token, 4)
            for name, texts in looked_at.items()
        }
        records[arm] = {
            "name": name,
            "parameters": shape.parameters(len(tokenizer)),
            "tokens": read.tokens,
            "of_the_task": read.leaked if arm == "with" else 0,
            "steps": run.steps,
            "seconds": run.seconds,
            "nats_per_token": nats,
        }
        (to / name / "record.json").write_text(json.dumps(records[arm], indent=1) + "\n")
    # more steps for the one copy would be another cause of what the study finds
    assert records["with"]["steps"] == records["without"]["steps"]
    return records


def study_of(
    task: str, names: Sequence[str], to: Path, *, train: int | None, test: int | None, seeds: Sequence[int]
) -> WeakToStrongConfig:
    """Return a weak-to-strong study of the family, with students of every size and copy.

    The naive student is told its supervisor's label as well, which is the other disanalogy (imitation saliency).
    """
    # all weights are fine-tuned: what is probed of models this small is no better than chance
    models = [str((to / f"{name}-{arm}").resolve()) for name in names for arm in ARMS]
    return WeakToStrongConfig(
        tasks=[task],
        train=train,
        test=test,
        weak=[{"name": "tfidf", "rows": 100}, {"name": "tfidf", "rows": 300}],
        strong=[{"name": "lm", "training": TRAINING, "model": model} for model in models],
        losses=[{"name": "cross_entropy"}],
        imitation=[1.0],
        controls=False,
        seeds=list(seeds),
    )


def compared(study: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines that say what pre-training on the task's text changed, from a study's numbers.

    Compared is the naive student of either copy, for each size and supervisor.
    """
    cells = {(cell["weak"], cell["strong"]): cell for cell in study["cells"] if cell["loss"] == study["losses"][0]}
    for weak, strong in cells:
        model, comma, training = strong.partition(",")
        name, _, arm = model.rpartition("-")
        other = f"{name}-{ARMS[1]}{comma}{training}"
        if arm == ARMS[0] and (weak, other) in cells:
            pair = [cells[weak, strong], cells[weak, other]]
            yield f"{name}, supervised by {weak}:"
            yield from (
                f"  {name} the task's text: {_format_cell(cell)}" for name, cell in zip(ARMS, pair, strict=True)
            )


def _format_cell(cell: Mapping[str, Any]) -> str:
    """Return the performance gap recovered, and the accuracies that it is made of."""
    ratio = cell["pgr"]
    gap = "undefined: no gap" if ratio["value"] is None else f"{ratio['value']:.2f} {_interval(ratio, 1, '.2f')}"
    shares = (
        f"{key} {100 * cell[key]['value']:.1f}% {_interval(cell[key], 100, '.1f')}" for key in ("student", "ceiling")
    )
    return f"PGR {gap}, {', '.join(shares)}"


def _interval(numbers: Mapping[str, Any], factor: float, form: str) -> str:
    return "" if numbers["low"] is None else f"[{factor * numbers['low']:{form}}, {factor * numbers['high']:{form}}]"
