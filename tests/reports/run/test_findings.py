"""Each warning: when it speaks, and that it is silent otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penchant.metrics import Estimate
from penchant.reports.run import findings
from penchant.reports.run.summary import summarize
from penchant.runs.read import EvalPoint, Run, TrainPoint, read_runs


def est(value, low=None, high=None):
    return Estimate(value, value if low is None else low, value if high is None else high, 100, 25)


def point(step, held_out=(), policy=(), reference=()):
    return EvalPoint(step, dict(held_out), {}, dict(policy), dict(reference))


def run_of(*evals, train=(), **fields):
    empty = {"config": {}, "config_text": "", "provenance": {}, "samples": (), "result": {"status": "done"}}
    points = tuple(TrainPoint(step, {"loss": loss}) for step, loss in train)
    return Run("run", "path", "dpo", **{**empty, **fields}, train=points, evals=evals)  # type: ignore[arg-type]


def rules(run):
    return [finding.rule for finding in findings.findings(summarize(run))]


def test_a_good_run_is_silent():
    policy = {"reward": est(0.5, 0.4, 0.6), "kl_nats": est(4.0), "tokens": est(21), "repetition": est(0.02)}
    reference = {"reward": est(0.1, 0.0, 0.2), "tokens": est(20), "repetition": est(0.02)}
    held = {"accuracy": est(0.7, 0.62, 0.78), "longest_wins": est(0.5, 0.42, 0.58)}
    good = point(10, held, {**policy, "finished": est(0.9)}, reference)
    assert rules(run_of(good)) == []


@pytest.mark.parametrize(
    ("kls", "expected"),
    [
        ([5, 10, 15], []),
        ([5, 26], ["kl_runaway"]),
        ([0, 2, 14], ["kl_growth"]),  # 2 nats in the first ten steps, 12 in the next
        ([0, 0.2, 2], []),  # steep, but near
    ],
)
def test_kl(kls, expected):
    evals = [point(10 * k, policy={"kl_nats": est(kl)}) for k, kl in enumerate(kls)]
    assert rules(run_of(*evals)) == expected


@pytest.mark.parametrize(
    ("policy", "reference", "expected"),
    [
        (est(0.12, 0.10, 0.14), est(0.02, 0.01, 0.03), "caution"),
        (est(0.40, 0.30, 0.50), est(0.02, 0.01, 0.03), "serious"),
        (est(0.12, 0.02, 0.22), est(0.02, 0.00, 0.04), None),  # the intervals overlap
        (est(0.05, 0.05, 0.05), est(0.02, 0.02, 0.02), None),  # a small rise
    ],
)
def test_repetition(policy, reference, expected):
    found = findings.findings(summarize(run_of(point(5, (), {"repetition": policy}, {"repetition": reference}))))
    assert [f.severity for f in found if f.rule == "repetition"] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("tokens", "title"), [(27, "Responses became much longer"), (13, "Responses became much shorter"), (25, None)]
)
def test_length(tokens, title):
    found = findings.findings(summarize(run_of(point(5, (), {"tokens": est(tokens)}, {"tokens": est(20)}))))
    assert [f.title for f in found] == ([title] if title else [])


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (est(0.55, 0.45, 0.65), ["chance"]),
        (est(0.4, 0.3, 0.48), ["below_chance"]),
        (est(0.6, 0.52, 0.68), []),
        (Estimate(0.9, None, None, 6, 1), ["chance", "few_prompts"]),
    ],
)
def test_accuracy(accuracy, expected):
    assert rules(run_of(point(5, {"accuracy": accuracy}))) == expected


def test_longest_wins():
    held = {"accuracy": est(0.62, 0.55, 0.69), "longest_wins": est(0.58, 0.5, 0.66)}
    assert rules(run_of(point(5, held))) == ["longest_wins"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(est(0.5, 0.4, 0.6), []), (est(0.2, 0.1, 0.3), ["reward_flat"]), (est(-0.5, -0.6, -0.4), ["reward_fell"])],
)
def test_reward(policy, expected):
    evaluated = point(5, (), {"reward": policy}, {"reward": est(0.1, 0.0, 0.2)})
    assert rules(run_of(evaluated)) == expected


def test_reward_is_paired_where_the_samples_are_there(make_run):
    path = make_run(steps=12, gain=0.02, prompts=12)
    paired = summarize(read_runs([path])[0])
    unpaired = summarize(replace(paired.run, samples=()))
    assert paired.gain.paired
    assert not unpaired.gain.paired
    assert paired.gain.estimate.value == pytest.approx(unpaired.gain.estimate.value)
    assert paired.gain.estimate.low > 0 > unpaired.gain.estimate.low


def test_overfitting():
    held = [point(step, {"loss": est(loss)}) for step, loss in ((0, 0.69), (10, 0.60), (20, 0.68))]
    falling = [(step, 0.7 - 0.02 * step) for step in range(1, 21)]
    assert rules(run_of(*held, train=falling)) == ["overfitting"]
    assert rules(run_of(*held, train=[(step, 0.6) for step, _ in falling])) == []  # nothing was learned by heart
    assert rules(run_of(*held[:2], train=falling)) == []


def test_chosen_fall():
    held = [point(s, {"chosen_logps": est(v), "chosen_tokens": est(20)}) for s, v in ((0, -80), (10, -91))]
    assert rules(run_of(*held)) == ["chosen_fall"]


@pytest.mark.parametrize(("contradictions", "expected"), [(6, ["contradictions"]), (5, []), (0, [])])
def test_contradictions(contradictions, expected):
    data = {"contradictions": contradictions, "comparisons": 100}
    assert rules(run_of(result={"status": "done", "data": data})) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, ["unfinished"]),
        ({"status": "interrupted"}, ["interrupted"]),
        ({"status": "stopped_early", "best_step": 3}, ["stopped_early"]),
        ({"status": "done", "warnings": ["one", "two"]}, ["run", "run"]),
        ({"status": "done", "warnings": None, "data": []}, []),
        (
            {"status": "done", "lengthened": [{"step": 3, "before": {"epochs": 1}, "after": {"epochs": 2}}]},
            ["lengthened"],
        ),
        ({"status": "done", "lengthened": [{"damaged": 3}]}, []),
    ],
)
def test_how_the_run_ended(result, expected):
    assert rules(run_of(result=result)) == expected


def test_rounds_that_a_rule_ended_say_which_and_speak_of_no_step():
    result = {"status": "stopped_early", "best_step": 3, "rounds": [{}, {}], "stop_reason": "the accuracy is a coin's"}
    (finding,) = findings.findings(summarize(run_of(result=result)))
    assert finding.title == "The rounds ended before their number"
    assert finding.detail == "Stopped after round 2: the accuracy is a coin's."


def test_few_prompts():
    few, enough = Estimate(20.0, 19.0, 21.0, 18, 9), Estimate(20.0, 19.0, 21.0, 20, 10)
    assert rules(run_of(point(5, policy={"tokens": few}))) == ["few_prompts"]
    assert rules(run_of(point(5, policy={"tokens": enough}))) == []


def test_cut_and_not_finite():
    assert rules(run_of(point(5, (), {"finished": est(0.1)}), non_finite=2)) == ["non_finite", "cut"]


def test_groups_name_every_run_and_put_the_serious_first(make_run):
    paths = [make_run("a", steps=24, speed=2.0), make_run("b", steps=24, speed=2.0)]
    (paths[1] / "result.json").write_text(json.dumps({"status": "interrupted"}))
    groups = findings.grouped([summarize(run) for run in read_runs(paths)])
    ranks = [["serious", "caution", "note"].index(group.severity) for group in groups]
    assert ranks == sorted(ranks)
    assert [name for name, _ in groups[0].details] == ["a", "b"]
    assert next(g.details for g in groups if g.title == "The run was interrupted")[0][0] == "b"
