"""A tokenizer with more tokens than the model has embeddings: one message, wherever text becomes ids."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.data.rendering.vocabulary import check_vocabulary
from penchant.errors import InputError
from penchant.judges.contract import Question
from penchant.judges.local_model import PolicyJudge
from penchant.judges.prompts import load_template
from penchant.models.load import load_policy, load_renderer
from penchant.models.reward import new_reward
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.train.inputs.reference_table import load_reference
from penchant.types import PromptGroup, Response

TEXT, ADDED = "A rhinoceros", "rhinoceros"
QUESTION = Question(TEXT, "a", "b")
MESSAGE = rf"the tokenizer is larger than .* 258 tokens, the embeddings have 257 rows, .* token 257 \('{ADDED}'\)"


@pytest.fixture
def larger(tiny_model: str, tmp_path: Path) -> str:
    """The tiny model beside a tokenizer with one token more."""
    from transformers import AutoTokenizer

    folder = tmp_path / "larger"
    shutil.copytree(tiny_model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([ADDED])
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_policies_rewards_and_judges_say_so(larger: str) -> None:
    policy = load_policy(larger, device="cpu")
    reward = new_reward(ModelConfig(name=larger, device="cpu"))
    uses: list[Callable[[], Any]] = [
        lambda: policy.score([PromptGroup(TEXT, [" park."])]),
        lambda: policy.score([PromptGroup("A", [f" {ADDED}."])]),
        lambda: policy.score([PromptGroup("A", [Response("x", (65, 257), False)])]),
        lambda: policy.generate([TEXT], max_new_tokens=2),
        lambda: reward([(TEXT, " park.")]),
        lambda: reward.prefers(TEXT, "a", "b"),
        lambda: PolicyJudge(larger, load_template("helpfulness"), device="cpu").judge_many([QUESTION], print),
        lambda: load_renderer(larger).render(PromptGroup(TEXT, [" park."])),
    ]
    for use in uses:
        with pytest.raises(InputError, match=MESSAGE):
            use()
    assert policy.score([PromptGroup("A", [" park."])])[0].isfinite().all()  # tokens that have rows are fine


def test_classifiers_and_encoders_say_so(larger: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForSequenceClassification

    from penchant.models.encoder import load_encoder
    from penchant.rewards.classifier import load_classifier
    from penchant.weak.classifiers.readers import EncoderReader

    folder = tmp_path / "classifier"
    shutil.copytree(larger, folder)
    config = LlamaConfig.from_pretrained(larger, num_labels=2, pad_token_id=256)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    with pytest.raises(InputError, match=MESSAGE):
        load_classifier(f"classifier:{folder}:1", device="cpu")([(TEXT, " park.")])
    folder = tmp_path / "encoder"
    shutil.copytree(larger, folder)
    small = BertConfig(vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertModel(small, add_pooling_layer=False).save_pretrained(folder)
    reader = EncoderReader(load_encoder(ModelConfig(name=str(folder), device="cpu")))
    for example in (TEXT, PromptGroup("A", [f" {ADDED}"])):
        with pytest.raises(InputError, match=MESSAGE):
            reader.encode([example], 64)


def test_a_smaller_reference_is_named(larger: str, tmp_path: Path) -> None:
    policy = load_policy(larger, device="cpu")
    policy.model.resize_token_embeddings(258)  # type: ignore[operator]
    grown = tmp_path / "grown"
    policy.save(grown)
    with pytest.raises(InputError, match=r"larger than the reference .*larger"):
        load_reference(FrozenModel(name=larger), load_policy(str(grown), device="cpu"))
    assert load_policy(str(grown), device="cpu").score([PromptGroup(TEXT, [" park."])])[0].isfinite().all()


def test_unknown_sizes_and_ids_within_pass() -> None:
    check_vocabulary([], 0, None)
    check_vocabulary([3], None, None)
    check_vocabulary([3], 4, None)
