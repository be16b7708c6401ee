"""Find out what this machine has: versions, device, cores, memory, disk, caches, packages. Imports no torch itself.

Each probe stands for itself. One that fails says so in a line, since a broken installation is what this is asked
about; torch is looked at in a process of its own, which it may end.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penchant.files import cache_folder
from penchant.upkeep.cache_entries import folder_size

TORCH_TIMEOUT_S = 120.0  # a first import from a slow disk takes a minute
NVIDIA_TIMEOUT_S = 20.0
CGROUP = Path("/sys/fs/cgroup")
"""Where a container's own limits stand."""
OLDEST_PYTHON = (3, 11)

TORCH_PROBE = """
import json, torch
cuda = torch.cuda.is_available()
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if cuda else []
print(json.dumps({
    "version": torch.__version__, "built for CUDA": torch.version.cuda or "", "threads": torch.get_num_threads(),
    "gpus": [[gpu.name, gpu.total_memory] for gpu in gpus], "bfloat16": bool(cuda and torch.cuda.is_bf16_supported()),
    "mps": bool(torch.backends.mps.is_available()),
}))
"""

EXTRAS = {
    "web": ("fastapi", "penchant collect"),
    "postgres": ("psycopg", "penchant collect on PostgreSQL"),
    "lm-eval": ("lm_eval", "penchant evaluate tasks=..."),
    "inspect": ("inspect_ai", "evaluations by inspect_ai"),
    "vllm": ("vllm", "model.sampler=vllm, on a GPU"),
    "xlsx": ("openpyxl", "files of Excel"),
    "chess": ("chess", "the tasks of chess"),
    "serve": ("openai", "transformers serve"),
    "trackers": ("tensorboard", "trackers=[tensorboard], wandb or trackio"),
}
"""By extra of the package: a module that it brings, and what it is for."""


@dataclass(frozen=True)
class Finding:
    """The answer of a probe.

    Attributes:
        facts: lines of text.
        problems: what will not work, with what to do.
        values: for the advice on speed.
    """

    facts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)


def run_probes() -> Iterator[tuple[str, Finding]]:
    """Yield the title of each probe with what it found."""
    for title, probe in PROBES.items():
        try:
            yield title, probe()
        except Exception as error:  # whatever is broken: the other probes may say why
            lines = str(error).strip().splitlines()
            reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
            yield title, Finding(problems=(f"could not be found out ({reason})",))


def _python() -> Finding:
    version = platform.python_version()
    problems = []
    if sys.version_info < OLDEST_PYTHON:
        problems.append(f"Python {version} is too old: Penchant needs 3.11 or newer")
    facts = [f"Python {version} ({sys.executable}), {platform.system()} {platform.release()}, {platform.machine()}"]
    return Finding(tuple(facts), tuple(problems))


def _packages() -> Finding:
    """Compare what is installed with what Penchant requires."""
    from packaging.requirements import Requirement

    facts, problems = [f"penchant {importlib.metadata.version('penchant')}"], []
    versions = []
    for text in importlib.metadata.requires("penchant") or ():
        requirement = Requirement(text)
        # extras are listed by their own probe
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is not installed: pip install '{text}'")
            continue
        versions.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is installed, and {requirement.specifier} is needed")
    return Finding((*facts, ", ".join(versions)), tuple(problems))


