"""Secrets leave every message, in whatever form a server wrote them."""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from penchant.errors import InputError
from penchant.redact import hide_credentials, redact, secret_from, secrets_of_address

TOKEN = 'sk-/aB+9"\\ü'


@pytest.mark.parametrize(
    "form",
    [
        TOKEN,
        TOKEN.upper(),
        quote(TOKEN, safe=""),
        html.escape(TOKEN),
        json.dumps(TOKEN),
        json.dumps(TOKEN, ensure_ascii=False),
        json.dumps(TOKEN).replace("/", "\\/"),
        repr(TOKEN),
        quote(quote(TOKEN, safe=""), safe=""),
    ],
)
def test_every_form_of_a_secret_goes(form: str) -> None:
    assert "aB+9" not in redact(f"Bearer {form}, no", [TOKEN]).replace("ab+9", "aB+9")
    assert redact(f"Bearer {form}, no", [TOKEN]).startswith("Bearer ")
    assert redact(f"Bearer {form}, no", [TOKEN]).endswith(", no")


@pytest.mark.parametrize("before", [b"", b"x", b"Bearer "])
@pytest.mark.parametrize("after", [b"", b"!", b"\n\n"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, binascii.hexlify])
def test_a_secret_that_was_encoded_goes_wherever_it_stood(
    encode: Callable[[bytes], bytes], before: bytes, after: bytes
) -> None:
    token = "sk-Super?Secret>Token~123"
    shown = redact(f"<{encode(before + token.encode() + after).decode()}>", [token])
    assert "[secret]" in shown
    assert len(shown.replace("[secret]", "")) <= 4 + 2 * (len(before) + len(after))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("reward=http://me:s%40c@host:80/score", "reward=http://[secret]@host:80/score"),
        ("postgresql://me:pass@host/db", "postgresql://[secret]@host/db"),
        ("http://h/?n=1&api_key=abc&b=2#x", "http://h/?n=1&api_key=[secret]&b=2#x"),
        ("http://h/score?n=3 and me@example.org, https://e.org/@user", None),
        ("http://[secret]@h/?key=[secret]", None),
    ],
)
def test_addresses_that_are_kept_have_no_credentials(text: str, kept: str | None) -> None:
    assert hide_credentials(text) == (kept or text)


@pytest.mark.parametrize("token", ["sk-\N{SNOWMAN}abc", "sk abc", "sk-abc\nX-Other: 1"])
def test_a_token_that_no_header_carries_is_refused_without_it(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own error repeats it."""
    monkeypatch.setenv("A_TOKEN", token)
    with pytest.raises(InputError, match=r"\$A_TOKEN holds") as caught:
        secret_from("A_TOKEN")
    assert "abc" not in str(caught.value)
    monkeypatch.setenv("A_TOKEN", " sk-abc\n")  # as `echo` writes it into a file
    assert secret_from("A_TOKEN") == "sk-abc"


def test_nothing_secret_changes_nothing() -> None:
    assert redact("404 for /score?n=1", ["", *secrets_of_address("http://host/score?n=1")]) == "404 for /score?n=1"


def test_an_address_has_credentials_and_values() -> None:
    url = "http://me:s%40cret@host/score?key=abcd%2Fef&n=1"
    pair = base64.b64encode(b"me:s@cret").decode()
    for text in ("me:s@cret", "s@cret", "s%40cret", pair, "key=abcd/ef", "key=abcd%2Fef"):
        shown = redact(f"[{text}] n=1", secrets_of_address(url))
        assert "cret" not in shown.replace("[secret]", "")
        assert "abcd" not in shown
        assert pair not in shown
        assert "n=1" in shown
