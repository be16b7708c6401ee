"""Which modules of ours are called while something runs. Not a test itself."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import penchant

ROOT = Path(penchant.__file__).parent


def module_of(file: Path) -> str:
    """Return the name of the module in a file of ours."""
    parts = ("penchant", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(ROOT.rglob("*.py"))}


@contextmanager
def called_modules() -> Iterator[set[str]]:
    """The modules of ours of which some function is called while the block runs."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function; an import runs modules and bodies of classes
            files.add(frame.f_code.co_filename)

    sys.setprofile(note)
    threading.setprofile(note)
    found: set[str] = set()
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        known = {str(path): module for module, path in MODULES.items()}
        found |= {known[file] for file in files if file in known}
