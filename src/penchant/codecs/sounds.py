"""Sounds as tokens of 20 ms: log-magnitude spectra by their nearest codebook entry, and back by Griffin-Lim."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.codecs.store import load_part, load_tensors, nearest_codes
from penchant.codecs.tokens import WORDS, read_sound
from penchant.media import Audio

RATE = 8_000
"""Samples per second."""
FRAME = 160
"""Samples between two tokens."""
WINDOW = 400
"""Samples of a spectrum: long enough that two harmonics of a voice are apart, so that tokens hold its pitch."""
FLOOR = 1e-3
"""The smallest magnitude that counts; log of less is noise of rounding."""
LOW_BINS, LOW_WEIGHT = 25, 4.0
"""The bins below 500 Hz count so much more for the nearest code: the pitch of a voice stands there."""
STEPS_PER_FRAME = 2  # spectra are drawn between two tokens, since Griffin-Lim needs more overlap than 60%
ITERATIONS = 40
MOMENTUM = 0.99  # of fast Griffin-Lim (Perraudin et al. 2013)
LOWEST_HZ, HIGHEST_HZ = 70.0, 400.0
VOICED, NEARLY = 0.4, 0.85
"""Correlation with itself a period later that a frame with a pitch has; share of the highest one that is as good."""
QUIETEST = 4 * WINDOW * FLOOR**2
"""Energy of a frame that is no silence."""
RECOGNISED_FRAMES, BANDS = 24, 40
EQUAL_EDGES = 6  # of the spaced edges, so many round to one that is there already


def spectra(samples: NDArray[np.float32]) -> Tensor:
    """Return log-magnitude spectra of samples at `RATE`, one per 20 ms, shape (frames, 201)."""
    sound = torch.from_numpy(np.ascontiguousarray(samples))
    window = torch.hann_window(WINDOW)
    frames = torch.stft(sound, WINDOW, FRAME, window=window, center=True, return_complex=True, pad_mode="constant")
    return torch.log(frames.abs().T.clamp_min(FLOOR))


def weighted(frames: Tensor) -> Tensor:
    """Return spectra in the scale in which the nearest code is looked for."""
    # with equal weights k-means joins voices of different pitch: the median error was 119 Hz, and so it is 5 Hz
    return torch.cat([frames[:, :LOW_BINS] * LOW_WEIGHT, frames[:, LOW_BINS:]], dim=1)


def encode_sound(samples: NDArray[np.float32], codebook: Tensor | None = None) -> NDArray[np.int64]:
    """Return the codes of samples at `RATE`, one per 20 ms."""
    book = load_tensors()["sound.codebook"] if codebook is None else codebook
    return nearest_codes(weighted(spectra(samples)), weighted(book)).numpy()


def decode_sound(codes: Sequence[int], codebook: Tensor | None = None) -> NDArray[np.float32]:
    """Return samples at `RATE`, from -1 to 1: phases are found by fast Griffin-Lim, from the same start each time."""
    book = load_tensors()["sound.codebook"] if codebook is None else codebook
    frames = book[torch.as_tensor(list(codes), dtype=torch.long)]
    steps = (len(frames) - 1) * STEPS_PER_FRAME + 1
    between = nn.functional.interpolate(frames.T[None], size=steps, mode="linear", align_corners=True)[0]
    magnitude, hop, window = torch.exp(between), FRAME // STEPS_PER_FRAME, torch.hann_window(WINDOW)
    # frames at the floor are silence, and not a hiss of that magnitude
    magnitude = torch.where(magnitude <= 2 * FLOOR, torch.zeros(()), magnitude)
    angles = torch.exp(2j * np.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)))
    length, last = hop * (steps - 1), torch.zeros_like(angles)
    for _ in range(ITERATIONS):
        sound = torch.istft(magnitude * angles, WINDOW, hop, window=window, length=length)
        rebuilt = torch.stft(sound, WINDOW, hop, window=window, return_complex=True, pad_mode="constant")
        momentum = rebuilt - MOMENTUM / (1 + MOMENTUM) * last
        angles, last = momentum / momentum.abs().clamp_min(1e-9), rebuilt
    sound = torch.istft(magnitude * angles, WINDOW, hop, window=window, length=length)
    return sound.clamp(-1, 1).numpy()


def write_wav(samples: NDArray[np.float32]) -> bytes:
    """Return samples at `RATE` as the bytes of a WAV of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes((samples * 32_767).round().astype("<i2").tobytes())
    return buffer.getvalue()


