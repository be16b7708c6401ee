"""The training text: read, cleaned, split by document, without what is evaluated on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pretraining.overlap import Protected, content
from pretraining.sources import CORPORA, PROTECTED, Document, Source
from pretraining.text import Casing, clean, detokenize

HELD_OUT_PERCENT = 10


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and documents held out; `counts` says what became of each source's documents."""

    train: list[Document]
    held_out: list[Document]
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a digest of both parts."""
        digest = hashlib.sha256()
        for document in [*self.train, *self.held_out]:
            digest.update(f"{document.name}\0{document.text}\0".encode())
        return digest.hexdigest()[:16]


def build(data: Path, corpora: Sequence[Source] = CORPORA, protected: Sequence[Source] = PROTECTED) -> Corpus:
    """Build the corpus from the folder of shared data. The same files give the same corpus.

    Documents of equal content count once. A tenth is held out, chosen by a digest of the content. Of the rest, a
    document that overlaps with a protected text or with a held-out document is dropped (`overlap` says what that is).
    """
    documents: dict[str, tuple[Document, Source]] = {}
    counts: dict[str, Counter[str]] = {source.name: Counter() for source in corpora}
    for source in corpora:
        for document in source.documents(data):
            key, _ = content(document.text)
            outcome = "empty" if not key else "twice" if key in documents else "read"
            counts[source.name][outcome] += 1
            if outcome == "read":
                documents[key] = (document, source)
    # by content, not by chance or place: a document stays where it is when corpora change
    train = [pair for key, pair in documents.items() if not is_held_out(key)]
    held_out = [pair for key, pair in documents.items() if is_held_out(key)]
    guard = Protected(document.text for source in protected for document in source.documents(data))
    for document, _ in held_out:
        guard.add(document.text)
    free = []  # of overlap with what is protected or held out
    for document, source in train:
        if guard.found_in(document.text):
            counts[source.name]["overlap"] += 1
        else:
            free.append((document, source))
    # learned on what is trained on alone: held-out text must not teach even its capitals
    casing = Casing.learn(clean(document.text) for document, source in free if source.casing == "kept")
    parts = [[_running_text(document, source, casing) for document, source in part] for part in (free, held_out)]
    for name, part in zip(("train", "held_out"), parts, strict=True):
        for document in part:
            counts[document.source][name] += 1
    return Corpus(parts[0], parts[1], counts)


def is_held_out(key: str) -> bool:
    """Return whether a document of this content (`overlap.content`) is held out."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


def _running_text(document: Document, source: Source, casing: Casing) -> Document:
    if source.casing == "kept":
        return Document(document.name, clean(document.text))
    lines = (casing.restore(detokenize(line)) for line in document.text.splitlines())
    return Document(document.name, " ".join(line for line in lines if line))
