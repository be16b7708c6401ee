"""Open the pictures, sounds and videos that rows of data name: by a path beside the file, or by their bytes.

Nothing is fetched from other machines, and no path leads out of the folder of the data.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes

from penchant.data.sources.folders import is_pattern
from penchant.data.sources.values import RowError, cut, describe
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Audio, Media, Video
from penchant.session.store import is_session_name

MediaKind = Literal["image", "audio", "video"]
REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://|//", re.IGNORECASE)
DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
WINDOWS_ROOT = re.compile(r"[A-Za-z]:[\\/]")
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMS = {
    "image": "the path of a picture, beside the data, or its bytes",
    "audio": "the path of a WAV file, beside the data, or its bytes",
    "video": "a list of pictures, or the path of a folder of pictures",
}


@dataclass
class MediaReader:
    """What opens the files that rows name.

    Attributes:
        folder: what paths start from and may not leave; None where a program handed the rows over, whose own paths
            may lead anywhere.
    """

    folder: Path | None
    # several rows show one picture, which is then opened once
    _opened: dict[tuple[MediaKind, Path], Media] = field(default_factory=dict)

    @classmethod
    def for_source(cls, source: str, folder: str | None = None) -> MediaReader:
        """Return the reader for the rows of a file, a folder or a pattern.

        Args:
            folder: what paths start from, where that is another folder than the data's.

        Raises:
            InputError: no such folder.
        """
        if folder is not None:
            if not Path(folder).expanduser().is_dir():
                raise InputError(f"media_folder={folder}: there is no such folder")
            return cls(Path(folder).expanduser())
        # a session's rows lie in the cache, beside which nobody put pictures
        if is_session_name(source):
            return cls(None)
        path = Path(source).expanduser()
        if path.is_dir():
            return cls(path)
        while is_pattern(path):
            path = path.parent
        return cls(path if path.is_dir() else path.parent)

    def open(self, kind: MediaKind, source: object, name: str, *, rate: float = 1.0) -> Media:
        """Return the picture, sound or video that a cell stands for.

        Args:
            source: a path, bytes, `{"bytes", "path"}` as `datasets` writes them, a `data:` address; of a video a list
                of such, or a folder. A tuple has paths of which one is there.
            name: of the field, for messages. rate: frames per second of a video.

        Raises:
            RowError: of the kind `absent` for a file that is not there, `broken` for one that cannot be decoded.
        """
        if kind == "video":
            return self._video(source, name, rate)
        if isinstance(source, Mapping):
            # `datasets` keeps the name of the file beside its bytes
            content = source.get("bytes")
            source = source.get("path") if content is None else _decoded(content, name)
        if isinstance(source, str) and DATA_URL.match(source):
            source = _from_data_url(source, name)
        if isinstance(source, bytes):
            return _open_whole(kind, source, name, "the bytes")
        if isinstance(source, str | tuple) and source:
            path, title = self._find(source, name)
            if (kind, path) not in self._opened:
                self._opened[kind, path] = _open_whole(kind, path, name, title)
            return self._opened[kind, path]
        raise RowError("type", f"field {name!r}: expected {FORMS[kind]}, got {describe(source)}")

    def _video(self, source: object, name: str, rate: float) -> Video:
        if isinstance(source, str) and source:
            path, title = self._find(source, name)
            if not path.is_dir():
                raise RowError(
                    "value",
                    f"field {name!r}: {title} is a file, and videos are read as pictures: take some per second "
                    "(`ffmpeg -i FILE -vf fps=1 FOLDER/%05d.png`) and name the folder",
                )
            # by name: `ffmpeg` numbers its frames, and the order in which a folder lists them is none
            try:
                files = sorted(path.iterdir())
            except OSError as error:  # a folder of somebody else
                raise RowError("broken", f"field {name!r}: {title} cannot be read: {error.strerror}") from error
            source = [str(Path(title) / frame.name) for frame in files if frame.suffix.lower() in FRAME_SUFFIXES]
        if not isinstance(source, list | tuple):
            raise RowError("type", f"field {name!r}: expected {FORMS['video']}, got {describe(source)}")
        if not source:
            raise RowError("empty", f"field {name!r}: a video without frames; expected {FORMS['video']}")
        frames = [self.open("image", frame, f"{name}[{index}]") for index, frame in enumerate(source)]
        try:
            return Video(tuple(frame for frame in frames if isinstance(frame, Image)), rate, name)
        except InputError as error:
            raise RowError("value", f"field {name!r}: {error}") from error

    def _find(self, source: str | Sequence[str], name: str) -> tuple[Path, str]:
        """Return the file or folder that a path leads to, and the path as messages show it."""
        choices = [source] if isinstance(source, str) else list(source)
        candidates = [(self._resolved(choice, name), choice) for choice in choices]
        # all are resolved first, so that none of the alternatives may lead out of the folder either
        for path, choice in candidates:
            if _is_there(path, choice, name):
                return path, choice.removeprefix("file://")
        folder = f" in {self.folder}" if self.folder is not None else ""
        alternatives = f" (nor {', '.join(map(repr, choices[1:]))})" if choices[1:] else ""
        raise RowError(
            "absent",
            f"field {name!r}: there is no file {cut(choices[0])!r}{alternatives}{folder}: put it there, or say where "
            "such files are (media_folder=FOLDER)",
        )

    def _resolved(self, source: str, name: str) -> Path:
        if REMOTE.match(source):
            raise RowError(
                "value",
                f"field {name!r}: {cut(source)} is on another machine, and nothing is fetched: download it, and name "
                "the file",
            )
        source = source.removeprefix("file://")
        try:
            path = (Path.cwd() if self.folder is None else self.folder).joinpath(Path(source).expanduser()).resolve()
            # resolved first: neither `..` nor a symbolic link leads out of the folder
            is_inside = self.folder is None or path.is_relative_to(self.folder.resolve())
        except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have
            raise RowError("value", f"field {name!r}: {cut(source)!r} is no path ({error})") from None
        if not is_inside or WINDOWS_ROOT.match(source):
            raise RowError(
                "value",
                f"field {name!r}: {cut(source)!r} lies outside {self.folder}: copy it there, or name a folder that "
                "holds all such files (media_folder=FOLDER)",
            )
        return path


def _is_there(path: Path, source: str, name: str) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise RowError("value", f"field {name!r}: {cut(source)!r} cannot be looked for: {error.strerror}") from error


def _open_whole(kind: MediaKind, source: Path | bytes, name: str, title: str) -> Image | Audio:
    """Return a picture or sound that can be decoded as a whole."""
    try:
        if kind == "audio":
            return Audio.make(source, name=title)
        image = Image.make(source, name=title)
        # now, not in the middle of a training: a header may be whole where the pixels are not
        image.decode()
        return image
    except InputError as error:
        raise RowError("broken", f"field {name!r}: {error}") from error


def _decoded(content: object, name: str) -> bytes:
    """Return bytes as Parquet has them, or from base64 as JSON has to have them."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        try:
            return base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise RowError("type", f"field {name!r}: expected bytes in base64, got {describe(content)}")


def _from_data_url(source: str, name: str) -> bytes:
    head, _, body = source.partition(",")
    return _decoded(body, name) if head.endswith(";base64") else unquote_to_bytes(body)
