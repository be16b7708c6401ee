"""Pictures, sounds and videos in files: every spelling is read, and every bad file has its outcome."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from media_files import picture_bytes, sound_bytes, write_pictures
from penchant.data.check import check_preferences
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Audio, Video
from penchant.types import Comparison, Message, PromptGroup, Response

RED, GREEN, BLUE = (Image.make(picture_bytes(colour)) for colour in ("red", "green", "blue"))
PAIR = {"chosen": "A red one.", "rejected": "A cat."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", red="red", green="green", blue="blue")


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "prefs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(folder: Path, *rows: dict[str, Any]) -> list[PromptGroup]:
    return load_preferences(save(folder, *rows), media=True)


def content(folder: Path, row: dict[str, Any]) -> object:
    """The content of the last turn of a row's prompt."""
    prompt = read(folder, row)[0].prompt
    assert not isinstance(prompt, str)
    return prompt[-1].content


def asked(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": [{"role": "user", "content": [*parts, {"type": "text", "text": "What?"}]}], **PAIR}


BASE64 = base64.b64encode(picture_bytes("red")).decode()
SPELLINGS: dict[str, dict[str, Any]] = {
    "path": asked({"type": "image", "path": "red.png"}),
    "url of a file": asked({"type": "image", "url": "red.png"}),
    "qwen": asked({"type": "image", "image": "./red.png"}),
    "openai": asked({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}", "detail": "low"}}),
    "bytes": asked({"type": "image", "bytes": BASE64}),
    "datasets": asked({"type": "image", "image": {"bytes": BASE64, "path": "gone.png"}}),
    "file address": asked({"type": "image", "url": "file://red.png"}),
    "trl": {**asked({"type": "image"}), "images": ["red.png"]},
    "trl text": {"prompt": [{"role": "user", "content": "What?"}], **PAIR, "images": ["red.png"]},
    "text": {"prompt": "What?", **PAIR, "image": "red.png"},
    "mark": {"prompt": "<image>What?", **PAIR, "images": ["red.png"]},
    "rlaif-v": {"question": "What?", **PAIR, "image": {"bytes": BASE64, "path": "red.png"}, "image_path": "x/red.png"},
    "path column": {"question": "What?", **PAIR, "image_path": "red.png"},
    "ours": {
        "prompt": [
            {"role": "user", "content": [{"type": "image", "path": "red.png", "sha256": RED.sha256}, {"text": "What?"}]}
        ],
        "responses": [*PAIR.values()],
        "ranking": [0, 1],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_the_same_prompt(folder: Path, name: str) -> None:
    group = read(folder, SPELLINGS[name])[0]
    assert group.prompt == (Message("user", (RED, "What?")),)
    assert [response.text for response in group.responses] == [*PAIR.values()]
    assert group.comparisons == (Comparison(0, 1),)
    with pytest.raises(InputError, match="cannot be used here, text alone can"):
        load_preferences(folder / "prefs.jsonl")


def test_marks_and_places_take_files_in_their_order(folder: Path) -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "<image> before <image>?"},
            {"from": "gpt", "value": "Yes."},
            {"from": "human", "value": "And <image>"},
        ],
        "chosen": {"from": "gpt", "value": "a"},
        "rejected": {"from": "gpt", "value": "b"},
        "images": ["red.png", "green.png", "blue.png"],
    }
    prompt = read(folder, row)[0].prompt
    assert [turn.content for turn in prompt if isinstance(turn, Message)] == [
        (RED, " before ", GREEN, "?"),
        "Yes.",
        ("And ", BLUE),
    ]
    places = asked({"type": "image"}, {"type": "text", "text": "or"}, {"type": "image"})
    assert content(folder, {**places, "images": ["blue.png", "red.png"]}) == (BLUE, "or", RED, "What?")


def test_a_history_that_both_answers_repeat_shows_its_picture_once(folder: Path) -> None:
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    sides = {name: [turn, {"role": "assistant", "content": text}] for name, text in PAIR.items()}
    assert content(folder, {**sides, "images": ["red.png"]}) == (RED, "What?")


def test_sounds_and_videos_are_read(folder: Path) -> None:
    (folder / "tone.wav").write_bytes(sound_bytes())
    write_pictures(folder / "clip", **{"00001": "red", "00002": "blue"})
    tone, clip = Audio.make(sound_bytes()), Video((RED, BLUE), 2)
    assert content(folder, {"prompt": "<audio>What?", **PAIR, "audios": ["tone.wav"]}) == (tone, "What?")
    inside = base64.b64encode(sound_bytes()).decode()
    spoken = {"type": "input_audio", "input_audio": {"data": inside, "format": "wav"}}
    assert content(folder, asked(spoken)) == (tone, "What?")
    frames = {"type": "video", "video": ["red.png", "blue.png"], "fps": 2}
    assert content(folder, asked(frames)) == (clip, "What?")
    row = {"prompt": "<video>What?", **PAIR, "videos": [["red.png", "blue.png"]]}
    assert content(folder, row) == (Video((RED, BLUE), 1), "What?")
    assert content(folder, {**row, "videos": ["clip"]}) == (Video((RED, BLUE), 1), "What?")
    assert content(folder, {"prompt": "What?", **PAIR, "video": ["red.png", "blue.png"]}) == (
        Video((RED, BLUE)),
        "What?",
    )


def test_responses_may_be_pictures(folder: Path) -> None:
    sides = {
        name: [{"role": "assistant", "content": [{"type": "image", "path": f"{colour}.png"}]}]
        for name, colour in (("chosen", "red"), ("rejected", "blue"))
    }
    group = read(folder, {"prompt": "Draw it.", **sides})[0]
    assert [response.parts for response in group.responses] == [(RED,), (BLUE,)]
    with pytest.raises(InputError, match="are the same response"):
        read(folder, {"prompt": "Draw it.", **sides, "rejected": sides["chosen"]})


def test_what_is_written_is_read_back(folder: Path, tmp_path: Path) -> None:
    (folder / "tone.wav").write_bytes(sound_bytes())
    elsewhere = write_pictures(tmp_path / "elsewhere", far="green")
    near, far = Image.make(folder / "red.png"), Image.make(elsewhere / "far.png")
    groups = [
        PromptGroup((Message("user", (near, "What?", far)),), ["a", "b"], [Comparison(0, 1)]),
        PromptGroup((Message("user", (Audio.make(folder / "tone.wav"),)),), ["a", "b"], [Comparison(1, 0)]),
        PromptGroup("Draw.", [Response("", parts=("one: ", BLUE)), Response("", parts=(RED,))], [Comparison(0, 1)]),
        PromptGroup((Message("user", (Video((near, BLUE), 4), "Sum up.")),), ["a", "b"], [Comparison(0, 1)]),
    ]
    out = folder / "ours.jsonl"
    write_groups(groups, out)
    assert load_preferences(out, media=True) == groups
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    parts = rows[0]["prompt"][0]["content"]
    # what lies beside the file stays, and other files are copied next to it
    assert parts[0] == {"type": "image", "path": "red.png", "sha256": RED.sha256}
    assert parts[2] == {"type": "image", "path": f"ours_media/{GREEN.sha256[:32]}.png", "sha256": GREEN.sha256}
    # rows that a program hands over are read from wherever their pictures are
    assert load_preferences(groups, media=True) == groups
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert load_preferences(moved / "ours.jsonl", media=True) == groups
    before = (moved / out.name).read_bytes()
    write_groups(load_preferences(moved / "ours.jsonl", media=True), moved / "ours.jsonl")
    assert (moved / out.name).read_bytes() == before


def test_text_is_written_as_ever(tmp_path: Path) -> None:
    group = PromptGroup((Message("user", "Hi"),), ["a", Response("b", count=2)], [Comparison(0, 1)])
    write_groups([group], tmp_path / "text.jsonl")
    assert (tmp_path / "text.jsonl").read_text() == (
        '{"prompt": [{"role": "user", "content": "Hi"}], "responses": ["a", {"text": "b", "count": 2}], '
        '"comparisons": [{"winner": 0, "loser": 1}]}\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["text.jsonl"]


def test_the_same_question_about_two_pictures_is_two_prompts(folder: Path) -> None:
    rows = [{"prompt": "What?", **PAIR, "image": f"{name}.png"} for name in ("red", "blue")]
    # the third is a copy of the first under another name: the same prompt
    (folder / "copy.png").write_bytes(picture_bytes("red"))
    loaded = read_preferences(save(folder, *rows, {**rows[0], "image": "copy.png"}), media=True)
    assert len(loaded.groups) == 2
    assert loaded.duplicates == 1


def test_demonstrations_and_prompts_show_pictures_too(folder: Path) -> None:
    row = {"messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "Red."}]}
    file = save(folder, {**row, "images": ["red.png"]})
    group = load_demonstrations(file, media=True)[0]
    assert group.prompt == (Message("user", (RED, "What?")),)
    assert load_prompts(file, media=True)[0].prompt == group.prompt
    with pytest.raises(InputError, match="field 'images': pictures, videos and sounds cannot be used here"):
        load_demonstrations(file)


# -- bad input ----------------------------------------------------------------------------------------------------


def _animation() -> bytes:
    frames = [Pillow.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _huge() -> bytes:
    """A PNG of a few bytes that says it has 400 million pixels."""
    small = bytearray(picture_bytes())
    small[16:24] = (20_000).to_bytes(4, "big") * 2
    import zlib

    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)


BROKEN: dict[str, tuple[bytes, str]] = {
    "cut": (picture_bytes("red", (64, 64))[:-40], "cannot be decoded"),
    "text": (b"no picture at all", "is no picture that can be read"),
    "empty": (b"", "is an empty file"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG, a program that draws"),
    "animated": (_animation(), "holds several pictures"),
    "huge": (_huge(), "has more than 89,478,485 pixels"),
    # Pillow would run Ghostscript on it
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n", "is no picture that can be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_named_and_counted(folder: Path, name: str) -> None:
    data, expected = BROKEN[name]
    (folder / "bad.png").write_bytes(data)
    rows = [{"prompt": "What?", **PAIR, "image": "bad.png"}, {"prompt": "What?", **PAIR, "image": "red.png"}]
    with pytest.raises(InputError, match=rf"prefs\.jsonl:1: field 'image': bad\.png {expected}"):
        read(folder, *rows)
    assert len(load_preferences(folder / "prefs.jsonl", media=True, bad_rows="skip")) == 1
    report = check_preferences(folder / "prefs.jsonl")
    assert report.bad_kinds == {"broken": 1}
    assert report.media["images"].uses == 1
    assert "rows whose files are broken    1" in report.as_text()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "absent": ({"image": "gone.png"}, r"there is no file 'gone\.png' in .*data: put it there"),
    "outside": ({"image": "../secret.png"}, r"'\.\./secret\.png' lies outside"),
    "root": ({"image": "/etc/hostname"}, "'/etc/hostname' lies outside"),
    "link": ({"image": "link.png"}, r"'link\.png' lies outside"),
    "remote": ({"image": "https://example.org/a.png"}, "is on another machine, and nothing is fetched"),
    "no scheme": ({"image": "//example.org/a.png"}, "is on another machine"),
    "folder": ({"image": "."}, "cannot be read: Is a directory"),
    "number in a list": ({"images": [3]}, r"expected the path of a picture, beside the data, or its bytes, got int"),
    "base64": ({"image": {"bytes": "?!"}}, "expected bytes in base64"),
    "too few": ({"prompt": "<image><image>What?", "images": ["red.png"]}, "has 1 files, and the prompt has 2 places"),
    "too many": ({"prompt": "<image>What?", "images": ["red.png", "blue.png"]}, "has 2 files, and the prompt has 1"),
    "mark and an empty column": ({"prompt": "<image>What?", "images": []}, "'images' is empty, and the prompt has 1"),
    "mark and null": ({"prompt": "<image><video>What?", "image": "red.png", "videos": None}, "'videos' is empty"),
    "null in a list": ({"images": [None]}, "a place for a picture without a file"),
    "no name in a list": ({"images": [""]}, "expected the path of a picture, beside the data, or its bytes, got str"),
    "two columns": ({"images": ["red.png"], "image": "red.png"}, "'image' and field 'images' both say what is shown"),
    "part and column": (
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": "red.png"}]}], "images": ["red.png"]},
        "'images' has 1 files, and parts of the prompt name files of their own",
    ),
    "long name": ({"image": "a" * 5_000}, "cannot be looked for: File name too long"),
    "pipe": ({"image": "pipe"}, "pipe is no file, but a pipe or a device"),
    "same bytes": (
        {side: [{"role": "assistant", "content": [{"type": "image", "path": path}]}]
         for side, path in (("chosen", "red.png"), ("rejected", "copy.png"))},
        "prefs.jsonl:1: responses that are compared are the same file",
    ),
    "cell of broken JSON": (
        {"prompt": None, "chosen": None, "rejected": None, "image": "red.png",
         "text": '{"question": "chosen" "rejected"'}, "field 'text': broken JSON at character 23",
    ),
    "no right description": (
        {"prompt": None, "image": "red.png", "chosen": [], "rejected": ["A cat."], "image_id": 1},
        "field 'chosen' is empty: nothing is compared",
    ),
    "mark in a response": ({"chosen": "A <image>.", "images": ["red.png"]}, "a response holds the mark <image>"),
    "video file": ({"video": "red.png"}, "is a file, and videos are read as pictures"),
    "no frames": ({"video": "nothing"}, "a video without frames"),
    "no frames in a part": (
        {"prompt": [{"role": "user", "content": [{"type": "video", "video": "nothing"}]}]},
        "a video without frames",
    ),
    "no user": ({"prompt": [{"role": "system", "content": "Be kind."}], "image": "red.png"}, "has no turn of a user"),
    "no file": ({"prompt": [{"role": "user", "content": [{"type": "image"}]}]}, "a place for a picture without a file"),
    "another digest": (
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": "red.png", "sha256": "ab"}]}]},
        "is another file than its sha256 says",
    ),
    "two sources": (
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": "red.png", "url": "blue.png"}]}]},
        "path and url both say where it is",
    ),
    "mixed kinds": (
        {"chosen": [{"role": "assistant", "content": [{"type": "image", "path": "red.png"}]}],
         "rejected": [{"role": "assistant", "content": "A text."}]},
        "response 0 is image and response 1 is text",
    ),
    "two pictures in one group": (
        {side: [{"role": "user", "content": [{"type": "image", "path": f"{colour}.png"}]},
                {"role": "assistant", "content": colour}]
         for side, colour in (("chosen", "red"), ("rejected", "blue"))} | {"prompt": None},
        "differ before the last turn",
    ),
    "unknown column": ({"picture_of_it": "red.png"}, r"read from the columns `images`, `videos` and `audios`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret.png").write_bytes(picture_bytes())
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "nothing").mkdir()
    (folder / "copy.png").write_bytes((folder / "red.png").read_bytes())
    os.mkfifo(folder / "pipe")
    change, expected = REFUSED[name]
    # null takes a field of the usual row away
    missing = {key for key in ("prompt", *PAIR) if key in change and change[key] is None}
    row = {key: cell for key, cell in {"prompt": "What?", **PAIR, **change}.items() if key not in missing}
    with pytest.raises(InputError, match=expected):
        read(folder, row)


def test_a_row_of_two_kinds_is_left_out_as_other_bad_rows_are(folder: Path) -> None:
    file = save(
        folder, {"prompt": "What?", **PAIR, "image": "red.png"}, {"prompt": "A cat?", **REFUSED["mixed kinds"][0]}
    )
    rows = load_preferences(file, media=True, bad_rows="skip", layout="trl")
    assert [group.prompt for group in rows] == [(Message("user", (RED, "What?")),)]


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2)])
def test_sounds_that_models_hear_otherwise_are_counted(folder: Path, rate: int, channels: int) -> None:
    (folder / "tone.wav").write_bytes(sound_bytes(rate=rate, channels=channels))
    report = check_preferences(save(folder, {"prompt": "What?", **PAIR, "audio": "tone.wav"}))
    counts = report.media["audios"]
    assert counts.rates == {str(rate): 1}
    assert counts.stereo == channels - 1
    expected = "1 sounds have two channels" if channels == 2 else "1 sounds have fewer than 16,000 samples"
    assert any(expected in problem for problem in report.problems)


def test_an_empty_sound_is_refused(folder: Path) -> None:
    (folder / "tone.wav").write_bytes(sound_bytes(0))
    with pytest.raises(InputError, match=r"tone\.wav holds no samples"):
        read(folder, {"prompt": "What?", **PAIR, "audio": "tone.wav"})


def test_modes_and_turns_are_read_as_they_are_shown(folder: Path) -> None:
    turned = Pillow.Exif()
    turned[0x0112] = 6
    (folder / "turned.jpg").write_bytes(picture_bytes("red", (8, 6), "JPEG", exif=turned))
    Pillow.new("CMYK", (8, 6)).save(folder / "ink.jpg")
    Pillow.fromarray(np.full((6, 8), 65_535, np.uint16)).save(folder / "deep.png")
    files = ["turned.jpg", "ink.jpg", "deep.png"]
    shown = content(folder, {"prompt": "What?", **PAIR, "images": files})
    assert isinstance(shown, tuple)
    images = [part for part in shown if isinstance(part, Image)]
    assert [image.size for image in images] == [(6, 8), (8, 6), (8, 6)]
    assert [image.decode().shape for image in images] == [(8, 6, 3), (6, 8, 3), (6, 8)]
    assert (images[2].decode() == 255).all()


def test_another_folder_may_hold_the_pictures(folder: Path, tmp_path: Path) -> None:
    genome = write_pictures(tmp_path / "genome" / "VG_100K_2", **{"17": "blue"}).parent
    row = {"image_id": 17, "question": "Is there a dog?", "chosen": "No.", "reject": "Yes.", "answer": "no"}
    group = load_preferences(save(folder, row), media=True, media_folder=str(genome))[0]
    assert group.prompt == (Message("user", (BLUE, "Is there a dog?")),)
    with pytest.raises(InputError, match=r"there is no file '17\.jpg' \(nor '17\.png', 'VG_100K/17\.jpg'"):
        load_preferences(folder / "prefs.jsonl", media=True)
    with pytest.raises(InputError, match="media_folder=nowhere: there is no such folder"):
        load_preferences(folder / "prefs.jsonl", media=True, media_folder="nowhere")
    right = load_preferences(save(folder, {**row, "correct": True}, row), media=True, media_folder=str(genome))
    assert [len(each.comparisons) for each in right] == [1]


def test_the_check_counts_kinds_and_sizes(folder: Path) -> None:
    (folder / "large.png").write_bytes(picture_bytes("green", (40, 30)))
    rows = [
        {"prompt": "Which?", **PAIR, "images": ["red.png", "large.png"]},
        {"prompt": "What?", **PAIR, "images": ["red.png"]},
        {"prompt": "What?", **PAIR},
        {"prompt": "What?", **PAIR, "image": "gone.png"},
    ]
    report = check_preferences(save(folder, *rows))
    counts = report.media["images"]
    assert (counts.prompts, counts.uses, counts.different) == (2, 3, 2)
    assert report.bad_kinds == {"absent": 1}
    text = report.as_text()
    assert "images                         3 in 2 prompts, 2 different (8 x 6 pixels to 40 x 30 pixels)" in text
    assert "rows whose files are absent    1" in text
    # which models read them is known where one is named
    assert not any("images" in reason for reason in report.refusals)
    assert json.loads(json.dumps(report.as_dict()))["media"]["images"]["largest"] == "40 x 30 pixels"
