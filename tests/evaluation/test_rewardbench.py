"""The numbers of RewardBench 1 and 2 against sums by hand, and graders against plain scores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.cli.main import main
from penchant.errors import InputError
from penchant.evaluation.benchmark_rows import read_benchmark
from penchant.evaluation.grades import BenchmarkRow, Grade
from penchant.evaluation.rewardbench import (
    PRIOR_SETS,
    SECTIONS,
    best_of_four_scores,
    independent_mean,
    pair_scores,
    parts_of,
)
from penchant.evaluation.ties import ties_scores
from penchant.judges.contract import Done, Question
from penchant.metrics.estimates import Coefficient
from penchant.types import Verdict


def row(subset: str, key: str = "0", wrong: int = 1) -> BenchmarkRow:
    return BenchmarkRow(f"{subset} {key}", ("yes",), ("no",) * wrong, subset, key, f"f:{key}")


def test_sections_weigh_subsets_by_the_published_counts() -> None:
    """Reasoning: math has 984 of 1,968, though only 2 rows are here; each language of code 164."""
    rows = [row("math-prm", "0"), row("math-prm", "1"), *(row("hep-cpp", str(n)) for n in range(4))]
    grades = [Grade((1.0, 0.0)), Grade((0.0, 1.0)), *[Grade((1.0, 0.0))] * 3, Grade((1.0, 1.0))]
    scores, notes = pair_scores(rows, grades)
    found = {score.task: score.after.value for score in scores}
    # equal scores are no win
    assert (found["math-prm"], found["hep-cpp"]) == (0.5, 0.75)
    assert found["Reasoning"] == pytest.approx((984 * 0.5 + 164 * 0.75) / (984 + 164))
    assert "average" not in found
    assert any("5 of 7 subsets are not in the data" in note for note in notes)
    assert any("No average" in note for note in notes)


def test_average_gives_the_prior_sets_half_a_weight() -> None:
    rows, grades = [], []
    for section, share in zip(SECTIONS, (1.0, 0.0, 1.0, 0.0), strict=True):
        for subset in SECTIONS[section]:
            rows.append(row(subset))
            grades.append(Grade((share, 0.5)))
    found = {score.task: score.after.value for score in pair_scores(rows, grades)[0]}
    assert found["average"] == pytest.approx(0.5)
    for subset in PRIOR_SETS:
        rows.append(row(subset))
        grades.append(Grade((1.0, 0.0)))
    found = {score.task: score.after.value for score in pair_scores(rows, grades)[0]}
    assert found["Prior Sets"] == 1.0
    assert found["average"] == pytest.approx((2 * (1 + 0 + 1 + 0) + 1) / 9)


@settings(max_examples=25)
@given(st.lists(st.sampled_from([name for table in SECTIONS.values() for name in table]), min_size=1, max_size=40))
def test_weights_of_every_part_sum_to_one(subsets: list[str]) -> None:
    parts, _ = parts_of(subsets)
    for part in parts:
        if part.name in SECTIONS or part.name == "average":
            assert sum(part.weights) == pytest.approx(1)
        assert len(set(part.rows)) == len(part.rows)


def test_pairs_of_a_judge_count_ties_and_unreadable_answers_as_half() -> None:
    assert [Grade(outcomes=(outcome,)).pair_points for outcome in ("a", "tie", "unparseable", "b")] == [1, 0.5, 0.5, 0]


def test_best_of_four_shares_a_point_among_equals() -> None:
    assert Grade((2.0, 1.0, 0.0, 1.0)).best_points == 1
    assert Grade((2.0, 2.0, 0.0, 2.0)).best_points == pytest.approx(1 / 3)
    assert Grade((1.0, 2.0, 0.0, 1.0)).best_points == 0
    assert Grade(outcomes=("a", "a", "a")).best_points == 1
    assert Grade(outcomes=("a", "tie", "a")).best_points == 0.5
    assert Grade(outcomes=("a", "tie", "b")).best_points == 0


def ties_row(kind: str, number: int, right: int, wrong: int) -> BenchmarkRow:
    return BenchmarkRow(f"Name {number}", ("r",) * right, ("w",) * wrong, "Ties", f"{kind}:{number}", f"f:{number}")


def test_ties_by_hand() -> None:
    """Prompt 0: all right, spread 1, gaps 3 (tied) and 2 (ref). Prompt 1: tied gap 0.5 < spread 1, ref wrong.

    tied accuracy 1, ref accuracy 1/2; clear: 3 > 1 and not 0.5 > 1, so 1/2; both clear: min(3, 2) > 1 and not
    min(0.5, -1) > 1, so 1/2; margins tanh(2 / 1 - 1) and tanh(-1 / 1 - 1).
    """
    rows = [ties_row("tied", 0, 2, 2), ties_row("ref", 0, 1, 2), ties_row("tied", 1, 2, 2), ties_row("ref", 1, 1, 2)]
    grades = [
        Grade((6.0, 5.0, 2.0, 1.0)),
        Grade((4.0, 2.0, 1.0)),
        Grade((2.0, 3.0, 1.5, 0.0)),
        Grade((1.0, 2.0, 0.0)),
    ]
    score = ties_scores(rows, grades)
    margin = (math.tanh(1.0) + math.tanh(-2.0)) / 2
    expected = 0.3 * 1 + 0.3 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * margin
    assert score.after.value == pytest.approx(expected)
    assert score.after.reason == "no interval: 2 prompts"


def test_ties_without_spread_or_gap_have_no_margin() -> None:
    score = ties_scores(
        [ties_row("tied", 0, 2, 1), ties_row("ref", 0, 1, 1)], [Grade((1.0, 1.0, 1.0)), Grade((1.0, 1.0))]
    )
    assert score.after.value == 0.0
    # no spread and a gap: tanh of infinity is 1
    score = ties_scores(
        [ties_row("tied", 0, 2, 1), ties_row("ref", 0, 1, 1)], [Grade((2.0, 2.0, 1.0)), Grade((2.0, 1.0))]
    )
    assert score.after.value == pytest.approx(1.01)


def test_ties_do_not_depend_on_the_scale_and_have_an_interval() -> None:
    rng = np.random.default_rng(0)
    rows = [ties_row(kind, number, right, 3) for number in range(20) for kind, right in (("tied", 3), ("ref", 1))]
    grades = [Grade(tuple(rng.normal(size=len(r.right)) + 1.5) + tuple(rng.normal(size=3))) for r in rows]
    scaled = [Grade(tuple(5 * score for score in grade.scores or ())) for grade in grades]
    score, other = ties_scores(rows, grades), ties_scores(rows, scaled)
    assert other.after.value == pytest.approx(score.after.value)
    assert score.after.low is not None
    assert score.after.high is not None
    assert score.after.low < score.after.value < score.after.high  # type: ignore[operator]
    paired = ties_scores(rows, grades, scaled)
    assert paired.change is not None
    assert (paired.change.value, paired.change.low, paired.change.high) == pytest.approx((0, 0, 0))


def test_an_id_of_ties_of_another_form_is_refused() -> None:
    with pytest.raises(InputError, match="expected the id of a row of Ties"):
        ties_scores([BenchmarkRow("p", ("r",), ("w",), "Ties", "7", "bench.jsonl:3")], [Grade((1.0, 0.0))])


def test_average_of_the_second_benchmark_is_the_plain_mean_of_its_subsets() -> None:
    names = ("Factuality", "Precise IF", "Math", "Safety", "Focus")
    rows = [row(name, str(number), 3) for name in names for number in range(12)]
    grades = [Grade((1.0, 0.0, 0.0, 0.0) if int(r.key) < 6 else (0.0, 1.0, 0.0, 0.0)) for r in rows]
    scores, notes = best_of_four_scores(rows, grades)
    assert [score.task for score in scores] == list(names)
    assert notes == ["No average: there is no number of Ties."]
    pairs = [ties_row(kind, n, right, 1) for n in range(12) for kind, right in (("tied", 2), ("ref", 1))]
    perfect = [Grade((2.0,) * len(r.right) + (1.0,)) for r in pairs]
    scores, _ = best_of_four_scores([*rows, *pairs], [*grades, *perfect])
    assert scores[-1].task == "average"
    assert scores[-1].after.value == pytest.approx((5 * 0.5 + 1.01) / 6)


def test_independent_mean_adds_in_quadrature() -> None:
    mean = independent_mean([Coefficient(0.5, 0.2, 0.6, 10, 10), Coefficient(0.7, 0.3, 1.0, 10, 10)])
    assert (mean.value, mean.n) == (pytest.approx(0.6), 20)
    assert mean.low == pytest.approx(0.6 - math.hypot(0.3, 0.4) / 2)
    assert mean.high == pytest.approx(0.6 + math.hypot(0.1, 0.3) / 2)
    assert independent_mean([Coefficient(0.5, None, None, 1, 1, "none")]).reason == "none"


def write_pairs(path: Path, count: int = 12) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "prompt": f"Number {place} went out.",
            "chosen": f" {place} sang.",
            "rejected": " It was sad and long.",
            "chosen_model": "a",
            "rejected_model": "b",
            "subset": "donotanswer" if place % 2 else "llmbar-natural",
            "id": place,
        }
        for place in range(count)
    ]
    path.write_text("".join(json.dumps(values) + "\n" for values in rows))
    return rows


def results(folder: Path) -> dict[str, object]:
    (file,) = folder.glob("*.json")
    return json.loads(file.read_text())  # type: ignore[no-any-return]


def test_a_judge_is_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge `longest` takes every wrong answer, as they are longer."""
    write_pairs(tmp_path / "bench.jsonl")
    command = ["evaluate", "benchmark=rewardbench", f"path={tmp_path / 'bench.jsonl'}", "judge=longest"]
    assert main([*command, f"out={tmp_path / 'out'}"]) == 0
    found = results(tmp_path / "out")
    assert {score["task"]: score["after"]["value"] for score in found["scores"]} == {  # type: ignore[index, attr-defined]
        "llmbar-natural": 0.0,
        "donotanswer": 0.0,
        "Chat Hard": 0.0,
        "Safety": 0.0,
    }
    assert "0% [0%" in capsys.readouterr().out
    assert main([*command, f"out={tmp_path / 'few'}", "limit=2"]) == 0
    assert [task["used"] for task in results(tmp_path / "few")["tasks"]] == [2, 2]  # type: ignore[index, attr-defined]


