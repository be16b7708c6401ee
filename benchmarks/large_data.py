"""How long a run on many rows takes to its first step, and how much memory its rows take.

    python benchmarks/large_data.py --rows 300000

It writes a file of random comparisons, and trains one step of DPO on it three times, each in a process of its own: on
100 rows (the model and the imports), on all rows for the first time, and once more with what the first run kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = [f"{a}{b}{c}" for a in ("ba", "ke", "lo", "mi", "tu") for b in ("r", "n", "s") for c in ("a", "en", "ot", "y")]


def write_rows(path: Path, rows: int) -> None:
    """Write comparisons of two responses of 20 to 40 words to prompts of 20 to 60."""
    draw = random.Random(rows)

    def text(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    with path.open("w") as file:
        for number in range(rows):
            row = {"prompt": f"{number} {text(20, 60)}", "chosen": text(20, 40), "rejected": text(20, 40)}
            file.write(json.dumps(row) + "\n")


def first_step(folder: Path, data: Path, model: str, name: str) -> dict[str, float]:
    """Train one step; return the seconds to it, and the processor's seconds and peak memory of the whole process."""
    out = folder / name
    command = [sys.executable, "-m", "penchant.cli", "train", "dpo", f"model={model}", f"data={data}", f"out={out}"]
    settings = ["data.held_out=64", "data.template=plain", "evaluate.samples=null", "max_steps=1", "batch_size=8"]
    started = time.monotonic()
    environment = {**os.environ, "PENCHANT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    log = (folder / f"{name}.log").open("w")
    process = subprocess.Popen([*command, *settings], env=environment, stdout=log, stderr=log)
    metrics, seconds = out / "metrics.jsonl", 0.0
    while process.poll() is None:
        if not seconds and metrics.exists() and '"kind": "train"' in metrics.read_text():
            seconds = time.monotonic() - started
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit((folder / f"{name}.log").read_text())
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = seconds or time.monotonic() - started
    return {"seconds": seconds, "peak_mib": usage.ru_maxrss / 1024, "cpu": usage.ru_utime + usage.ru_stime}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--model", required=True, help="a small model's folder, such as stories260K")
    parser.add_argument("--folder", help="where data, runs and cache go; a temporary folder if not given")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = Path(arguments.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.only:  # a process of its own, since the peak of all children counts
        data = folder / ("few.jsonl" if arguments.only == "few" else "many.jsonl")
        print(json.dumps(first_step(folder, data, arguments.model, arguments.only)))
        return
    for name, rows in (("few", 100), ("many", arguments.rows)):
        if not (folder / f"{name}.jsonl").exists():
            write_rows(folder / f"{name}.jsonl", rows)
    print(f"{arguments.rows:,} rows, {(folder / 'many.jsonl').stat().st_size / 2**20:.0f} MiB")
    base = 0.0
    for name, label in (("few", "100 rows"), ("first", "first run"), ("cached", "second run")):
        command = [sys.executable, __file__, "--only", name, "--model", arguments.model, "--folder", str(folder)]
        numbers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        base = base or numbers["peak_mib"]
        above = f", {numbers['peak_mib'] - base:,.0f} MiB above the run on 100 rows" if name != "few" else ""
        print(
            f"{label}: {numbers['seconds']:.1f} s to the first step ({numbers['cpu']:.1f} s of processor time in all), "
            f"peak {numbers['peak_mib']:,.0f} MiB{above}"
        )


if __name__ == "__main__":
    main()