def frame_pitches(frames: Tensor) -> NDArray[np.float64]:
    """Return the pitch of each log-magnitude spectrum in Hz, NaN where it has none, shape (frames,).

    The inverse Fourier transform of the power is the autocorrelation; its highest peak between the periods of the
    highest and the lowest voice is the period.
    """
    power = torch.exp(2 * frames.double())
    correlation = torch.fft.irfft(power, n=WINDOW, dim=1)
    # a window is itself alike at short lags; what it takes from long ones is given back
    window = torch.fft.irfft(torch.fft.rfft(torch.hann_window(WINDOW).double(), n=2 * WINDOW).abs() ** 2)[:WINDOW]
    first, last = int(RATE / HIGHEST_HZ), int(RATE / LOWEST_HZ)
    heights = correlation[:, : last + 1] / correlation[:, :1].clamp_min(1e-12) / (window[: last + 1] / window[0])
    inner = heights[:, first:last]
    # an edge of the range is no peak: hiss has its highest correlation at the shortest lag
    is_peak = (inner >= heights[:, first - 1 : last - 1]) & (inner >= heights[:, first + 1 :])
    peaks = torch.where(is_peak, inner, torch.zeros((), dtype=torch.float64))
    # two periods are as alike as one: the first peak that is nearly the highest, or voices fall by an octave
    lag = (peaks >= NEARLY * peaks.max(dim=1, keepdim=True).values).int().argmax(dim=1)
    is_voiced = (peaks.max(dim=1).values > VOICED) & (correlation[:, 0] > QUIETEST)
    pitch = RATE / (lag + first).double()
    return torch.where(is_voiced, pitch, torch.full((), torch.nan, dtype=torch.float64)).numpy()


@cache
def _code_pitches() -> NDArray[np.float64]:
    return frame_pitches(load_tensors()["sound.codebook"])


def sound_pitch(codes: Sequence[int]) -> float:
    """Return the median pitch of a sound's voiced tokens in Hz; 0 where none is voiced."""
    pitches = _code_pitches()[list(codes)]
    voiced = pitches[~np.isnan(pitches)]
    return float(np.median(voiced)) if voiced.size else 0.0


def bands(frames: Tensor) -> Tensor:
    """Return spectra as 40 bands of a recogniser, in 24 steps whatever their length, shape (40, 24)."""
    # energies of neighbouring bins: narrow bands below and wide ones above, as ears have it
    edges = _band_edges(frames.shape[1])
    power = torch.exp(frames)
    columns = [power[:, low:high].mean(1) for low, high in pairwise(edges)]
    pooled = torch.log(torch.stack(columns).clamp_min(FLOOR))
    scaled = nn.functional.interpolate(pooled[None], size=RECOGNISED_FRAMES, mode="linear", align_corners=True)[0]
    return scaled - scaled.mean()


def _band_edges(bins: int) -> list[int]:
    # 3 and not 1: bands of less than a bin below would all be the same one
    spaced = np.round(np.geomspace(4, bins + 3, BANDS + EQUAL_EDGES) - 3).astype(int)
    return np.unique(spaced)[-BANDS - 1 :].tolist()


def new_sound_recogniser() -> nn.Sequential:
    """Return the network from bands, shape (sounds, 40, 24), to logits of the ten words, untrained."""
    return nn.Sequential(
        nn.Conv1d(BANDS, 48, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(48, 48, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48 * RECOGNISED_FRAMES // 2, 48),
        nn.ReLU(),
        nn.Linear(48, len(WORDS)),
    )


@cache
def _recogniser() -> nn.Sequential:
    recogniser = new_sound_recogniser()
    recogniser.load_state_dict(load_part("sound.recogniser"))
    return recogniser.eval()


@torch.no_grad()
def recognise_sounds(
    sounds: Sequence[Sequence[int]], codebook: Tensor | None = None, recogniser: nn.Module | None = None
) -> NDArray[np.float64]:
    """Return the probability of each word, shape (sounds, 10), of sounds as codes."""
    book = load_tensors()["sound.codebook"] if codebook is None else codebook
    rows = torch.stack([bands(book[torch.as_tensor(list(codes), dtype=torch.long)]) for codes in sounds])
    return torch.softmax((recogniser or _recogniser())(rows).double(), dim=1).numpy()


def play_sound(text: str) -> Audio | None:
    """Return the sound that a text of sound tokens is, as a WAV; None where it is no sound."""
    codes = read_sound(text)
    return None if codes is None else Audio.make(write_wav(decode_sound(codes)), name="a sound of tokens")
