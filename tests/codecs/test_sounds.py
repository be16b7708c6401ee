"""Sounds as tokens and back: spectra, pitch by autocorrelation, Griffin-Lim, and the recogniser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from penchant.codecs.sounds import (
    FRAME,
    RATE,
    bands,
    decode_sound,
    encode_sound,
    frame_pitches,
    play_sound,
    recognise_sounds,
    sound_pitch,
    spectra,
    weighted,
    write_wav,
)
from penchant.codecs.store import load_tensors, nearest_codes
from penchant.codecs.tokens import SOUND_CODES, sound_text
from penchant.media import Audio


def voice(pitch: float, seconds: float = 0.4) -> np.ndarray:
    """A buzz of ten harmonics, as vowels have them."""
    time = np.arange(int(RATE * seconds)) / RATE
    waves = [np.sin(2 * np.pi * pitch * number * time) / number for number in range(1, 11) if pitch * number < RATE / 2]
    return (0.2 * np.sum(waves, axis=0)).astype(np.float32)


@pytest.mark.parametrize("pitch", [90.0, 150.0, 220.0, 330.0])
def test_the_pitch_of_a_buzz_is_found(pitch: float) -> None:
    found = frame_pitches(spectra(voice(pitch)))[2:-2]
    assert np.abs(found / pitch - 1).max() < 0.04


def test_noise_and_silence_have_no_pitch() -> None:
    hiss = (0.1 * np.random.default_rng(0).standard_normal(3200)).astype(np.float32)
    assert np.isnan(frame_pitches(spectra(hiss))).mean() > 0.8
    assert np.isnan(frame_pitches(spectra(np.zeros(3200, np.float32)))).all()


def test_entries_of_the_codebook_encode_as_themselves() -> None:
    book = load_tensors()["sound.codebook"]
    assert len(book) == SOUND_CODES
    assert nearest_codes(weighted(book), weighted(book)).tolist() == list(range(SOUND_CODES))


@pytest.mark.parametrize("pitch", [110.0, 200.0])
def test_tokens_keep_pitch_and_length_and_so_does_the_wave(pitch: float) -> None:
    codes = encode_sound(voice(pitch))
    assert len(codes) == len(voice(pitch)) // FRAME + 1
    by_tokens = sound_pitch(codes.tolist())
    # a codebook of voices has no entry for every pitch, but a high voice stays one
    assert abs(by_tokens / pitch - 1) < 0.25
    samples = decode_sound(codes.tolist())
    assert len(samples) == (len(codes) - 1) * FRAME
    by_wave = np.nanmedian(frame_pitches(spectra(samples)))
    assert abs(by_wave / by_tokens - 1) < 0.1


def test_a_sound_is_the_same_wav_each_time() -> None:
    text = sound_text(encode_sound(voice(150.0)).tolist())
    sound, again = play_sound(text), play_sound(text)
    assert sound is not None
    assert sound == again
    assert sound.rate == RATE
    assert play_sound("It was good.") is None


def test_a_wav_gives_its_samples_back() -> None:
    samples = voice(200.0)
    assert np.abs(Audio.make(write_wav(samples)).decode() - samples).max() < 1e-4


def test_bands_are_alike_whatever_the_length_and_the_loudness() -> None:
    """What is said is the same, slow or fast, loud or quiet."""
    frames = spectra(voice(150.0))[2:-2]
    doubled = frames.repeat_interleave(2, dim=0)
    assert bands(frames).shape == (40, 24)
    assert (bands(frames) - bands(doubled)).abs().max() < 0.5
    assert torch.allclose(bands(frames), bands(frames + 0.7), atol=1e-3)
    found = recognise_sounds([encode_sound(voice(150.0)).tolist()])
    assert np.isclose(found.sum(), 1)
