"""One step is one step, however it is cut: losses, gradients and updated weights against a plain reference."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import penchant as pt
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.score import Scorer
from penchant.engine.tree import ROWS, TREES
from penchant.losses.settings import Sigmoid
from penchant.train import objectives
from penchant.train.batch import Dataset, micro_batches
from penchant.train.gradient import backward, make_optimizer, schedule
from penchant.train.plan import Part, Unit
from penchant.train.settings import AdamW, Constant, Cosine, Linear, RMSprop

VOCABULARY, CONTEXT, BETA = 40, 128, 0.3
BUDGETS = (8, 20, 33, 64, 150, 4096)  # 8 is less than any one row; 4096 holds the whole step


def tiny(kind: str) -> nn.Module:
    torch.manual_seed(1)
    if kind == "gpt2":
        settings = GPT2Config(
            vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, attn_pdrop=0, embd_pdrop=0,
            resid_pdrop=0, initializer_range=0.3,
        )  # fmt: skip
        return GPT2LMHeadModel(settings)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.3,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def step() -> tuple[list[Part], Dataset]:
    """Four groups of 1 to 6 responses of 1 to 25 tokens, with ties and weights, and a made-up reference."""
    generator = torch.Generator().manual_seed(5)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())

    lengths = [(6, (3, 25, 9, 14, 1, 7)), (1, (5, 5)), (12, (2, 18, 4)), (3, (11, 10))]
    rendered = [
        Rendered(ids(prompt), tuple(Branch(ids(n), ((n // 3, n),)) for n in branches)) for prompt, branches in lengths
    ]
    reference = [-2.0 - 3.0 * torch.rand(len(row.branches), generator=generator) for row in rendered]

    def win(winner: int, loser: int, weight: float = 1.0) -> Unit:
        return Unit(pairs=((winner, loser, weight),), weight=weight)

    tie = Unit(pairs=((2, 4, 0.5), (4, 2, 0.5)))
    parts = [
        (0, (win(0, 1), win(0, 3, 2.5), tie, win(5, 1))),
        (1, (win(1, 0),)),
        (2, (win(0, 2), win(2, 1), win(0, 1, 0.5))),
        (3, (win(1, 0, 3.0),)),
    ]
    return parts, Dataset(rendered, reference)


def plain_logps(model: nn.Module, row: Rendered, index: int) -> Tensor:
    """A response on its own through the model's forward pass and a full log-softmax."""
    branch, first = row.branches[index], len(row.prompt_ids)
    ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
    logps = torch.log_softmax(model(input_ids=ids).logits[0], -1)
    places = [first + place for start, end in branch.spans for place in range(start, end)]
    return torch.stack([logps[place - 1, ids[0, place]] for place in places]).sum()


def plain_loss(model: nn.Module, step: tuple[Sequence[Part], Dataset]) -> Tensor:
    """The weighted mean over comparisons of -log sigmoid(beta h), written out."""
    parts, data = step
    assert data.reference is not None
    total, weights = torch.zeros(()), 0.0
    for group, units in parts:
        for winner, loser, weight in (pair for unit in units for pair in unit.pairs):
            ratio = [plain_logps(model, data.rendered[group], i) - data.reference[group][i] for i in (winner, loser)]
            total = total + weight * torch.log1p(torch.exp(-BETA * (ratio[0] - ratio[1])))
            weights += weight
    return total / weights


