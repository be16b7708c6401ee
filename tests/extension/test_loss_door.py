"""A loss of the user's: named as `module:function`, tried before anything is trained, and digested by its code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.config import load_config, to_yaml
from penchant.errors import InputError, RunError
from penchant.losses import CustomLoss, Sigmoid, WeightedSum
from penchant.losses.custom import check_custom_losses, custom_digests
from penchant.losses.dispatch import pair_losses
from penchant.methods.dpo import DPO, run
from penchant.studies.core.address import losses_in
from penchant.train.objectives import preference

LOSS = """
import torch
from torch.nn.functional import logsigmoid, softplus

def logistic(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta=0.1):
    return softplus(-beta * ((policy_chosen - ref_chosen) - (policy_rejected - ref_rejected)))

def mean(*logps):
    return logistic(*logps).mean()

def number(*logps):
    return 1.0

def without_gradient(*logps):
    return logistic(*logps).detach()

def overflow(policy_chosen, *rest):
    return (-100 * policy_chosen).exp()

def steep(policy_chosen, *rest):
    return (policy_chosen - policy_chosen.detach()).abs().sqrt()

def fails(*logps):
    raise SystemExit(3)

def complex_numbers(*logps):
    return logistic(*logps) + 0j

def of_the_reference(policy_chosen, policy_rejected, ref_chosen, ref_rejected):
    return (ref_chosen - ref_rejected).requires_grad_() * 2

def in_place(policy_chosen, policy_rejected, ref_chosen, ref_rejected):
    ref_chosen.zero_()
    return logistic(policy_chosen, policy_rejected, ref_chosen, ref_rejected)

def on_short_texts_only(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta=0.1):
    losses = logistic(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    return torch.where(policy_chosen > -50, losses, torch.full_like(losses, float("nan")))

constant = 3
"""
LOGPS = tuple(torch.tensor(row) for row in ([-8.0, -20.0], [-9.0, -6.0], [-10.0, -18.0], [-7.0, -7.5]))
TOKENS = (torch.tensor([4, 10]), torch.tensor([3, 5]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of losses."""
    (tmp_path / "mine.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dpo(**settings: Any) -> DPO:
    return DPO(**{"model": "penchant-0.5m", "data": "pairs.jsonl", **settings})


@pytest.mark.parametrize("name", ["mine.py:logistic", "./mine.py:logistic", "mine:logistic"])
def test_a_loss_in_a_file_computes_as_a_built_in_one_does(name: str, folder: Path) -> None:
    ours, margins = pair_losses(CustomLoss(function=name, nll_weight=0.5), *LOGPS, *TOKENS)
    theirs, _ = pair_losses(Sigmoid(nll_weight=0.5), *LOGPS, *TOKENS)
    torch.testing.assert_close(ours, theirs)
    assert margins.tolist() == [4.0, -3.5]  # the difference of the log-ratios


def test_a_loss_of_an_installed_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "installed").mkdir()
    (folder / "installed" / "package_of_losses.py").write_text(LOSS)
    monkeypatch.syspath_prepend(str(folder / "installed"))
    monkeypatch.delitem(sys.modules, "package_of_losses", raising=False)
    loss = CustomLoss(function="package_of_losses:logistic", settings={"beta": 0.7})
    torch.testing.assert_close(
        pair_losses(loss, *LOGPS, *TOKENS)[0], pair_losses(Sigmoid(beta=0.7), *LOGPS, *TOKENS)[0]
    )


def test_a_name_with_a_colon_stands_where_a_built_in_name_can() -> None:
    mine = CustomLoss(function="mine.py:logistic")
    assert dpo(loss="mine.py:logistic").loss == mine
    assert dpo(loss={"name": "mine.py:logistic", "settings": {"beta": 2}}).loss == mine.replace(settings={"beta": 2})
    summed = dpo(loss={"name": "sum", "losses": ["mine.py:logistic", "sft"]}).loss
    assert isinstance(summed, WeightedSum)
    assert summed.losses[0] == mine


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"or module:attribute, got 'sigmod'; did you mean `sigmoid`"):
        dpo(loss="sigmod")


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        ("mine.py:logistc", {}, "the loss `mine.py:logistc`: mine.py has no `logistc`; did you mean `logistic`"),
        ("mien.py:logistic", {}, "there is no file mien.py; did you mean `mine.py`"),
        ("mine.py:constant", {}, "expected a function, but it is a int"),
        (
            "mine.py:logistic",
            {"bta": 1},
            "it is called with four tensors .*, but got an unexpected keyword argument 'bta'",
        ),
        ("mine.py:mean", {}, r"it returned the shape \(\), expected \(4,\): one loss per pair, without a mean"),
        ("mine.py:number", {}, "it returned a float, expected a tensor"),
        ("mine.py:without_gradient", {}, "their gradient is cut"),
        ("mine.py:of_the_reference", {}, "do not hang on the policy's log-probabilities"),
        ("mine.py:complex_numbers", {}, r"it returned complex numbers \(torch.complex64\)"),
        ("mine.py:in_place", {}, "it changes the log-probabilities that it is given"),
        ("mine.py:overflow", {}, "its losses of four pairs are .*inf.*, expected finite numbers"),
        ("mine.py:steep", {}, "its gradient on four pairs is not finite"),
        ("mine.py:fails", {}, r"it ended the program \(sys.exit\(3\)\)"),
    ],
)
def test_what_is_no_loss_is_refused_before_anything_is_trained(
    function: str, settings: dict[str, float], message: str, folder: Path
) -> None:
    loss = CustomLoss(function=function, settings=settings)
    for whole in (loss, WeightedSum(losses=(Sigmoid(), loss))):
        with pytest.raises(InputError, match=message):
            preference(whole)


