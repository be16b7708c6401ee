"""Activations: the model's own, at the last token, once for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.weak import features
from penchant.weak.features import activations

TEXTS = ["Once upon a time", "Tom", "A cat sat in the sun and slept.", "Tom ran."]


def test_they_are_the_states_at_the_last_token_of_each_text_alone(story_policy: Policy, tmp_path: Path) -> None:
    found = activations(story_policy, TEXTS, tmp_path)
    assert found.dtype == np.float16
    for place, text in enumerate(TEXTS):
        ids = torch.tensor([story_policy.renderer.prompt_ids(text)])
        with torch.no_grad():
            states = story_policy.model(input_ids=ids, output_hidden_states=True).hidden_states
        alone = torch.stack([state[0, -1] for state in states]).numpy()
        np.testing.assert_allclose(found[:, place], alone, atol=2e-3, rtol=2e-3)


def test_the_same_texts_are_computed_once_and_other_weights_or_texts_anew(
    story_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(activations(story_policy, TEXTS, tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(features, "_compute", lambda *_: pytest.fail("computed again"))
        assert np.array_equal(activations(story_policy, TEXTS, tmp_path), first)
    activations(story_policy, TEXTS[:2], tmp_path)
    with torch.no_grad():
        next(story_policy.model.parameters()).mul_(1.1)
    assert not np.array_equal(activations(story_policy, TEXTS, tmp_path), first)
    assert len(list(tmp_path.glob("activations-*.npy"))) == 3


def test_a_damaged_file_is_made_anew_and_a_failure_leaves_nothing(
    story_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(activations(story_policy, TEXTS, tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    assert np.array_equal(activations(story_policy, TEXTS, tmp_path), first)
    file.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "_compute", full)
    with pytest.raises(InputError, match=r"No space left on device; they need"):
        activations(story_policy, TEXTS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_long_texts_are_cut_and_empty_ones_refused(story_policy: Policy, tmp_path: Path) -> None:
    whole = activations(story_policy, ["Tom ran home and slept"], tmp_path, longest=3)
    ids = story_policy.renderer.prompt_ids("Tom ran home and slept")[:3]
    with torch.no_grad():
        states = story_policy.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    np.testing.assert_allclose(whole[-1, 0], states[-1][0, -1].numpy(), atol=2e-3, rtol=2e-3)
    with pytest.raises(InputError, match="no texts"):
        activations(story_policy, [], tmp_path)
