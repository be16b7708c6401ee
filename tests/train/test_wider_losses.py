"""Losses that need tokens, whole steps or rankings: a step against one row at a time, and runs from end to end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import penchant as pt
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.score import Scorer
from penchant.engine.tree import Packing
from penchant.errors import InputError
from penchant.losses.settings import AOT, LDDPO, WPO, AOTUnpaired, ChosenNLL, PlackettLuce, Sigmoid, WeightedSum
from penchant.train import objectives
from penchant.train.batch import Dataset, micro_batches
from penchant.train.fronts import front_logps, longer_front
from penchant.train.gradient import backward
from penchant.train.plan import Part, Unit, ranking_unit
from penchant.types import Comparison, PromptGroup

VOCABULARY, BETA = 40, 0.3
PAIRS = {0: [(0, 1), (0, 3), (5, 1), (2, 4)], 1: [(1, 0)], 2: [(0, 2), (2, 1)]}
RANKINGS = {0: (5, 2, 0, 4, 3, 1), 1: (1, 0), 2: (2, 0, 1)}


def tiny() -> nn.Module:
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.3,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def rendered() -> list[Rendered]:
    """Three groups of 2 to 6 responses of 1 to 25 tokens; the first third of each is not scored."""
    generator = torch.Generator().manual_seed(5)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())

    lengths = [(6, (3, 25, 9, 14, 1, 7)), (1, (5, 5)), (12, (2, 18, 4))]
    return [
        Rendered(ids(prompt), tuple(Branch(ids(n), ((n // 3, n),)) for n in branches)) for prompt, branches in lengths
    ]


def token_rows(model: nn.Module, row: Rendered, width: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Token logps, the vocabulary's log summed squares (responses, width), and lengths; each response on its own."""
    logps, squares = torch.zeros(2, len(row.branches), width).unbind(0)
    for index, branch in enumerate(row.branches):
        ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
        every = torch.log_softmax(model(input_ids=ids).logits[0], -1)
        first = len(row.prompt_ids)
        places = [first + place for start, end in branch.spans for place in range(start, end)]
        picked = torch.stack([every[place - 1, ids[0, place]] for place in places])
        logps = logps.index_put((torch.tensor([index]), torch.arange(len(places))), picked)
        squares = squares.index_put(
            (torch.tensor([index]), torch.arange(len(places))),
            torch.stack([every[place - 1].exp().square().sum().log() for place in places]),
        )
    return logps, squares.detach(), torch.tensor([branch.scored for branch in row.branches])


def dataset(rendered: Sequence[Rendered], other: nn.Module) -> Dataset:
    """The data with the numbers of another model as the reference, fronts included."""
    reference, fronts = [], []
    with torch.no_grad():
        for number, row in enumerate(rendered):
            logps, _, _ = token_rows(other, row)
            reference.append(logps.sum(1))
            longer = [longer_front(row, pair) for pair in PAIRS[number]]
            fronts.append({front: float(logps[front[0], : front[1]].sum()) for front in longer if front is not None})
    return Dataset(rendered, reference, front_reference=fronts)


def reference_model() -> nn.Module:
    torch.manual_seed(2)
    model = tiny()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return model


def log_sigmoid(x: Tensor) -> Tensor:
    return -torch.log1p(torch.exp(-x))


