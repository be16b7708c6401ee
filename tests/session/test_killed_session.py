"""A session that is killed in the middle of a run on what it holds: the same call goes on to the same bytes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from penchant.session.store import INPUTS

CELLS = (
    """
    import os, signal
    from pathlib import Path
    import pandas as pd
    import penchant as pt
    from torch.nn.functional import softplus
    """,
    """
    frame = pd.DataFrame(
        [{"prompt": f"Film {n}?", "chosen": f"Good, {n} of it.", "rejected": f"Dull {n}."} for n in range(12)]
    )
    policy = pt.load_policy(MODEL, device="cpu")
    """,
    """
    def make(beta):
        def logistic(policy_chosen, policy_rejected, ref_chosen, ref_rejected):
            return softplus(-beta * (policy_chosen - ref_chosen - policy_rejected + ref_rejected))
        return logistic

    def end(line):
        if line["kind"] == "train" and line["step"] == 5 and Path("kill").exists():
            Path("kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    """,
    """
    config = pt.DPO(
        model=policy,
        data={"path": frame, "held_out": 2},
        loss=make(0.3),
        callbacks=[end],
        evaluate={"samples": {"n": 1, "max_new_tokens": 4, "reward": lambda pairs: [len(text) for _, text in pairs]}},
        optimizer={"learning_rate": 1e-3},
        batch_size=2,
        epochs=2,
        checkpoint_every=2,
        out=OUT,
    )
    run = pt.train(config, resume=Path(OUT).exists())
    """,
)
"""A notebook, cell by cell; it kills its own kernel where a file asks for that."""


def run_script(cells: list[str], folder: Path) -> int:
    (folder / "script.py").write_text("\n".join(cells))
    return subprocess.run([sys.executable, "script.py"], cwd=folder, check=False).returncode


def run_kernel(cells: list[str], folder: Path) -> int:
    """Run the cells in a kernel of Jupyter; the signal that it died of as a negative number."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except nbclient.exceptions.DeadKernelError:
        return -signal.SIGKILL
    return 0


def lines_of(run: Path) -> list[object]:
    """The lines of metrics without what a clock says."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not re.search("seconds|per_s|memory", key)} for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("run_cells", [run_script, run_kernel])
def test_the_same_call_in_another_session_goes_on_to_the_same_bytes(run_cells, tmp_path: Path, tiny_model: str) -> None:  # type: ignore[no-untyped-def]
    def cells(out: str) -> list[str]:
        return [f"MODEL, OUT = {tiny_model!r}, {out!r}", *map(textwrap.dedent, CELLS)]

    assert run_cells(cells("straight"), tmp_path) == 0
    (tmp_path / "kill").touch()
    assert run_cells(cells("killed"), tmp_path) == -signal.SIGKILL
    killed = tmp_path / "killed"
    assert not (killed / "result.json").exists()
    # all that the session held was stored before the first step
    kept = sorted(re.sub(r"[-_][0-9a-f]{16}", "", path.name) for path in (killed / INPUTS).iterdir())
    assert kept == ["dataframe.jsonl", "end.py", "lambda_.py", "logistic.py", "model"]
    assert run_cells(cells("killed"), tmp_path) == 0
    assert lines_of(killed) == lines_of(tmp_path / "straight")
    weights = [(tmp_path / run / "checkpoint" / "model.safetensors").read_bytes() for run in ("killed", "straight")]
    assert weights[0] == weights[1]
