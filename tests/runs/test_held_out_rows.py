"""What each held-out row gave: kept by a run, and paired with another run's by content."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import penchant as pt
from penchant.data.load import load_preferences
from penchant.digests import DamagedFile, check_files
from penchant.engine.score import score
from penchant.metrics import paired_difference
from penchant.reports.run.summary import shown_samples, summarize
from penchant.reports.run.versus import differences_from
from penchant.runs.held_out_rows import HELD_OUT_FILE, HeldOutRows, numbered, read_held_out_rows
from penchant.runs.read import read_runs

HELD_OUT = 14


@pytest.fixture(scope="module")
def folder(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of Preferred-FT on the same rows, and one on another split."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = [
        {"prompt": f"{n % 20}?", "chosen": f" {'good' * (n % 3 + 1)} {n}", "rejected": f" {'bad' * (n % 4 + 1)} {n}"}
        for n in range(40)
    ]
    (folder / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, rate, held_out in (("slow", 1e-4, HELD_OUT), ("fast", 5e-3, HELD_OUT), ("other", 5e-3, 12)):
        pt.train(
            pt.PreferredFT(
                model={"name": tiny_model, "device": "cpu"},
                data={"path": str(folder / "prefs.jsonl"), "held_out": held_out},
                batch_size=4,
                epochs=3,
                optimizer={"learning_rate": rate},
                evaluate={"samples": None},
                out=str(folder / name),
            )
        )
    return folder


def values_by_hand(folder: Path, name: str) -> dict[str, tuple[str, float, float]]:
    """Prompt, loss and accuracy of every row of the file, by its digest, from the model that the run left."""
    policy = pt.load_policy(str(folder / name), device="cpu")
    values = {}
    for group in load_preferences(folder / "prefs.jsonl"):
        rendered = policy.renderer.render(group)
        assert rendered is not None
        (logps,) = score(policy.scorer, [rendered])
        for comparison in group.comparisons:
            texts = [group.responses[side].text for side in (comparison.winner, comparison.loser)]
            sides = [(text, "", "()") for text in texts]
            content = ((("user", group.prompt),), *sides, None)
            chosen, rejected = (float(logps[side]) for side in (comparison.winner, comparison.loser))
            loss = -chosen / rendered.branches[comparison.winner].scored
            right = 1.0 if chosen > rejected else 0.0 if chosen < rejected else 0.5
            values[sha256(repr(content).encode()).hexdigest()[:16]] = (str(group.prompt), loss, right)
    return values


def test_the_paired_difference_of_two_runs_is_that_of_their_models_on_the_held_out_rows(folder: Path) -> None:
    fast, slow = (summarize(run) for run in read_runs([folder / "fast", folder / "slow"]))
    differences = {key: (difference, reason) for key, difference, reason in differences_from(fast, slow)}
    kept = read_held_out_rows(folder / "fast")
    assert kept is not None
    by_hand = [values_by_hand(folder, name) for name in ("fast", "slow")]
    for key, place in (("loss", 1), ("accuracy", 2)):
        a, b = ([values[row][place] for row in kept.keys] for values in by_hand)
        prompts = [by_hand[0][row][0] for row in kept.keys]
        assert len(set(prompts)) == HELD_OUT
        expected = paired_difference(a, b, prompts, share=key == "accuracy")
        difference, reason = differences[key]
        assert reason == ""
        assert difference.low is not None
        assert (difference.value, difference.low, difference.high) == pytest.approx(
            (expected.value, expected.low, expected.high), abs=1e-5
        )
        last = [summary.held_out_estimate(key) for summary in (fast, slow)]
        assert last[0] is not None
        assert last[1] is not None
        assert difference.value == pytest.approx(last[0].value - last[1].value, abs=1e-6)
    # the same prompts are hard for both models: pairing takes that out
    assert np.ptp([values[1] for values in by_hand[0].values()]) > 0


def test_rows_of_another_split_say_how_many_are_shared(folder: Path) -> None:
    other, slow = (summarize(run) for run in read_runs([folder / "other", folder / "slow"]))
    kept = [read_held_out_rows(folder / name) for name in ("other", "slow")]
    assert kept[0] is not None
    assert kept[1] is not None
    shared = len(set(kept[0].keys) & set(kept[1].keys))
    reasons = {key: reason for key, _, reason in differences_from(other, slow)}
    assert reasons["loss"] == f"{shared} of {len(kept[1].keys)} held-out rows are shared"


def test_a_run_without_the_file_or_with_a_damaged_one_is_compared_as_before(folder: Path, tmp_path: Path) -> None:
    for name in ("fast", "slow"):
        shutil.copytree(folder / name, tmp_path / name)
    check_files(tmp_path / "fast", [HELD_OUT_FILE])  # its digest is among the others

    def reason() -> str:
        fast, slow = (summarize(run) for run in read_runs([tmp_path / "fast", tmp_path / "slow"]))
        return {key: reason for key, _, reason in differences_from(fast, slow)}["loss"]

    assert reason() == ""
    file = tmp_path / "fast" / HELD_OUT_FILE
    content = json.loads(file.read_text())
    # an evaluation that a kill cut off between its two files
    file.write_text(json.dumps({**content, "step": content["step"] - 1}))
    assert reason() == "runs keep the mean alone"
    with pytest.raises(DamagedFile):
        check_files(tmp_path / "fast", [HELD_OUT_FILE])
    for damaged in ("{", "[]", json.dumps({**content, "weights": [1.0]}), '{"keys": 3}'):
        file.write_text(damaged)
        assert reason().startswith("held_out.json cannot be read (")
    file.unlink()
    assert reason() == "runs keep the mean alone"


def test_with_early_stopping_the_rows_are_those_of_the_weights_that_stay(
    folder: Path, tiny_model: str, tmp_path: Path
) -> None:
    run = pt.train(
        pt.PreferredFT(
            model={"name": tiny_model, "device": "cpu"},
            data={"path": str(folder / "prefs.jsonl"), "held_out": HELD_OUT},
            batch_size=4,
            max_steps=6,
            # so high that each step is worse than the start
            optimizer={"learning_rate": 0.3},
            early_stopping={"patience": 2},
            evaluate={"samples": {"max_prompts": 2, "max_new_tokens": 2}, "every_steps": 1},
            out=str(tmp_path / "run"),
        )
    )
    best = run.metrics["best_step"]
    assert best < run.metrics["steps"]
    rows = read_held_out_rows(run.path)
    assert rows is not None
    assert rows.step == best
    check_files(run.path, [HELD_OUT_FILE])
    # and so are the numbers of pages and cards
    (read,) = read_runs([run.path])
    summary = summarize(read)
    loss = summary.held_out_estimate("loss")
    assert loss is not None
    assert loss.value == run.metrics["final"]["held_out"]["loss"]["value"]
    assert summary.sampled is not None
    assert summary.sampled.step == best
    assert {sample.step for sample in shown_samples(read)} == {best}
    # the start is what is left: that is measured
    assert not summary.is_unmeasured
    assert np.average(rows.values["loss"], weights=rows.weights) == pytest.approx(loss.value, abs=1e-6)


def test_equal_rows_have_keys_of_their_own() -> None:
    assert numbered(["a", "b", "a", "a"]) == ("a", "b", "a-2", "a-3")
    assert HeldOutRows((), (), ()).values == {}
