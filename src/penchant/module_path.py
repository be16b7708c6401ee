"""The module path of our programs: without the current folder, so that no file in it stands for a module.

`python -m penchant.cli` puts the current folder first, and an empty entry of `PYTHONPATH` stands for it as well. Then a
`select.py` among downloaded data would run as soon as anything imports `select`. A program of somebody else's that
imports Penchant keeps its own path. No imports but these two, which Python has loaded before it comes here.
"""

import os
import sys


def leave_current_folder_if_program() -> None:
    """Take the current folder off the module path where this process is `python -m penchant...` or `penchant`."""
    started = sys.orig_argv
    # `sys.argv` does not tell yet: while `-m` looks for its module, argv[0] is "-m"
    as_module = "-m" in started[:-1] and started[started.index("-m") + 1].split(".")[0] == "penchant"
    if as_module or os.path.basename(sys.argv[0] if sys.argv else "") == "penchant":
        leave_current_folder()


def leave_current_folder() -> None:
    """Take the current folder off the module path."""
    sys.path[:] = safe_path()


def safe_path() -> list[str]:
    """Return the module path without the current folder, unless `PYTHONPATH` names it in full or it is Python's own."""
    # a relative entry means the current folder or a part of it, and moves along with it
    in_full = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    allowed = {os.path.realpath(entry) for entry in (*in_full, *_site_folders())}
    return [entry for entry in sys.path if not _is_here(entry) or os.path.realpath(entry) in allowed]


def _is_here(entry: str) -> bool:
    """Return whether an entry is the current folder, or a part of it that moves along."""
    try:
        current = os.path.realpath(os.getcwd())
    except OSError:  # the folder is gone
        return not os.path.isabs(entry)
    return not os.path.isabs(entry) or os.path.realpath(entry) == current


def _site_folders() -> list[str]:
    """Return where Python keeps its modules and installed packages."""
    standard_library = os.path.dirname(os.__file__)
    return [standard_library] + [
        entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")
    ]


leave_current_folder_if_program()
