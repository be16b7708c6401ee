"""Activations: the model's own, at the last token, once for all."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from length_models import SIZES, dynamic, longrope
from penchant import digests
from penchant.digests import DamagedFile, append_block_digests
from penchant.engine.reference import configuration, fingerprint
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.types import PromptGroup
from penchant.weak.classifiers import features
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.features import ModelFeatures, activations, digest_of, layer_of
from penchant.weak.classifiers.readers import LanguageModelReader


def kept(*arguments: Any, **settings: Any) -> NDArray[np.float16]:
    """All activations in memory."""
    return activations(*arguments, **settings).read()


TEXTS = ["Once upon a time", "Tom", "A cat sat in the sun and slept.", "Tom ran."]


@pytest.fixture
def reader(story_policy: Policy) -> LanguageModelReader:
    return LanguageModelReader(story_policy)


def test_they_are_the_states_at_the_last_token_of_each_text_alone(
    story_policy: Policy, reader: LanguageModelReader, tmp_path: Path
) -> None:
    found = kept(reader, TEXTS, tmp_path)
    assert found.dtype == np.float16
    for place, text in enumerate(TEXTS):
        ids = torch.tensor([story_policy.renderer.prompt_ids(text)])
        with torch.no_grad():
            states = story_policy.model(input_ids=ids, output_hidden_states=True).hidden_states
        alone = torch.stack([state[0, -1] for state in states]).numpy()
        np.testing.assert_allclose(found[:, place], alone, atol=2e-3, rtol=2e-3)


def test_the_same_texts_are_computed_once_and_with_other_weights_anew(
    story_policy: Policy, reader: LanguageModelReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(kept(reader, TEXTS, tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(features, "_write", lambda *_: pytest.fail("written again"))
        assert np.array_equal(kept(reader, TEXTS, tmp_path), first)
    with torch.no_grad():
        next(story_policy.model.parameters()).mul_(1.1)
    assert not np.array_equal(kept(reader, TEXTS, tmp_path), first)
    assert len(list(tmp_path.glob("activations-*.npy"))) == 2


def test_an_example_of_another_list_is_copied(reader: LanguageModelReader, tmp_path: Path, computed: list[int]) -> None:
    first = np.array(kept(reader, TEXTS, tmp_path / "first"))
    mixed = ["She slept.", TEXTS[3], TEXTS[1], "She slept.", TEXTS[1]]
    found = kept(reader, mixed, tmp_path / "mixed", folders=[tmp_path / "first", tmp_path / "absent"])
    assert computed == [4, 1]  # one text is new, and stands there twice
    assert np.array_equal(found[:, [1, 2, 4]], first[:, [3, 1, 1]])
    assert np.array_equal(found[:, 0], found[:, 3])
    alone = kept(reader, mixed, tmp_path / "alone")
    np.testing.assert_allclose(found, alone, atol=2e-3, rtol=2e-3)  # other texts stood beside them in a pass

    for damaged in (tmp_path / "first").glob("*.keys"):
        damaged.write_bytes(b"nonsense")
    kept(reader, TEXTS[:1], tmp_path / "again", folders=[tmp_path / "first"])
    assert computed[-1] == 1


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_layers_that_nobody_asks_for_are_not_computed(
    architecture: str, story_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if architecture == "gpt2":
        torch.manual_seed(0)
        settings = GPT2Config(vocab_size=512, n_embd=32, n_layer=5, n_head=2, bos_token_id=1, eos_token_id=2)
        story_policy = replace(story_policy, model=GPT2LMHeadModel(settings).eval())
    reader = LanguageModelReader(story_policy)  # whose scorer probes the model's attention
    ran: list[str] = []
    blocks = [
        (name, part) for name, part in story_policy.model.named_modules() if re.fullmatch(r".*\.(layers|h)\.\d", name)
    ]
    for name, part in blocks:
        part.register_forward_hook(lambda *_, name=name: ran.append(name))
    few = np.array(kept(reader, TEXTS, tmp_path / "few", deepest=2))
    assert (len(blocks), len(ran)) == (5, 3)  # one more than is kept
    assert few.shape[0] == 3
    whole = kept(reader, TEXTS, tmp_path / "whole")
    assert len(ran) == 8
    assert np.array_equal(few, whole[:3])
    assert np.array_equal(kept(reader, TEXTS, tmp_path / "whole", deepest=5), whole)

    monkeypatch.setattr(features, "_compute", lambda _policy, _ids, wanted, _kept: computed.append(len(wanted)))
    computed: list[int] = []
    copied = kept(reader, TEXTS, tmp_path / "copied", deepest=2, folders=[tmp_path / "whole"])
    assert np.array_equal(copied, few)
    kept(reader, TEXTS, tmp_path / "deeper", deepest=3, folders=[tmp_path / "few"])
    assert computed == [0, 4]  # what lacks a layer is of no use


def test_half_precision_gives_nearly_the_same(stories: str) -> None:
    whole, half = (ModelFeatures(stories, 3, dtype=dtype)(TEXTS) for dtype in ("float32", "bfloat16"))
    assert not torch.equal(whole, half)
    torch.testing.assert_close(whole, half, atol=0.05, rtol=0.05)


def test_two_options_are_another_example_than_their_texts(reader: LanguageModelReader, tmp_path: Path) -> None:
    pairs = [PromptGroup("Tom", [" ran.", " slept."]), PromptGroup("Tom", [" slept.", " ran."])]
    found = kept(reader, pairs, tmp_path)
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=2e-3)
    assert np.abs(found[-1]).max() > 0
    one, other = (kept(reader, [text], tmp_path) for text in ("Tom ran.", "Tom slept."))
    assert not np.array_equal(one, other)


def test_a_damaged_file_is_made_anew_and_a_failure_leaves_nothing(
    reader: LanguageModelReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(kept(reader, TEXTS, tmp_path))
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:200])
    assert np.array_equal(kept(reader, TEXTS, tmp_path), first)
    for file in tmp_path.iterdir():
        file.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "_compute", full)
    with pytest.raises(InputError, match=r"No space left on device; they need"):
        kept(reader, TEXTS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_is_found_when_its_layer_is_read(
    reader: LanguageModelReader,
    tmp_path: Path,
    computed: list[int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digests, "BLOCK", 64)
    first = kept(reader, TEXTS, tmp_path / "first")
    (file,) = (tmp_path / "first").glob("*.npy")
    content = bytearray(file.read_bytes())
    content[128 + first[:3].nbytes + 5] ^= 64  # the exponent of a number of layer 3
    file.write_bytes(content)
    with pytest.raises(DamagedFile, match="delete it, and it is computed again"):
        layer_of(activations(reader, TEXTS, tmp_path / "first"), 3)
    again = kept(reader, TEXTS[:2], tmp_path / "again", folders=[tmp_path / "first"])
    np.testing.assert_allclose(again, first[:, :2], atol=2e-3, rtol=2e-3)
    assert computed == [4, 2]  # nothing is copied from a damaged file
    assert "is damaged" in caplog.text


def test_every_flipped_byte_of_a_small_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "activations-m-1-0.npy"
    with path.open("w+b") as file:
        np.save(file, np.zeros((2, 3, 2), np.float16))
        append_block_digests(file)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedFile):
            Activations(path).read()
    path.write_bytes(content)
    assert not Activations(path).read().any()


def test_long_texts_are_cut_and_no_texts_refused(
    story_policy: Policy, reader: LanguageModelReader, tmp_path: Path
) -> None:
    whole = kept(reader, ["Tom ran home and slept"], tmp_path, longest=4)
    start, first, *_, late, last = story_policy.renderer.prompt_ids("Tom ran home and slept")
    ids = [start, first, late, last]
    with torch.no_grad():
        states = story_policy.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    np.testing.assert_allclose(whole[-1, 0], states[-1][0, -1].numpy(), atol=2e-3, rtol=2e-3)
    with pytest.raises(InputError, match="no texts"):
        kept(reader, [], tmp_path)


@pytest.mark.parametrize("layer", [6, -7])
def test_a_layer_that_is_not_there_is_refused_before_any_text_is_read(
    layer: int, reader: LanguageModelReader, stories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_compute", lambda *_: pytest.fail("computed"))
    with pytest.raises(InputError, match=f"layer {layer} is not there: this model has layers 1 to 5"):
        ModelFeatures(stories, layer)(TEXTS)
    if layer > 0:
        with pytest.raises(InputError, match="layer 6 is not there"):
            kept(reader, TEXTS, tmp_path, deepest=layer)


def test_a_number_of_the_configuration_that_is_no_weight_counts(story_policy: Policy) -> None:
    first = digest_of(story_policy.model)
    story_policy.model.config.transformers_version = "0"
    assert digest_of(story_policy.model) == first
    story_policy.model.config.rope_theta = 5.0
    assert digest_of(story_policy.model) != first


def test_weights_that_nobody_trains_are_digested_once(stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digested: list[Any] = []
    monkeypatch.setattr(features, "digest_of", lambda model: digested.append(model) or "0")
    read = ModelFeatures(stories, 1)
    for texts in (TEXTS[:1], TEXTS[:2]):
        read(texts)
    assert len(digested) == 1


def test_activations_of_versions_that_mixed_lengths_are_not_read() -> None:
    """Those of models whose numbers depend on the length of the pass; those of all others are."""
    for model, same in ((longrope(), False), (dynamic(), False), (tiny(), True)):
        before = hashlib.sha256((fingerprint(model) + configuration(model)).encode()).hexdigest()[:16]
        assert (digest_of(model) == before) == same


def tiny() -> torch.nn.Module:
    return LlamaForCausalLM(LlamaConfig(**SIZES))
