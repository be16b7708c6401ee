"""Keeping freed memory for the next step on a CPU, and the peak memory of a process.

glibc gives every block over some megabytes back to the system when it is freed, and the next step's tensors then
fault fresh pages in, one by one, which costs about a tenth of a training step (docs/decisions/0006).
"""

from __future__ import annotations

import ctypes
import platform
import resource
import sys

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
GROW_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed, for this process; False where there is another allocator.

    The peak stays what it was: freed blocks are taken again before the heap grows.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: GROW_BYTES}
    return all([mallopt(name, value) == 1 for name, value in settings.items()])  # noqa: C419 (no setting is left out when one fails)


def peak_memory_bytes() -> int:
    """Return the peak memory of this process in bytes: of the GPU where one is used, else resident."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    # kilobytes on Linux, bytes on a Mac
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
