"""Models whose arithmetic depends on the length of the pass: a row's scores are those of the row alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from length_models import SIZES, THRESHOLD, VOCABULARY, dynamic, longrope
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.lengths import ANY_LENGTH, LengthClasses, length_classes, named_lengths
from penchant.engine.reference import Reference, sequence_kl
from penchant.engine.score import Scorer, batches, score
from penchant.engine.tokens import Layout, ValueHead, token_readings
from penchant.engine.tree import ROWS, TREES, Packing, make_trees
from penchant.models.reward import RewardScorer
from repository import CASES


def alone(make: Callable[[], Any], row: Rendered) -> torch.Tensor:
    """Each response through a fresh model: nothing was scored before it or beside it."""
    totals = []
    for branch in row.branches:
        ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
        with torch.no_grad():
            logps = make()(input_ids=ids).logits[0].log_softmax(-1)
        first = len(row.prompt_ids)
        totals.append(logps[first - 1 : -1].gather(1, ids[0, first:, None]).sum())
    return torch.stack(totals)


def trees_without_classes() -> Any:
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**SIZES, max_position_embeddings=96)).eval()


def whole(*ids: int) -> Branch:
    return Branch(tuple(ids), ((0, len(ids)),))


def row(prompt: int, *branches: int) -> Rendered:
    """A prompt and branches with so many tokens."""
    numbers = iter(range(1, 1000))
    ids = [tuple((7 * next(numbers) + 3) % VOCABULARY for _ in range(length)) for length in (prompt, *branches)]
    return Rendered(ids[0], tuple(whole(*part) for part in ids[1:]))


ROWS_ON_BOTH_SIDES = [row(4, 3, 30, 12), row(20, 3), row(2, 5), row(14, 2, 3, 1), row(10, 25)]


@pytest.mark.parametrize("make", [longrope, dynamic])
def test_a_row_scores_the_same_alone_and_in_any_batch(make: Callable[[], Any]) -> None:
    expected = [alone(make, some) for some in ROWS_ON_BOTH_SIDES]
    scorer = Scorer(make())
    assert not scorer.plain
    for budget in (1024, 40):
        for got, want in zip(score(scorer, ROWS_ON_BOTH_SIDES, budget=budget), expected, strict=True):
            torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
    for some, want in list(zip(ROWS_ON_BOTH_SIDES, expected, strict=True))[::-1]:  # after longer ones
        torch.testing.assert_close(score(scorer, [some])[0], want, atol=1e-4, rtol=0)
    # the control: the numbers do depend on what else is in the pass
    short, long = ROWS_ON_BOTH_SIDES[0].branches[0].ids, 40
    ids = torch.tensor([[*ROWS_ON_BOTH_SIDES[0].prompt_ids, *short] + [0] * long])
    with torch.no_grad():
        padded = make()(input_ids=ids).logits[0].log_softmax(-1)
    taken = padded[3 : 3 + len(short)].gather(1, torch.tensor(short)[:, None]).sum()
    assert abs(float(taken - expected[0][0])) > 1e-2


def test_gradients_are_those_of_the_rows_alone() -> None:
    weights = torch.tensor([1.0, -2.0, 0.5])
    gradients = []
    for grouped in (True, False):
        model = longrope()
        some = ROWS_ON_BOTH_SIDES[0]
        if grouped:
            scorer = Scorer(model)
            parts = [scorer(batch) for batch in batches([(some, range(3))], budget=1024, packing=scorer.packing)]
            (torch.stack(parts).sum(0) @ weights).backward()
        else:
            for branch, weight in zip(some.branches, weights, strict=True):
                ids = torch.tensor([[*some.prompt_ids, *branch.ids]])
                logps = model(input_ids=ids).logits[0].log_softmax(-1)
                first = len(some.prompt_ids)
                (logps[first - 1 : -1].gather(1, ids[0, first:, None]).sum() * weight).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert (gradients[0] - gradients[1]).norm() <= 1e-4 * gradients[1].norm()


def own_states(model: Any, row: Rendered, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Final states and log-probabilities where a branch's tokens are predicted, (tokens, ...), by a pass of its own."""
    branch, first = row.branches[index], len(row.prompt_ids)
    ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
    with torch.no_grad():
        out = model(input_ids=ids, output_hidden_states=True)
    return out.hidden_states[-1][0, first - 1 :], out.logits[0, first - 1 : -1].log_softmax(-1)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("other", [longrope, trees_without_classes])
