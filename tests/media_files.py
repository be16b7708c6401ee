"""Small pictures and sounds for tests."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200)}


def picture_bytes(colour: str = "red", size: tuple[int, int] = (8, 6), kind: str = "PNG", **settings: object) -> bytes:
    """An encoded picture of one colour."""
    buffer = io.BytesIO()
    Pillow.new("RGB", size, COLOURS[colour]).save(buffer, kind, **settings)
    return buffer.getvalue()


def sound_bytes(
    seconds: float = 0.1, rate: int = 16_000, channels: int = 1, width: int = 2, pitch: float = 440
) -> bytes:
    """A WAV of one tone at half of full scale; of two channels the second is silent."""
    times = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * pitch * times) / 2
    sides = np.stack([tone, np.zeros_like(tone)][:channels], axis=-1).reshape(-1)
    if width == 1:
        pcm = (sides * 127 + 128).round().astype(np.uint8).tobytes()
    else:
        whole = (sides * (2 ** (8 * width - 1) - 1)).round().astype("<i4")
        pcm = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(pcm)
    return buffer.getvalue()


def write_pictures(folder: Path, **colours: str) -> Path:
    """Write pictures of one colour each, as `NAME.png`, and return their folder."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, colour in colours.items():
        (folder / f"{name}.png").write_bytes(picture_bytes(colour))
    return folder
