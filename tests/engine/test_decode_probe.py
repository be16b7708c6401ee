"""How samples are computed: draws are those of whole passes over single rows, whatever the model."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    FalconMambaConfig,
    FalconMambaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    RwkvConfig,
    RwkvForCausalLM,
)

from length_models import dynamic, longrope
from penchant.engine import verdicts
from penchant.engine.decode_probe import decoding_support, decoding_way, probe_prompts
from penchant.engine.generate import draw
from penchant.engine.pick import pick, sample_uniforms
from penchant.engine.probe import probe_reach
from penchant.engine.sampling import Sampling
from penchant.engine.score import Scorer
from penchant.engine.verdicts import Verdict
from penchant.errors import InputError

PROMPTS = [(5, 9, 11), (7,) * 9, tuple(range(3, 20)), (21, 4)]
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "pad_token_id": 0, "eos_token_id": 2}
END = frozenset({2})


def mamba() -> Any:
    return MambaForCausalLM(MambaConfig(**SIZES, state_size=4, initializer_range=0.5))


def falcon_mamba() -> Any:
    return FalconMambaForCausalLM(FalconMambaConfig(**SIZES, state_size=4, initializer_range=0.5))


def rwkv() -> Any:
    return RwkvForCausalLM(RwkvConfig(**SIZES, context_length=64))


def llama(**changes: Any) -> Any:
    sizes = SIZES | {"intermediate_size": 16, "num_attention_heads": 2, "initializer_range": 0.5}
    return LlamaForCausalLM(LlamaConfig(**sizes | changes))


@pytest.fixture(autouse=True)
def fresh_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test probes anew."""
    monkeypatch.setattr(verdicts, "_process_verdicts", {})


def make(maker: Any) -> Any:
    torch.manual_seed(0)
    model = maker().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.4)
    return model


def whole_pass_samples(model: Any, sampling: Sampling) -> list[list[tuple[int, ...]]]:
    """Draw by a pass over the row alone for every token, by a model that scored nothing before."""
    found = []
    for prompt in PROMPTS:
        rows = []
        for index in range(sampling.n):
            fresh = copy.deepcopy(model)  # `dynamic` remembers the longest pass
            uniforms = sample_uniforms(sampling.seed, prompt, index, sampling.max_new_tokens)
            drawn: list[int] = []
            while len(drawn) < sampling.max_new_tokens and (not drawn or drawn[-1] not in END):
                with torch.no_grad():
                    logits = fresh(input_ids=torch.tensor([[*prompt, *drawn]]), use_cache=False).logits[:, -1]
                drawn.append(int(pick(logits, torch.tensor([uniforms[len(drawn)]]), sampling)))
            rows.append(tuple(drawn))
        found.append(rows)
    return found


@pytest.mark.parametrize(
    ("maker", "way"),
    [(llama, "cache"), (mamba, "cache by length"), (falcon_mamba, "cache by length"), (rwkv, "no cache")],
)
def test_draws_are_those_of_whole_passes(maker: Any, way: str, caplog: pytest.LogCaptureFixture) -> None:
    model = make(maker)
    for sampling in (Sampling(temperature=0, max_new_tokens=5), Sampling(n=2, max_new_tokens=5, seed=1)):
        with caplog.at_level(logging.WARNING, "penchant.engine"):
            drawn = draw(model, PROMPTS, sampling, end_ids=END)
        assert [[ids for ids, _ in row] for row in drawn] == whole_pass_samples(make(maker), sampling)
    assert decoding_way(model).way == way
    said = [record for record in caplog.records if "samples" in record.getMessage()]
    assert len(said) == (way != "cache")  # once, not per draw