def test_every_reader_of_passes_keeps_classes_apart(plain: bool, other: Callable[[], Any]) -> None:
    """KL of two models, tokens and values of PPO, rewards, and the front of a response: each as of the row alone."""
    torch.manual_seed(3)
    model, reference = longrope(), other()
    with torch.no_grad():
        for weight in reference.parameters():
            weight += 0.05 * torch.randn_like(weight)
    scorer, frozen = Scorer(model), Scorer(reference)
    scorer.packing = Packing(plain, scorer.packing.lengths)
    own = [(row, i, *own_states(model, row, i)) for row in ROWS_ON_BOTH_SIDES for i in range(len(row.branches))]
    exact = []
    for some, index, _, logps in own:
        q = own_states(reference, some, index)[1]
        exact.append((logps.exp() * (logps - q)).sum())
    found = sequence_kl(scorer, Reference(frozen, False), ROWS_ON_BOTH_SIDES, budget=90)
    torch.testing.assert_close(torch.cat(found), torch.stack(exact), atol=1e-3, rtol=1e-4)

    head = ValueHead(32)
    torch.nn.init.normal_(head.linear.weight)
    layout = Layout.of_rows(ROWS_ON_BOTH_SIDES)
    logps, values = token_readings(scorer, head, ROWS_ON_BOTH_SIDES, layout, budget=90)
    chosen = [p.gather(1, torch.tensor(r.branches[i].ids)[:, None]).squeeze(1) for r, i, _, p in own]
    torch.testing.assert_close(logps, torch.cat(chosen), atol=1e-3, rtol=1e-4)
    with torch.no_grad():
        own_values = torch.cat([head(states[:-1]) for _, _, states, _ in own])
    torch.testing.assert_close(values, own_values, atol=1e-3, rtol=1e-4)

    model.score = torch.nn.Linear(32, 1, bias=False)
    rewards = RewardScorer(model)
    rewards.packing = Packing(plain, rewards.packing.lengths)
    with torch.no_grad():
        expected = torch.cat([model.score(states[-1]) for _, _, states, _ in own])
    got = torch.cat(score(rewards, ROWS_ON_BOTH_SIDES, budget=90))
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-4)


def test_classes_of_a_configuration() -> None:
    assert length_classes(longrope().config) == LengthClasses((THRESHOLD,))
    assert length_classes(dynamic().config) == LengthClasses((), THRESHOLD)
    llama3 = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 1e4, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    fixed = LlamaConfig(rope_parameters=llama3 | {"original_max_position_embeddings": 64})
    assert length_classes(fixed) == ANY_LENGTH
    assert THRESHOLD in named_lengths(longrope().config)


@given(st.lists(st.integers(1, 40), max_size=3), st.none() | st.integers(0, 40), st.integers(1, 60))
@settings(max_examples=60)
def test_classes_hold_neighbours_and_end_where_they_say(thresholds: list[int], exact: int | None, length: int) -> None:
    classes = LengthClasses(tuple(sorted(set(thresholds))), exact)
    ends_here = length in thresholds or (exact is not None and length >= exact)
    assert (classes.class_of(length) < classes.class_of(length + 1)) == ends_here


def test_paths_of_two_classes_are_never_in_one_tree() -> None:
    some = row(4, 3, 30, 12, 2)
    classes = LengthClasses((THRESHOLD,))
    trees = make_trees([(some, [0, 1, 3])], budget=1024, packing=Packing(False, classes))
    assert [tree.slots for tree in trees] == [(0, 2), (1,)]  # slots are places in the order asked for
    assert len(make_trees([(some, [0, 1, 3])], budget=1024, packing=TREES)) == 1
    assert len(make_trees([(some, [0, 1, 3])], budget=1024, packing=ROWS)) == 3


@pytest.fixture(scope="module")
def cases() -> Path:
    folder = CASES / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared cases ({folder} is absent)")
    return folder


def test_the_published_case_scores_alike(cases: Path) -> None:
    config = Phi3Config(**json.loads((cases / "longrope_config.json").read_text()))

    def make() -> Any:
        torch.manual_seed(0)
        model = Phi3ForCausalLM(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.normal_(0, 0.4)
        return model

    lengths = [len(json.loads(line)["prompt"].split()) for line in (cases / "longrope_prefs.jsonl").open()]
    rows = [row(length, 6, 3) for length in lengths]
    assert {length > 64 for length in lengths} == {True, False}
    scorer = Scorer(make())
    for got, want in zip(score(scorer, rows), [alone(make, some) for some in rows], strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=0)


@given(
    st.lists(
        st.tuples(st.integers(1, 24), st.lists(st.integers(1, 24), min_size=1, max_size=4)), min_size=1, max_size=4
    ),
    st.sampled_from([20, 60, 1024]),
)
@settings(max_examples=12)
def test_any_rows_in_any_passes_score_as_alone(lengths: list[tuple[int, list[int]]], budget: int) -> None:
    model = longrope()
    rows = [row(prompt, *branches) for prompt, branches in lengths]
    for got, want in zip(
        score(Scorer(model), rows, budget=budget), [alone(lambda: model, r) for r in rows], strict=True
    ):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-5)
