"""The peer's own virtual environment, made once; the machine; the code and the libraries that are measured."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TRL = "1.16.0"
LIBRARIES = ("torch", "transformers", "accelerate")


class EnvironmentFailed(Exception):
    """The peer could not be installed."""


def trl_python(folder: Path) -> Path:
    """The interpreter of TRL's environment, which is made, or changed to this TRL version, where needed.

    torch and transformers are those of the running environment, so that only the trainers differ.

    Raises:
        EnvironmentFailed: a step of the installation failed; the message has its last lines.
    """
    torch = f"torch=={version('torch').partition('+')[0]}"
    libraries = [f"trl=={TRL}", f"transformers=={version('transformers')}"]
    python, stamp = folder / "bin" / "python", folder / ".installed"
    wanted = " ".join([torch, *libraries])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    stamp.unlink(missing_ok=True)
    if not python.exists():
        _step(f"making {folder}", [sys.executable, "-m", "venv", str(folder)])
    install = [str(python), "-m", "pip", "install", "--quiet"]
    _step(f"installing {torch} there (large: a minute or more)", [*install, torch])
    _step(f"installing {' '.join(libraries)} there", [*install, torch, *libraries])
    stamp.write_text(wanted)
    return python


def _step(what: str, command: list[str]) -> None:
    print(f"== {what}", flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise EnvironmentFailed(f"{what} failed ({' '.join(command)}):\n{last}")


def code_digest(folder: Path, pattern: str = "*.py") -> str:
    """A digest of a folder's files, at any depth, that fit the pattern: names and contents."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()[:12]


def commit() -> str | None:
    """The checked out commit, marked where sources differ from it; None outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=REPOSITORY, capture_output=True, text=True
    )
    return described.stdout.strip() or None


def peer_versions() -> dict[str, str]:
    """What both sides run on."""
    return {"python": platform.python_version(), "trl": TRL} | {name: version(name) for name in LIBRARIES}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": " ".join([platform.system(), *platform.libc_ver()]),
        "cuda": Path("/dev/nvidia0").exists(),
    }


def slug(of: dict[str, Any]) -> str:
    """A machine's name for file names, such as `amd-epyc-2-cores`: never its host name."""
    cpu = re.sub(r"\(r\)|\(tm\)|\bcpu\b|\bprocessor\b|@.*|\d+-core", " ", of["cpu"].lower())
    return "-".join([*re.findall(r"[a-z0-9]+", cpu), str(of["cores"]), "cores"])


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
