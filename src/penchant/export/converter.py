"""llama.cpp's own converter, for architectures that the mapping of Penchant lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from penchant.errors import InputError
from penchant.export.settings import Quantization

SECONDS = 6 * 3600  # a model of 70B takes less


def run_converter(script: Path, model: Path, out: Path, stored: Quantization) -> None:
    """Convert a folder of merged weights by llama.cpp's `convert_hf_to_gguf.py`.

    Args:
        script: that file.
        model: the folder.
        out: the GGUF file to write.
        stored: the type of matrices.

    Raises:
        InputError: there is no such script, or it fails; the message ends with what it said last.
    """
    script = script.expanduser()
    if not script.is_file():
        raise InputError(
            f"converter={script}: no such file. Name convert_hf_to_gguf.py of llama.cpp, or leave converter out"
        )
    command = [sys.executable, str(script), str(model), "--outfile", str(out), "--outtype", stored]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{script} did not end within {SECONDS // 3600} hours") from error
    if done.returncode or not out.is_file():
        last = " / ".join(done.stderr.strip().splitlines()[-3:]) or "nothing"
        raise InputError(f"{script} failed (exit code {done.returncode}): {last[:600]}")
