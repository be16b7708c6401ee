"""Means and paired differences of what lm-eval logs, on made-up logs whose numbers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.evaluation.documents import NO_MEAN, NO_PAIRS, compare, documents_behind, group_rows, metric_rows
from penchant.evaluation.harness import read_results
from penchant.metrics import cluster_mean, paired_difference


def logged(values: list[float], metric: str = "acc", filter_name: str = "none") -> list[dict[str, object]]:
    return [
        {"doc_id": place, "filter": filter_name, metric: value, "doc_hash": f"d{place}", "target_hash": "t"}
        for place, value in enumerate(values)
    ]


def test_a_mean_over_documents_has_the_interval_of_its_documents() -> None:
    values = [1.0] * 15 + [0.0] * 5
    (row,) = metric_rows("sciq", {"alias": "sciq", "acc,none": 0.75, "acc_stderr,none": 0.1}, logged(values), {})
    assert (row.task, row.metric, row.filter, row.value) == ("sciq", "acc", "none", 0.75)
    (score,) = compare([row], None)
    expected = cluster_mean(values, list(range(20)))
    assert (score.after.value, score.after.low, score.after.high) == (0.75, expected.low, expected.high)
    assert score.is_share
    assert score.before is score.change is None


def test_change_is_paired_by_document() -> None:
    after, before = [1.0] * 12 + [0.0] * 8, [0.0] * 4 + [1.0] * 8 + [0.0] * 8
    rows = [
        metric_rows("sciq", {"acc,none": sum(values) / 20}, logged(values), {"acc": True}) for values in (after, before)
    ]
    (score,) = compare(*rows)
    expected = paired_difference(after, before, list(range(20)))
    assert score.change is not None
    assert score.change.value == pytest.approx(4 / 20)
    assert (score.change.low, score.change.high) == (expected.low, expected.high)
    # the order in which documents were logged says nothing
    (again,) = compare(rows[0], metric_rows("sciq", {"acc,none": 8 / 20}, logged(before)[::-1], {"acc": True}))
    assert again.change == score.change
    assert score.verdict == ("better" if expected.low is not None and expected.low > 0 else "no clear change")


def test_verdict_follows_the_direction_of_the_metric() -> None:
    after, before = [0.0] * 30, [1.0] * 30
    for direction, verdict in ((True, "worse"), (False, "better"), (None, "changed")):
        rows = [
            metric_rows("t", {"m,none": values[0]}, logged(values, "m"), {"m": direction}) for values in (after, before)
        ]
        assert compare(*rows)[0].verdict == verdict


def test_a_median_has_no_interval() -> None:
    (row,) = metric_rows("t", {"length,none": 2.0}, logged([1.0, 2.0, 6.0], "length"), {})
    assert row.values is None
    (score,) = compare([row], [row])
    assert (score.after.low, score.after.reason) == (None, NO_MEAN)
    assert score.change is not None
    assert (score.change.value, score.change.reason) == (0.0, NO_MEAN)
    assert not score.is_share


def pairs(values: list[tuple[float, float]], metric: str) -> list[dict[str, object]]:
    return [{"doc_id": place, "filter": "none", metric: value} for place, value in enumerate(values)]


def test_perplexities_are_resampled_by_document() -> None:
    """Of documents with so many words; per word it is exp(-sum of log-likelihoods / number of words)."""
    rng = np.random.default_rng(0)
    words = rng.integers(5, 40, 30).astype(float)
    logs = [-3 * count + rng.normal() * math.sqrt(count) for count in words]
    value = math.exp(-sum(logs) / words.sum())
    (row,) = metric_rows(
        "wiki", {"word_perplexity,none": value}, pairs(list(zip(logs, words, strict=True)), "word_perplexity"), {}
    )
    assert (row.aggregate, len(row.values or {})) == ("perplexity", 30)
    (score,) = compare([row], [row])
    assert score.after.low is not None
    assert score.after.high is not None
    assert score.after.low < value < score.after.high
    # 30 documents of about 20 words with a deviation of 1 a word: a standard error of about 1 / sqrt(600) of its log
    assert (math.log(score.after.high) - math.log(score.after.low)) / 4 == pytest.approx(
        1 / math.sqrt(words.sum()), rel=0.4
    )
    assert score.change is not None
    assert (score.change.value, score.change.low, score.change.high) == (0.0, 0.0, 0.0)
    # all of it per byte in bits
    bits = -sum(logs) / words.sum() / math.log(2)
    (row,) = metric_rows(
        "wiki", {"bits_per_byte,none": bits}, pairs(list(zip(logs, words, strict=True)), "bits_per_byte"), {}
    )
    assert row.aggregate == "bits"
    # one that is better by a tenth of a nat per word on every document is better without doubt
    better = [(total + 0.1 * count, count) for total, count in zip(logs, words, strict=True)]
    (ahead,) = metric_rows(
        "wiki",
        {"bits_per_byte,none": bits - 0.1 / math.log(2)},
        pairs(better, "bits_per_byte"),
        {"bits_per_byte": False},
    )
    (score,) = compare([ahead], [row])
    assert score.change is not None
    assert score.change.high == pytest.approx(-0.1 / math.log(2))
    assert score.verdict == "better"
    few = metric_rows("wiki", {"bits_per_byte,none": 1 / math.log(2)}, pairs([(-3.0, 3.0)] * 2, "bits_per_byte"), {})
    assert compare(few, None)[0].after.reason == "no interval: 2 documents"


def test_other_documents_are_not_paired() -> None:
    after = metric_rows("t", {"acc,none": 0.5}, logged([1.0, 0.0]), {})
    before = metric_rows("t", {"acc,none": 0.5}, logged([1.0, 0.0, 1.0, 0.0]), {})
    (score,) = compare(after, before)
    assert score.change is not None
    assert score.change.reason == NO_PAIRS


def test_filters_are_metrics_of_their_own() -> None:
    samples = logged([1.0, 1.0], "exact_match", "strict") + logged([1.0, 0.0], "exact_match", "flexible")
    rows = metric_rows("gsm", {"exact_match,strict": 1.0, "exact_match,flexible": 0.5}, samples, {})
    assert [score.metric for score in compare(rows, None)] == ["exact_match (strict)", "exact_match (flexible)"]
    assert [list((row.values or {}).values()) for row in rows] == [[1.0, 1.0], [1.0, 0.0]]


def test_group_is_the_mean_over_all_documents_of_its_members() -> None:
    one = metric_rows("a", {"acc,none": 1.0}, logged([1.0]), {})
    other = metric_rows("b", {"acc,none": 0.5}, logged([1.0, 0.0, 1.0, 0.0]), {})
    (pooled,) = group_rows("both", {"acc,none": 0.6}, [*one, *other], {"acc": True})
    assert len(pooled.values or {}) == 5
    # the mean of the tasks' means is another number, which no document has
    (unweighted,) = group_rows("both", {"acc,none": 0.75}, [*one, *other], {"acc": True})
    assert unweighted.values is None


@settings(max_examples=40)
@given(st.dictionaries(st.integers(), st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0.01, 10))
def test_only_their_mean_is_taken_for_the_number(values: dict[int, float], shift: float) -> None:
    mean = math.fsum(values.values()) / len(values)
    assert documents_behind(mean, values) == ("mean", values, None)
    assert documents_behind(mean, {**values, "text": "no number"})[1] is None
    moved = mean + shift * max(1.0, abs(mean))
    name, found, _ = documents_behind(moved, values)
    assert found is None or name != "mean"


def test_results_without_a_number_are_refused() -> None:
    from penchant.errors import RunError

    with pytest.raises(RunError, match="no number"):
        read_results({"results": {"t": {"alias": "t"}}, "samples": {"t": []}})


def test_records_say_what_was_asked() -> None:
    results = {
        "results": {"t": {"alias": "t", "acc,none": 0.5}, "all": {"acc,none": 0.5}},
        "samples": {"t": logged([1.0, 0.0])},
        "versions": {"t": 2.0},
        "n-shot": {"t": 3},
        "n-samples": {"t": {"original": 40, "effective": 2}},
        "group_subtasks": {"all": ["t"], "t": []},
        "higher_is_better": {"t": {"acc": True}},
    }
    run = read_results(results)
    (record,) = run.tasks
    assert (record.name, record.version, record.few_shot, record.documents, record.used) == ("t", "2.0", 3, 40, 2)
    assert [row.task for row in run.metrics] == ["t", "all"]
    changed = read_results({**results, "samples": {"t": [{**row, "target_hash": "u"} for row in logged([1.0, 0.0])]}})
    assert changed.tasks[0].digest != record.digest
