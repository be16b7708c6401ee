"""The language models that come with the package: they open by name, are as small as said, and write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import penchant as pt
from penchant.codecs.tokens import CLASSES, WORDS, picture_prompt, read_picture, read_sound, sound_prompt
from penchant.errors import InputError
from penchant.models.builtin import BUILT_IN, EMBEDDED, SEEING, built_in
from penchant.rewards import load_reward
from repository import REPOSITORY

SIZES = {"penchant-0.5m": 0.5e6, "penchant-1.5m": 1.5e6, "penchant-5m": 5e6, "penchant-kinds": 0.566e6}
REVIEWS = [name for name in SIZES if name != "penchant-kinds"]
"""The models that write film reviews alone."""
PROMPTS = ["This film is", "I have seen", "The plot was"]


def test_names() -> None:
    assert set(EMBEDDED) == {*SIZES, *SEEING}
    assert {*EMBEDDED, "smollm2-135m"} == set(BUILT_IN)


@pytest.mark.parametrize("name", SIZES)
def test_it_opens_by_name_and_has_the_size_that_it_says(name: str) -> None:
    policy = pt.load_policy(name, device="cpu")
    count = sum(parameter.numel() for parameter in policy.model.parameters())
    assert abs(count / SIZES[name] - 1) < 0.1
    assert policy.model.dtype == torch.float32
    assert pt.load_policy(name, device="cpu", dtype="bfloat16").model.dtype == torch.bfloat16
    assert not policy.renderer.chat
    assert policy.context == 256
    record = json.loads((EMBEDDED[name] / "record.json").read_text())
    assert record["parameters"] == count
    assert f"{count:,}" in (EMBEDDED[name] / "README.md").read_text()
    # a notebook shows this where a cell ends in the policy: one line, not each layer
    assert repr(policy) == f"Policy('{name}', {count / 1e6:.3g}M weights, cpu)"


def test_the_weights_are_bfloat16_and_everything_is_small() -> None:
    for folder in (EMBEDDED[name] for name in SIZES):
        with safe_open(folder / "model.safetensors", "pt") as file:
            assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.bfloat16}  # noqa: SIM118
    sizes = [path.stat().st_size for folder in EMBEDDED.values() for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) <= 19e6


def test_they_share_one_tokenizer() -> None:
    texts = {(EMBEDDED[name] / "tokenizer.json").read_text() for name in REVIEWS}
    assert len(texts) == 1
    assert len(json.loads(texts.pop())["model"]["vocab"]) == 2048


@pytest.mark.parametrize("name", SIZES)
def test_it_writes_words(name: str) -> None:
    """Most of what it writes are words of its own tokenizer's language, and seeds repeat it."""
    policy = pt.load_policy(name, device="cpu")
    texts = policy.generate(PROMPTS, n=4, max_new_tokens=30, seed=1)
    assert texts == policy.generate(PROMPTS, n=4, max_new_tokens=30, seed=1)
    assert len({text for row in texts for text in row}) == 12
    words = [word.strip(".,!?\"'()").lower() for row in texts for text in row for word in text.split()]
    common = {"the", "a", "of", "and", "to", "is", "in", "it", "this", "that", "i", "film", "movie", "was", "but"}
    assert sum(word in common for word in words) > 0.15 * len(words)


@pytest.mark.parametrize("name", SIZES)
def test_it_prefers_english_to_its_shuffle(name: str) -> None:
    policy = pt.load_policy(name, device="cpu")
    good, bad = policy.score(
        [pt.PromptGroup("This film", [" is one of the best movies", " best the of movies is one"])]
    )[0]
    assert good > bad + 5


def test_the_larger_the_better() -> None:
    records = [json.loads((EMBEDDED[name] / "record.json").read_text())["held_out"] for name in REVIEWS]
    by_word = [record["imdb5000"]["perplexity_per_word"] for record in records]
    assert by_word == sorted(by_word, reverse=True)
    assert all(row["perplexity_per_token"] < 2048 / 8 for record in records for row in record.values())


def test_pictures_and_sounds_are_ordinary_tokens() -> None:
    """They stay in the text, none is lost or joined, and the film reviews keep the tokens that they had."""
    tokenizer = pt.load_policy("penchant-kinds", device="cpu").tokenizer
    text = "A picture of a dress:<p17><p3>, <s255>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    former = pt.load_policy("penchant-0.5m", device="cpu").tokenizer
    assert ids[:8] == former("A picture of a dress:")["input_ids"]
    assert len(tokenizer) == len(former) + 128 + 256


def test_most_pictures_and_sounds_are_whole_and_more_than_by_chance_what_was_asked_for() -> None:
    policy = pt.load_policy("penchant-kinds", device="cpu")
    for prompts, read, rule in (
        (list(map(picture_prompt, CLASSES)), read_picture, "picture_class"),
        (list(map(sound_prompt, WORDS)), read_sound, "sound_word"),
    ):
        rows = policy.generate(prompts, n=4, max_new_tokens=61, seed=1)
        texts = [(prompt, text) for prompt, row in zip(prompts, rows, strict=True) for text in row]
        assert sum(read(text) is not None for _, text in texts) >= 0.5 * len(texts)
        # a tenth would be chance, and what is not whole counts as wrong
        assert sum(load_reward(rule)(texts)) / len(texts) > 0.25


def test_what_it_says_of_itself_holds(shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The perplexity of the smallest one on the first held-out reviews, computed again from the shipped weights."""
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    from pretraining.corpus import is_held_out
    from pretraining.evaluation import perplexity
    from pretraining.overlap import content
    from pretraining.sources import CORPORA
    from pretraining.text import clean

    policy = pt.load_policy("penchant-0.5m", device="cpu")
    record = json.loads((EMBEDDED["penchant-0.5m"] / "record.json").read_text())["held_out"]["checked"]
    documents = CORPORA[0].documents(shared_data("imdb5000").parent)
    texts = [clean(document.text) for document in documents if is_held_out(content(document.text)[0])]
    found = perplexity(policy.model, policy.tokenizer, texts[: record["documents"]], context=256)
    assert found.tokens == record["tokens"]
    assert math.exp(found.nats / found.tokens) == pytest.approx(record["perplexity_per_token"], rel=1e-3)
    # and by another way: the engine's own score of a short review, whole
    short = min(texts[: record["documents"]], key=len)
    score = policy.score([pt.PromptGroup("", [short])])[0]
    alone = perplexity(policy.model, policy.tokenizer, [short], context=256)
    assert -float(score) == pytest.approx(alone.nats, rel=1e-4)


def test_missing_weights_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(EMBEDDED, "penchant-5m", tmp_path)
    with pytest.raises(InputError, match="lacks the weights of 'penchant-5m'"):
        built_in("penchant-5m")
    with pytest.raises(InputError, match="did you mean 'penchant-5m'"):
        pt.load_policy("penchant/5m/")
