"""Zip archives of text files as rows: a line each, with the name of its file. Imports no torch."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penchant.data.sources.packed import refuse_bomb
from penchant.data.sources.rows import Row
from penchant.errors import InputError


def read_zip(path: Path) -> Iterator[Row]:
    """Yield the lines of an archive's files as rows with `text` and `file`, in the order of the archive.

    Raises:
        InputError: it is no archive, is damaged, unpacks to far too much, or holds no UTF-8.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(path, sum(member.file_size for member in archive.infolist()))
            for member in archive.infolist():
                file = PurePosixPath(member.filename).name
                # by line feeds alone: texts of reviews hold other characters that Python takes for the end of a line
                lines = archive.read(member).decode("utf-8").split("\n")
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield Row(f"{path.name}/{file}:{number}", {"text": line.strip(), "file": file})
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a file in it is no UTF-8 text: fetch the archive again") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: the zip archive is damaged ({error}): fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file") from error
