"""Freed memory is kept: a further large tensor costs no fresh pages. In a process of its own, since it is for good."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from penchant.engine.memory import keep_freed_memory
if KEEP:
    assert keep_freed_memory()
def faults(mebi):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(mebi * 2**20)  # 1,024 pages each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(20)
print(faults(16))
"""


@pytest.mark.slow  # imports torch twice
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_pages_are_kept_and_without_it_they_are_not() -> None:
    with_it, without = (
        int(subprocess.run([sys.executable, "-c", f"KEEP = {keep}{SCRIPT}"], capture_output=True, check=True).stdout)
        for keep in (True, False)
    )
    # 16,384 pages; a kernel may bring several per fault (a new one brought four)
    assert with_it < 100 < 1000 < without
