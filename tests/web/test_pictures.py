"""Pictures in prompts: shown from our own server, and never anything else."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.web.pictures import MOST_BYTES, kind_of, names_remote_pictures, pictures_of
from penchant.web.rendering import as_html

SHOWN = re.compile(r'<img src="([^"]+)" alt="([^"]*)">')


def picture(color: str, form: str = "PNG") -> bytes:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow, which matplotlib brings")
    stream = io.BytesIO()
    image.new("RGB", (3, 2), color).save(stream, form)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a tom.png").write_bytes(picture("red"))
    (tmp_path / "dog.JPG").write_bytes(picture("blue", "JPEG"))
    return tmp_path


def test_a_prompts_pictures_are_shown_to_people_and_to_the_admin(make_site: Callable[..., Any], folder: Path) -> None:
    text = 'Who is this?\n\n![a "red" cat](<cats/a tom.png>)\n\n![](dog.JPG)'
    rows = [
        {"prompt": text, "responses": ["![tom](dog.JPG)", "two"]},
        {"prompt": [{"role": "user", "content": "![again](dog.JPG)"}], "responses": ["one", "two"]},
    ]
    site = make_site(rows, annotators=2, overlap=2)
    one, two = site.person(1), site.person(2)
    seen: dict[str, bytes] = {}
    for _ in rows:
        html = one.page()
        assert all("<img" not in box for box in html.split('class="response card"')[1:])  # responses show none
        for address, words in SHOWN.findall(html):
            answer = one.client.get(address)
            assert answer.status_code == 200
            assert answer.headers["content-type"] in ("image/png", "image/jpeg")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "immutable" in answer.headers["cache-control"]
            seen[words] = answer.content
        one.judge(places=[1, 2])
        two.judge("tie")
    dog = (folder / "dog.JPG").read_bytes()
    assert seen == {
        "a &quot;red&quot; cat": (folder / "cats" / "a tom.png").read_bytes(),
        "a picture without a description": dog,
        "again": dog,
    }
    stranger = site.new_client()
    assert stranger.get(address).status_code == 403
    assert one.client.get(address.replace("/w/1/", "/w/2/")).status_code == 403
    assert one.client.get(address[:-1] + "g").status_code == 404
    admin = site.admin()
    overview = admin.get("/admin/").text
    addresses = [place for place, _ in SHOWN.findall(overview)]
    assert len(addresses) == 3
    assert all(place.startswith("/admin/picture/") and admin.get(place).status_code == 200 for place in addresses)
    exported = folder / "exported.jsonl"
    exported.write_bytes(admin.get("/admin/export.jsonl").content)
    assert json.loads(exported.read_text().splitlines()[0])["pictures"].keys() == {"cats/a%20tom.png", "dog.JPG"}
    with pytest.raises(InputError, match=r"field .pictures. seems to hold pictures"):  # a model would not see them
        load_preferences(exported, ties="half")
    assert load_preferences(exported, ties="half", columns={"pictures": None})[0].prompt == text


def test_other_pictures_under_the_same_name_are_other_data(make_site: Callable[..., Any], folder: Path) -> None:
    rows = [{"prompt": "![dog](dog.JPG)", "responses": ["one", "two"]}]
    out = str(folder / "c.sqlite")
    make_site(rows, out=out)
    assert make_site(rows, out=out).went_on
    (folder / "dog.JPG").write_bytes(picture("green", "JPEG"))
    with pytest.raises(InputError, match="was made of other data"):
        make_site(rows, out=out)
    (folder / "dog.JPG").unlink()
    assert "<img" in make_site(out=out).person(1).page()  # the collection has its own copy


def test_a_collection_of_before_there_were_pictures_goes_on(make_site: Callable[..., Any], folder: Path) -> None:
    out = str(folder / "c.sqlite")
    make_site([{"prompt": "p", "responses": ["one", "two"]}], out=out).database.close()
    with closing(sqlite3.connect(out)) as connection:
        connection.execute("DROP TABLE image")
    again = make_site(out=out)
    assert again.went_on
    assert again.person(1).judge("tie")
    assert len(load_preferences(out, ties="half")) == 1


def test_a_folder_of_pictures_may_be_named(make_site: Callable[..., Any], folder: Path) -> None:
    rows = [{"prompt": "![a cat](<a tom.png>)", "responses": ["one", "two"]}]
    assert "<img" in make_site(rows, pictures=str(folder / "cats")).person(1).page()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("none.png", "there is no picture 'none.png'"),
        ("../secret.png", "lies outside"),
        ("%2e%2e/secret.png", "lies outside"),
        ("link.png", "lies outside"),
        ("text.png", "is no PNG, JPEG, GIF or WebP"),
        ("drawing.png", "is no PNG, JPEG, GIF or WebP"),
        ("large.png", "larger than 8 MiB"),
        ("cats.png", "there is no picture"),
        ("nul%00.png", "cannot be read"),
        ("n" * 300 + ".png", "cannot be read"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    make_site: Callable[..., Any], folder: Path, address: str, message: str
) -> None:
    inner = folder / "data"
    (inner / "cats.png").mkdir(parents=True)
    (folder / "secret.png").write_bytes(picture("red"))
    (inner / "link.png").symlink_to(folder / "secret.png")
    (inner / "text.png").write_text("hello")
    (inner / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    with (inner / "large.png").open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    rows = [{"prompt": f"![x]({address})", "responses": ["a", "b"]}, {"prompt": "p", "responses": ["a", "b"]}]
    with pytest.raises(InputError, match=message) as refused:
        make_site(rows, pictures=str(inner))
    assert "rows-0.jsonl:1" in str(refused.value)
    assert str(refused.value).count("the picture") + str(refused.value).count("no picture") <= 1
    skipped = make_site(rows, pictures=str(inner), bad_rows="skip", out=str(folder / "skip.sqlite"))
    assert "0 of 2 judgments" in skipped.admin().get("/admin/").text
    plain = make_site(rows, pictures=str(inner), show="plain", out=str(folder / "plain.sqlite"))
    assert "<img" not in plain.person(1).page()


def test_pictures_elsewhere_are_named_and_never_fetched(
    make_site: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    far = ["https://evil.example/x.png", "//evil.example/x.png", "file:///etc/x.png", "data:image/png;base64,AAAA"]
    prompt = " ".join(f"![x]({address})" for address in [*far, "no-picture.txt", "/etc/x.png", "x.svg"])
    page = make_site([{"prompt": prompt, "responses": ["one", "two"]}]).person(1).page()
    assert "<img" not in page
    assert "[picture: x (https://evil.example/x.png)]" in page
    assert "1 prompts name pictures on other machines" in caplog.text
    assert names_remote_pictures("![x](http://e.org/a.png)")
    assert not names_remote_pictures("http://e.org/a.png and `![x](http://e.org/a.png)`, which is code")


def test_no_address_but_our_own_becomes_a_picture(folder: Path) -> None:
    assert pictures_of("`![x](dog.JPG)`", folder) == {}
    for wrong in ("https://evil.example/x.png", "/w/1/picture/../../x", "/static/icon.svg", "javascript:alert(1)"):
        assert "src=" not in as_html("![x](dog.JPG)", "markdown", (("dog.JPG", wrong),))
    right = f"/w/12/picture/{'0' * 64}"
    assert f'<img src="{right}" alt="x">' in as_html("![x](dog.JPG)", "markdown", (("dog.JPG", right),))
    assert as_html("![x](dog.JPG)", "plain", (("dog.JPG", right),)) == '<p class="plain">![x](dog.JPG)</p>'


def test_kinds_by_their_first_bytes() -> None:
    forms = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
    assert {form: kind_of(picture("red", form)[:16]) for form in forms} == forms
    assert kind_of(b"") is None
    assert kind_of(b"RIFF0000WAVE") is None


@pytest.mark.parametrize(
    "head",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + bytes(8),
        b"GIF89a" + b"\xff" * 4 + bytes(22),
        b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\xff" * 6 + bytes(2),
    ],
)
def test_a_picture_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, head: bytes) -> None:
    name = {b"\x89": "a.png", b"G": "a.gif", b"R": "a.webp"}[head[:1]]
    (tmp_path / name).write_bytes(head)
    with pytest.raises(InputError, match=r"\d+ x \d+ pixels"):
        pictures_of(f"![a]({name})", tmp_path)