def test_a_file_of_the_current_folder_stands_for_no_module(folder: Path) -> None:
    (folder / "select.py").write_text("raise SystemExit('hostile')")
    (folder / "mine.py").write_text(f"import select\nimport selectors\n{LOSS}")
    check_custom_losses(CustomLoss(function="mine.py:logistic"))
    assert str(folder) not in sys.path


def test_an_edited_loss_is_loaded_anew_and_has_another_digest(folder: Path) -> None:
    loss = CustomLoss(function="mine.py:logistic")
    check_custom_losses(loss)
    before, digests = pair_losses(loss, *LOGPS, *TOKENS)[0], custom_digests(loss)
    assert list(digests) == ["the loss mine.py:logistic"]
    (folder / "mine.py").write_text(LOSS.replace("softplus(-beta", "3 * softplus(-beta"))
    check_custom_losses(loss)
    torch.testing.assert_close(pair_losses(loss, *LOGPS, *TOKENS)[0], 3 * before)
    assert custom_digests(loss) != digests
    assert custom_digests(Sigmoid()) == {}


def test_a_stage_with_a_loss_of_ones_own_depends_on_none_of_ours() -> None:
    assert losses_in({"name": "custom", "function": "mine.py:logistic"}) == set()


@pytest.mark.parametrize(("held_out", "words"), [(0, "the loss of step 1"), (2, "the held-out loss after step 0")])
def test_a_loss_that_is_not_finite_on_real_data_is_named_with_its_place_the_step_and_the_rows(
    held_out: int, words: str, folder: Path, tiny_model: str
) -> None:
    """Four pairs are tried before training; what fails on the data's own log-probabilities shows only there."""
    rows = [{"prompt": f"{n}?", "chosen": " a long answer " * 9, "rejected": f" no {n}"} for n in range(6)]
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = {"model": {"name": tiny_model, "device": "cpu"}, "data": {"path": "pairs.jsonl", "held_out": held_out}}
    with pytest.raises(RunError, match=f"{words} is not finite. Rows: pairs.jsonl:") as caught:
        run(dpo(**settings, evaluate={"samples": None}, loss="mine.py:on_short_texts_only", out="ours"))
    line = 1 + LOSS.splitlines().index(next(text for text in LOSS.splitlines() if "def on_short" in text))
    assert f"your own code, `mine.py:on_short_texts_only` ({folder / 'mine.py'}:{line})" in str(caught.value)


def test_the_same_loss_given_again_to_a_recorded_run_replaces_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = dpo(loss={"name": "mine.py:logistic", "settings": {"beta": 2}, "nll_weight": 1}, out="run")
    (folder / "config.yaml").write_text(to_yaml(recorded))
    for overrides in (["loss=mine.py:logistic", "loss.settings.beta=2"], ["loss=mine.py:logistic"], ["loss=custom"]):
        assert load_config(DPO, folder / "config.yaml", overrides) == recorded
    assert not caplog.records
    other = load_config(DPO, folder / "config.yaml", ["loss=mine.py:mean"]).loss
    assert other == CustomLoss(function="mine.py:mean")
    assert "loss=mine.py:mean replaces mine.py:logistic; what was set for that no longer applies" in caplog.text


@pytest.mark.slow
def test_a_run_trains_with_it_and_keeps_its_digest_to_be_resumed(folder: Path, tiny_model: Path) -> None:
    rows = [{"prompt": f"{n}?", "chosen": f" yes {n}", "rejected": f" no {n}"} for n in range(6)]
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    shared = {"model": {"name": str(tiny_model), "device": "cpu"}, "batch_size": 2, "max_steps": 2}
    run(dpo(**shared, loss="mine.py:logistic", out="ours"))
    run(dpo(**shared, out="theirs"))
    kept = [(folder / name / "metrics.jsonl").read_text().splitlines() for name in ("ours", "theirs")]
    ours, theirs = ([row["loss"] for row in map(json.loads, lines) if "loss" in row] for lines in kept)
    assert len(ours) == 2
    assert ours == pytest.approx(theirs)
    inputs = json.loads((folder / "ours" / "provenance.json").read_text())["inputs"]
    assert inputs["the loss mine.py:logistic"] == custom_digests(CustomLoss(function="mine.py:logistic")).popitem()[1]