def written_out(name: str, model: nn.Module, data: Dataset) -> Tensor:
    """The loss of the whole step as the papers write it, in loops over tokens. None of our losses is called."""
    other = reference_model()
    policy = [token_rows(model, row) for row in data.rendered]
    with torch.no_grad():
        reference = [token_rows(other, row)[0] for row in data.rendered]

    def ratio(group: int, response: int) -> Tensor:
        return policy[group][0][response].sum() - reference[group][response].sum()

    if name == "plackett_luce":  # Rafailov et al. 2023, A.3: each place is a choice among what is left
        likelihoods = []
        for group, ranking in RANKINGS.items():
            scores = torch.stack([BETA * ratio(group, response) for response in ranking])
            chosen = [scores[place] - scores[place:].exp().sum().log() for place in range(len(ranking))]
            likelihoods.append(torch.stack(chosen).sum())
        return -torch.stack(likelihoods).mean()

    def value(number: Tensor) -> float:
        return float(number.detach())

    pairs = [(group, *pair) for group, some in PAIRS.items() for pair in some]
    if name.startswith("aot"):  # Melnyk et al. 2024: one sample dominates the other, quantile by quantile
        if name == "aot":
            better = [policy[group][0][winner].sum() - policy[group][0][loser].sum() for group, winner, loser in pairs]
            worse = [reference[group][winner].sum() - reference[group][loser].sum() for group, winner, loser in pairs]
        else:
            better, worse = ([ratio(pair[0], pair[side]) for pair in pairs] for side in (1, 2))
        gaps = BETA * (torch.stack(sorted(better, key=value)) - torch.stack(sorted(worse, key=value)))
        flipped = 0.1 if name == "aot_unpaired" else 0.0
        return -((1 - flipped) * log_sigmoid(gaps) + flipped * log_sigmoid(-gaps)).mean()
    return torch.stack(
        [of_pair(name, policy[group], reference[group], winner, loser) for group, winner, loser in pairs]
    ).mean()


def of_pair(name: str, policy: tuple[Tensor, Tensor, Tensor], reference: Tensor, winner: int, loser: int) -> Tensor:
    """The loss of one pair, from matrices (responses, tokens) of its group."""
    logps, squares, lengths = policy
    counted = {
        response: [
            0.4 if name == "ld_dpo" and token >= min(lengths[winner], lengths[loser]) else 1.0  # Liu et al. 2024, alpha
            for token in range(lengths[response])
        ]
        for response in (winner, loser)
    }

    def total(table: Tensor, response: int) -> Tensor:
        return torch.stack([weight * table[response, token] for token, weight in enumerate(counted[response])]).sum()

    margin = total(logps, winner) - total(reference, winner) - total(logps, loser) + total(reference, loser)
    loss = -log_sigmoid(BETA * margin)
    if name == "sum":  # twice DPO and half of the chosen response's mean negative logp
        return 2.0 * loss - 0.5 * logps[winner].sum() / lengths[winner]
    if name == "wpo":  # Zhou et al. 2024, eq. 2, with the alignment by sampled outputs
        likely = [logps[i, token] - squares[i, token] for i in (winner, loser) for token in range(lengths[i])]
        means = torch.stack(likely).split([int(lengths[winner]), int(lengths[loser])])
        return (means[0].mean() + means[1].mean()).exp().detach() * loss
    return loss


LOSSES = {
    "wpo": WPO(beta=BETA),
    "ld_dpo": LDDPO(beta=BETA, alpha=0.4),
    "aot": AOT(beta=BETA),
    "aot_unpaired": AOTUnpaired(beta=BETA, label_smoothing=0.1),
    "plackett_luce": PlackettLuce(beta=BETA),
    "sum": WeightedSum(losses=(Sigmoid(beta=BETA), ChosenNLL()), weights=(2.0, 0.5)),
}


