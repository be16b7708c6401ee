"""The report from stored runs: what stands in it, in every state that a benchmark may be in."""

from __future__ import annotations

from typing import Any

from side_by_side import curves, sampling_hook, start, sweep
from side_by_side.report import markdown, plot_data
from side_by_side.rows import ROWS, Sample

MACHINE = {"cpu": "AMD EPYC", "cores": 2, "memory_gib": 23.5, "system": "Linux", "cuda": False}
RATE = {"trunk_flop": 100.0, "head_flop": 0.0, "trunk_rate": 100.0, "head_rate": 1.0}


def row(settings: dict[str, Any], runs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    about = {"code": "abc", "date": "2026-01-01 12:00", "versions": {"torch": "2"}, "failed": None}
    return {"settings": settings, "runs": runs, **about, **more}


def report(rows: dict[str, Any], **more: Any) -> str:
    content = {"command": "make bench", "mode": "full", "machine": MACHINE, "threads": 2, "rows": rows}
    return markdown(content | more, folder="here", plots=["targets.png", "curves.png"])


def result(seconds: float, peak: float) -> dict[str, Any]:
    numbers = {"loss": 0.69, "chosen_logps": -1.0, "rejected_logps": -1.0, "grad_norm": 1.0}
    needed = [{"tokens": 1, "positions": 1}] * 2
    return {
        "steps": [{**numbers, "end_s": end} for end in (1.0, 1.0 + seconds)],
        "peak_mib": peak,
        "load_before": 1.5,
        "tokens": {"forwarded": 96.0, "needed": needed},
    }


def four_short(**more: Any) -> dict[str, Any]:
    steps = result(6, 300)["steps"]
    equal = {"steps": {"penchant": steps, "trl-precomputed": steps}, "gradient": {"gradient_difference": 2e-6}}
    runs = [
        {"part": "trial", "trl_batch": 6, "result": {"pairs_per_s": 1.5, "peak_mib": 4000}},
        {"part": "trial", "trl_batch": 12, "result": {"failed": "killed"}},
        {"part": "speed", "side": "penchant", "repeat": 0, "trl_batch": 6, "result": result(6, 300)},
        {"part": "speed", "side": "trl-precomputed", "repeat": 0, "trl_batch": 6, "result": result(24, 1000)},
        {"part": "rate", "repeat": 0, "result": RATE},
        {"part": "equality", "result": equal},
    ]
    data = {"prompts": 24, "mean_prompt_tokens": 6.0, "mean_response_tokens": 32.0}
    return row(ROWS["four-short"].settings(False), runs, data=data, **more)


def test_targets_at_a_glance() -> None:
    text = report({"four-short": four_short()})
    # 24 pairs in 6 s against 24 s; 300 MiB against 1,000; the limit is 3 s of 6 s
    assert (
        "| four-short | 4.00x (4.00 to 4.00) | >= 6x | missed by 33.3 % | 0.30x (0.30 to 0.30) | <= 0.4x | met " in text
    )
    assert "| 50% | missed by 33.3 % | equal |" in text
    assert "| two-long | not measured yet |" in text
    assert "| smoke |" not in text


def test_a_training_row_says_what_was_run() -> None:
    text = report({"four-short": four_short()})
    assert "| Penchant | 1 of 5 | 4.00 (4.00 to 4.00) |" in text
    assert (
        "TRL forwards 6 pairs at a time, its fastest in a short trial (6: 1.50 pairs/s, 4000 MiB; 12: did not run)"
        in text
    )
    assert "TRL, default reference" not in text
    assert "**Equality**: equal. 2 steps" in text


def test_a_failure_and_a_row_without_runs_are_said() -> None:
    empty = row(ROWS["two-long"].settings(True), [])
    text = report({"four-short": four_short(failed="theirs ended with exit code -9:\nlast line"), "two-long": empty})
    assert "**Not measured to the end:**\n\n```\ntheirs ended with exit code -9:\nlast line\n```" in text
    assert "No run yet." in text


def test_other_rows() -> None:
    totals = {"penchant": [10.0, 5.0, 5.0, 5.0], "trl-precomputed": [40.0, 20.0, 20.0, 20.0]}
    sweeps = [
        {"part": "sweep", "side": side, "repeat": 0, "result": {"seconds": of, "total_s": sum(of)}}
        for side, of in totals.items()
    ]
    starts = [{"part": "start", "repeat": 0, "result": {"help_s": 0.25, "first_step_s": 12.5, "command_s": 20.0}}]
    table = {"title": "Tokens a second", "columns": ["n", "ratio"], "rows": [[4, "2.0x"]], "notes": ["one thread"]}
    text = report(
        {
            "sweep": row(sweep.settings(False), sweeps),
            "start": row(start.settings(False), starts),
            "sampling": row(sampling_hook.settings(False), [{"part": "table", "result": table}]),
        }
    )
    assert "| sweep (whole commands) | 4.00x (4.00 to 4.00) | >= 4x | met |" in text
    assert "| `penchant --help` | 0.25 s (0.25 to 0.25) | <= 0.5 s | met |" in text
    assert "| command to end of first step | 12.50 s (12.50 to 12.50) | <= 10 s | missed by 25.0 % |" in text
    assert "| n | ratio |\n|---|---|\n| 4 | 2.0x |\n\none thread" in text


def curve_runs(settings: dict[str, Any]) -> list[dict[str, Any]]:
    points = {curves.Point(**point).name for curve in settings["curves"].values() for point in curve}
    speeds = {
        "penchant": {"pairs_per_s": 20.0, "peak_mib": 500.0},
        "trl-precomputed": {"pairs_per_s": 4.0, "peak_mib": 1000.0},
    }
    return [
        {"part": "curve", "point": name, "side": side, "repeat": 0, "result": of}
        for name in points
        for side, of in speeds.items()
    ]


def test_curves_are_told_and_drawn() -> None:
    settings = curves.settings(True)
    rows = {"curves": row(settings, curve_runs(settings))}
    text = report(rows)
    assert "| 256 | 20.0 | 4.0 | 5.00x | 500 | 1000 | 0.50x |" in text
    assert "![Curves](here/curves.png)" in text
    drawn = plot_data({"rows": rows | {"four-short": four_short()}})
    assert [point["x"] for point in drawn["curves"]["vocabulary"]] == [5_000, 50_304]
    assert drawn["ratios"][0]["speed"] == 6.0
    assert drawn["ratios"][0]["speed_ratio"]["median"] == 4


def test_quick_takes_no_verdict_and_cuda_is_not_measured() -> None:
    assert "take no verdict from it" in report({}, mode="quick")
    text = report({})
    assert "take no verdict" not in text
    assert text.count("not measured: no CUDA machine was at hand") == 2


def test_sizes_fit_together() -> None:
    for name, of in ROWS.items():
        for quick in (False, True):
            size, equality = of.sized(quick)
            batches = of.trl_batches if size.trl_batch is None else (size.trl_batch,)
            assert size.pairs_per_step % of.data.pairs == 0, name  # a step is whole prompts
            assert all(size.pairs_per_step % batch == 0 for batch in batches), name
            assert all(max(of.trl_batches) % batch == 0 for batch in of.trl_batches), name
            assert size.with_default <= size.repeats
            assert size.steps > 1
            assert equality is not None or quick, name
            if equality is not None:
                assert equality.steps >= (3 if quick else 20)
                assert equality.data is None or isinstance(of.data, Sample)
    assert any(of.sized(True)[1] for of in ROWS.values())
    for points in curves.CURVES.values():
        assert all(point.pairs_per_step % curves.TRL_BATCH == 0 for point in points)
