"""Every causal type of `transformers`: scored and sampled right, or refused by its name."""

from __future__ import annotations

import pytest
import torch
from model_types import Verdict, format_page, judge_half, judge_type, scoring_way
from tiny_types import NotBuilt, build_tiny, causal_types

from penchant.engine.decode_probe import decoding_way
from penchant.engine.score import Scorer
from repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "results" / "model-types.md"


@pytest.mark.slow
@pytest.mark.parametrize("model_type", causal_types())
def test_a_type_is_right_or_refused_by_name(model_type: str) -> None:
    verdict = judge_type(model_type)
    assert not verdict.fault, verdict
    if verdict.scoring == "not built":
        assert verdict.reason
    if "refused" in (verdict.scoring, verdict.sampling):
        assert type(build_tiny(model_type)).__name__ in verdict.reason


@pytest.mark.parametrize(
    ("model_type", "scoring", "sampling"), [("llama", "trees", "cache"), ("bloom", "rows", "cache")]
)
def test_common_types(model_type: str, scoring: str, sampling: str) -> None:
    verdict = judge_type(model_type)
    assert (verdict.scoring, verdict.sampling) == (scoring, sampling)


@pytest.mark.parametrize("model_type", ["mixtral", "stablelm", "roberta", "mamba"])
@pytest.mark.parametrize("scale", [0.3, 0.03])
def test_half_precision_decides_as_single_precision_does(model_type: str, scale: float) -> None:
    """A mixture of experts, trees that are wrong, padding that is wrong; also where a new network's spread is small."""
    network = build_tiny(model_type, initializer_range=scale)
    scoring, _ = scoring_way(Scorer(network))
    assert judge_half(network, scoring, decoding_way(network).way) == "same"


def test_half_precision_finds_a_mask_that_is_a_little_wrong() -> None:
    """Sparse attention over trees, which is off by .05 nats here, as much as rounding is in other networks."""
    network = build_tiny("deepseek_v32", initializer_range=0.03).to(torch.bfloat16)
    config = network.config.get_text_config()
    config.layer_types = None  # which the configuration alone refuses
    assert Scorer(network).plain
    assert Scorer(network).plain_reason.startswith("trees differ")


def test_types_that_cannot_be_built_say_why() -> None:
    with pytest.raises(NotBuilt, match="parameters"):
        build_tiny("blt")


def test_the_page_counts_faults_and_lists_every_type() -> None:
    verdicts = [
        Verdict("a", "trees", "cache"),
        Verdict("b", "off", "refused", "why | b"),
        Verdict("c", "not built", "not built", "large"),
        Verdict("d", "rows", "cache", half="faster"),
    ]
    page = format_page(verdicts)
    assert "traceback: **2**" in page
    assert "| `b` | off | refused | why / b |" in page
    assert "| `c` | large |" in page
    assert [v.fault for v in verdicts] == [False, True, False, True]


def test_the_recorded_page_has_no_fault() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "traceback: **0**" in text
    assert all(f"`{kind}`" in text for kind in ("mamba", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma", "minimax"))