def test_a_judge_is_not_asked_about_ties_and_the_result_says_how_it_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]
    rows: list[dict[str, object]] = [
        {"prompt": f"Name {n}.", "chosen": ["7"], "rejected": ["8 a", "9 b", "10"], "subset": "Math", "id": str(n)}
        for n in range(3)
    ]
    rows.append({"prompt": turns, "chosen": ["7"], "rejected": ["8 a", "9 b", "1 c"], "subset": "Focus", "id": "3"})
    tied = {
        "prompt": "A color?",
        "chosen": ["red", "blue"],
        "rejected": ["dog", "cat"],
        "subset": "Ties",
        "id": "tied:0",
    }
    bench, out = tmp_path / "bench.json", tmp_path / "out"
    bench.write_text(json.dumps([*rows, tied]))
    command = ["evaluate", "benchmark=rewardbench2", f"path={bench}", "judge=longest", "orders=one", f"out={out}"]
    assert main(command) == 0
    found = results(out)
    assert [task["name"] for task in found["tasks"]] == ["Math", "Focus"]  # type: ignore[attr-defined]
    notes = "\n".join(found["notes"])  # type: ignore[arg-type]
    for words in ("Ties is left out", "one wrong answer at a time", "several turns (1)"):
        assert words in notes
    with sqlite3.connect(out / "judgments.sqlite") as store:
        assert store.execute("SELECT count(*) FROM verdicts").fetchone() == (12,)
    bench.write_text(json.dumps([tied]))
    assert main(command) == 2
    assert "a judge is not asked about Ties" in capsys.readouterr().err


