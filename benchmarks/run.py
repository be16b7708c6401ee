"""All of Penchant's benchmarks in one command, beside TRL: speed, memory, equality, and the distance to the limit.

    make bench                     # all rows; QUICK=1 for a look
    python benchmarks/run.py --rows four-short sweep

Writes `benchmarks/results/MACHINE.md`, `.json` and plots. What the JSON already holds for the same code, settings
and libraries is not run again, so a stopped benchmark continues. `benchmarks/README.md` explains the rows.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from side_by_side import curves, sampling_hook, start, sweep, training
from side_by_side.environment import (
    REPOSITORY,
    EnvironmentFailed,
    code_digest,
    commit,
    machine,
    peer_versions,
    slug,
    trl_python,
)
from side_by_side.report import markdown, plot_data
from side_by_side.rows import ROWS
from side_by_side.state import CodeChanged, RowState, State, write
from side_by_side.summary import equality
from side_by_side.workers import Bench, WorkerFailed

OTHERS = {"sweep": sweep, "start": start, "sampling": sampling_hook, "curves": curves}
LONG = ("curves",)  # left out of a quick run
EVERY = [*(name for name in ROWS if name != "smoke"), *OTHERS]


def main() -> int:
    """Run what is asked for; 0 if all is equal, 1 if losses or gradients are not, 2 if something could not run."""
    options = _options()
    described = machine()
    out = options.out or REPOSITORY / "benchmarks" / "results" / (slug(described) + ("-quick" if options.quick else ""))
    state = State(
        out.with_name(out.name + ".json"),
        code=lambda: code_digest(REPOSITORY / "src" / "penchant"),
        fresh=options.fresh,
    )
    command = shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    mode = "quick" if options.quick else "full"
    state.tell(command=command, commit=commit(), mode=mode, machine=described, threads=options.threads)
    try:
        python = trl_python(options.venv)
    except EnvironmentFailed as error:
        print(error, file=sys.stderr)
        return 2
    broken = False
    with tempfile.TemporaryDirectory(prefix="penchant-bench-") as scratch:
        bench = Bench(
            state=state,
            trl_python=python,
            shared=options.data.resolve(),
            scratch=Path(scratch),
            threads=options.threads,
            quick=options.quick,
            versions=peer_versions(),
            model=options.model,
        )
        for name in options.rows or [name for name in EVERY if not (options.quick and name in LONG)]:
            try:
                broken |= not _row(bench, name)
            except KeyboardInterrupt:
                print("\nstopped; the same command continues with the next run", file=sys.stderr)
                return 130
            finally:
                _report(bench, out)
    print(f"\n{out.with_name(out.name + '.md').read_text()}\nwritten: {out}.md, {out}.json and plots in {out}/")
    if broken:
        return 2
    found = [equality(row["runs"]) for row in state.content["rows"].values()]
    return 0 if all(of["equal"] for of in found if of) else 1


def _row(bench: Bench, name: str) -> bool:
    """Measure a row; False if it could not be measured to its end, which the report then says."""
    if name == "sampling" and not sampling_hook.SCRIPT.exists():
        print("== sampling: no benchmarks/sampling.py here, left out")
        return True
    settings: dict[str, Any]
    measure: Callable[[RowState], None]
    if name in ROWS:
        settings = ROWS[name].settings(bench.quick)
        measure = lambda state: training.measure(bench, ROWS[name], state)  # noqa: E731
    else:
        settings = OTHERS[name].settings(bench.quick)
        measure = lambda state: OTHERS[name].measure(bench, state)  # noqa: E731
    if bench.model:
        settings = settings | {"other_model": bench.model}
    print(f"== {name}: {settings['title']}", flush=True)
    started = time.monotonic()
    state = bench.state.open_row(name, settings=settings, versions=bench.versions, threads=bench.threads)
    try:
        measure(state)
    except (WorkerFailed, CodeChanged) as error:
        print(error, file=sys.stderr)
        state.failed(str(error))
        return False
    print(f"   {name}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return True


def _report(bench: Bench, out: Path) -> None:
    """Markdown and plots of all that is known."""
    content = bench.state.content
    drawn = bench.worker("plots", {"folder": str(out), **plot_data(content)})["files"]
    notes = out / "notes.md"
    text = markdown(content, folder=out.name, plots=drawn, notes=notes.read_text() if notes.exists() else "")
    write(out.with_name(out.name + ".md"), text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, *OTHERS], help="which ones (default: all but smoke)")
    parser.add_argument("--quick", action="store_true", help="one repeat of short runs: under 10 minutes, for a look")
    parser.add_argument("--fresh", action="store_true", help="forget what the results file holds")
    parser.add_argument("--out", type=Path, help="OUT.md, OUT.json, OUT/ (default: benchmarks/results/MACHINE)")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: 2)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("PENCHANT_DATA", REPOSITORY.parent / "shared" / "data")),
        help="folder of shared data (default: $PENCHANT_DATA or ../shared/data)",
    )
    parser.add_argument("--model", help="for all rows but curves another model: a built-in name, or shared:FOLDER")
    parser.add_argument(
        "--venv", type=Path, default=REPOSITORY / ".venv-trl", help="TRL's environment (default: .venv-trl)"
    )
    options = parser.parse_args()
    if options.out:
        options.out = options.out.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
