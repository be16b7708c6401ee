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
from typing import Any

import numpy as np

from penchant.errors import InputError
from pretraining.evaluation import perplexity
from pretraining.overlap import Protected
from pretraining.shapes import Shape, Training
from pretraining.tokens import Rows, encode
from pretraining.training import new_model, train

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


def arms(tokenizer: Any, corpus: Sequence[str], task: Sequence[str], *, tokens: int, copies: int = 1) -> Arms:
    """What the copies read.

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
    """Documents up to exactly so many tokens, each with its end; the last one is cut."""
    found, left = [], tokens
    for document in documents:
        if left < 2:
            break
        found.append(document[: left - 1])
        left -= len(found[-1]) + 1
    if left > 1:
        raise InputError(f"the corpus is {left:,} tokens short of the {tokens:,} to train on: take fewer")
    if left:  # too little for another document: the last one grows by repeating its last token
        found[-1] = np.append(found[-1], found[-1][-1:])
    return found


def pretrained(
    shape: Shape, tokenizer: Any, read: Arms, out: Path, to: Path, looked_at: Mapping[str, Sequence[str]]
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
        described = json.dumps([shape.described(), len(tokenizer), read.fingerprint(arm)], sort_keys=True)
        run = train(model, rows, settings, out / name, hashlib.sha256(described.encode()).hexdigest()[:16])
        model.eval().save_pretrained(to / name)
        tokenizer.save_pretrained(to / name)
        nats = {
            what: round(found.nats / found.tokens, 4)
            for what, texts in looked_at.items()
            for found in [perplexity(model, tokenizer, texts, context=settings.context)]
        }
        records[arm] = {
            "name": name,
            "parameters": shape.parameters(len(tokenizer)),
            "tokens": read.tokens,
            "of_the_task": read.leaked if arm == "with" else 0,
            "steps": run["steps"],
            "seconds": run["seconds"],
            "nats_per_token": nats,
        }
        (to / name / "record.json").write_text(json.dumps(records[arm], indent=1) + "\n")
    assert records["with"]["steps"] == records["without"]["steps"]
    return records


def study_of(
    task: str, names: Sequence[str], to: Path, *, train: int | None, test: int | None, seeds: Sequence[int]
) -> dict[str, Any]:
    """A weak-to-strong study of the family: students of every size and copy, and the naive one told its supervisor's
    label, which is the other disanalogy (imitation saliency). All weights are fine-tuned: what is probed of models
    this small is no better than chance."""
    one = {"name": "lm", "training": TRAINING}
    strong = [one | {"model": str((to / f"{name}-{arm}").resolve())} for name in names for arm in ARMS]
    return {
        "tasks": [task],
        "train": train,
        "test": test,
        "weak": [{"name": "tfidf", "rows": 100}, {"name": "tfidf", "rows": 300}],
        "strong": strong,
        "losses": [{"name": "cross_entropy"}],
        "imitation": [1.0],
        "controls": False,
        "seeds": list(seeds),
    }


def compared(study: Mapping[str, Any]) -> Iterator[str]:
    """What pre-training on the task's text changed, as lines: of each size and supervisor the naive student of either
    copy, from a study's numbers."""
    cells = {(one["weak"], one["strong"]): one for one in study["cells"] if one["loss"] == study["losses"][0]}
    for weak, strong in cells:
        model, comma, how = strong.partition(",")
        name, _, arm = model.rpartition("-")
        other = f"{name}-{ARMS[1]}{comma}{how}"
        if arm == ARMS[0] and (weak, other) in cells:
            pair = [cells[weak, strong], cells[weak, other]]
            yield f"{name}, supervised by {weak}:"
            yield from (f"  {each} the task's text: {_told(one)}" for each, one in zip(ARMS, pair, strict=True))


def _told(one: Mapping[str, Any]) -> str:
    ratio = one["pgr"]
    told = "undefined: no gap" if ratio["value"] is None else f"{ratio['value']:.2f} {_ends(ratio, 1, '.2f')}"
    shares = (f"{key} {100 * one[key]['value']:.1f}% {_ends(one[key], 100, '.1f')}" for key in ("student", "ceiling"))
    return f"PGR {told}, {', '.join(shares)}"


def _ends(found: Mapping[str, Any], factor: float, form: str) -> str:
    return "" if found["low"] is None else f"[{factor * found['low']:{form}}, {factor * found['high']:{form}}]"
