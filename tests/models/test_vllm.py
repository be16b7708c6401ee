"""What goes to vLLM and what comes back; the rest needs a GPU, and says so where there is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from length_models import longrope
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.models.vllm import check_one_class, parameters, samples_of

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
    given = parameters((1, 5), Sampling(n=3, temperature=0.5, top_k=4, top_p=0.9, seed=1), ENDS)
    taken = vllm.SamplingParams(**given)
    assert {name: getattr(taken, name) for name in given} == given


def test_rows_of_two_length_classes_are_refused() -> None:
    """The longrope model's frequencies change beyond 16 tokens."""
    model = longrope()
    check_one_class(model, [(1,) * 9], Sampling(max_new_tokens=8))
    check_one_class(model, [(1,) * 17, (1,) * 30], Sampling(max_new_tokens=8))
    for lengths, tokens in (((9,), 9), ((9, 17), 1)):
        with pytest.raises(InputError, match=r"Phi3ForCausalLM .*at 16 tokens.*sampler: penchant"):
            check_one_class(model, [(1,) * length for length in lengths], Sampling(max_new_tokens=tokens))


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
