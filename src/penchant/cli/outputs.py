"""One rule for the files that commands write: what is there is not lost, unless `--overwrite` says so.

A page of ours is replaced in silence, since the same command makes it again from what it shows. Samples, scores, labels
and converted rows are work, of ours or of somebody else; they are refused by name before anything is computed.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from penchant.errors import InputError
from penchant.files import file_above

HEAD = 4096  # bytes of a page in which its title stands
_PAGE_TITLE = re.compile(rb"<title>[^<]* \xe2\x80\x93 [^<]*Penchant</title>")


def add_overwrite_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--overwrite` to a command that writes a file."""
    parser.add_argument("--overwrite", action="store_true", help="replace the file that out names, if it is there")


def check_file(
    out: str | os.PathLike[str], flags: argparse.Namespace, *, page: bool = False, name: str = "out"
) -> Path:
    """Return the path of a file to write, or refuse it: before the work, not after it.

    Args:
        flags: of the command, which has `--overwrite`.
        page: the file is an HTML page; one that Penchant wrote may be replaced.
        name: of the setting or flag that named it.

    Raises:
        InputError: it is a folder, lies below a file, or is a file that would be lost.
    """
    path = Path(out).expanduser()
    if path.is_dir():
        raise InputError(f"{name}={out} is a folder, expected the name of a file")
    if (parent := file_above(path)) is not None:
        raise InputError(f"{name}={out}: {parent} is a file, expected a folder")
    overwrites = getattr(flags, "overwrite", None)  # `train --report` has no such flag: it would be taken for the run's
    if overwrites or not os.path.lexists(path) or (page and _is_our_page(path)) or not _is_ordinary(path):
        return path
    advice = "" if overwrites is None else ", or add --overwrite to replace it"
    raise InputError(f"{name}={out} exists and is not overwritten: choose another name{advice}")


def _is_ordinary(path: Path) -> bool:
    """Return whether there is a file whose content can be lost; `/dev/stdout` and pipes hold none."""
    return path.is_file() or not path.exists()  # a link to nothing is somebody's, and not written through


def _is_our_page(path: Path) -> bool:
    # the title stands at the top of a page: a large file of somebody else's is not read through
    try:
        with path.open("rb") as file:
            return _PAGE_TITLE.search(file.read(HEAD)) is not None
    except OSError:
        return False