@pytest.mark.parametrize("places", [128, 3])
@pytest.mark.parametrize("maker", [longrope, dynamic])
def test_rows_that_grow_over_a_threshold_begin_anew(maker: Any, places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of 2 to 17 tokens, 18 more: some begin below the threshold, some above it, some cross it.

    With few places rows wait for those that ended or went on elsewhere.
    """
    monkeypatch.setattr("penchant.engine.decoding.MAX_ROWS", places)
    monkeypatch.setattr("penchant.engine.generate.check_room", lambda *_: None)  # `dynamic` grows over its context
    sampling = Sampling(n=2, max_new_tokens=18, seed=2)
    drawn = draw(make(maker), PROMPTS, sampling, end_ids=END)
    assert [[ids for ids, _ in row] for row in drawn] == whole_pass_samples(make(maker), sampling)


def test_progress_counts_every_sample_without_a_cache() -> None:
    counts: list[int] = []
    draw(make(rwkv), [*PROMPTS, PROMPTS[0]], Sampling(n=2, max_new_tokens=3), end_ids=END, progress=counts.append)
    assert sum(counts) == 2 * 5


def test_models_that_see_the_future_are_refused_by_name() -> None:
    sizes = {"num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64}
    model = make(lambda: BertLMHeadModel(BertConfig(**SIZES | sizes)))
    for use in (lambda: draw(model, PROMPTS, Sampling(max_new_tokens=4), end_ids=END), lambda: Scorer(model)):
        with pytest.raises(InputError, match=r"BertLMHeadModel .* depends on the tokens that follow"):
            use()


def test_a_cache_that_is_wrong_after_some_steps_is_found() -> None:
    """A decode step that is right once and forgets the first token from the second on."""
    model = make(llama)
    forward = model.forward

    def forgets(*args: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attention_mask")
        if mask is not None and kwargs["input_ids"].shape[1] == 1 and mask.shape[1] > 14:
            kwargs["attention_mask"] = mask.clone().index_fill_(1, torch.tensor([mask.shape[1] - 3]), 0)
        return forward(*args, **kwargs)

    model.forward = forgets
    verdict = decoding_way(model)
    assert verdict.way != "cache"
    assert "draws from another distribution" in verdict.reason


def test_nothing_right_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(llama)
    monkeypatch.setattr("penchant.engine.decode_probe._problem", lambda *_: "its numbers differ")
    with pytest.raises(InputError, match=r"LlamaForCausalLM cannot be sampled: no way .* its numbers differ"):
        decoding_support(model)


def test_a_verdict_is_kept_per_configuration_and_version(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[str] = []
    find = decoding_support.__globals__["_find_way"]

    def count(model: Any, far: int) -> Verdict:
        probed.append(type(model).__name__)
        return find(model, far)

    monkeypatch.setattr("penchant.engine.decode_probe._find_way", count)
    decoding_support(make(llama))
    decoding_support(make(llama))
    assert len(probed) == 1
    (kept,) = (own_cache / "verdicts").glob("*.json")
    assert json.loads(kept.read_text())["verdict"]["way"] == "cache"
    monkeypatch.setattr(verdicts, "_process_verdicts", {})  # another process
    decoding_support(make(llama))
    assert len(probed) == 1
    for damaged in (kept.read_text()[:-9], kept.read_text().replace('"cache"', '"no cache"'), "[]", ""):
        kept.write_text(damaged)
        monkeypatch.setattr(verdicts, "_process_verdicts", {})
        before = len(probed)
        assert decoding_support(make(llama)).cached
        assert len(probed) == before + 1
    key = verdicts.verdict_key("decoding", make(llama))
    assert verdicts.verdict_key("decoding", make(llama)) == key
    assert verdicts.verdict_key("decoding", make(lambda: llama(num_hidden_layers=1))) != key
    monkeypatch.setattr(verdicts.transformers, "__version__", "99")
    assert verdicts.verdict_key("decoding", make(llama)) != key


def test_a_cache_folder_that_takes_nothing_costs_only_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "file"))
    assert decoding_support(make(llama)).cached


def test_probes_of_large_models_are_short_on_a_cpu() -> None:
    assert probe_reach(make(llama)) == 1024
    small = make(llama)
    small.big = torch.nn.Parameter(torch.empty(1).expand(10**9), requires_grad=False)
    assert probe_reach(small) == 149
    for window, longest in ((99, [97, 12, 7, 3, 3]), (999, [12, 7, 3, 3])):
        config = MistralConfig(vocab_size=40, sliding_window=window)
        assert [len(prompt) for prompt in probe_prompts(config, 150)] == longest
