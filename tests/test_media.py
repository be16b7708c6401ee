"""Sounds, videos and parts: told apart by their content, decoded by hand-made values, and named where broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from media_files import picture_bytes, sound_bytes
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Audio, Video, join_texts
from penchant.types import Message, PromptGroup, Response, prompt_text

RED, BLUE = (Image.make(picture_bytes(colour)) for colour in ("red", "blue"))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_sound_of_any_width_has_the_same_samples(width: int) -> None:
    sound = Audio.make(sound_bytes(width=width))
    assert (sound.rate, sound.channels, sound.seconds) == (16_000, 1, 0.1)
    expected = np.sin(2 * np.pi * 440 * np.arange(1_600) / 16_000) / 2
    np.testing.assert_allclose(sound.decode(), expected, atol=2 / 2 ** (8 * width - 1))
    assert sound.decode().dtype == np.float32


def test_of_two_channels_the_mean_is_played() -> None:
    stereo, mono = Audio.make(sound_bytes(channels=2)), Audio.make(sound_bytes())
    assert stereo.channels == 2
    np.testing.assert_allclose(stereo.decode(), mono.decode() / 2, atol=1e-4)  # its second channel is silent


def test_sounds_are_equal_by_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "tone.wav"
    file.write_bytes(sound_bytes())
    assert Audio.make(file) == Audio.make(sound_bytes()) != Audio.make(sound_bytes(pitch=441))
    sound = Audio.make(file)
    file.write_bytes(sound_bytes(pitch=441))
    with pytest.raises(InputError, match=r"tone\.wav is another sound than when it was first read"):
        sound.decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is an empty file"),
        (b"RIFF....", "is no sound that can be read"),
        (b"ID3 an MP3", r"ffmpeg -i FILE -c:a pcm_s16le FILE\.wav"),
        # a chunk that ends before the next one begins
        (sound_bytes()[:4] + b"\xec\0\0\0" + sound_bytes()[8:16] + b"\0\0\0\xf8" + sound_bytes()[20:], "is no sound"),
        (sound_bytes(0), "holds no samples"),
        (sound_bytes()[:-100], "is cut short: it states 1600 samples and has 1550"),
        (sound_bytes(3_601, 8, width=1), "is longer than an hour"),
    ],
)
def test_what_is_no_sound_is_named(content: bytes, expected: str) -> None:
    with pytest.raises(InputError, match=f"mine {expected}" if "ffmpeg" not in expected else expected):
        Audio.make(content, name="mine")


def test_a_video_is_its_frames_and_their_rate() -> None:
    assert Video((RED, BLUE), 2) == Video((RED, BLUE), 2.0, name="other")
    digests = {Video(frames, rate).sha256 for frames, rate in (((RED, BLUE), 2), ((BLUE, RED), 2), ((RED, BLUE), 1))}
    assert len(digests) == 3
    with pytest.raises(InputError, match="a video has no frames"):
        Video(())
    with pytest.raises(InputError, match="frames per second must be above 0"):
        Video((RED,), 0)


def test_other_pictures_are_other_prompts_and_responses() -> None:
    prompts = [(Message("user", (image, "What is it?")),) for image in (RED, BLUE)]
    assert prompts[0] != prompts[1]
    assert prompt_text(prompts[0]) == f"user: [image {RED.sha256[:16]}]What is it?" != prompt_text(prompts[1])
    first, second = (Response("", parts=(image,)) for image in (RED, BLUE))
    assert first != second
    assert first.text != second.text
    assert len({first, second, Response("", parts=(RED,))}) == 2
    # a digest is made of this, and a renamed file is the same picture
    renamed = Image.make(picture_bytes("red"), name="elsewhere.png")
    assert repr(Message("user", (renamed, "What?"))) == repr(Message("user", (RED, "What?")))
    assert repr(Response("", parts=(renamed,))) == repr(first) != repr(second)
    assert "[image" in repr(PromptGroup(prompts[0], [first]))


def test_what_reads_text_alone_says_so() -> None:
    message = Message("user", (RED, "What is it?"))
    with pytest.raises(InputError, match=r"a turn of the user holds a picture .* text alone can be used here"):
        message.only_text  # noqa: B018
    with pytest.raises(InputError, match="a response holds a picture"):
        Response("", parts=(RED,)).only_text  # noqa: B018
    assert Message("user", "Hi").only_text == Response("Hi").only_text == "Hi"


def test_texts_beside_each_other_are_one_part() -> None:
    assert join_texts(["a", "b"]) == "ab"
    assert join_texts(["", RED, "a", "", "b", BLUE]) == (RED, "ab", BLUE)
    assert join_texts([]) == ""
