"""`penchant doctor`: every probe answers or is named, whatever is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from penchant.upkeep import probes
from penchant.upkeep.advice import slow_parts

ANSWER = '{"version": "2.9", "built for CUDA": "", "threads": 2, "gpus": [], "bfloat16": false, "mps": false}'
CHEAP = {title: probe for title, probe in probes.PROBES.items() if title not in ("torch", "packages")}


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The probes that start no other process."""
    chosen = dict(CHEAP)
    monkeypatch.setattr(probes, "PROBES", chosen)
    return chosen


def test_a_machine_in_order_has_no_problem(cheap: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for title in CHEAP:
        assert f"{title}:\n" in text
    assert "what will be slow here:" in text
    assert text.endswith("0 problems found\n")


def test_a_probe_that_fails_is_a_line_and_no_traceback(
    cheap: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> probes.Finding:
        raise RuntimeError("the disk says no\nand more")

    cheap["memory"] = broken
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "PROBLEM: could not be found out (RuntimeError: the disk says no)" in captured.out
    assert "memory: could not be found out" in captured.out.rpartition("1 problem:")[2]
    assert "optional packages:" in captured.out  # the others still answer
    assert captured.err == ""


def test_a_torch_that_ends_its_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TORCH_PROBE", "import os; os.abort()")
    assert "torch cannot be imported (it ended with -6)" in probes.PROBES["torch"]().problems[0]
    monkeypatch.setattr(probes, "TORCH_PROBE", "raise ImportError('libcudart.so is missing')")
    assert "libcudart.so is missing" in probes.PROBES["torch"]().problems[0]


def test_a_torch_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TORCH_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(probes, "TORCH_TIMEOUT_S", 0.2)
    assert probes.PROBES["torch"]().problems == ("torch was not imported within 0.2 s",)


def test_a_module_of_the_current_folder_does_not_stand_in_for_torchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('mine')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probes, "TORCH_PROBE", f"import random\nprint('{ANSWER}')")
    assert probes.PROBES["torch"]().problems == ()


@pytest.mark.parametrize(
    ("listed", "hidden", "problems"),
    [("GPU 0: NVIDIA L4", None, 1), ("GPU 0: NVIDIA L4", "", 0), ("No devices were found", None, 0)],
)
def test_a_gpu_that_torch_does_not_see_is_a_problem_unless_it_is_hidden_or_not_there(
    listed: str, hidden: str | None, problems: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{listed}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(probes, "TORCH_PROBE", f"print('{ANSWER}')")
    found = probes.PROBES["torch"]().problems
    assert len(found) == problems
    assert all("install a build of torch for CUDA" in problem for problem in found)


def test_the_memory_of_a_container_counts_without_the_files_that_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "CGROUP", tmp_path)
    monkeypatch.setattr(probes, "_system_memory", lambda: (64 * 2**30, 50 * 2**30))
    (tmp_path / "memory.max").write_text(f"{8 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{7 * 2**30}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {5 * 2**30}\n")
    # 8 GiB, less 7 in use, of which 5 are files that were read
    assert probes.PROBES["memory"]().facts == ("8.0 GiB, 6.0 GiB of it free",)


def test_a_package_that_is_too_old_or_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probes.importlib.metadata, "requires", lambda name: ["numpy>=999", "no-such-thing>=1", 'x; extra == "web"']
    )
    found = "\n".join(probes.PROBES["packages"]().problems)
    assert ">=999 is needed" in found
    assert "no-such-thing is not installed: pip install 'no-such-thing>=1'" in found
    assert "x is not installed" not in found


def test_a_full_disk_and_a_cache_that_cannot_be_written_are_problems(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = probes.shutil.disk_usage(own_cache)
    monkeypatch.setattr(probes.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    assert "a checkpoint may find no room" in probes.PROBES["disk"]().problems[0]
    monkeypatch.setattr(probes.os, "access", lambda path, mode: False)
    assert "cannot be written" in probes.PROBES["disk"]().problems[1]


def test_advice_by_hand() -> None:
    # 10e9 bytes less 2e9: 8e9 / 16 = 500 million weights, with LoRA 8e9 / 5 = 1.6 billion
    text = "\n".join(slow_parts({"gpus": 0, "cores": 2, "load": 4, "memory": 10e9}))
    assert "run on the CPU" in text
    assert "about 3.0 times as long" in text
    assert "about 500 million weights" in text
    assert "one of 1.6 billion weights" in text
    assert "Too large for it: smollm2-135m." in "\n".join(slow_parts({"gpus": 0, "memory": 2.5e9}))
    assert not any("CPU" in line for line in slow_parts({"gpus": 1, "gpu memory": 80e9, "cores": 2}))
    assert list(slow_parts({})) == []


def test_torch_is_imported_by_no_process_of_ours() -> None:
    code = (
        "import sys; from penchant.cli.main import main; from penchant.upkeep import probes\n"
        "probes.PROBES.pop('torch'); main(['doctor']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
