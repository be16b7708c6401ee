"""A classifier of transformers as a reward: its own probabilities, whatever the batch, and errors that help."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from length_models import longrope
from penchant.errors import InputError
from penchant.rewards import classifier, load_reward

PAIRS = [("Ann", " sang."), ("Ann", " fell down the stairs and cried for hours."), ("", "x"), ("Bob went", " out")]


@pytest.fixture
def folder(tiny_model: str, tmp_path: Path) -> Path:
    """The tiny model under a head of three classes."""
    torch.manual_seed(0)
    labels: dict[str, Any] = {"id2label": {0: "bad", 1: "Positive", 2: "so-so"}, "num_labels": 3}
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, **labels)
    model.save_pretrained(tmp_path / "classifier")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "classifier")
    return tmp_path / "classifier"


def by_hand(folder: Path, text: str, label: int) -> float:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
    return float(logits.softmax(0)[label])


def test_the_reward_is_the_probability_of_the_label(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "BATCH", 2)
    got = load_reward(f"classifier:{folder}")(PAIRS)
    assert got == pytest.approx([by_hand(folder, prompt + response, 1) for prompt, response in PAIRS], abs=1e-5)
    named = load_reward(f"classifier:{folder}:so-so")(PAIRS)
    assert named == pytest.approx([by_hand(folder, prompt + response, 2) for prompt, response in PAIRS], abs=1e-5)
    assert load_reward(f"classifier:{folder}:2")(PAIRS) == named
    assert load_reward(f"classifier:{folder}")([]) == []


def test_a_long_text_keeps_its_end(folder: Path) -> None:
    reward = load_reward(f"classifier:{folder}")
    long, end = "x" * 400, "y" * 160  # the context is 160 tokens, a byte each
    assert reward([(long, end)]) == pytest.approx([by_hand(folder, end, 1)], abs=1e-5)


def test_what_is_wrong_is_said(folder: Path, tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no label 'good' among bad, Positive, so-so"):
        load_reward(f"classifier:{folder}:good")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_reward(f"classifier:{tmp_path / 'nothing'}")
    with pytest.raises(InputError, match="device='nowhere' is not to be had here"):
        load_reward(f"classifier:{folder}", device="nowhere")
    with pytest.raises(InputError, match="names no model"):
        load_reward("classifier:")
    single = tmp_path / "single"
    AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1).save_pretrained(single)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(single)
    with pytest.raises(InputError, match="so it is a reward model and not a classifier"):
        load_reward(f"classifier:{single}")


def test_a_text_has_the_same_reward_beside_a_longer_one(tiny_model: str, tmp_path: Path) -> None:
    """Rotary frequencies of `longrope` go by the longest row of a pass: here those beyond 32 tokens."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    config = longrope(vocab_size=len(tokenizer), threshold=32).config
    config.num_labels, config.pad_token_id = 2, tokenizer.pad_token_id or 0
    network = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0, 0.4)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = load_reward(f"classifier:{tmp_path}:1", device="cpu")
    pairs = [("Ann", " sang."), ("Ann", " fell down the stairs and cried for hours and hours."), ("Bob went", " out")]
    assert reward(pairs) == pytest.approx([reward([pair])[0] for pair in pairs], abs=1e-5)


def test_code_beside_a_classifier_is_never_run_nor_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word on it, transformers asks at the terminal, and whoever types "y" runs a stranger's code."""
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n\n\nclass Tokenizer:\n    pass\n")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"auto_map": {"AutoTokenizer": [None, "evil.Tokenizer"]}, "tokenizer_class": "Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text="": asked.append(text) or "y")
    with contextlib.suppress(InputError):  # refused, or read without the code
        load_reward(f"classifier:{folder}")(PAIRS)
    assert not asked
    assert not (tmp_path / "ran").exists()
