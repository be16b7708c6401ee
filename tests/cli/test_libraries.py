"""Bars and warnings of libraries stay out of logs, and come back where somebody asks for them."""

from __future__ import annotations

import os
import subprocess
import sys

NOISE = """
import sys, warnings
from penchant.cli.libraries import quiet_libraries
if sys.argv[1] == "quiet":
    quiet_libraries()
from tqdm.auto import tqdm
for _ in tqdm(range(3)):
    pass
exec(compile("import warnings; warnings.warn('of a library')", "x", "exec"), {"__name__": "torch.somewhere"})
warnings.warn("of our own")
"""


def noise(*arguments: str, **environment: str) -> str:
    unset = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "PYTHONWARNINGS")
    inherited = {key: value for key, value in os.environ.items() if key not in unset}
    command = [sys.executable, "-c", NOISE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=inherited | environment).stderr


def test_a_log_has_neither_bars_nor_warnings_of_libraries() -> None:
    loud = noise("loud")
    assert "3/3" in loud
    assert "of a library" in loud
    quiet = noise("quiet")
    assert "3/3" not in quiet
    assert "of a library" not in quiet
    assert "of our own" in quiet


def test_the_environment_has_the_last_word() -> None:
    assert "3/3" in noise("quiet", TQDM_DISABLE="")
    assert "of a library" in noise("quiet", PYTHONWARNINGS="default")


def test_a_command_says_nothing_of_libraries_unless_asked(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from penchant.cli import libraries
    from penchant.cli.main import main

    calls = []
    monkeypatch.setattr(libraries, "quiet_libraries", lambda: calls.append("quiet"))
    assert main(["cache"]) == 0
    assert calls == ["quiet"]
    assert main(["cache", "-v"]) == 0
    assert calls == ["quiet"]
