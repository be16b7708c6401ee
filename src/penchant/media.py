"""Parts of a turn or a response that are no text: pictures, sounds, and videos as their frames.

Each is a file's place or its bytes with their digest, and is decoded only where its content is needed. Two are equal
where their bytes are, whatever their files are called.
"""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from penchant.errors import InputError
from penchant.image import Image, read_file, read_unchanged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FULL_SCALE = {1: 128.0, 2: 32_768.0, 3: 8_388_608.0, 4: 2_147_483_648.0}
"""The largest sample of PCM, by its bytes."""
MOST_SECONDS = 3_600.0
MOST_FRAMES = 10_000


@dataclass(frozen=True, slots=True)
class Audio:
    """A sound, stored as WAV: equal to every other with the same bytes.

    Attributes:
        sha256: of its bytes, as they are stored.
        seconds: how long it is. rate: samples per second. channels: 1, or 2 for stereo.
        path: the file that it is read from whenever it is decoded; empty where the bytes are here.
        content: its bytes; empty where there is a file.
        name: what messages call it.
    """

    kind_name: ClassVar[str] = "a sound"

    sha256: str
    seconds: float
    rate: int
    channels: int
    path: str = field(default="", compare=False, repr=False)
    content: bytes = field(default=b"", compare=False, repr=False)
    name: str = field(default="", compare=False)

    @classmethod
    def make(cls, source: str | Path | bytes, *, name: str = "") -> Self:
        """Make one of a WAV file or of its bytes.

        Raises:
            InputError: no such file, no WAV of whole numbers (PCM), an empty or a very long one.
        """
        if isinstance(source, bytes):
            content, path, name = source, "", name or "a sound"
        else:
            file, name = Path(source).expanduser(), name or str(source)
            content, path = read_file(file, name), str(file.resolve())
        frames, rate, channels = _read_header(content, name)
        # the bytes of a file stay there: an hour of sound takes 100 MB
        digest = hashlib.sha256(content).hexdigest()
        return cls(digest, frames / rate, rate, channels, path, b"" if path else content, name)

    @property
    def mark(self) -> str:
        """Return what stands for it in readable texts; sounds with other bytes have other marks."""
        return f"[audio {self.sha256[:16]}]"

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            InputError: the file is gone, or another one than it was.
        """
        return read_unchanged(self.path, self.content, self.sha256, self.name, "sound")

    def decode(self) -> NDArray[np.float32]:
        """Return its samples from -1 to 1 at its own rate, shape (samples,); of stereo the mean of both channels.

        Raises:
            InputError: its file is gone, another one than it was, or cut short.
        """
        import numpy as np

        with wave.open(io.BytesIO(self.read())) as sound:
            width, pcm = sound.getsampwidth(), sound.readframes(sound.getnframes())
        if len(pcm) % (width * self.channels):
            raise InputError(f"{self.name} is cut short: put back a whole file")
        integers = np.frombuffer(pcm, np.uint8).reshape(-1, width)
        if width == 1:  # the only width whose samples have no sign
            samples = integers[:, 0].astype(np.float32) - 128
        else:
            # filled up to 32 bits from below, so that the sign stays where it is
            padded = np.zeros((len(integers), 4), np.uint8)
            padded[:, 4 - width :] = integers
            samples = padded.view("<i4")[:, 0].astype(np.float64) / 2 ** (8 * (4 - width))
        scaled = samples.reshape(-1, self.channels).mean(axis=1) / FULL_SCALE[width]
        return np.asarray(scaled, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Video:
    """A video as a list of pictures.

    Attributes:
        frames: in their order; at least one.
        rate: frames per second at which they were taken.
        name: what messages call it.
    """

    kind_name: ClassVar[str] = "a video"

    frames: tuple[Image, ...]
    rate: float = 1.0
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tuple(self.frames))
        object.__setattr__(self, "rate", float(self.rate))
        if not self.frames:
            raise InputError(f"{self.name or 'a video'} has no frames: expected a list of pictures")
        if len(self.frames) > MOST_FRAMES:
            raise InputError(
                f"{self.name or 'a video'} has {len(self.frames):,} frames, expected {MOST_FRAMES:,} at most: take "
                "fewer per second"
            )
        if not 0 < self.rate < float("inf"):
            raise InputError(f"{self.name or 'a video'}: frames per second must be above 0, got {self.rate}")

    @property
    def sha256(self) -> str:
        """Return a digest of its frames and their rate."""
        content = " ".join([*(frame.sha256 for frame in self.frames), repr(self.rate)])
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def mark(self) -> str:
        """Return what stands for it in readable texts; videos of other frames have other marks."""
        return f"[video {self.sha256[:16]}]"


Media: TypeAlias = Image | Audio | Video
Part: TypeAlias = str | Image | Audio | Video
"""What a turn or a response consists of, where it is not text alone."""


def join_texts(parts: Sequence[Part]) -> str | tuple[Part, ...]:
    """Return parts as a content: text where there is nothing else, and neighbouring texts as one."""
    # equal contents must be equal tuples, however a file cuts its texts
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    if all(isinstance(part, str) for part in joined):
        return "".join(part for part in joined if isinstance(part, str))
    return tuple(joined)


def _read_header(content: bytes, name: str) -> tuple[int, int, int]:
    """Return samples per channel, samples per second and channels of a WAV.

    Raises:
        InputError: it is none, is empty, or longer than an hour.
    """
    # said apart: a disk that was full leaves such files
    if not content:
        raise InputError(f"{name} is an empty file: put back the sound")
    try:
        with wave.open(io.BytesIO(content)) as sound:
            frame_count, rate, channels, width = (
                sound.getnframes(),
                sound.getframerate(),
                sound.getnchannels(),
                sound.getsampwidth(),
            )
            # a file that was cut still states the length that it had
            frames = len(sound.readframes(frame_count)) // (channels * width)
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:  # the last of lengths that lead nowhere
        raise InputError(
            f"{name} is no sound that can be read ({error or 'it is cut short'}): WAV of whole numbers is; other "
            "files become such by `ffmpeg -i FILE -c:a pcm_s16le FILE.wav`"
        ) from error
    if width not in FULL_SCALE or rate <= 0 or channels not in (1, 2):
        raise InputError(
            f"{name} has {channels} channels of {8 * width} bits at {rate} Hz: expected one or two of 8-32"
        )
    if frames < frame_count:
        raise InputError(
            f"{name} is cut short: it states {frame_count} samples and has {frames}. Put back a whole file"
        )
    if not frames:
        raise InputError(f"{name} holds no samples: record it again, or leave its row out")
    if frames / rate > MOST_SECONDS:
        raise InputError(f"{name} is longer than an hour: cut it")
    return frames, rate, channels
