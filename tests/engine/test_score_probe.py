"""Rows beyond windows and thresholds that the first probes do not reach, and decoders with a head of their own kind."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from accelerate import Accelerator
from torch import Tensor

from length_models import longrope
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine import verdicts
from penchant.engine.decode_probe import decoding_way
from penchant.engine.generate import draw
from penchant.engine.lengths import EQUAL_LENGTHS
from penchant.engine.probe import far_lengths
from penchant.engine.reference import Reference, sequence_kl
from penchant.engine.sampling import Sampling
from penchant.engine.score import Scorer, batches, score
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.train.batch import Dataset
from penchant.train.inputs.frozen_states import with_frozen_states

FAR = 1030  # tokens: the first probes reach to 1,024
SIZES: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1200,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def rope(kind: str, **values: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": 1e4, "factor": 2.0} | values


def llama(**parameters: Any) -> Any:
    return tf.LlamaForCausalLM(tf.LlamaConfig(**SIZES, rope_parameters=parameters or rope("default")))


MAKERS = {
    "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**SIZES, sliding_window=FAR)),
    "gemma2": lambda: tf.Gemma2ForCausalLM(tf.Gemma2Config(**SIZES, sliding_window=FAR)),
    "gemma3": lambda: tf.Gemma3ForCausalLM(
        tf.Gemma3TextConfig(**SIZES, sliding_window=FAR, layer_types=["sliding_attention", "full_attention"])
    ),
    "longrope": lambda: longrope(threshold=FAR, context=1200),
    "llama3": lambda: llama(
        **rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=FAR)
    ),
    "yarn": lambda: llama(**rope("yarn", original_max_position_embeddings=FAR)),
    "dynamic": lambda: llama(**rope("dynamic")),
}


@pytest.fixture(autouse=True)
def fresh_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test probes anew."""
    monkeypatch.setattr(verdicts, "_process_verdicts", {})


def make(name: str) -> Any:
    """A network whose attention looks far back, so that a wrong window shows."""
    torch.manual_seed(0)
    network = MAKERS[name]().eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.5)
    return network


def ids(count: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(3, 48, (count,), generator=generator).tolist())


def whole(part: tuple[int, ...]) -> Branch:
    return Branch(part, ((0, len(part)),))


ROWS = [
    Rendered(ids(1000, 0), (whole(ids(60, 1)), whole(ids(9, 2)), whole(ids(80, 3)))),
    Rendered(ids(4, 4), (whole(ids(3, 5)),)),
]


def alone(network: Any, row: Rendered) -> Tensor:
    """Each response by a pass of a network that ran nothing before."""
    scores = []
    for branch in row.branches:
        tokens = torch.tensor([[*row.prompt_ids, *branch.ids]])
        with torch.no_grad():
            logps = copy.deepcopy(network)(input_ids=tokens).logits[0].float().log_softmax(-1)
        first = len(row.prompt_ids)
        scores.append(logps[first - 1 : -1].gather(1, tokens[0, first:, None]).sum())
    return torch.stack(scores)


def check_scores(network: Any) -> Scorer:
    expected = [alone(network, row) for row in ROWS]
    scorer = Scorer(network)
    for got, want in zip(score(scorer, ROWS, budget=4096), expected, strict=True):
        torch.testing.assert_close(got, want, atol=2e-2, rtol=0)
    return scorer


def wrong_beyond(network: Any, *, when: Any) -> Any:
    """Have a network give other logits in rows longer than FAR, in those passes that `when` picks."""
    layer = network.model.layers[0].mlp
    forward, passed = layer.forward, network.model.forward

    def watched(*args: Any, **options: Any) -> Any:
        shape, cache = options["input_ids"].shape, options.get("cache")
        length = shape[1] + (cache.get_seq_length() if cache is not None else 0)
        layer.wrong = length > FAR and when(shape, options)
        return passed(*args, **options)

    network.model.forward = watched
    layer.forward = lambda states: forward(states).roll(1, -1) if layer.wrong else forward(states)
    return network


@pytest.mark.parametrize("name", MAKERS)
def test_rows_beyond_a_far_length_score_as_alone(name: str) -> None:
    scorer = check_scores(make(name))
    if name != "dynamic":  # changes at its context, which no row exceeds
        assert scorer.far_lengths == far_lengths(scorer.model) == (FAR,)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "dynamic"])
def test_samples_that_grow_over_a_far_length_are_those_of_whole_passes(name: str) -> None:
    network = make(name)
    prompts, sampling = [ids(FAR - 2, 7), ids(5, 8), ids(FAR + 20, 9)], Sampling(temperature=0, max_new_tokens=6)
    drawn = draw(network, prompts, sampling, end_ids=frozenset())
    assert decoding_way(network, FAR + 30).way == "cache"
    for prompt, ((tokens, _),) in zip(prompts, drawn, strict=True):
        known = list(prompt)
        for token in tokens:
            with torch.no_grad():
                logits = network(input_ids=torch.tensor([known]), use_cache=False).logits[0, -1]
            assert token == int(logits.argmax())
            known.append(token)


