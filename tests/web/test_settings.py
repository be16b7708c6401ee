"""Settings of the page, and of how its data is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError

ROWS = [{"prompt": f"**p{n}**", "responses": ["one", "two"]} for n in range(4)]


def test_settings_of_the_page_and_of_the_reader(make_site: Callable[..., Any], tmp_path: Path) -> None:
    plain = make_site(ROWS, show="plain", title="Better?", instructions="Be **kind**.", limit=2)
    page = plain.person(1).page()
    assert '<p class="plain">**p' in page
    assert '<h1 id="top" tabindex="-1">Better?</h1>' in page
    assert "Be <strong>kind</strong>." in page
    assert "0 of 4 judgments" in plain.admin().get("/admin/").text
    out = str(tmp_path / "other.sqlite")
    bad = [*ROWS, {"prompt": "", "responses": ["a", "b"]}]
    with pytest.raises(InputError, match="1 of 5 rows cannot be used"):
        make_site(bad, out=out)
    assert "0 of 8 judgments" in make_site(bad, out=out, bad_rows="skip").admin().get("/admin/").text
    with pytest.raises(InputError, match="unknown layout 'x'"):
        make_site(ROWS, out=out, layout="x")
    (tmp_path / "splits.json").write_text(
        '{"a": [{"prompt": "p", "chosen": "x", "rejected": "y"}], "b": [{"prompt": "q"}]}'
    )
    split = make_site(data=str(tmp_path / "splits.json"), split="a", out=str(tmp_path / "s.sqlite"))
    assert "0 of 2 judgments" in split.admin().get("/admin/").text
