"""Diffusion-DPO behind the gradient loop: its equation, its noise, its table, resuming, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.picture_models import CLASSES, SIDE, picture_turn, random_picture, tiny_diffusion, write_pairs

import penchant as pt
from penchant.data.rendering.rendered import Rendered
from penchant.engine.diffusion import Noise, fixed_noise, fresh_noise, levels
from penchant.engine.reference import Reference
from penchant.engine.score import score
from penchant.engine.tree import ROWS
from penchant.errors import InputError
from penchant.losses.contract import Needs
from penchant.losses.settings import Sigmoid
from penchant.methods import train
from penchant.methods.dpo import DPO
from penchant.methods.kto import KTO
from penchant.methods.preferred_ft import PreferredFT
from penchant.models.diffusion.policy import DiffusionPolicy, load_diffusion
from penchant.train import objectives
from penchant.train.batch import Dataset, MicroBatch, micro_batches
from penchant.train.fresh_noise import FreshNoise, noise_keys
from penchant.train.gradient import backward
from penchant.train.plan import Unit, is_media_group, split_key
from penchant.types import PromptGroup, Response

BETA = 0.5


def _rendered(policy: DiffusionPolicy, pairs: int) -> list[Rendered]:
    return [
        policy.renderer.render(
            PromptGroup(
                CLASSES[number % 2],
                [Response("", parts=(random_picture(level, 2 * number + level),)) for level in (180, 70)],
            )
        )
        for number in range(pairs)
    ]


def _batches(policy: DiffusionPolicy, pairs: int, budget: int = 4096) -> list[MicroBatch]:
    parts = [(number, (Unit(pairs=((0, 1, 1.0),)),)) for number in range(pairs)]
    return micro_batches(parts, Dataset(_rendered(policy, pairs)), budget=budget, packing=ROWS)


def _errors(policy: DiffusionPolicy, row: Rendered, index: int, noise: Noise) -> torch.Tensor:
    """The squared error of one picture, written out without the engine."""
    alpha, sigma = levels(noise.times)
    levels_of_picture = torch.tensor(row.branches[index].ids, dtype=torch.float32).reshape(1, SIDE, SIDE)
    noisy = alpha * (levels_of_picture / 127.5 - 1) + sigma * noise.values
    guess = policy.model(noisy, noise.times, torch.tensor(row.prompt_ids))
    return ((guess - noise.values) ** 2).sum()


def test_the_loss_by_hand() -> None:
    # errors of the chosen picture 4 (reference 6), of the rejected one 9 (8): the difference falls by 3
    policy, reference = torch.tensor([-4 / 2, -9 / 2]), torch.tensor([-6 / 2, -8 / 2])
    losses, _ = objectives.pair_losses(
        Sigmoid(beta=BETA), *policy[:, None], *reference[:, None], *torch.ones(2, 1, dtype=torch.long)
    )
    assert float(losses[0]) == pytest.approx(-math.log(1 / (1 + math.exp(-BETA / 2 * 3))), rel=1e-6)


def test_loss_and_gradient_of_a_step_against_the_equation_written_out() -> None:
    policy, frozen = tiny_diffusion(0), tiny_diffusion(1)
    draws = FreshNoise(Reference(frozen.scorer, adapters_off=False), 7, (SIDE, SIDE))
    (batch,) = _batches(policy, 3)
    outcome = backward(policy.scorer, draws.draw(batch, 5), objectives.preference(Sigmoid(beta=BETA)), 3.0)
    gradients = [weight.grad.clone() for weight in policy.model.parameters() if weight.grad is not None]
    policy.model.zero_grad()
    total = torch.zeros(())
    for number, row in enumerate(_rendered(policy, 3)):
        noise = fresh_noise([f"7 5 {number} 0"], (SIDE, SIDE))
        won, lost = (_errors(policy, row, index, noise) for index in (0, 1))
        ref_won, ref_lost = (_errors(frozen, row, index, noise).detach() for index in (0, 1))
        total = total - torch.nn.functional.logsigmoid(-BETA / 2 * ((won - lost) - (ref_won - ref_lost)))
    (total / 3).backward()
    assert float(outcome.losses.sum()) == pytest.approx(float(total.detach()), rel=1e-4)
    expected = [weight.grad for weight in policy.model.parameters() if weight.grad is not None]
    assert len(expected) == len(gradients)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_at_the_reference_the_loss_is_ln_2_under_any_noise() -> None:
    policy = tiny_diffusion()
    draws = FreshNoise(Reference.of_policy(policy.scorer), 0, (SIDE, SIDE))
    for step in range(3):
        (batch,) = _batches(policy, 2)
        outcome = objectives.preference(Sigmoid(beta=BETA)).compute(
            policy.scorer(draws.draw(batch, step).batches[0]), draws.draw(batch, step)
        )
        torch.testing.assert_close(outcome.losses.detach(), torch.full((2,), math.log(2)))


def test_a_step_is_the_same_however_it_is_cut() -> None:
    policy, frozen = tiny_diffusion(0), tiny_diffusion(1)
    draws = FreshNoise(Reference(frozen.scorer, adapters_off=False), 0, (SIDE, SIDE))
    sums = []
    for budget in (1 + SIDE**2, 4096):
        batches = [draws.draw(batch, 1) for batch in _batches(policy, 4, budget)]
        outcomes = [backward(policy.scorer, batch, objectives.preference(Sigmoid(beta=BETA)), 4.0) for batch in batches]
        sums.append(sum(float(outcome.losses.sum()) for outcome in outcomes))
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_joined_responses_share_their_noise_and_others_do_not() -> None:
    (batch,) = _batches(tiny_diffusion(), 2)
    keys = noise_keys(batch)
    assert keys[0] == keys[1] != keys[2] == keys[3]
    # a response that nothing is compared with has its own
    alone = replace(batch, pairs=torch.zeros(0, 2, dtype=torch.long))
    assert len(set(noise_keys(alone))) == 4
    chain = replace(batch, pairs=torch.tensor([[2, 3], [1, 2], [0, 1]]))
    assert len(set(noise_keys(chain))) == 1


def test_every_step_has_other_noise_and_the_same_again() -> None:
    draws = FreshNoise.for_run(tiny_diffusion(), None, Needs(), seed=0)
    (batch,) = _batches(tiny_diffusion(), 1)
    first, second, again = (draws.draw(batch, step).batches[0].noise for step in (1, 2, 1))
    assert first is not None
    assert second is not None
    assert again is not None
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, second.values)
    assert draws.reference is None  # a loss without reference needs no copy


def test_a_fixed_score_is_the_mean_over_its_draws_and_needs_no_noise() -> None:
    policy = tiny_diffusion()
    (row,) = _rendered(policy, 1)
    noise = fixed_noise((SIDE, SIDE))
    errors = [
        float(_errors(policy, row, 0, Noise(noise.times[draw : draw + 1], noise.values[draw : draw + 1])).detach())
        for draw in range(len(noise.times))
    ]
    assert float(score(policy.scorer, [row])[0][0]) == pytest.approx(-sum(errors) / len(errors) / 2, rel=1e-4)


# -- whole runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tiny_diffusion().save(tmp_path / "model")
    write_pairs(tmp_path)
    return tmp_path


def _config(**changes: object) -> DPO:
    settings = {
        "model": "model",
        "data": {"path": "pairs.jsonl", "merge": False, "held_out": 0.5},
        "loss": {"name": "sigmoid", "beta": 0.5},
        "optimizer": {"name": "adamw", "learning_rate": 3e-3},
        "batch_size": 2,
        "epochs": 4,
        "out": "run",
    }
    return DPO(**{**settings, **changes})


def _lines(run: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "tokens_per_s")} for line in lines]


def test_a_run_learns_which_pictures_are_preferred(folder: Path) -> None:
    result = train(_config())
    first, last = (result.metrics[when]["held_out"] for when in ("first", "final"))
    assert first["loss"]["value"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["margin"]["value"] == 0
    assert last["loss"]["value"] < 0.6
    # classes stand on both sides: pictures are split, not prompts
    assert first["loss"]["clusters"] == 6
    learned = load_diffusion("run")
    assert not torch.equal(learned.model.enter.weight, tiny_diffusion().model.enter.weight)  # type: ignore[union-attr]


def test_a_resumed_run_ends_at_the_same_bits(folder: Path) -> None:
    train(_config())
    whole = _lines(folder / "run")
    train(_config(out="cut", max_steps=5))
    train(_config(out="cut"), resume=True)
    cut = _lines(folder / "cut")
    by_step = {(line["kind"], line["step"]): line for line in cut}
    for line in whole:
        if line["kind"] == "train" or line["step"] in (0, 12):
            assert line == by_step[(line["kind"], line["step"])]
    weights = [(folder / run / "checkpoint" / "model.safetensors").read_bytes() for run in ("run", "cut")]
    assert weights[0] == weights[1]


def test_supervised_training_on_preferred_pictures_lowers_their_error(folder: Path) -> None:
    config = PreferredFT(
        model="model",
        data={"path": "pairs.jsonl", "merge": False, "held_out": 0.5},
        optimizer={"name": "adamw", "learning_rate": 3e-3},
        batch_size=2,
        epochs=4,
        out="run",
    )
    result = train(config)
    first, last = (result.metrics[when]["held_out"] for when in ("first", "final"))
    assert last["loss"]["value"] < first["loss"]["value"]


def test_another_model_as_the_reference(folder: Path) -> None:
    tiny_diffusion(3).save(folder / "other")
    result = train(_config(reference="other", max_steps=1))
    assert result.metrics["first"]["held_out"]["margin"]["value"] != 0
    small = tiny_diffusion()
    small.model.config = replace(small.shape, conditions=("bag", "boot"))  # type: ignore[assignment]
    small.save(folder / "third")
    with pytest.raises(InputError, match="other pictures"):
        train(_config(reference="third", out="run2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "sigmoid"}, "no default for a diffusion model.*2000-5000"),
        ({"loss": {"name": "ipo"}}, "loss.tau has no default"),
        ({"loss": "orpo"}, "`orpo`.*no reference"),
        ({"loss": {"name": "sum", "losses": [{"name": "sigmoid", "beta": 1}, "sft"]}}, "`sft`"),
        ({"loss": {"name": "sigmoid", "beta": 1, "nll_weight": 0.1}}, "nll_weight"),
        ({"model": {"name": "model", "lora": {}}}, "model.lora is for language models"),
        ({"gradient_checkpointing": True}, "gradient_checkpointing"),
        ({"evaluate": {"samples": {"max_prompts": 2}}}, "evaluate.samples draws texts"),
        ({"model": "penchant-0.5m"}, "picture"),
    ],
)
def test_settings_that_are_refused(folder: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(_config(**change))
    assert not (folder / "run").exists()


def _wrong_size(folder: Path) -> object:
    (folder / "large.png").write_bytes(random_picture(90, 1, 8).content)
    return picture_turn("large.png")


def _text(folder: Path) -> object:
    return [{"role": "assistant", "content": "a fine bag"}]


@pytest.mark.parametrize(
    ("make", "prompt", "message"),
    [
        (_wrong_size, "bag", "large.png has 8 x 8 pixels, but the diffusion model draws grey ones of 4 x 4"),
        (_text, "bag", "one is a picture|pictures|text"),
        (lambda _: picture_turn("light1.png"), "bog", "names nothing.*expected one of bag, coat, any"),
    ],
)
def test_rows_that_are_refused(folder: Path, make: Callable[[Path], object], prompt: str, message: str) -> None:
    row = {
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": picture_turn("light0.png"),
        "rejected": make(folder),
    }
    (folder / "pairs.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=message):
        train(_config(data={"path": "pairs.jsonl", "held_out": 0}))


def test_pairs_of_text_and_a_method_of_text_are_refused(folder: Path) -> None:
    (folder / "text.jsonl").write_text(json.dumps({"prompt": "bag", "chosen": "good", "rejected": "bad"}))
    with pytest.raises(InputError, match="learns from responses that are one picture each, got text"):
        train(_config(data={"path": "text.jsonl", "held_out": 0}))
    with pytest.raises(InputError, match="kto needs the likelihood"):
        train(KTO(model="model", data={"path": "text.jsonl", "held_out": 0}))
    with pytest.raises(InputError, match="draws pictures and writes no text"):
        pt.load_policy("model")
    with pytest.raises(InputError, match="is no diffusion model"):
        load_diffusion("penchant-0.5m")


def test_pairs_are_split_by_their_pictures_and_text_by_its_prompt() -> None:
    pictures = [Response("", parts=(random_picture(level, level),)) for level in (1, 2)]
    group = PromptGroup("bag", pictures)
    assert is_media_group(group)
    assert split_key(group) != split_key(PromptGroup("bag", pictures[:1]))
    assert split_key(PromptGroup("bag", ["a", "b"])) == "bag"


def test_every_loss_of_differences_trains(folder: Path) -> None:
    # one step each: what a loss is given has the right form
    for loss in ("aot", "plackett_luce", "sppo_hard"):
        settings: dict[str, object] = {"name": loss, "beta": 0.5}
        result = train(_config(loss=settings, max_steps=1, out=f"run-{loss}"))
        assert math.isfinite(result.metrics["final"]["held_out"]["loss"]["value"])