def test_trees_that_are_wrong_only_beyond_a_far_length_are_left(own_cache: Path) -> None:
    network = wrong_beyond(make("llama3"), when=lambda shape, options: "trees" in options)
    scorer = check_scores(network)
    assert scorer.plain
    assert "trees differ" in scorer.plain_reason
    kept = {path.name for path in (own_cache / "verdicts").glob("*.json")}
    assert len(kept) == 2  # of short rows, and of those beyond
    again = Scorer(network)
    assert not again.plain  # short rows stay fast
    assert again.packing_for(ROWS).plain
    assert not again.packing_for(ROWS[-1:]).plain  # so do those that come later
    assert {path.name for path in (own_cache / "verdicts").glob("*.json")} == kept


def test_blocks_are_not_frozen_where_a_long_row_goes_alone(tiny_model: str, own_cache: Path) -> None:
    """The file of frozen states says of trees alone where their tokens lie."""
    network = wrong_beyond(make("llama3"), when=lambda shape, options: "trees" in options)
    policy = Policy(network, load_policy(tiny_model, device="cpu").renderer, "far")
    data = Dataset(ROWS)
    kept, warnings = with_frozen_states(data, policy, 1, "weights", Accelerator(cpu=True), budget=4096)
    assert kept.frozen is None
    assert "the frozen blocks run in every step" in warnings[0]


def test_rows_that_are_wrong_beside_padding_beyond_a_far_length_go_one_length_at_a_time() -> None:
    network = wrong_beyond(make("mistral"), when=lambda _, options: bool((options["input_ids"] == 0).any()))
    scorer = check_scores(network)
    assert scorer.packing_for(ROWS).lengths == EQUAL_LENGTHS
    assert "side by side differ" in scorer.plain_reason


def test_what_is_wrong_in_every_way_beyond_a_far_length_is_refused_by_name() -> None:
    network = make("llama3")
    passes: list[int] = []

    def every_other(shape: Any, options: Any) -> bool:
        passes.append(1)
        return len(passes) % 2 == 0

    wrong_beyond(network, when=every_other)
    scorer = Scorer(network)
    assert score(scorer, ROWS[1:])  # short rows are right
    for use in (
        lambda: score(scorer, ROWS),
        lambda: sequence_kl(scorer, Reference(scorer, False), ROWS),
        lambda: draw(network, [ROWS[0].prompt_ids], Sampling(max_new_tokens=64), end_ids=frozenset()),
    ):
        with pytest.raises(InputError, match="LlamaForCausalLM"):
            use()


def test_a_cache_that_is_wrong_only_beyond_a_far_length_is_left() -> None:
    network = wrong_beyond(make("mistral"), when=lambda shape, options: shape[1] == 1)
    assert decoding_way(network, FAR).way == "cache"
    verdict = decoding_way(network, FAR + 1)
    assert verdict.way == "no cache"
    assert "another distribution" in verdict.reason


# -- heads ---------------------------------------------------------------------------------------------------------

BERT = {name: SIZES[name] for name in SIZES if name not in ("num_key_value_heads", "head_dim")}
BERT |= {"max_position_embeddings": 128, "is_decoder": True, "initializer_range": 0.5}


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Electra", "RemBert"])
def test_decoders_that_transform_states_before_their_head_are_scored_and_trained(kind: str) -> None:
    torch.manual_seed(0)
    sizes = {"input_embedding_size": 16, "output_embedding_size": 24} if kind == "RemBert" else {}
    sizes |= {"embedding_size": 16} if kind == "Electra" else {}
    config = getattr(tf, f"{kind}Config")(**BERT | sizes)
    network = tf.AutoModelForCausalLM.from_config(config).eval()
    rows = [Rendered(ids(9, 0), (whole(ids(7, 1)), whole(ids(3, 2)))), ROWS[1]]
    scorer = Scorer(network)
    for got, want in zip(score(scorer, rows), [alone(network, row) for row in rows], strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=0)
    assert "forward" not in vars(network.get_output_embeddings())
    found = []
    for ours in (True, False):
        network.zero_grad()
        if ours:
            made = batches([(rows[0], range(2))], budget=64, packing=scorer.packing)
            torch.stack([scorer(batch) for batch in made]).sum().backward()
        else:
            for branch in rows[0].branches:
                tokens = torch.tensor([[*rows[0].prompt_ids, *branch.ids]])
                logps = network(input_ids=tokens).logits[0, 8:-1].log_softmax(-1)
                logps.gather(1, tokens[0, 9:, None]).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert (found[0] - found[1]).norm() <= 1e-4 * found[1].norm()
