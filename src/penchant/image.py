"""A picture as an example: a file's place or its bytes, with their digest; decoded where its pixels are needed."""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from penchant.errors import InputError

# data of text alone is read without numpy and Pillow, which the functions below import where they decode
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

Pixels: TypeAlias = "NDArray[np.uint8]"
"""Grey, shape (height, width), or colours, (height, width, 3); from 0 to 255."""
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The tag of EXIF that says how a camera was held, and its values under which width and height change places."""
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
SHOWN_SIDE = 96  # pixels of the thumbnail in a notebook
# A file of some kilobytes may say that it unpacks to more than a machine has; Pillow warns from the same number on.
MOST_PIXELS = 89_478_485
WEB_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""By Pillow's name of a format that browsers show, its media type. An SVG may hold a script."""
FORMATS = "PNG, JPEG, GIF, TIFF, BMP or WebP"
# Pillow opens some forty more, whatever a file is called: for an EPS it runs another program on what the file says.
PILLOW_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: equal to every other with the same bytes.

    Attributes:
        sha256: of its bytes, as they are stored.
        size: width and height as it is shown, in pixels.
        path: the file that it is read from whenever it is decoded; empty where the bytes are here.
        content: its bytes, an encoded picture; empty where there is a file.
        name: what messages call it.
    """

    kind_name: ClassVar[str] = "a picture"

    sha256: str
    size: tuple[int, int]
    path: str = field(default="", compare=False, repr=False)
    content: bytes = field(default=b"", compare=False, repr=False)
    name: str = field(default="", compare=False)

    @classmethod
    def make(cls, source: str | Path | bytes | Pixels | PillowImage, *, name: str = "") -> Self:
        """Make one of a file, of encoded bytes, of pixels or of a picture of Pillow.

        Args:
            source: pixels are integers of 8 bits, shape (height, width), (height, width, 3) or (height, width, 4), or
                grey ones of 16 bits.
            name: for messages; the file's name if not given.

        Raises:
            InputError: no such file, no picture, or pixels of another type or shape.
        """
        if isinstance(source, str | Path):
            file, name = Path(source).expanduser(), name or str(source)
            content = read_file(file, name)
            path = str(file.resolve())
            # the bytes stay in the file: a folder of pictures may be larger than memory
            return cls(hashlib.sha256(content).hexdigest(), _shown_size(content, name), path, b"", name)
        name = name or "a picture"
        content = source if isinstance(source, bytes) else _encode(source, name)
        return cls(hashlib.sha256(content).hexdigest(), _shown_size(content, name), "", content, name)

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            InputError: the file is gone, or another one than it was.
        """
        return read_unchanged(self.path, self.content, self.sha256, self.name, "picture")

    @property
    def mark(self) -> str:
        """Return what stands for it in readable texts; pictures with other bytes have other marks."""
        return f"[image {self.sha256[:16]}]"

    def decode(self) -> Pixels:
        """Return its pixels as they are shown: turned as EXIF says, 8 bits, transparent parts on white.

        Raises:
            InputError: it cannot be decoded, or its pixels are no integers of 8 or 16 bits.
        """
        from PIL import ImageOps

        with _opened(self.read(), self.name) as picture:
            with _named_errors(self.name):
                upright = ImageOps.exif_transpose(picture)
                upright.load()
            return _plain_pixels(upright, self.name)

    def web_file(self) -> tuple[str, bytes]:
        """Return the media type and the bytes of a file that browsers and hosted models read, and show as it is meant.

        That is its own file where it can be; a TIFF, a picture that EXIF turns and one of other modes becomes a PNG.
        """
        content = self.read()
        with _opened(content, self.name) as picture, _named_errors(self.name):
            media_type = WEB_FORMATS.get(picture.format or "")
            is_plain = picture.mode in ("1", "L", "P", "RGB", "RGBA") and picture.getexif().get(ORIENTATION, 1) == 1
        if media_type is not None and is_plain:
            return media_type, content
        from PIL import Image as Pillow

        return "image/png", _png(Pillow.fromarray(self.decode()))

    def pixel_digest(self) -> str:
        """Return a digest of its pixels: equal for the same picture in two files, such as a PNG and a TIFF."""
        import numpy as np

        pixels = self.decode()
        # a grey picture stored as colours is shown alike
        if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
        return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()

    def thumbnail(self, side: int) -> bytes:
        """Return a PNG of it, of which neither side is longer than some pixels."""
        from PIL import Image as Pillow

        smaller = Pillow.fromarray(self.decode())
        smaller.thumbnail((side, side))
        return _png(smaller)

    def _repr_png_(self) -> bytes:
        """Return a thumbnail, which a notebook shows."""
        return self.thumbnail(SHOWN_SIDE)