@pytest.mark.parametrize("plain", [False, True], ids=["tree", "plain"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_step_is_the_published_loss_however_it_is_cut(name: str, plain: bool, rendered: list[Rendered]) -> None:
    model = tiny()
    data = dataset(rendered, reference_model())
    expected = written_out(name, model, data)
    expected.backward()
    wanted = {key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None}
    parts: list[Part] = [(g, tuple(Unit(pairs=((*pair, 1.0),)) for pair in some)) for g, some in PAIRS.items()]
    if name == "plackett_luce":
        parts = [(group, (ranking_unit(ranking),)) for group, ranking in RANKINGS.items()]
    objective = objectives.preference(LOSSES[name])
    normaliser = objective.normaliser(parts, rendered)
    for budget in (20, 64, 4096):
        scorer = Scorer(tiny()).train()
        batches = micro_batches(parts, data, budget=budget, packing=Packing(plain), needs=objective.needs)
        outcomes = [backward(scorer, batch, objective, normaliser) for batch in batches]
        loss = sum(float(outcome.losses.sum()) for outcome in outcomes) / normaliser
        assert loss == pytest.approx(float(expected.detach()), abs=2e-6)
        for key, weight in scorer.model.named_parameters():
            if weight.grad is not None:
                torch.testing.assert_close(weight.grad, wanted[key], atol=1e-5, rtol=1e-4)


def test_fronts_are_scored_as_the_first_tokens_of_the_longer_response(rendered: list[Rendered]) -> None:
    model = tiny()
    groups = [
        PromptGroup("p", [str(i) for i in range(len(row.branches))], [Comparison(*pair) for pair in PAIRS[number]])
        for number, row in enumerate(rendered)
    ]

    def score(rows: list[Rendered]) -> list[Tensor]:
        return [token_rows(model, row)[0].sum(1).detach() for row in rows]

    for row, found, pairs in zip(rendered, front_logps(groups, rendered, score), PAIRS.values(), strict=True):
        logps, _, lengths = (part.detach() for part in token_rows(model, row))
        longer = {max(pair, key=lambda i: lengths[i]) for pair in pairs if lengths[pair[0]] != lengths[pair[1]]}
        assert {response for response, _ in found} == longer
        for (response, count), value in found.items():
            assert value == pytest.approx(float(logps[response, :count].sum()), abs=1e-5)


# -- whole runs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tiny_model: str, preference_file: Path, tmp_path: Path) -> Callable[..., pt.RunResult]:
    def train(name: str, loss: Any, **settings: Any) -> pt.RunResult:
        defaults = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(preference_file), "held_out": 2},
            "batch_size": 12,
            "optimizer": {"learning_rate": 3e-3},
            "evaluate": {"samples": None},
            "out": str(tmp_path / name),
        }
        return pt.train(pt.DPO(loss=loss, **defaults | settings))

    return train


def lines(run: pt.RunResult) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")} for row in rows]


def held_out_losses(run: pt.RunResult) -> list[float]:
    return [row["held_out"]["loss"]["value"] for row in lines(run) if row["kind"] == "eval"]


def test_each_loss_trains_and_differs_from_dpo(run: Callable[..., pt.RunResult]) -> None:
    control = held_out_losses(run("sigmoid", "sigmoid"))
    for loss in (
        {"name": "wpo", "beta": 0.1},
        {"name": "ld_dpo", "beta": 0.1},
        {"name": "aot"},
        {"name": "aot_unpaired"},
        {"name": "sum"},
    ):
        trained = run(loss["name"], loss)
        losses = held_out_losses(trained)
        assert losses[-1] < losses[0], loss
        assert losses[-1] != pytest.approx(control[-1], rel=1e-3), loss
        assert lines(trained)[0]["held_out"]["accuracy"]["value"] == 0.5  # nobody leads before the first step
        sorts = loss["name"].startswith("aot")  # which of its terms belong to which prompt depends on the file's order
        reason = lines(trained)[-1]["held_out"]["loss"]["reason"]
        assert (reason == "no interval: this loss sorts all comparisons together") == sorts


def test_limits_of_the_new_losses_are_dpo(run: Callable[..., pt.RunResult]) -> None:
    control = lines(run("sigmoid", {"name": "sigmoid", "beta": 0.2}))
    same = {
        "ld": {"name": "ld_dpo", "beta": 0.2, "alpha": 1.0},
        "sum": {"name": "sum", "losses": [{"name": "sigmoid", "beta": 0.2}]},
    }
    for name, loss in same.items():
        for row, wanted in zip(lines(run(name, loss)), control, strict=True):
            assert row["loss"] == pytest.approx(wanted["loss"], abs=1e-5) if "loss" in row else True
            if "held_out" in row:
                assert row["held_out"]["loss"]["value"] == pytest.approx(wanted["held_out"]["loss"]["value"], abs=1e-5)
    anchored = lines(run("anchor", {"name": "sigmoid", "beta": 0.2, "nll_weight": 0.5}))
    summed = {"name": "sum", "losses": [{"name": "sigmoid", "beta": 0.2}, "sft"], "weights": [1, 0.5]}
    for row, wanted in zip(lines(run("summed", summed)), anchored, strict=True):
        assert row.get("loss", 0) == pytest.approx(wanted.get("loss", 0), abs=1e-5)
    one = lines(run("one", {"name": "aot", "beta": 0.2}, batch_size=1, max_steps=3))
    wanted = lines(run("one-dpo", {"name": "sigmoid", "beta": 0.2}, batch_size=1, max_steps=3))
    for row, other in zip(one, wanted, strict=True):
        assert row.get("loss", 0) == pytest.approx(other.get("loss", 0), abs=1e-5)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


