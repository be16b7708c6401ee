"""The loop learns, every setting counts, a stopped training ends as an uninterrupted one; perplexity by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pretraining.corpus import Corpus
from pretraining.evaluation import perplexity
from pretraining.export import export
from pretraining.shapes import SHAPES, Shape, Training
from pretraining.sources import Document
from pretraining.tokens import Rows, encode, train_tokenizer
from pretraining.training import new_model, schedule, train

from penchant.errors import InputError

TEXTS = [f"The film number {n} was {'good' if n % 2 else 'bad'}, and I saw it {n % 7} times." for n in range(40)]
TINY = Shape(
    "tiny",
    16,
    1,
    2,
    32,
    Training(epochs=2, batch=4, learning_rate=1e-2, context=16, checkpoint_every=4, look_every=5),
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS, vocabulary=300, context=16)


def trained(folder: Path, tokenizer: Any, shape: Shape = TINY, look: Any = None) -> tuple[Any, dict[str, Any]]:
    settings, end = shape.training, tokenizer.eos_token_id
    model = new_model(shape, vocabulary=len(tokenizer), end=end)
    ids = encode(tokenizer, TEXTS)
    rows = Rows(ids, end=end, context=settings.context, batch=settings.batch, seed=settings.seed)
    return model, train(model, rows, settings, folder, repr(shape), look)


def weights(model: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def surprise(tokenizer: Any) -> Any:
    def look(model: Any) -> float:
        found = perplexity(model, tokenizer, TEXTS[:4], context=16)
        return found.nats / found.tokens

    return look


def test_it_learns(tokenizer: Any, tmp_path: Path) -> None:
    _, run = trained(tmp_path, tokenizer, look=surprise(tokenizer))
    assert run.steps * 4 * 16 == run.tokens
    assert run.steps == 18
    assert run.looks[-1]["held_out_nats"] < 0.8 * math.log(300)
    assert [look["step"] for look in run.looks[:2]] == [5, 10]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(run.looks)


def test_a_stopped_training_ends_as_an_uninterrupted_one(tokenizer: Any, tmp_path: Path) -> None:
    look = surprise(tokenizer)
    straight, run = trained(tmp_path / "straight", tokenizer, look=look)
    calls = Counter[str]()

    def stopping(model: Any) -> float:
        calls["look"] += 1
        if calls["look"] == 3:  # at step 15, three steps after a checkpoint
            raise KeyboardInterrupt
        return look(model)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", tokenizer, look=stopping)
    assert torch.load(tmp_path / "stopped" / "state.pt", weights_only=True)["step"] == 12
    resumed, again = trained(tmp_path / "stopped", tokenizer, look=stopping)
    assert weights(resumed).equal(weights(straight))
    assert again.looks == run.looks
    finished, _ = trained(tmp_path / "stopped", tokenizer, look=stopping)  # nothing left to do
    assert weights(finished).equal(weights(straight))


def test_until_its_restart_a_training_is_a_shorter_one(tokenizer: Any, tmp_path: Path) -> None:
    """So a finished training can go on."""
    seen = []

    def keep(model: Any) -> float:
        seen.append(weights(model))
        return 0.0

    short = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, epochs=1))
    longer = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, restart_at=1.0, look_every=9))
    model, run = trained(tmp_path / "short", tokenizer, short)
    assert run.steps == 9
    trained(tmp_path / "longer", tokenizer, longer, keep)
    assert seen[0].equal(weights(model))
    assert not seen[1].equal(seen[0])


def test_a_checkpoint_of_something_else_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    trained(tmp_path, tokenizer)
    other = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, seed=5))
    with pytest.raises(InputError, match="of another model, corpus or setting"):
        trained(tmp_path, tokenizer, other)


def test_a_loss_that_is_not_finite_stops(tokenizer: Any, tmp_path: Path) -> None:
    wild = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, learning_rate=1e30, clip=1e30))
    with pytest.raises(InputError, match=r"the loss of step \d+ is"):
        trained(tmp_path, tokenizer, wild)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1},
        {"batch": 2},
        {"learning_rate": 5e-3},
        {"context": 8},
        {"restart_at": 1.0},
        {"warmup_share": 0.5},
        {"weight_decay": 0.0},
        {"betas": (0.9, 0.9)},
        {"clip": 0.01},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_setting_counts(tokenizer: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    base, _ = trained(tmp_path / "base", tokenizer)
    changed = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, **change))
    other, _ = trained(tmp_path / "other", tokenizer, changed)
    assert not weights(other).equal(weights(base))


def test_schedule() -> None:
    assert [schedule(step, 100, 0.04) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule(4, 100, 0.04) == 1.0
    assert schedule(52, 100, 0.04) == pytest.approx(0.55)  # half of the cosine
    assert schedule(100, 100, 0.04) == pytest.approx(0.1)


@pytest.mark.parametrize(("name", "about"), [("penchant-0.5m", 0.5e6), ("penchant-1.5m", 1.5e6), ("penchant-5m", 5e6)])
def test_shapes_have_the_sizes_of_their_names(name: str, about: float) -> None:
    shape = SHAPES[name]
    count = sum(parameter.numel() for parameter in new_model(shape, vocabulary=2048, end=0).parameters())
    assert shape.parameters() == count
    assert abs(count / about - 1) < 0.1
    assert new_model(TINY, vocabulary=300, end=0).config.tie_word_embeddings


def test_perplexity_of_a_model_that_knows_nothing(tokenizer: Any) -> None:
    """All logits 0: every token costs ln 300; two texts of known length, one of them longer than a window."""
    model = new_model(TINY, vocabulary=300, end=tokenizer.eos_token_id)
    torch.nn.init.zeros_(model.get_input_embeddings().weight)
    texts = ["good film", "The film was bad and good and bad and good, and I saw it 5 times and 6 times. \u00e9"]
    lengths = [len(ids) for ids in encode(tokenizer, texts)]
    assert lengths[1] > 16 > lengths[0]
    found = perplexity(model, tokenizer, texts, context=16, batch=2)
    assert found.tokens == sum(lengths) + 2  # an end token each
    assert found.nats == pytest.approx(found.tokens * math.log(300), rel=1e-5)
    assert found.words == 2 + 20
    assert found.bytes == len(texts[0]) + len(texts[1]) + 1
    assert found.described()["perplexity_per_token"] == pytest.approx(300, rel=1e-3)
    assert found.described()["bits_per_byte"] == pytest.approx(found.tokens * math.log2(300) / found.bytes, rel=1e-3)


def test_perplexity_does_not_depend_on_the_batch(tokenizer: Any) -> None:
    model = new_model(TINY, vocabulary=300, end=tokenizer.eos_token_id).eval()
    alone, together = (perplexity(model, tokenizer, TEXTS[:6], context=16, batch=size).nats for size in (1, 5))
    assert alone == pytest.approx(together, rel=1e-5)


def test_an_exported_model_opens_and_says_how_it_came_to_be(tokenizer: Any, tmp_path: Path) -> None:
    import penchant as pt

    model, run = trained(tmp_path / "run", tokenizer)
    documents = [Document(f"imdb5000/{n}", text) for n, text in enumerate(TEXTS)]
    counts = {"imdb5000": Counter(train=30, held_out=10)}
    for _ in range(2):  # a second export replaces the first
        folder = export(TINY, model, tokenizer, Corpus(documents[:30], documents[30:], counts), run, tmp_path)
    record = json.loads((folder / "record.json").read_text())
    assert record["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert record["held_out"]["all"]["documents"] == 10
    card = (folder / "README.md").read_text()
    assert "Dmitriy Selivanov" in card
    assert f"{record['held_out']['all']['perplexity_per_token']:.1f}" in card
    policy = pt.load_policy(folder, device="cpu")
    assert policy.model.dtype == torch.float32
    want = model.get_input_embeddings().weight.to(torch.bfloat16).float()
    assert policy.model.get_input_embeddings().weight.equal(want)
    assert not list(tmp_path.glob(".*"))
