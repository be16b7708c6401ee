"""The corpora that are trained on and the texts that must not be, each with its licence, and how a file is read."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Casing = Literal["kept", "lost"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text with where it came from (`imdb5000/5814_8`)."""

    name: str
    text: str

    @property
    def source(self) -> str:
        """The name of the corpus that it is from."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Source:
    """A corpus: `file` under the data folder, its licence as its files state it, and its reader.

    `casing` is `lost` where the text is lower-cased and split into tokens, with a sentence a line.
    """

    name: str
    file: str
    licence: str
    credit: str
    casing: Casing
    read: Callable[[Path], Iterator[tuple[str, str]]]

    def documents(self, data: Path) -> list[Document]:
        """Return all documents, in the order of the file."""
        return [Document(f"{self.name}/{number}", text) for number, text in self.read(data / self.file)]


def _imdb(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["id"], row["review"].replace('\\"', '"')  # its quotes were escaped twice


def _movie_reviews(path: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".txt"):
                yield Path(name).stem, archive.read(name).decode("utf-8")


def _sentence_polarity(path: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(path) as archive:
        for kind in ("neg", "pos"):
            lines = archive.read(f"sentence_polarity/rt-polarity.{kind}").decode("utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines, 1):
                yield f"{kind}{number}", line


def _labelled(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            yield str(number), line.split(" ", 1)[1].rstrip("\n")


def _rated(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            number, _, text = line.rstrip("\n").split("\t", 2)
            yield number, text


def _sst2(part: str) -> Source:
    credit = "Socher et al. 2013, after Pang and Lee 2005"
    return Source(f"sst2-{part}", f"sst2/{part}.txt.gz", "MIT", credit, "lost", _labelled)


def _vader(kind: str, stem: str) -> Source:
    return Source(f"vader-{kind}", f"vader/{stem}_GroundTruth.txt.gz", "MIT", "Hutto and Gilbert 2014", "kept", _rated)


CORPORA = (
    Source(
        "imdb5000",
        "imdb5000/movie_review.jsonl.gz",
        "MIT (the R package text2vec that carries them: `YEAR: 2015-2017, COPYRIGHT HOLDER: Dmitriy Selivanov`)",
        "reviews by users of IMDb, collected by Maas et al. 2011",
        "kept",
        _imdb,
    ),
    Source(
        "movie_reviews",
        "nltk/movie_reviews.zip",
        "CC-BY-4.0",
        "Polarity Dataset 2.0 by Bo Pang and Lillian Lee (2004), from rec.arts.movies.reviews; as packed by NLTK; "
        "changed here: joined into running text, casing restored",
        "lost",
        _movie_reviews,
    ),
    Source(
        "sentence_polarity",
        "nltk/sentence_polarity.zip",
        "CC-BY-4.0",
        "Sentence Polarity Dataset 1.0 by Bo Pang and Lillian Lee (2005), from Rotten Tomatoes; as packed by NLTK; "
        "changed here: joined into running text, casing restored",
        "lost",
        _sentence_polarity,
    ),
)
"""What is trained on. SST-2's own training part is left out: it is sentence_polarity in another tokenization, and what
studies train probes on had better be new to the models."""

PROTECTED = (
    _sst2("dev"),
    _sst2("test"),
    _vader("film", "movieReviewSnippets"),
    _vader("product", "amazonReviewSnippets"),
    _vader("news", "nytEditorialSnippets"),
    _vader("tweets", "tweets"),
)
"""What studies evaluate on: none of it may stand in the training text."""
