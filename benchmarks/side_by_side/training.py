"""A training row: TRL's best batch, all sides in turn with the machine's matrix rate between, then equality."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from side_by_side.rows import WARMUP, Equality, Row, Sample
from side_by_side.state import RowState
from side_by_side.summary import pairs_per_s
from side_by_side.workers import NO_CLIP, Bench, Data, WorkerFailed, train

TRIAL_STEPS = WARMUP + 1


def measure(bench: Bench, row: Row, state: RowState) -> None:
    """All runs of the row that are not known yet."""
    size, equality = row.sized(bench.quick)
    if isinstance(row.data, Sample) and not (bench.shared / row.data.path).exists():
        raise WorkerFailed(f"{bench.shared / row.data.path} is not there: name its folder with --data or PENCHANT_DATA")
    of, model, steps = row.compared(bench.quick), bench.model or row.model, (size.steps, size.pairs_per_step)
    drawn = [Data(bench, f"{row.name}-{seed}", of, model, *steps, seed) for seed in range(size.repeats)]
    datas = drawn if row.redraw else drawn[:1] * size.repeats
    told = [
        state.once("data", lambda data=data: _described(data), peer_only=True, seed=data.seed)
        for data in {data.seed: data for data in datas}.values()
    ]
    state.entry["data"] = {
        "prompts": sum(of["prompts"] for of in told),
        **{name: mean(of[name] for of in told) for name in ("mean_prompt_tokens", "mean_response_tokens")},
    }
    batch = size.trl_batch or _best_batch(row, datas[0], state)
    for repeat, data in enumerate(datas):
        sides = ["penchant", "trl-precomputed", *(["trl"] if repeat < size.with_default else [])]
        for side in sides:
            run = state.once(
                "speed",
                lambda side=side, data=data: train(data, side, trl_batch=batch),
                side=side,
                repeat=repeat,
                trl_batch=batch,
            )
            _say(f"repeat {repeat + 1} of {size.repeats}, {side}", run, size.pairs_per_step)
            if side == "penchant":
                rate = {"model": data.told["model"]}
                state.once("rate", lambda rate=rate: bench.worker("rate", rate), repeat=repeat)
    if equality is None:
        return
    result = state.once("equality", lambda: _equality(bench, row, equality))
    print(f"   equality: gradients differ by {result['gradient']['gradient_difference']:.1e}", flush=True)


def _described(data: Data) -> dict[str, Any]:
    return {name: value for name, value in data.told.items() if name != "model"}


def _say(what: str, run: dict[str, Any], pairs_per_step: int) -> None:
    print(
        f"   {what}: {pairs_per_s(run, pairs_per_step):.2f} pairs/s, {run['peak_mib']:.0f} MiB "
        f"(load before {run['load_before']})",
        flush=True,
    )


def _best_batch(row: Row, data: Data, state: RowState) -> int:
    """The number of pairs a forward pass with which TRL is fastest, by a short trial; one may not fit into memory."""
    pairs = max(row.trl_batches)
    speeds: dict[int, float] = {}
    for batch in row.trl_batches:
        run = state.once("trial", lambda batch=batch: _trial(data, batch, pairs), peer_only=True, trl_batch=batch)
        if "failed" in run:
            print(f"   trial: TRL with {batch} pairs a pass did not run", flush=True)
        else:
            speeds[batch] = run["pairs_per_s"]
            print(f"   trial: TRL with {batch} pairs a pass, {speeds[batch]:.2f} pairs/s", flush=True)
    if not speeds:
        raise WorkerFailed(f"TRL ran with none of {row.trl_batches} pairs a pass")
    return max(speeds, key=lambda batch: speeds[batch])


def _trial(data: Data, batch: int, pairs_per_step: int) -> dict[str, Any]:
    try:
        run = train(data, "trl-precomputed", trl_batch=batch, steps=TRIAL_STEPS, pairs_per_step=pairs_per_step)
    except WorkerFailed as error:
        return {"failed": str(error)}
    return {"pairs_per_s": pairs_per_s(run, pairs_per_step), "peak_mib": run["peak_mib"]}


def _equality(bench: Bench, row: Row, equality: Equality) -> dict[str, Any]:
    """Both sides with small steps; what each step said, and how far the first gradients are apart."""
    of = equality.data or row.compared(bench.quick)
    data = Data(bench, f"{row.name}-equality", of, bench.model or row.model, equality.steps, equality.pairs_per_step)
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        files = {side: Path(folder) / f"{side}.safetensors" for side in ("penchant", "trl-precomputed")}
        steps = {
            side: train(
                data,
                side,
                trl_batch=equality.pairs_per_step,
                learning_rate=equality.learning_rate,
                clip=NO_CLIP,
                gradient=file,
            )["steps"]
            for side, file in files.items()
        }
        apart = bench.worker("gradients", {"ours": str(files["penchant"]), "theirs": str(files["trl-precomputed"])})
    return {"steps": steps, "gradient": apart}
