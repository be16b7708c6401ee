"""Pictures, sounds and videos as parts of prompts and responses: shown from our own server by their digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_files import picture_bytes, sound_bytes, write_pictures
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.web.media import media_of_row
from penchant.web.security import POLICY

ADDRESS = re.compile(r'<(img|audio) [^>]*?src="(/[^"]+)"')


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path, red="red", green="green", blue="blue")
    (tmp_path / "tone.wav").write_bytes(sound_bytes())
    return tmp_path


def asked(*parts: dict[str, Any], responses: list[Any] | None = None) -> dict[str, Any]:
    content = [*parts, {"type": "text", "text": "(https://example.org) What *is* it?"}]
    return {"prompt": [{"role": "user", "content": content}], "responses": responses or ["one", "two"]}


def test_parts_are_shown_and_played_by_their_digest(make_site: Callable[..., Any], folder: Path) -> None:
    drawn = [{"content": [{"type": "image", "path": f"{name}.png"}]} for name in ("green", "blue")]
    rows = [
        asked({"type": "image", "path": "red.png"}, responses=drawn),
        asked({"type": "audio", "path": "tone.wav"}),
        asked({"type": "video", "frames": ["red.png", "blue.png"], "rate": 2}),
    ]
    site = make_site(rows, annotators=1, overlap=1)
    person = site.person(1)
    seen: list[tuple[str, str]] = []
    for _ in rows:
        html = person.page()
        assert "<em>is</em>" in html
        assert ".png" not in html  # a path is never shown, and never asked for
        for tag, address in ADDRESS.findall(html):
            answer = person.client.get(address)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == ("audio/wav" if tag == "audio" else "image/png")
            assert digest(answer.content) == address.rpartition("/")[2]
            seen.append((tag, digest(answer.content)))
        person.judge(places=[1, 2])
    red, green, blue = (digest(picture_bytes(colour)) for colour in ("red", "green", "blue"))
    counts = {entry: seen.count(entry) for entry in seen}
    expected = {("img", red): 2, ("img", blue): 2, ("img", green): 1, ("audio", digest(sound_bytes())): 1}
    assert counts == expected
    assert "media-src 'self'" in POLICY
    assert person.client.get("/w/1/picture/red.png").status_code == 404
    # what was collected is read with the pictures beside it
    exported = folder / "exported.jsonl"
    exported.write_bytes(site.admin().get("/admin/export.jsonl").content)
    data = load_preferences(folder / "rows-0.jsonl", media=True)
    groups = load_preferences(exported, media=True)
    assert len(groups) == 3
    assert {group.prompt for group in groups} == {group.prompt for group in data}
    with pytest.raises(InputError, match="text alone can"):
        load_preferences(exported)


def test_a_renamed_digest_shows_nothing() -> None:
    part = {"type": "image", "path": "a.png", "sha256": '"><script>'}
    assert media_of_row([part]) == {}
    assert media_of_row([{"type": "video", "sha256": "0" * 64, "frames": [{"sha256": "../x"}]}]) == {}
    assert media_of_row("text") == {}
    assert json.dumps(part)  # a row is JSON


def test_a_file_that_is_too_large_for_a_page_is_refused(make_site: Callable[..., Any], folder: Path) -> None:
    (folder / "long.wav").write_bytes(sound_bytes(300))
    with pytest.raises(InputError, match=r"long\.wav is larger than 8 MiB as a page has it"):
        make_site([asked({"type": "audio", "path": "long.wav"})])
