"""Pictures in files of rows: a column `image` with the place of a picture or its bytes, and `sha256`, which is checked.

A place is looked for beside the file first, so that a folder of pictures can move with its list, and then from where
the command runs. One that lies outside the file's folder is read only where the row states its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penchant.data.layouts.media import NAMES
from penchant.data.sources.values import RowError, cut, describe
from penchant.errors import InputError
from penchant.files import atomic_write
from penchant.image import Image
from penchant.session.store import is_session_name

IMAGE_FIELD, DIGEST_FIELD = "image", "sha256"
PNG = b"\x89PNG"


def read_picture(values: Mapping[str, object], source: str) -> Image:
    """Return the picture of a row.

    Args:
        values: with `image`: a path, or the mapping of `datasets` with `bytes` or `path`. source: the file of the row.

    Raises:
        RowError: no such file, no picture, a broken one, or another one than its `sha256` says; a place outside the
            file's folder, of a row without a `sha256`.
    """
    value, expected = values[IMAGE_FIELD], values.get(DIGEST_FIELD)
    # as `datasets` writes undecoded pictures into Parquet
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, str | bytes) or not value:
        raise RowError("type", f"field '{IMAGE_FIELD}': expected the path of a picture, got {describe(value)}")
    try:
        image = Image.make(value if isinstance(value, bytes) else _find(value, source, is_listed=bool(expected)))
        # now, not in the middle of a training: a header may be whole where the pixels are not
        image.decode()
    except InputError as error:
        raise RowError("value", f"field '{IMAGE_FIELD}': {error}") from error
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have
        raise RowError("value", f"field '{IMAGE_FIELD}': {cut(value)!r} is no path ({error})") from error
    # a list and a folder that do not belong together would teach wrong labels
    if expected and expected != image.sha256:
        raise RowError(
            "value", f"{image.name} is another picture than the one that was listed: its {DIGEST_FIELD} differs"
        )
    return image


def shows_picture(values: Mapping[str, object]) -> bool:
    """Return whether a row is a picture; else it is a text.

    Raises:
        RowError: another column shows or plays something beside a text, which no classifier would see.
    """
    if values.get(IMAGE_FIELD):
        return True
    for name in sorted(NAMES & values.keys()):
        # a number counts or names what it does not show
        if values[name] and not isinstance(values[name], int | float):
            raise RowError(
                "value",
                f"field {name!r} shows or plays something beside a text, which classifiers do not read; one picture "
                f"stands in '{IMAGE_FIELD}', and columns={{{name}: null}} leaves the column out",
            )
    return False


def _find(path: str, source: str, *, is_listed: bool) -> str:
    """Return the path of a picture that a row of a file names.

    Args:
        is_listed: whether the row has the picture's digest.

    Raises:
        RowError: a place outside the file's folder, and no digest.
    """
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    # the list and its pictures may have been moved together
    neighbour = folder / Path(path).expanduser()
    file = neighbour if neighbour.exists() else Path(path).expanduser()
    # Resolved: neither `..` nor a link leads out. A file of strangers must not open files of yours, but who knows a
    # picture's digest has seen it: labels that we wrote elsewhere go on to name the pictures where they are.
    if is_listed or is_session_name(source):  # rows that a program hands over may name any file
        return str(file)
    if not file.resolve().is_relative_to(folder.resolve()):
        raise RowError(
            "value",
            f"field '{IMAGE_FIELD}': {cut(path)!r} lies outside {folder}: copy it there, or state its digest in the "
            f"field '{DIGEST_FIELD}'",
        )
    return str(file)


def picture_fields(image: Image) -> dict[str, str]:
    """Return what a row says of a picture: where it is (or what it is called), and its digest."""
    return {IMAGE_FIELD: image.path or image.name, DIGEST_FIELD: image.sha256}


def keep_picture(image: Image, folder: Path) -> dict[str, str]:
    """Return what a row says of a picture; one that is in no file is written into the folder, named from its parent.

    Raises:
        OSError: it cannot be written.
    """
    # its file stays where it is, and is not copied
    if image.path:
        return picture_fields(image)
    # a picture of a set, or one made of pixels: whoever reads the rows needs it
    file = folder / f"{image.sha256[:16]}{'.png' if image.content.startswith(PNG) else ''}"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(file, image.content)
    return {IMAGE_FIELD: f"{folder.name}/{file.name}", DIGEST_FIELD: image.sha256}