def read_file(file: Path, name: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        # a pipe would be waited for, and a device has no end; of a folder the error below says what it is
        if not stat.S_ISREG(mode := file.stat().st_mode) and not stat.S_ISDIR(mode):
            raise InputError(f"{name} is no file, but a pipe or a device")
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def read_unchanged(path: str, content: bytes, sha256: str, name: str, kind: str) -> bytes:
    """Return the bytes of a picture or sound: those that are here, or those of its file.

    Raises:
        InputError: the file is gone, or another one than it was.
    """
    if not path:
        return content
    content = read_file(Path(path), name)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{name} is another {kind} than when it was first read: put the earlier one back")
    return content


def _opened(content: bytes, name: str) -> PillowImage:
    """Return a picture whose header is read."""
    from PIL import Image as Pillow

    if not content:
        raise InputError(f"{name} is an empty file: put back the picture")
    try:
        # the larger ones are refused below, and nothing is decoded here
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            picture = Pillow.open(io.BytesIO(content), formats=PILLOW_FORMATS)
    except Pillow.DecompressionBombError:
        raise _too_large(name) from None
    except Exception as error:  # of broken bytes and of unknown formats
        head = content[:500].lstrip().lower()
        if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
            raise InputError(f"{name} is an SVG, a program that draws: save it as a PNG") from None
        raise InputError(f"{name} is no picture that can be read: {FORMATS} is") from error
    if picture.width * picture.height > MOST_PIXELS:
        raise _too_large(name)
    return picture


def _too_large(name: str) -> InputError:
    return InputError(f"{name} has more than {MOST_PIXELS:,} pixels: save it smaller")


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Name the picture in errors of decoders, which raise many kinds for broken bytes."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} cannot be decoded ({error}): put back a whole file") from error


def _shown_size(content: bytes, name: str) -> tuple[int, int]:
    """Return width and height after the turn that EXIF asks for."""
    # Pillow decodes a PNG whole to look for its orientation
    with _opened(content, name) as picture, _named_errors(name):
        width, height = picture.size
        # a photograph of two lenses (MPO) is a picture; of an animation nobody said which one is meant
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            raise InputError(f"{name} holds several pictures (an animation or pages): save the one that is meant")
        return (height, width) if picture.getexif().get(ORIENTATION) in SIDEWAYS else (width, height)


def _encode(source: Pixels | PillowImage, name: str) -> bytes:
    """Return pixels or a picture of Pillow as a PNG."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageOps

    if isinstance(source, Pillow.Image):
        upright = ImageOps.exif_transpose(source)
        # what a PNG can hold stays as it is, transparency and 16 bits too
        return _png(upright if upright.mode in PNG_MODES else _converted(upright, name))
    array = np.asarray(source)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    is_colour = array.ndim == 3 and array.shape[-1] in (3, 4) and array.dtype == np.uint8
    is_grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    if not (is_colour or is_grey) or 0 in array.shape:
        raise InputError(
            f"{name}: pixels must be integers of 8 bits, shape (height, width), (height, width, 3) or (height, width, "
            f"4), or grey ones of 16 bits; got {array.dtype} of shape {array.shape}. Numbers from 0 to 1 become such "
            "by (255 * array).round().astype('uint8')"
        )
    return _png(Pillow.fromarray(np.ascontiguousarray(array)))


def _png(picture: PillowImage) -> bytes:
    buffer = io.BytesIO()
    # pictures are small, and the time of the best compression is not
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _plain_pixels(picture: PillowImage, name: str) -> Pixels:
    """Return pixels, grey or red, green and blue, of a picture of any mode."""
    import numpy as np

    if picture.mode.startswith("I;16"):
        # 65,535 is white: the upper 8 of the 16 bits
        return np.asarray(np.asarray(picture) >> 8, dtype=np.uint8)
    return np.asarray(_converted(picture, name), dtype=np.uint8)


def _converted(picture: PillowImage, name: str) -> PillowImage:
    """Return a picture of 8 bits, grey or in colours, with transparent parts on white."""
    from PIL import Image as Pillow

    if picture.mode in ("I", "F"):
        raise InputError(f"{name} has 32 bits per pixel, and no white is agreed for these: save it with 8 or 16")
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    is_grey = picture.mode in ("LA", "La")
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        # what lies under transparent pixels is arbitrary, and a viewer shows none of it
        layer = picture.convert("RGBA")
        paper = Pillow.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Pillow.alpha_composite(paper, layer)
    return picture.convert("L" if is_grey else "RGB")