def _torch() -> Finding:
    # an import that crashes or hangs ends that process, and no more
    try:
        done = subprocess.run(
            [sys.executable, "-c", TORCH_PROBE],
            capture_output=True,
            text=True,
            timeout=TORCH_TIMEOUT_S,
            check=False,
            # as in our own commands: a `random.py` of the current folder is not the module that torch asks for
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
    except subprocess.TimeoutExpired:
        return Finding(problems=(f"torch was not imported within {TORCH_TIMEOUT_S:g} s",))
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        return Finding(problems=(f"torch cannot be imported ({lines[-1]}): install it again",))
    values = json.loads(done.stdout.splitlines()[-1])
    build = f"built for CUDA {values['built for CUDA']}" if values["built for CUDA"] else "built without CUDA"
    facts = [f"torch {values['version']}, {build}, {values['threads']} threads"]
    facts += [f"GPU: {name}, {memory / 2**30:.0f} GiB" for name, memory in values["gpus"]]
    # as `choose_device` decides it
    device = "cuda" if values["gpus"] else "mps" if values["mps"] else "cpu"
    facts.append(f"device=auto is {device}")
    problems = []
    # a user who hides the GPUs knows of them
    if device == "cpu" and "CUDA_VISIBLE_DEVICES" in os.environ:
        facts.append(f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']}: torch sees no other GPU")
    elif device == "cpu" and _has_nvidia_gpu():
        problems.append(
            "there is a GPU of NVIDIA, and torch does not see it: "
            + ("check its driver" if values["built for CUDA"] else "install a build of torch for CUDA")
        )
    memory = max((memory for _, memory in values["gpus"]), default=0)
    return Finding(tuple(facts), tuple(problems), {"gpus": len(values["gpus"]), "gpu memory": memory})


def _has_nvidia_gpu() -> bool:
    """Return whether the driver's own program lists a GPU; images for CUDA have the program without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=NVIDIA_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    # torch starts as many threads as it sees cores, and a container stops them
    cores = min(usable, quota) if quota else usable
    load = os.getloadavg()[0]
    facts = [f"{cores:g} cores" + (f" (of {os.cpu_count()} that the machine has)" if cores != os.cpu_count() else "")]
    facts.append(f"load {load:.1f}: " + ("other work takes part of them" if load > cores / 2 else "they are free"))
    if threads := os.environ.get("OMP_NUM_THREADS"):
        facts.append(f"OMP_NUM_THREADS={threads}")
    return Finding(tuple(facts), values={"cores": cores, "load": load})


def _quota() -> float | None:
    """Return how many cores a container may use; None without a limit."""
    file = CGROUP / "cpu.max"
    if not file.is_file():
        return None
    limit, period = file.read_text().split()
    return None if limit == "max" else int(limit) / int(period)


def _memory() -> Finding:
    total, available = _system_memory()
    limit = CGROUP / "memory.max"
    text = limit.read_text().strip() if limit.is_file() else "max"
    # a container is ended at its own limit, whatever the machine has
    if text != "max" and int(text) < total:
        total, available = int(text), min(available, max(0, int(text) - _container_memory()))
    facts = (f"{total / 2**30:.1f} GiB, {available / 2**30:.1f} GiB of it free",)
    return Finding(facts, values={"memory": available})


def _container_memory() -> int:
    """Return the bytes that a container uses, without the files that it has read, which make room when asked."""
    lines = (line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    statistics = {words[0]: int(words[1]) for words in lines if len(words) == 2}
    return int((CGROUP / "memory.current").read_text()) - statistics.get("inactive_file", 0)


def _system_memory() -> tuple[int, int]:
    file = Path("/proc/meminfo")
    if file.is_file():
        lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
        return int(lines["MemTotal"].split()[0]) * 1024, int(lines["MemAvailable"].split()[0]) * 1024
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, total  # a Mac says how much there is, and not how much is free


def _disk() -> Finding:
    facts, problems = [], []
    for title, folder in (
        ("this folder", Path.cwd()),
        ("the cache", cache_folder()),
        ("temporary files", _temporary()),
    ):
        # the cache may not be there yet: its disk is that of the nearest folder above
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(nearest).free
        facts.append(f"{title} ({folder}): {free / 1e9:.1f} GB free")
        if free < 2e9:
            problems.append(f"{title} ({folder}) has {free / 1e9:.1f} GB free: a checkpoint may find no room")
        if not os.access(nearest, os.W_OK):
            problems.append(f"{title} ({folder}) cannot be written")
    return Finding(tuple(facts), tuple(problems))


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _caches() -> Finding:
    from huggingface_hub import constants

    data_sets = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    folders = {
        "Penchant's (penchant cache)": cache_folder(),
        "the hub's models and data sets (hf cache)": Path(constants.HF_HUB_CACHE),
        "data sets as they were read": Path(data_sets),
    }
    facts = [f"{title}: {folder}, {folder_size(folder) / 1e6:,.0f} MB" for title, folder in folders.items()]
    offline = "HF_HUB_OFFLINE is set: nothing is fetched" if constants.HF_HUB_OFFLINE else ""
    return Finding((*facts, *((offline,) if offline else ())))


def _extras() -> Finding:
    facts = []
    for extra, (module, use) in EXTRAS.items():
        # to find a module runs none of its code
        is_there = importlib.util.find_spec(module) is not None
        facts.append(f"{extra}: {'installed' if is_there else f'not installed (pip install penchant[{extra}])'}; {use}")
    return Finding(tuple(facts))


PROBES: dict[str, Callable[[], Finding]] = {
    "Python": _python,
    "packages": _packages,
    "torch": _torch,
    "cores": _cores,
    "memory": _memory,
    "disk": _disk,
    "caches": _caches,
    "optional packages": _extras,
}
"""The probes by their titles, in the order in which they are shown."""
