"""DPO side by side with TRL: pairs a second and peak memory, same model, same data, both sides' losses compared.

    python benchmarks/dpo_vs_trl.py --out benchmarks/results/NAME

makes TRL's own environment (`.venv-trl`) where it is missing, draws the data, and runs Penchant, TRL with its default
reference and TRL with a precomputed reference in turn, each in its own process. `benchmarks/README.md` explains it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from side_by_side.environment import EnvironmentFailed, machine, trl_python
from side_by_side.report import markdown
from side_by_side.runs import TRIAL_STEPS, TRIAL_WARMUP, Settings, WorkerFailed, alternate, prepare, run_side
from side_by_side.summary import agree, pairs_per_s, summarise
from side_by_side.workloads import WORKLOADS, Workload

REPOSITORY = Path(__file__).resolve().parent.parent
NAME = "dpo_vs_trl"


def main() -> int:
    """Run the benchmark; 0 if the losses of both sides agree, 1 if not, 2 if it could not run."""
    options = _options()
    results: dict[str, Any] = {
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine(),
        "threads": options.threads,
        "versions": {},
        "workloads": [],
    }
    try:
        python = trl_python(options.venv, options.trl)
        with tempfile.TemporaryDirectory(prefix=f"{NAME}-") as scratch:
            for name in options.workload:
                workload = _adapted(WORKLOADS[name], options)
                folder = Path(scratch) / name
                folder.mkdir()
                _measure(workload, options, python, folder, results)
    except (EnvironmentFailed, WorkerFailed) as error:
        print(error, file=sys.stderr)
        return 2
    report = markdown(results)
    print("\n" + report)
    print(f"written: {options.out / NAME}.md and .json")
    return 0 if all(agree(of["summary"]) for of in results["workloads"]) else 1


def _measure(
    workload: Workload, options: argparse.Namespace, python: Path, folder: Path, results: dict[str, Any]
) -> None:
    """One workload: its data, TRL's best batch, then all repeats; kept in the results and on disk after each run."""
    print(f"== {workload.name}: {workload.title}", flush=True)
    model = prepare(workload, options.model or workload.model, folder, steps=workload.steps)
    settings = Settings(
        trl_python=python,
        workload=workload,
        model=model,
        data=folder,
        scratch=folder,
        steps=workload.steps,
        threads=options.threads,
        optimizer=options.optimizer,
        learning_rate=workload.learning_rate,
        beta=0.1,
        clip=1.0,
        tokens_per_batch=options.tokens_per_batch,
    )
    tried = {} if options.trl_batch else _try_batches(settings)
    batch = options.trl_batch or max(tried, key=lambda size: tried[size]["pairs_per_s"])
    runs: list[dict[str, Any]] = []
    entry: dict[str, Any] = {
        "workload": workload.as_json(),
        "settings": {
            "repeats": options.repeats,
            "steps": settings.steps,
            "warmup": options.warmup,
            "optimizer": settings.optimizer,
            "learning_rate": settings.learning_rate,
            "beta": settings.beta,
            "clip": settings.clip,
            "tokens_per_batch": settings.tokens_per_batch,
            "trl_batch": batch,
        },
        "tried": tried,
        "runs": runs,
    }
    results["workloads"].append(entry)
    for run in alternate(settings, repeats=options.repeats, micro_batch=batch):
        runs.append(run)
        speed = pairs_per_s(run, workload.pairs_per_step, options.warmup)
        print(
            f"   repeat {run['repeat'] + 1} of {options.repeats}, {run['side']}: {speed:.2f} pairs/s, "
            f"{run['peak_mib']:.0f} MiB, whole job {run['job_s']:.1f} s (load before {run['load_before']})",
            flush=True,
        )
        results["versions"]["Penchant's side" if run["side"] == "penchant" else "TRL's side"] = run["versions"]
        _write(options.out / f"{NAME}.json", json.dumps(results, indent=1))
    entry["summary"] = summarise(
        runs, pairs_per_step=workload.pairs_per_step, steps=settings.steps, warmup=options.warmup
    )
    _write(options.out / f"{NAME}.json", json.dumps(results, indent=1))
    _write(options.out / f"{NAME}.md", markdown(results))


def _try_batches(settings: Settings) -> dict[int, dict[str, float]]:
    """TRL's speed and peak memory by batch size, from a few steps each."""
    tried = {}
    steps = min(TRIAL_STEPS, settings.steps)
    for size in settings.workload.trl_batches:
        run = run_side(settings, "trl-precomputed", micro_batch=size, steps=steps)
        speed, peak = pairs_per_s(run, settings.workload.pairs_per_step, TRIAL_WARMUP), run["peak_mib"]
        tried[size] = {"pairs_per_s": speed, "peak_mib": peak}
        print(f"   trial: TRL with {size} pairs a forward pass, {speed:.2f} pairs/s, {peak:.0f} MiB", flush=True)
    return tried


def _adapted(workload: Workload, options: argparse.Namespace) -> Workload:
    """The workload with what the command line says of it."""
    rate = options.learning_rate or workload.learning_rate
    return replace(workload, steps=options.steps or workload.steps, learning_rate=rate)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}")
    building.write_text(text)
    os.replace(building, path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--workload",
        nargs="+",
        choices=WORKLOADS,
        default=["four-short", "two-long"],
        help="which ones (default: four-short two-long)",
    )
    parser.add_argument("--model", help="another model: a built-in name or a folder (needed for smoke)")
    parser.add_argument("--steps", type=int, help="optimizer steps of a run (default: the workload's)")
    parser.add_argument("--warmup", type=int, default=1, help="steps that the speed leaves out (default: 1)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side, in turn (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: 2)")
    parser.add_argument("--optimizer", choices=["adamw", "rmsprop"], default="adamw", help="default: adamw, as TRL's")
    parser.add_argument("--learning-rate", type=float, help="default: the workload's")
    parser.add_argument(
        "--tokens-per-batch", type=int, help="Penchant's tokens a forward pass (default: its own choice)"
    )
    parser.add_argument("--trl", default="1.16.0", help="TRL's version (default: 1.16.0)")
    parser.add_argument("--trl-batch", type=int, help="TRL's pairs a forward pass (default: the fastest in a trial)")
    parser.add_argument(
        "--venv", type=Path, default=REPOSITORY / ".venv-trl", help="TRL's environment (default: .venv-trl)"
    )
    options = parser.parse_args()
    if options.model and Path(options.model).exists():
        options.model = str(Path(options.model).resolve())  # workers run in a folder of their own
    for name in options.workload:
        _check(parser, options, WORKLOADS[name])
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace, workload: Workload) -> None:
    """Refuse what a workload cannot run with."""
    steps = options.steps or workload.steps
    if not 0 <= options.warmup < steps or (options.trl_batch is None and steps <= TRIAL_WARMUP):
        parser.error(f"{workload.name}: {steps} steps leave nothing to measure after the warm-up")
    if options.trl_batch and workload.pairs_per_step % options.trl_batch:
        parser.error(f"{workload.name}: --trl-batch must divide {workload.pairs_per_step} pairs a step")
    if workload.model is None and options.model is None:
        parser.error(f"{workload.name} needs --model FOLDER")


if __name__ == "__main__":
    sys.exit(main())
