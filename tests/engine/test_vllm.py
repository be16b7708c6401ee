"""What goes to vLLM and what comes back; the rest needs a GPU, and says so where there is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from penchant.engine.generate import Sampling
from penchant.engine.vllm import parameters, samples_of
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig

ENDS = frozenset({2, 7})


def test_settings_and_a_seed_for_each_prompt() -> None:
    sampling = Sampling(n=3, temperature=0.5, max_new_tokens=9, top_k=4, top_p=0.9, seed=1)
    given = parameters((1, 5), sampling, ENDS)
    assert given == parameters((1, 5), sampling, ENDS)
    assert given | {"seed": 0} == {
        "n": 3,
        "temperature": 0.5,
        "top_k": 4,
        "top_p": 0.9,
        "max_tokens": 9,
        "seed": 0,
        "stop_token_ids": [2, 7],
        "ignore_eos": True,
        "detokenize": False,
    }
    others = [parameters((1, 6), sampling, ENDS), parameters((1, 5), Sampling(seed=2), ENDS)]
    assert len({given["seed"], *(other["seed"] for other in others)}) == 3


def test_the_settings_are_vllms() -> None:
    vllm = pytest.importorskip("vllm")
    vllm.SamplingParams(**parameters((1, 5), Sampling(), ENDS))


def test_samples_in_the_order_of_their_index() -> None:
    rows = [SimpleNamespace(index=1, token_ids=[4, 5]), SimpleNamespace(index=0, token_ids=[4, 7])]
    assert samples_of(rows, ENDS) == [((4, 7), True), ((4, 5), False)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_it_is_refused_before_the_model_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vllm needs a GPU.*sampler: penchant"):
        load_policy(ModelConfig(name=str(tmp_path), sampler="vllm"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_greedy_tokens_are_those_of_our_engine(stories: str) -> None:
    pytest.importorskip("vllm")
    prompts, greedy = ["Once upon a time", "The dog"], Sampling(temperature=0, max_new_tokens=16)
    drawn = [
        load_policy(ModelConfig(name=stories, device="cuda", dtype="float32", sampler=sampler)).draw(prompts, greedy)
        for sampler in ("penchant", "vllm")
    ]
    assert drawn[0] == drawn[1]