def test_calls_that_failed_are_no_ties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first call of all fails; the same command makes that one again, and no other."""
    asked: list[str] = []

    class Flaky:
        identity = "flaky"

        def judge_many(self, questions: Sequence[Question], done: Done) -> None:
            for place, question in enumerate(questions):
                asked.append(question.prompt)
                failed = len(asked) == 1
                done(place, Verdict("unparseable", transcript="failed: 503", final=False) if failed else Verdict("a"))

    monkeypatch.setattr("penchant.judges.make_judge", lambda _: Flaky())
    write_pairs(tmp_path / "bench.jsonl", 4)
    command = ["evaluate", "benchmark=rewardbench", f"path={tmp_path / 'bench.jsonl'}", "judge=longest", "orders=one"]
    assert main([*command, f"out={tmp_path / 'out'}"]) == 2
    assert (
        "1 of 4 pairs have no verdict, since calls of the judge failed (the first: failed: 503)"
        in capsys.readouterr().err
    )
    assert not list((tmp_path / "out").glob("*.json"))
    assert main([*command, f"out={tmp_path / 'out'}"]) == 0
    assert len(asked) == 5


def test_a_policy_is_graded_by_its_implicit_reward(tmp_path: Path, tiny_model: str) -> None:
    import shutil

    import torch
    from transformers import AutoModelForCausalLM

    from penchant.models.load import load_policy
    from penchant.types import PromptGroup

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    network = AutoModelForCausalLM.from_pretrained(other)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    network.save_pretrained(other)
    rows = write_pairs(tmp_path / "bench.jsonl")
    command = ["evaluate", str(other), f"before={tiny_model}", "benchmark=rewardbench", "template=plain", "device=cpu"]
    assert main([*command, f"path={tmp_path / 'bench.jsonl'}", f"out={tmp_path / 'out'}"]) == 0
    groups = [PromptGroup(str(r["prompt"]), [str(r["chosen"]), str(r["rejected"])]) for r in rows]
    one, two = (load_policy(name, template="plain", device="cpu").score(groups) for name in (str(other), tiny_model))
    wins = [float((a - b)[0] > (a - b)[1]) for a, b in zip(one, two, strict=True)]
    found = {score["task"]: score["after"]["value"] for score in results(tmp_path / "out")["scores"]}  # type: ignore[index, attr-defined]
    assert found["Chat Hard"] == pytest.approx(sum(wins[::2]) / 6)
    assert found["Safety"] == pytest.approx(sum(wins[1::2]) / 6)


def test_a_policy_without_a_reference_is_refused(
    tmp_path: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "bench.jsonl", 2)
    assert main(["evaluate", tiny_model, "benchmark=rewardbench", f"path={tmp_path / 'bench.jsonl'}"]) == 2
    assert "Give before=MODEL" in capsys.readouterr().err
    taken = str(tmp_path / "bench.jsonl")
    for grader in (["judge=longest"], [tiny_model, f"before={tiny_model}"]):
        assert main(["evaluate", *grader, "benchmark=rewardbench", f"path={taken}", f"out={taken}"]) == 2
        assert "is a file, expected a folder" in capsys.readouterr().err


def test_a_reward_model_is_graded_best_of_four(tmp_path: Path, tiny_model: str, preference_file: Path) -> None:
    from penchant.models.reward import load_reward_model
    from penchant.types import PromptGroup

    run = tmp_path / "reward"
    settings = [
        f"model={tiny_model}",
        f"data={preference_file}",
        f"out={run}",
        "optimizer.learning_rate=3e-3",
        "max_steps=4",
    ]
    assert main(["train", "reward_model", *settings, "batch_size=4"]) == 0
    rows = [
        {
            "id": str(place),
            "prompt": f"Number {place} went out.",
            "chosen": [f" {place} sang."],
            "rejected": [" It was sad.", f" No, {place} fell.", " It was long."],
            "num_correct": 1,
            "subset": "Focus",
        }
        for place in range(8)
    ]
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps(rows))
    command = ["evaluate", str(run), "benchmark=rewardbench2", f"path={bench}", "device=cpu"]
    assert main(command) == 0
    found = results(run / "evaluations")
    model = load_reward_model(run, device="cpu")
    scores = model.score([PromptGroup(r["prompt"], [*r["chosen"], *r["rejected"]]) for r in rows])  # type: ignore[arg-type, misc]
    expected = sum(float(row.argmax() == 0) for row in scores) / 8
    assert found["scores"][0]["after"]["value"] == pytest.approx(expected)  # type: ignore[index]
    assert main([*command, f"before={run}", f"out={tmp_path / 'beside'}"]) == 0
    assert results(tmp_path / "beside")["scores"][0]["change"]["value"] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, r"bench.jsonl:1: expected the column `subset`"),
        ({"prompt": "p", "chosen": 3, "rejected": "r", "subset": "s"}, r"bench.jsonl:1: chosen: expected a text"),
        ({"prompt": "p", "chosen": ["c"], "rejected": ["r", "q"], "subset": "s"}, r"benchmark=rewardbench2"),
        ({"prompt": [{"role": "user"}], "chosen": "c", "rejected": "r", "subset": "s"}, r"expected `prompt`"),
        ({"prompt": "p", "chosen": "c", "rejected": "r", "subset": 3}, r"expected `subset` as text"),
    ],
)
def test_rows_of_another_shape_are_named(tmp_path: Path, values: dict[str, object], message: str) -> None:
    (tmp_path / "bench.jsonl").write_text(json.dumps(values) + "\n")
    with pytest.raises(InputError, match=message):
        read_benchmark("rewardbench", tmp_path / "bench.jsonl")


def test_turns_of_the_prior_sets_are_prompts(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go"},
    ]
    values = {"prompt": turns, "chosen": "c", "rejected": "r", "subset": "anthropic_hhh"}
    (tmp_path / "bench.jsonl").write_text(json.dumps(values) + "\n")
    (read,) = read_benchmark("rewardbench", tmp_path / "bench.jsonl")
    assert [message.role for message in read.prompt] == ["user", "assistant", "user"]  # type: ignore[union-attr]
