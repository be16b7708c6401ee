"""Which models may run trees, and that those which may not still score rightly."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from penchant.data.rendering.renderer import Rendered
from penchant.engine.attention import output_head
from penchant.engine.score import Scorer, score
from penchant.engine.score_probe import scoring_support
from penchant.errors import InputError

_spec = importlib.util.spec_from_file_location("tree_tests", Path(__file__).with_name("test_tree.py"))
assert _spec is not None
assert _spec.loader is not None
trees = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trees)

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = SMALL | {"intermediate_size": 32, "num_key_value_heads": 2, "max_position_embeddings": 128}


def check_equal_to_plain(model: torch.nn.Module) -> Scorer:
    scorer = Scorer(model.eval())
    row = Rendered((1, 2, 3), (trees.whole(4, 5, 6), trees.whole(7), trees.whole(*range(8, 48))))
    with torch.no_grad():
        expected = trees.plain_scores(model, row)
    torch.testing.assert_close(score(scorer, [row])[0], expected, atol=1e-3, rtol=0)
    return scorer


def test_gpt_neox_runs_trees() -> None:
    assert not check_equal_to_plain(GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL, intermediate_size=32))).plain


def test_soft_capped_and_scaled_heads_are_honoured() -> None:
    torch.manual_seed(0)
    cohere = CohereForCausalLM(CohereConfig(**WIDE, logit_scale=0.3, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    assert output_head(cohere).scale == pytest.approx(0.3)
    check_equal_to_plain(cohere)
    gemma = Gemma2ForCausalLM(
        Gemma2Config(**WIDE, head_dim=8, final_logit_softcapping=0.05, initializer_range=0.5, sliding_window=4096)
    )
    assert output_head(gemma).softcap == 0.05
    check_equal_to_plain(gemma)


def test_a_sliding_window_goes_down_the_plain_path_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = MistralForCausalLM(MistralConfig(**WIDE, sliding_window=8))
    with caplog.at_level(logging.WARNING):
        scorer = check_equal_to_plain(model)
    assert scorer.plain
    assert "8 tokens" in scorer.plain_reason
    assert "plain path" in caplog.text


def test_alibi_is_found_by_the_probe() -> None:
    torch.manual_seed(0)
    model = BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.5))
    assert check_equal_to_plain(model).plain


def test_the_probe_itself_finds_a_hidden_window() -> None:
    """A window that the configuration mentions under another name than `sliding_window`."""
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=50,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=6,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    check_equal_to_plain(GPTNeoForCausalLM(config))


def test_unknown_logit_arithmetic_is_refused() -> None:
    model = trees.tiny()
    forward = model.forward

    def scaled(*args: object, **kwargs: object) -> object:
        out = forward(*args, **kwargs)
        out.logits = out.logits * 3
        return out

    model.forward = scaled  # type: ignore[method-assign]
    with pytest.raises(InputError, match="changes its logits"):
        scoring_support(model)


def test_adapters_on_the_head_are_honoured() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(trees.tiny(), LoraConfig(r=2, target_modules=["q_proj", "lm_head"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    scorer = check_equal_to_plain(model)
    assert not scorer.plain
    row = Rendered((1, 2), (trees.whole(3, 4),))
    with model.disable_adapter():
        off = score(scorer, [row])[0]
    torch.testing.assert_close(off, trees.plain_scores(trees.tiny(), row).detach(), atol=1e-4, rtol=0)
    assert float((score(scorer, [row])[0] - off).abs()) > 1e-2
