"""Trees: what a token sees, how groups are split and packed, and that scores equal the plain model's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.sampling import Sampling
from penchant.engine.score import Scorer, score, score_rows
from penchant.engine.tree import ROWS, TREES, Span, collate, fill, make_trees, pack, unique_tokens
from penchant.types import PromptGroup

VOCABULARY, CONTEXT = 50, 64


def tiny(kind: str = "llama", dtype: torch.dtype = torch.float32, **changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "gpt2":
        settings = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": 16, "n_layer": 2, "n_head": 2}
        return GPT2LMHeadModel(GPT2Config(**settings, attn_implementation="sdpa")).to(dtype).eval()
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
    }
    return LlamaForCausalLM(LlamaConfig(**settings | changes)).to(dtype).eval()


def whole(*ids: int) -> Branch:
    return Branch(tuple(ids), ((0, len(ids)),))


def plain_scores(model: torch.nn.Module, row: Rendered) -> torch.Tensor:
    """Every response on its own, through the model's own forward pass and a full log-softmax."""
    totals = []
    for branch in row.branches:
        ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
        logps = torch.log_softmax(model(input_ids=ids).logits[0].float(), -1)
        first = len(row.prompt_ids)
        taken = logps[first - 1 : -1].gather(1, ids[0, first:, None]).squeeze(1)
        totals.append(sum((taken[a:b].sum() for a, b in branch.spans), torch.zeros(())))
    return torch.stack(totals)


@st.composite
def rows(draw: st.DrawFn) -> Rendered:
    token = st.integers(0, VOCABULARY - 1)
    prompt = draw(st.lists(token, min_size=1, max_size=CONTEXT - 1))
    branches = []
    for _ in range(draw(st.integers(1, 16))):
        ids = tuple(draw(st.lists(token, min_size=1, max_size=CONTEXT - len(prompt))))
        start = draw(st.integers(0, len(ids) - 1))
        branches.append(Branch(ids, ((start, draw(st.integers(start + 1, len(ids)))),)))
    return Rendered(tuple(prompt), tuple(branches))


MODELS = {kind: tiny(kind) for kind in ("llama", "gpt2")}
SCORERS = {kind: Scorer(model) for kind, model in MODELS.items()}


@pytest.mark.parametrize("kind", MODELS)
@given(some=st.lists(rows(), min_size=1, max_size=3), budget=st.sampled_from([8, 100, 4096]))
@settings(max_examples=25)
def test_tree_scores_equal_the_plain_models(kind: str, some: list[Rendered], budget: int) -> None:
    assert not SCORERS[kind].plain
    with torch.no_grad():
        expected = [plain_scores(MODELS[kind], row) for row in some]
    for got, want in zip(score(SCORERS[kind], some, budget=budget), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-5)


def test_tree_gradients_equal_the_plain_models() -> None:
    row = Rendered((1, 2, 3), (whole(4, 5, 6), whole(7), whole(4, 9, 10, 11)))
    weights = torch.tensor([1.0, -2.0, 0.5])
    gradients = []
    for tree in (True, False):
        model = tiny()
        if tree:
            (batch,) = [collate(make_trees([(row, range(3))], budget=4096, packing=TREES), slots=3, packing=TREES)]
            (Scorer(model)(batch) @ weights).backward()
        else:
            (plain_scores(model, row) @ weights).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    difference = (gradients[0] - gradients[1]).norm()
    assert difference <= 1e-4 * gradients[1].norm()
    assert gradients[1].norm() > 0.1