def one_step(scorer: Scorer, step: tuple[Sequence[Part], Dataset], budget: int, *, plain: bool = False) -> float:
    """Gradients of the step are added to the scorer's; returns its loss."""
    parts, data = step
    objective = objectives.preference(Sigmoid(beta=BETA))
    normaliser = objective.normaliser(parts, data.rendered)
    outcomes = [
        backward(scorer, batch, objective, normaliser)
        for batch in micro_batches(parts, data, budget=budget, packing=ROWS if plain else TREES)
    ]
    return sum(float(outcome.losses.sum()) for outcome in outcomes) / normaliser


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def norm(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


# -- micro-batches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["tree", "plain"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_micro_batches_do_not_change_a_step(kind: str, plain: bool, step: tuple[list[Part], Dataset]) -> None:
    model = tiny(kind)
    from_scratch = plain_loss(model, step)
    from_scratch.backward()
    expected = float(from_scratch.detach())
    wanted = gradients(model)
    size = norm(list(wanted.values()))
    assert size > 0.01
    updated = []
    for budget in BUDGETS:
        scorer = Scorer(tiny(kind)).train()
        assert not scorer.plain
        passes = [len(b.batches) for b in micro_batches(*step, budget=budget, packing=ROWS if plain else TREES)]
        assert max(passes) > 1 if budget < 100 else budget < 4096 or passes == [1]  # both ways through `backward`
        loss = one_step(scorer, step, budget, plain=plain)
        assert loss == pytest.approx(expected, abs=1e-6)
        got = gradients(scorer.model)
        assert got.keys() == wanted.keys()
        # against another algorithm (one row a response, full logits) float32 rounds by 2e-6, with the threads' order
        assert norm([got[name] - wanted[name] for name in wanted]) < 1e-5 * max(size, 1)
        parameters = list(scorer.parameters())
        # (an eps above the rounding noise: RMSprop's first step is lr * sign(gradient) wherever that is not 0)
        make_optimizer(RMSprop(learning_rate=1e-4, eps=1e-3), parameters).step()
        updated.append([p.detach().clone() for p in parameters])
    for some in updated[1:]:
        assert max(float((a - b).abs().max()) for a, b in zip(updated[0], some, strict=True)) < 1e-6


def test_the_loss_and_every_metric_of_a_run_do_not_depend_on_the_token_budget(
    tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    """A whole run, metrics and final weights, at budgets from one response a pass to everything at once."""
    from safetensors.torch import load_file

    rows, weights = [], []
    for budget in (16, 90, 4096):
        out = tmp_path / str(budget)
        settings = {"batch_size": 10, "clip": 1e-2, "optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
        pt.train(run_of(tiny_model, preference_file, out, tokens_per_batch=budget, **settings))
        rows.append([json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()])
        weights.append(load_file(out / "checkpoint" / "model.safetensors"))
    for other in rows[1:]:
        for one, two in zip(rows[0], other, strict=True):
            for name in one.keys() - {"seconds", "tokens_per_s", "held_out", "kind"}:
                assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-5), name
    for some in weights[1:]:
        assert max(float((weights[0][name] - some[name]).abs().max()) for name in some) < 1e-6


def test_passes_that_are_computed_twice_meet_the_same_dropout(step: tuple[list[Part], Dataset]) -> None:
    """LoRA's dropout draws anew at every forward pass; the scores that were differentiated must be those again."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", init_lora_weights=False)
    scorer = Scorer(get_peft_model(tiny("llama"), settings)).train()
    seen: list[Tensor] = []
    scorer.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    one_step(scorer, (step[0][:1], step[1]), budget=33)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(first) == len(second) > 1
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(seen[0], scorer(micro_batches(step[0][:1], step[1], budget=33, packing=TREES)[0].batches[0]))


def test_activation_checkpoints_do_not_change_a_step(step: tuple[list[Part], Dataset]) -> None:
    found = []
    for checkpoints in (False, True):
        scorer = Scorer(tiny("llama"))
        if checkpoints:
            scorer.model.gradient_checkpointing_enable({"use_reentrant": False})
        scorer.train()
        found.append((one_step(scorer, step, budget=33), gradients(scorer.model)))
    assert found[0][0] == found[1][0]
    for name, gradient in found[0][1].items():
        assert torch.equal(gradient, found[1][1][name]), name


# -- what the loss is the mean of ---------------------------------------------------------------------------------


def scored(pairs: Sequence[tuple[int, int, float]], logps: Sequence[float]) -> tuple[Any, float]:
    """The loss and the normaliser of pairs within one group whose responses have these scores, with reference 0."""
    data = Dataset([Rendered((1,), tuple(Branch((2, 3), ((0, 2),)) for _ in logps))], [torch.zeros(len(logps))])
    parts: list[Part] = [(0, (Unit(pairs=tuple(pairs)),))]
    (batch,) = micro_batches(parts, data, budget=100, packing=TREES)
    objective = objectives.preference(Sigmoid(beta=1.0))
    return objective.compute(torch.tensor(logps), batch), objective.normaliser(parts, data.rendered)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_a_tie_counts_half_each_way() -> None:
    """h = 2 one way and -2 the other: (softplus(-2) + softplus(2)) / 2 = (0.1269 + 2.1269) / 2 = 1.1269."""
    outcome, normaliser = scored([(0, 1, 0.5), (1, 0, 0.5)], [2.0, 0.0])
    assert normaliser == 1.0
    assert float(outcome.losses.sum()) / normaliser == pytest.approx((softplus(-2) + softplus(2)) / 2)
    assert float(outcome.losses.sum()) / normaliser == pytest.approx(1.1269, abs=1e-4)
    assert float(outcome.sums["accuracy"]) == 0.5
    assert float(outcome.sums["margin"]) == 0.0


def test_the_loss_is_the_weighted_mean_over_comparisons() -> None:
    """h = 2 with weight 3 (three merged rows) and h = -1 with weight 1: (3 softplus(-2) + softplus(1)) / 4."""
    outcome, normaliser = scored([(0, 1, 3.0), (1, 2, 1.0)], [2.0, 0.0, 1.0])
    assert normaliser == 4.0
    assert float(outcome.losses.sum()) / normaliser == pytest.approx((3 * softplus(-2) + softplus(1)) / 4)
    assert float(outcome.sums["accuracy"]) / normaliser == 0.75
    assert float(outcome.sums["margin"]) / normaliser == pytest.approx((3 * 2 - 1) / 4)
    assert float(outcome.sums["chosen_logps"]) / normaliser == pytest.approx((3 * 2 + 0) / 4)


def test_a_margin_of_zero_is_half_right() -> None:
    outcome, _ = scored([(0, 1, 1.0)], [0.7, 0.7])
    assert float(outcome.sums["accuracy"]) == 0.5
    assert float(outcome.losses.sum()) == pytest.approx(math.log(2))


def test_imitation_is_the_mean_over_taught_tokens() -> None:
    """4 tokens at -8 nats and 1 token at -1 nat seen 3 times: (8 + 3 x 1) / (4 + 3 x 1) = 11 / 7."""
    data = Dataset([Rendered((1,), (Branch((2,) * 5, ((1, 5),)), Branch((3,), ((0, 1),))))])
    parts: list[Part] = [(0, (Unit(response=0), Unit(response=1, weight=3.0)))]
    (batch,) = micro_batches(parts, data, budget=100, packing=TREES)
    objective = objectives.imitation()
    outcome = objective.compute(torch.tensor([-8.0, -1.0]), batch)
    assert float(outcome.losses.sum()) / objective.normaliser(parts, data.rendered) == pytest.approx(11 / 7)


# -- identities through the whole method --------------------------------------------------------------------------


def run_of(model_name: str, data_file: Path, out: Path, **changes: Any) -> pt.DPO:
    settings: dict[str, Any] = {
        "model": {"name": model_name, "device": "cpu"},
        "data": {"path": str(data_file), "held_out": 2},
        "batch_size": 16,
        "evaluate": {"samples": None},
        "optimizer": {"learning_rate": 1e-3},
        "out": str(out),
    }
    return pt.DPO(**settings | changes)


@pytest.mark.parametrize("lora", [None, {}], ids=["full", "lora"])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"name": "sigmoid", "beta": 0.7}, math.log(2)),
        ({"name": "sigmoid", "label_smoothing": 0.3}, math.log(2)),
        ({"name": "robust", "label_smoothing": 0.2}, math.log(2)),
        ({"name": "ipo", "tau": 0.25}, 4.0),  # 1 / (4 x 0.25^2)
        ({"name": "ipo_mean", "tau": 0.5}, 1.0),
        ({"name": "hinge", "beta": 0.7}, 1.0),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_before_the_first_step_the_policy_is_the_reference(
    tiny_model: str, preference_file: Path, tmp_path: Path, loss: dict[str, Any], expected: float, lora: Any
) -> None:
    model = {"name": tiny_model, "device": "cpu", "lora": lora}
    pt.train(
        run_of(tiny_model, preference_file, tmp_path / "run", loss=loss, max_steps=1, model=model, tokens_per_batch=90)
    )
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    start, first = rows[0]["held_out"], rows[1]
    assert start["accuracy"]["value"] == first["accuracy"] == 0.5  # no lead by rounding
    assert start["loss"]["value"] == pytest.approx(expected, rel=1e-4)
    assert first["loss"] == pytest.approx(expected, rel=1e-4)
    assert start["margin"]["value"] == pytest.approx(0, abs=1e-4)
    assert start["chosen_logps"]["value"] < -1


def test_losses_without_a_reference_start_from_the_model_s_own_scores(
    tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    """SimPO by hand from `Policy.score`: the mean over comparisons of softplus(gamma - beta (m_w - m_l))."""
    pt.train(run_of(tiny_model, preference_file, tmp_path / "run", loss={"name": "simpo"}, max_steps=1, batch_size=100,
                    data={"path": str(preference_file), "held_out": 0}))  # fmt: skip
    policy = pt.load_policy(tiny_model, device="cpu")
    groups = pt.load_preferences(preference_file)
    losses = []
    for group, logps in zip(groups, policy.score(groups), strict=True):
        means = [float(logp) / (len(response.text) + 1) for logp, response in zip(logps, group.responses, strict=True)]
        losses += [softplus(1.0 - 2.0 * (means[c.winner] - means[c.loser])) for c in group.comparisons]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[1]["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_two_precisions_in_one_process(tiny_model: str, preference_file: Path, tmp_path: Path) -> None:
    losses = []
    for number, precision in enumerate(("float32", "bfloat16", "float32")):
        run = pt.train(run_of(tiny_model, preference_file, tmp_path / str(number), precision=precision, max_steps=2))
        losses.append(run.metrics["final"]["held_out"]["loss"]["value"])
    assert losses[0] == losses[2] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


# -- optimizer and schedule ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Constant(), [1, 1, 1, 1, 1, 1]),
        (Constant(warmup_steps=4), [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
        (Linear(), [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (Linear(warmup_steps=2), [1 / 2, 1, 1, 3 / 4, 2 / 4, 1 / 4]),
        (Cosine(warmup_steps=2), [1 / 2, 1, 1, (1 + math.sqrt(0.5)) / 2, 1 / 2, (1 - math.sqrt(0.5)) / 2]),
        (Constant(warmup_steps=0.3), [1 / 2, 1, 1, 1, 1, 1]),  # 0.3 x 6 steps, rounded up
        (Linear(warmup_steps=10), [n / 10 for n in range(1, 7)]),  # the run ends before the warm-up does
    ],
    ids=str,
)
def test_the_learning_rate_s_curve(settings: Any, expected: list[float]) -> None:
    factor = schedule(settings, 6)
    assert [factor(step) for step in range(6)] == pytest.approx(expected)


def test_the_curve_is_what_the_run_takes(tiny_model: str, preference_file: Path, tmp_path: Path) -> None:
    """40 comparisons in steps of 8: five steps, two of warm-up, at a peak of 1e-3."""
    pt.train(run_of(tiny_model, preference_file, tmp_path / "run", batch_size=8,
                    schedule={"name": "linear", "warmup_steps": 2}))  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [row["learning_rate"] for row in rows if row["kind"] == "train"]
    assert rates == pytest.approx([0.5e-3, 1e-3, 1e-3, 2e-3 / 3, 1e-3 / 3])
    assert [row["epoch"] for row in rows if row["kind"] == "train"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_adamw_by_hand() -> None:
    """The first step: m = 0.1 g / 0.1, v = 0.001 g^2 / 0.001, so w <- w (1 - lr decay) - lr sign(g)."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make_optimizer(AdamW(learning_rate=0.1, weight_decay=0.5), [weight])
    weight.grad = torch.tensor([0.3, -4.0])
    optimizer.step()
    assert weight.tolist() == pytest.approx([1 * 0.95 - 0.1, -2 * 0.95 + 0.1], abs=1e-6)


def test_rmsprop_by_hand() -> None:
    """Decay is added to the gradient: g = 0.3 + 0.5 = 0.8, v = 0.19 g^2, w <- w - lr g / (sqrt(v) + eps)."""
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = make_optimizer(RMSprop(learning_rate=0.1, decay=0.81, weight_decay=0.5, eps=0.2), [weight])
    weight.grad = torch.tensor([0.3])
    optimizer.step()
    assert weight.item() == pytest.approx(1 - 0.1 * 0.8 / (math.sqrt(0.19) * 0.8 + 0.2), abs=1e-6)


def test_clipping_bounds_the_step_and_the_record_shows_the_norm_before_it(
    tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    """AdamW with an eps far above the gradient is nearly plain descent: its step is lr / eps times the gradient."""
    from safetensors.torch import load_file

    start = load_file(Path(tiny_model) / "model.safetensors")
    moved, norms = {}, {}
    for clip in (None, 1e9, 1e-3):
        out = tmp_path / str(clip)
        optimizer = {"name": "adamw", "learning_rate": 10.0, "eps": 1e4}
        pt.train(run_of(tiny_model, preference_file, out, clip=clip, optimizer=optimizer, max_steps=1))
        end = load_file(out / "checkpoint" / "model.safetensors")
        moved[clip] = norm([end[name] - start[name] for name in start])
        norms[clip] = json.loads((out / "metrics.jsonl").read_text().splitlines()[1])["grad_norm"]
    assert norms[None] == norms[1e9] == norms[1e-3] > 0.1
    assert moved[None] == moved[1e9] == pytest.approx(norms[None] * 1e-3, rel=0.02)
    assert moved[1e-3] == pytest.approx(1e-3 * 1e-3, rel=0.05)


def test_frozen_weights_of_a_lora_policy_stay_as_they_are(step: tuple[list[Part], Dataset]) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny("llama")
    before = copy.deepcopy(base.state_dict())
    scorer = Scorer(get_peft_model(base, LoraConfig(r=2, target_modules="all-linear"))).train()
    one_step(scorer, step, budget=64)
    trained = [p for p in scorer.parameters() if p.requires_grad]
    make_optimizer(AdamW(learning_rate=0.1, weight_decay=0.5), trained).step()
    after = {name.replace("base_layer.", ""): value for name, value in base.state_dict().items() if "lora" not in name}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_metrics_and_split_groups_stay_float32_under_autocast() -> None:
    from penchant.train.batch import MicroBatch
    from penchant.train.objectives import preference

    one = torch.ones(24)
    pairs = torch.stack([torch.arange(24), torch.arange(24, 48)], 1)
    none = torch.zeros(0)
    batch = MicroBatch((), pairs, one, none.long(), none, none.bool(), torch.ones(48), torch.zeros(48), ("",) * 48, 0)
    with torch.autocast("cpu", torch.bfloat16):
        outcome = preference(Sigmoid()).compute(torch.full((48,), -487.3), batch)
    assert float(outcome.sums["chosen_logps"]) == pytest.approx(-11695.2, abs=0.01)  # 24 x -487.3; bfloat16 says -11712


def test_holding_out_every_prompt_is_refused(tiny_model: str, preference_file: Path, tmp_path: Path) -> None:
    data = {"path": str(preference_file), "held_out": 500}
    with pytest.raises(pt.InputError, match="leaves nothing to train on"):
        pt.train(run_of(tiny_model, preference_file, tmp_path / "run", data=data))
    assert not (tmp_path / "run").exists()
