"""The best checkpoint by a named metric, and the last few: chosen, kept, resumed, and refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import penchant as pt
from penchant.config import load_config
from penchant.digests import check_files, read_sums
from penchant.errors import InputError, RunError, RunMismatchError
from penchant.methods import DPO, RewardModel, train
from penchant.models.reward import load_reward_model
from penchant.train import gradient
from penchant.train.best import improves, metric_values
from penchant.types import PromptGroup, RunResult

GROUP = PromptGroup("Ann went out.", [" She sang.", " It was sad and she fell."])


@pytest.fixture
def settings(
    tiny_model: str, preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    return (
        *(f"model={tiny_model}", "model.device=cpu", f"data={preference_file}", "data.held_out=4", "batch_size=8"),
        *("optimizer.learning_rate=0.03", "evaluate.samples=null", "evaluate.every_steps=1", "max_steps=4"),
    )


def evaluations(run: RunResult) -> dict[int, dict[str, float]]:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    evals = [row for row in rows if row["kind"] == "eval"]
    return {
        row["step"]: {name: item["value"] for name, item in row["held_out"].items() if "value" in item} for row in evals
    }


@pytest.mark.parametrize(("metric", "sign"), [("loss", -1), ("held_out.margin", 1)])
def test_the_best_evaluation_is_kept(settings: tuple[str, ...], metric: str, sign: int) -> None:
    run = train(load_config(DPO, None, (*settings, f"checkpoint.best={metric}", "checkpoint.keep=9", "out=run")))
    values = {step: sign * row[metric.rpartition(".")[2]] for step, row in evaluations(run).items()}
    best = max(values, key=lambda step: (values[step], -step))
    assert run.metrics["best_step"] == best
    assert run.metrics["best_metric"] == (metric if "." in metric else f"held_out.{metric}")
    scores = pt.load_policy(run.path / "best", device="cpu").score([GROUP])[0]
    # the weights are those of the step: the start's, or those of its own checkpoint
    name = run.path / f"checkpoint-{best}" if best else Path(load_config(DPO, None, settings).model.name)
    assert torch.equal(scores, pt.load_policy(name, device="cpu").score([GROUP])[0])
    # without early stopping the last weights stay the run's result
    last = pt.load_policy(run.path / "checkpoint", device="cpu").score([GROUP])[0]
    assert torch.equal(last, pt.load_policy(run.path / "checkpoint-4", device="cpu").score([GROUP])[0])


def test_weights_that_diverged_take_no_checkpoints_place(settings: tuple[str, ...]) -> None:
    """They may be finite, and only what is computed of them is not."""
    diverging = (*settings, "optimizer.learning_rate=1e30", "checkpoint_every=1", "out=run")
    with pytest.raises(RunError, match="the held-out loss after step 1 is not finite") as caught:
        train(load_config(DPO, None, diverging))
    assert "There was no checkpoint yet." in str(caught.value)
    assert not Path("run/checkpoint").exists()


def test_the_last_few_checkpoints_stay(settings: tuple[str, ...]) -> None:
    run = train(load_config(DPO, None, (*settings, "checkpoint.keep=2", "out=run")))
    assert sorted(path.name for path in run.path.glob("checkpoint*")) == ["checkpoint", "checkpoint-3", "checkpoint-4"]
    kept = run.path / "checkpoint-3"
    assert not (kept / "resume").exists()
    check_files(kept, read_sums(kept) or {})
    pt.load_policy(kept, device="cpu")


@pytest.mark.slow
def test_early_stopping_goes_by_the_named_metric(settings: tuple[str, ...]) -> None:
    changes = ("checkpoint.best=margin", "early_stopping.patience=1", "max_steps=20", "epochs=20", "out=run")
    run = train(load_config(DPO, None, (*settings, *changes)))
    margins = {step: row["margin"] for step, row in evaluations(run).items()}
    # it ends at the first evaluation without a new best
    steps = sorted(margins)
    stop = next((n for n in range(1, len(steps)) if margins[steps[n]] <= max(margins[s] for s in steps[:n])), None)
    assert run.metrics["steps"] == (steps[stop] if stop is not None else 20)
    assert run.metrics["final"]["held_out"]["margin"]["value"] == pytest.approx(max(margins.values()))


@pytest.mark.slow
def test_a_run_that_is_resumed_keeps_the_same_best(settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ("checkpoint.best=margin", "checkpoint.keep=2")
    whole = train(load_config(DPO, None, (*settings, *changes, "out=whole")))
    step, done = gradient._step, []

    def stopping(*given: object) -> dict[str, float]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return step(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(gradient, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(load_config(DPO, None, (*settings, *changes, "out=halved")))
    halved = train(load_config(DPO, None, (*settings, *changes, "out=halved")), resume=True)
    for name in ("best", "checkpoint", "checkpoint-3", "checkpoint-4"):
        files = [run.path / name / "model.safetensors" for run in (whole, halved)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    assert whole.metrics["best_step"] == halved.metrics["best_step"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("checkpoint.best=accurracy",), r"best=held_out.accurracy is no metric .* did you mean held_out.accuracy"),
        (("checkpoint.best=label_accuracy",), r"expected one of held_out.loss, held_out.margin, held_out.accuracy"),
        (("checkpoint.best=samples.reward",), "none are drawn: set evaluate.samples"),
        (("checkpoint.best=samples.kl_nats",), "has a better and a worse"),
        (("checkpoint.best=loss", "evaluate.every_steps=null"), "set evaluate.every_steps"),
        (("checkpoint.best=loss", "data.held_out=0"), "set data.held_out"),
    ],
)
def test_a_metric_that_is_not_measured_is_refused_before_training(
    settings: tuple[str, ...], changes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(load_config(DPO, None, (*settings, *changes, "out=run")))
    assert not Path("run").exists()


def test_another_metric_is_another_run(settings: tuple[str, ...]) -> None:
    train(load_config(DPO, None, (*settings, "checkpoint.best=loss", "max_steps=1", "out=run")))
    with pytest.raises(RunMismatchError, match=r"checkpoint\.best"):
        train(load_config(DPO, None, (*settings, "checkpoint.best=accuracy", "max_steps=1", "out=run")), resume=True)


def test_the_best_reward_model_has_a_mean_of_its_own(settings: tuple[str, ...]) -> None:
    config = load_config(
        RewardModel,
        None,
        (*(text for text in settings if "samples" not in text), "checkpoint.best=accuracy", "out=run"),
    )
    run = train(config)
    best = load_reward_model(run.path / "best", device="cpu")
    assert best.offset != 0 or run.metrics["best_step"] == 0


def test_which_way_is_better_comes_from_the_catalogue() -> None:
    assert improves("held_out.loss", 1.0, 2.0)
    assert not improves("held_out.accuracy", 1.0, 2.0)
    assert not improves("held_out.loss", 1.9, 2.0, 0.5)
    line = {
        "held_out": {"loss": {"value": 1.0}, "longest_wins": {"value": 0.2}, "by_annotator": {"a": {"value": 1}}},
        "samples": {
            "policy": {"reward": {"value": None}, "kl_nats": {"value": 3.0}},
            "reference": {"reward": {"value": 7}},
        },
    }
    assert metric_values(line) == {"held_out.loss": 1.0, "samples.reward": None}
