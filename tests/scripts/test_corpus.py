"""The training text holds nothing that is evaluated on: on the real corpora, with a check of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pretraining import corpus as corpora
from pretraining.overlap import RUN, SHORTEST, Protected, content
from pretraining.shapes import SHAPES
from pretraining.sources import CORPORA, PROTECTED

from penchant.models.builtin import EMBEDDED

SENTENCE = "A stirring, funny and finally transporting re-imagining of beauty and the beast and 1930s horror films"


def plain(text: str) -> str:
    """Another way to compare texts than the corpus's own."""
    return re.sub("[^a-z0-9]", "", text.lower().replace("-lrb-", "").replace("-rrb-", ""))


def test_content_ignores_casing_tokens_accents_and_brackets() -> None:
    assert content("They won't (B\u00e9art)!") == ("theywontbeart", [0, 4, 7, 8])
    assert content("they wo n't -lrb- beart -rrb- !")[0] == "theywontbeart"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SENTENCE, True),
        ("I say: " + SENTENCE.replace(" ", "  ").upper() + ", no?", True),
        ("It is funny and finally transporting re imagining of beauty and the beast and 1930s romance", True),  # 60
        ("Funny, and a re-imagining of Beauty and the Beast.", False),
        ("The film is strictly routine stuff, all of it", True),  # 31 letters, whole
        ("The film is strictly routine", False),
        ("Quite good", True),  # short: equal only
        ("It is quite good.", False),
        ("", False),
    ],
)
def test_what_counts_as_overlap(text: str, found: bool) -> None:
    guard = Protected([SENTENCE, "the film is strictly routine stuff , all", "quite good .", ""])
    assert guard.found_in(text) is found


@pytest.mark.slow
def test_no_training_document_holds_what_is_evaluated_on(corpus: Any, data: Path) -> None:
    protected = {plain(document.text) for source in PROTECTED for document in source.documents(data)}
    assert len(protected) > 20_000
    documents = {plain(document.text) for document in corpus.train}
    assert not documents & protected
    sentences = {plain(part) for document in corpus.train for part in re.split(r"[.!?]+", document.text)}
    assert len(sentences) > 100_000
    assert not [text for text in sentences & protected if len(text) >= SHORTEST]
    assert not documents & {plain(document.text) for document in corpus.held_out}


@pytest.mark.slow
def test_no_training_document_shares_a_run_with_what_is_evaluated_on(corpus: Any, data: Path) -> None:
    """On the final texts, whose casing and tokens were changed after the documents were chosen."""
    runs = set()
    texts = [document.text for source in PROTECTED for document in source.documents(data)]
    for text in [*texts, *(document.text for document in corpus.held_out)]:
        key, starts = content(text)
        runs.update(key[start : start + RUN] for start in starts if start + RUN <= len(key))
    assert len(runs) > 300_000
    for document in corpus.train:
        key, starts = content(document.text)
        assert runs.isdisjoint(key[start : start + RUN] for start in starts), document.name


@pytest.mark.slow
def test_the_known_overlaps_are_found(corpus: Any, data: Path) -> None:
    """VADER's film snippets are those of sentence_polarity, and so is most of SST-2's test part."""
    counts = corpus.counts["sentence_polarity"]
    assert counts["overlap"] > 0.98 * (counts["overlap"] + counts["train"])
    known = {content(document.text)[0] for document in CORPORA[2].documents(data)}
    test = [content(document.text)[0] for document in PROTECTED[1].documents(data)]
    assert sum(key in known for key in test) >= 1_327  # as the data's README counts them
    for name in ("imdb5000", "movie_reviews"):
        counts = corpus.counts[name]
        assert counts["read"] == counts["train"] + counts["overlap"] + counts["held_out"]
        assert counts["overlap"] < 0.1 * counts["read"]
        assert 0.08 < counts["held_out"] / counts["read"] < 0.12


@pytest.mark.slow
def test_the_same_files_give_the_same_corpus(data: Path) -> None:
    first, second = (corpora.build(data, CORPORA[2:], PROTECTED[:2]) for _ in range(2))
    assert first.fingerprint() == second.fingerprint()
    assert len(first.train) > 5_000
    other = corpora.build(data, CORPORA[2:], PROTECTED[:1])
    assert other.fingerprint() != first.fingerprint()


@pytest.mark.slow
def test_running_text_is_fluent(corpus: Any) -> None:
    assert not any("<br" in document.text or "\n" in document.text for document in corpus.train)
    reviews = [document.text for document in corpus.train if document.source == "movie_reviews"]
    assert sum(text[0].isupper() for text in reviews) > 0.9 * len(reviews)
    assert sum(len(re.findall(r" [.,;!?] ", text)) for text in reviews) < len(reviews)


@pytest.mark.slow  # builds the whole corpus
def test_the_shipped_models_are_of_the_corpus_that_the_script_builds(corpus: Any) -> None:
    records = [json.loads((EMBEDDED[name] / "record.json").read_text()) for name in SHAPES]
    assert {record["corpus"]["fingerprint"] for record in records} == {corpus.fingerprint()}
    counts = {source: dict(counts) for source, counts in corpus.counts.items()}
    assert all(record["corpus"]["documents"] == counts for record in records)


@pytest.mark.parametrize("name", SHAPES)
def test_the_shipped_models_have_the_shape_that_the_script_gives(name: str) -> None:
    record = json.loads((EMBEDDED[name] / "record.json").read_text())
    assert record["shape"] == json.loads(json.dumps(SHAPES[name].described()))


def test_each_document_of_a_small_corpus_is_counted_once() -> None:
    """Of 60 texts one comes twice, one is empty and one is evaluated on; each tenth or so is held out."""

    def source(name: str, texts: list[str]) -> corpora.Source:
        return corpora.Source(name, "", "", "", "kept", lambda path: ((str(i), text) for i, text in enumerate(texts)))

    texts = [f"The story of number {number} is told by {number * number} people." for number in range(60)]
    trained = next(text for text in texts if not corpora.is_held_out(content(text)[0]))
    given = [source("stories", [*texts, texts[0].upper(), "..."])]
    built = corpora.build(Path(), given, [source("test", [trained])])
    held_out = len(built.held_out)
    assert built.counts["stories"] == {
        "read": 60, "twice": 1, "empty": 1, "overlap": 1, "train": 59 - held_out, "held_out": held_out
    }  # fmt: skip
    assert 1 <= held_out <= 15
    assert trained not in {document.text for document in built.train}
    assert corpora.build(Path(), given, [source("test", [])]).fingerprint() != built.fingerprint()
