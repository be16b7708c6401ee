"""The tokenizer is repeatable and loses nothing; rows hold every token once an epoch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from pretraining.tokens import END, Rows, encode, train_tokenizer

from penchant.data.rendering.renderer import Renderer
from penchant.types import PromptGroup

TEXTS = [f"The film number {n} was good, and I liked its {n % 7} actors. It's fun!" for n in range(200)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS, vocabulary=320, context=64)


def test_the_same_texts_give_the_same_tokens(tokenizer: Any) -> None:
    again = train_tokenizer(iter(TEXTS), vocabulary=320, context=64)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    other = train_tokenizer(TEXTS[:50], vocabulary=320, context=64)
    assert other.backend_tokenizer.to_str() != tokenizer.backend_tokenizer.to_str()


def test_any_text_survives(tokenizer: Any) -> None:
    assert len(tokenizer) == 320
    for text in ("The film was", " leading space", "na\u00efve \U0001f600\n\ttabs", "", "<b>&amp;</b>"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.eos_token_id == tokenizer.bos_token_id == tokenizer.convert_tokens_to_ids(END)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_prompts_and_responses_render(tokenizer: Any, tmp_path: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    renderer = Renderer(AutoTokenizer.from_pretrained(tmp_path))
    assert not renderer.chat
    end = tokenizer.eos_token_id
    row = renderer.render(PromptGroup("The film", [" was good.", " was fun!"]))
    assert row.prompt_ids[0] == end
    assert all(branch.ids[-1] == end for branch in row.branches)
    assert row.unstable == (False, False)
    assert renderer.prompt_ids("") == (end,)


DOCUMENTS = [np.arange(1, 1 + length, dtype=np.uint16) + 100 * place for place, length in enumerate([5, 9, 3, 20, 1])]


def rows(seed: int = 3, documents: list[np.ndarray] = DOCUMENTS) -> Rows:
    return Rows(documents, end=0, context=4, batch=2, seed=seed)


def test_an_epoch_holds_every_token_once() -> None:
    table = rows()
    assert table.steps_per_epoch == 5  # 38 tokens, 6 ends: 43 targets, 10 rows of 4, 5 batches
    batches = [table.batch_of(step) for step in range(5)]
    assert all(batch.shape == (2, 5) for batch in batches)
    targets = torch.cat([batch[:, 1:].flatten() for batch in batches])
    texts = targets[targets > 0]
    assert len(texts.unique()) == len(texts)
    assert len(targets) == 40
    followed = {(int(a), int(b)) for batch in batches for row in batch for a, b in itertools.pairwise(row)}
    assert all(a == 0 or b in (0, a + 1) for a, b in followed)  # a document's own order, then an end


def test_batches_follow_from_seed_and_step_alone() -> None:
    straight = [rows().batch_of(step) for step in range(12)]
    jumping = rows()
    for step in (11, 0, 6, 4):
        assert jumping.batch_of(step).equal(straight[step])
    assert not torch.stack(straight[:5]).equal(torch.stack(straight[5:10]))  # shuffled anew
    assert not rows(seed=4).batch_of(0).equal(straight[0])


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fill a batch"):
        rows(documents=DOCUMENTS[:1])


def test_encoding_adds_no_tokens(tokenizer: Any) -> None:
    (ids,) = encode(tokenizer, ["The film"])
    assert ids.dtype == np.uint16
    assert ids.tolist() == tokenizer("The film")["input_ids"][1:]