def test_a_branch_does_not_see_its_siblings() -> None:
    alone = score(SCORERS["llama"], [Rendered((1, 2), (whole(3, 4),))])[0]
    beside = score(SCORERS["llama"], [Rendered((1, 2), (whole(9, 8, 7), whole(3, 4), whole(5)))])[0]
    torch.testing.assert_close(alone[0], beside[1], atol=1e-5, rtol=0)
    # the control: with an ordinary causal mask over the same row it would see them
    tree = make_trees([(Rendered((1, 2), (whole(9, 8, 7), whole(3, 4))), range(2))], budget=99, packing=TREES)[0]
    ids = torch.tensor([[*tree.prompt_ids, 9, 8, 7, 3, 4]])
    logps = torch.log_softmax(MODELS["llama"](input_ids=ids).logits[0].detach(), -1)
    assert abs(float(logps[1, 3] + logps[5, 4]) - float(alone[0])) > 1e-2


def test_a_packed_row_by_hand() -> None:
    rows = [(Rendered((1, 2), (whole(3), whole(4, 5))), range(2)), (Rendered((6,), (Branch((7, 8), ((1, 2),)),)), [0])]
    batch = collate(make_trees(rows, budget=99, packing=TREES), slots=3, packing=TREES)
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 2, 3, 0, 1, 2]]
    assert batch.spans == (Span(0, 2, (3, 5)), Span(5, 6, (8,)))
    assert batch.predictors.tolist() == [1, 1, 3, 6]  # a branch's first token is predicted by the end of the prompt
    assert batch.targets.tolist() == [3, 4, 5, 8]
    assert batch.owners.tolist() == [0, 1, 1, 2]
    assert batch.forwarded == 8


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_fill_covers_everything_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = fill(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_pack_covers_everything_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = pack(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    sizes = [sum(lengths[i] for i in batch) for batch in batches]
    for batch, size in zip(batches, sizes, strict=True):
        assert len(batch) == 1 or size <= budget
    assert pack([500, 100, 400, 200], 1024) == [[0, 1], [2, 3]]


def test_a_large_group_is_split_with_its_prompt_and_nothing_is_lost() -> None:
    row = Rendered((1, 2, 3), tuple(whole(*range(4, 9)) for _ in range(5)))
    trees = make_trees([(row, range(5))], budget=14, packing=TREES)
    assert [tree.length for tree in trees] == [13, 13, 8]
    assert [slot for tree in trees for slot in tree.slots] == [0, 1, 2, 3, 4]
    assert len(make_trees([(row, range(5))], budget=999, packing=ROWS)) == 5
    assert unique_tokens([(row, range(5))]) == 3 + 5 * 5


def test_only_the_asked_responses_are_scored() -> None:
    row = Rendered((1, 2), (whole(3), whole(4, 5), whole(6)))
    full = score(SCORERS["llama"], [row])[0]
    some = score_rows(SCORERS["llama"], [(row, [2, 0])])
    torch.testing.assert_close(some, full[[2, 0]], atol=1e-5, rtol=0)


def test_padding_and_tokens_equal_to_the_end_token_change_nothing() -> None:
    short, long = Rendered((0, 0), (whole(0, 0, 2),)), Rendered(tuple(range(30)), (whole(5),))
    alone = score(SCORERS["llama"], [short])[0]
    together = score(SCORERS["llama"], [short, long])[0]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def real_rows(policy: Any) -> list[Rendered]:
    """Two prompts with sampled responses of 1 to 120 tokens."""
    prompts = ["Once upon a time there was a little dog.", "Tom and Lily went to the park to play"]
    rows = []
    for prompt in prompts:
        drawn = [policy.draw([prompt], Sampling(max_new_tokens=length, seed=length))[0][0] for length in (1, 40, 120)]
        rows.append(policy.renderer.render(PromptGroup(prompt, drawn)))
    return rows


def check_real_model(policy: Any) -> None:
    rows = real_rows(policy)
    with torch.no_grad():
        expected = [plain_scores(policy.model, row) for row in rows]
    assert not policy.scorer.plain
    for got, want in zip(score(policy.scorer, rows), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=0)


def test_real_model_stories(story_policy: Any) -> None:
    check_real_model(story_policy)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a busy machine converts and reads its weights for minutes
def test_real_model_smollm2(request: pytest.FixtureRequest) -> None:
    check_real_model(request.getfixturevalue("smollm2"))