NAMES = ("Tom", "Ann", "Sue", "Bob", "Kim", "Max")


def ranked(count: int, **extra: Any) -> list[dict[str, Any]]:
    texts = [" It was a good day.", " It was sad.", " They ran.", " No."][:count]
    pairs = [{"winner": i, "loser": j} for i in range(count) for j in range(i + 1, count)]
    return [{"prompt": f"{name} went out.", "responses": texts, "comparisons": pairs} | extra for name in NAMES]


def test_rankings_train_and_those_of_two_are_dpo(run: Callable[..., pt.RunResult], tmp_path: Path) -> None:
    four = {"path": write(tmp_path / "four.jsonl", ranked(4)), "held_out": 2}
    trained = run("four", "plackett_luce", data=four, batch_size=2)
    assert trained.metrics["steps"] == 2  # 4 rankings, 2 a step
    losses = held_out_losses(trained)
    assert losses[0] == pytest.approx(math.log(24), abs=1e-4)  # ln k! where policy and reference agree
    assert losses[-1] < losses[0]
    two = {"path": write(tmp_path / "two.jsonl", ranked(2)), "held_out": 2}
    settings = {"data": two, "batch_size": 2}
    rows = zip(lines(run("pl", "plackett_luce", **settings)), lines(run("dpo", "sigmoid", **settings)), strict=True)
    for row, wanted in rows:
        for name in ("loss", "margin", "accuracy"):
            assert row.get(name, 0) == pytest.approx(wanted.get(name, 0), abs=1e-5)


def test_prompts_without_a_ranking_are_left_out_and_counted(run: Callable[..., pt.RunResult], tmp_path: Path) -> None:
    rows = ranked(3)
    rows[0]["comparisons"] = [{"winner": 0, "loser": 1}, {"winner": 1, "loser": 2}, {"winner": 2, "loser": 0}]
    rows[1]["comparisons"] = rows[1]["comparisons"][:2]
    data = {"path": write(tmp_path / "prefs.jsonl", rows), "held_out": 2}
    trained = run("some", "plackett_luce", data=data, batch_size=2)
    assert trained.metrics["data"]["no_ranking"] == 2
    (warning,) = [w for w in trained.metrics["warnings"] if "ranking" in w]
    assert "2 of 6 prompts have no full ranking" in warning
    assert "prefs.jsonl:1" in warning
    none = {"path": write(tmp_path / "none.jsonl", rows[:2]), "held_out": 0}
    with pytest.raises(InputError, match="no full ranking to train on"):
        run("none", "plackett_luce", data=none)


def test_losses_that_sort_refuse_comparisons_of_several_weights(
    run: Callable[..., pt.RunResult], tmp_path: Path
) -> None:
    rows = ranked(2)
    rows.append(rows[3])  # merged rows add their weights
    data = {"path": write(tmp_path / "prefs.jsonl", rows), "held_out": 2}
    with pytest.raises(InputError, match=r"`aot` sorts comparisons .* weight 1 .* 2 \(.*prefs.jsonl:4\)"):
        run("weights", "aot", data=data)
    for refused in (
        {"losses": ["sft"]},
        {"losses": ["sigmoid", "sft"], "weights": [1]},
        {"losses": [{"name": "sigmoid"}], "weights": [0]},
        {"losses": []},
        {"losses": ["plackett_luce"]},
    ):
        with pytest.raises(InputError):
            WeightedSum(**refused)
