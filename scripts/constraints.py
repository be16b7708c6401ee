"""Write `constraints.txt`: the versions that the tests ran with, each with the digests of its files.

    .venv/bin/python -m pip install uv
    .venv/bin/python scripts/constraints.py

It takes the versions that are installed beside the Python that runs it, so run it by that of a fresh `make test`. What
that machine lacks (CUDA for torch, packages for other systems) is resolved to what there is today. The file names no
index, so any that has these files will do. A local build of torch (`2.13.0+cpu`) stands as its public version.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FILE = REPOSITORY / "constraints.txt"
HEADER = """\
# The versions that the tests ran with, for the same environment again. Written by scripts/constraints.py; do not edit.
#
#   python -m pip install --require-hashes --no-deps -r constraints.txt
#   python -m pip install --no-deps .
#
# torch is the default build, which brings CUDA on Linux; a CPU build has other digests.
"""


def main() -> int:
    installed = ((each.metadata["Name"], each.version) for each in importlib.metadata.distributions())
    with tempfile.TemporaryDirectory() as folder:
        pins, compiled = Path(folder) / "pins.txt", Path(folder) / "compiled.txt"
        pins.write_text("".join(f"{pin}\n" for pin in pins_of(installed)))
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--universal"]
        command += ["--python-version", "3.11", "--constraint", str(pins), "--output-file", str(compiled)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
        done = subprocess.run(command, cwd=REPOSITORY, check=False)
        if done.returncode != 0:
            print("constraints.txt is as it was: uv could not resolve these versions", file=sys.stderr)
            return 1
        FILE.write_text(HEADER + compiled.read_text())
    return 0


def pins_of(installed: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is installed as `name==version`, without local builds and without Penchant itself."""
    versions = {name: version.partition("+")[0] for name, version in installed}
    return sorted(f"{name}=={version}" for name, version in versions.items() if name.lower() != "penchant")


if __name__ == "__main__":
    sys.exit(main())
