"""The sound codec: words that espeak-ng says, a codebook of their spectra, and the recogniser.

Only this script needs espeak-ng: the package carries the codebook.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor, nn

from penchant.codecs.sounds import (
    LOW_BINS,
    LOW_WEIGHT,
    RATE,
    bands,
    encode_sound,
    frame_pitches,
    new_sound_recogniser,
    recognise_sounds,
    spectra,
    weighted,
)
from penchant.codecs.tokens import FEWEST_FRAMES, MOST_FRAMES, SOUND_CODES, WORDS
from penchant.errors import InputError
from pretraining.codebooks import fit_codebook, fit_network

BASES = ("en-us", "en-gb", "en-gb-scotland")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "Alex", "Annie", "Lee", "Andrea")
HELD_OUT = ("m4", "f4")
"""Voices that nothing is fitted to."""
PITCHES, SPEEDS = (20, 80), (110, 210)
"""Ranges of what espeak-ng calls so: pitch from 0 to 99, words per minute."""
QUIET = 0.02  # share of the peak below which the beginning and the end are cut
LOUDEST = 0.7


class Utterance(NamedTuple):
    """A word as a voice said it."""

    word: int
    voice: str
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class SoundCodec:
    """What was fitted, the training words as codes, and how good it is on voices that nothing was fitted to."""

    tensors: dict[str, Tensor]
    codes: list[NDArray[np.int64]]
    labels: list[int]
    test_codes: list[NDArray[np.int64]]
    test_labels: list[int]
    facts: dict[str, float]


def speak(count: int, seed: int) -> list[Utterance]:
    """Return words in random voices, pitches and speeds.

    Raises:
        InputError: there is no espeak-ng.
    """
    if shutil.which("espeak-ng") is None:
        raise InputError("espeak-ng says the words that the sound model learns: install it (apt-get install espeak-ng)")
    random = np.random.default_rng(seed)
    utterances = []
    for number in range(count):
        word, variant = number % len(WORDS), str(random.choice(VARIANTS))
        pitch, speed = int(random.integers(*PITCHES)), int(random.integers(*SPEEDS))
        voice = f"{random.choice(BASES)}+{variant}"
        command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", WORDS[word]]
        samples = _trimmed(subprocess.run(command, check=True, capture_output=True).stdout)
        if FEWEST_FRAMES <= len(samples) // 160 + 1 <= MOST_FRAMES:
            utterances.append(Utterance(word, variant, samples))
    return utterances


def _trimmed(content: bytes) -> NDArray[np.float32]:
    """Return a WAV at `RATE`, all equally loud, without silence around it."""
    # espeak-ng writes a length to the pipe that is none, so the header's number of frames is not used
    with wave.open(io.BytesIO(content)) as sound:
        rate = sound.getframerate()
    integers = np.frombuffer(content[44 : 44 + (len(content) - 44) // 2 * 2], "<i2")
    samples = resample_poly(integers.astype(np.float64), RATE, rate)
    peak = np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > QUIET * peak)
    return (samples[loud[0] : loud[-1] + 1] / peak * LOUDEST).astype(np.float32)


def fit_sound_codec(utterances: Sequence[Utterance], seed: int) -> SoundCodec:
    """Fit everything on most voices, and measure on the held-out ones."""
    train = [item for item in utterances if item.voice not in HELD_OUT]
    test = [item for item in utterances if item.voice in HELD_OUT]
    frames = [spectra(item.samples) for item in train]
    scaled = fit_codebook(weighted(torch.cat(frames)), SOUND_CODES, seed=seed)
    codebook = torch.cat([scaled[:, :LOW_BINS] / LOW_WEIGHT, scaled[:, LOW_BINS:]], dim=1).half().float()
    codes = [encode_sound(item.samples, codebook) for item in train]
    test_codes = [encode_sound(item.samples, codebook) for item in test]
    labels, test_labels = [item.word for item in train], [item.word for item in test]
    seen = torch.stack([bands(row) for row in frames] + [bands(codebook[torch.from_numpy(row)]) for row in codes])
    recogniser = fit_network(
        new_sound_recogniser, seen, torch.tensor(labels * 2), nn.functional.cross_entropy, epochs=12, seed=seed
    )
    guesses = recognise_sounds(test_codes, codebook, recogniser).argmax(1)
    pitches = frame_pitches(codebook)
    true, kept = (
        np.array([_median_pitch(values) for values in rows])
        for rows in (
            [frame_pitches(spectra(item.samples)) for item in test],
            [pitches[row] for row in test_codes],
        )
    )
    facts = {
        "words": float(len(train)),
        "held_out_words": float(len(test)),
        "mean_tokens": float(np.mean([len(row) for row in codes])),
        "codes_used": float(len(np.unique(np.concatenate(codes)))),
        "recognised_tokens": float((guesses == np.array(test_labels)).mean()),
        "pitch_correlation": float(np.corrcoef(true, kept)[0, 1]),
        "median_pitch_error_hz": float(np.median(np.abs(true - kept))),
    }
    tensors = {"sound.codebook": codebook}
    tensors |= {f"sound.recogniser.{name}": tensor for name, tensor in recogniser.state_dict().items()}
    return SoundCodec(tensors, codes, labels, test_codes, test_labels, facts)


def _median_pitch(pitches: NDArray[np.float64]) -> float:
    voiced = pitches[~np.isnan(pitches)]
    return float(np.median(voiced)) if voiced.size else 0.0
