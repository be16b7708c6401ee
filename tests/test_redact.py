"""Secrets leave every message, in whatever form a server wrote them."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest

from penchant.redact import redact, secrets_of_address

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
    ],
)
def test_every_form_of_a_secret_goes(form: str) -> None:
    assert "aB+9" not in redact(f"Bearer {form}, no", [TOKEN]).replace("ab+9", "aB+9")
    assert redact(f"Bearer {form}, no", [TOKEN]).startswith("Bearer ")
    assert redact(f"Bearer {form}, no", [TOKEN]).endswith(", no")


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
