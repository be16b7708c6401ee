"""The pictures of the documentation show what the command says of ten families."""

from __future__ import annotations

import re
from pathlib import Path

import draw_masks
import pytest

from repository import REPOSITORY


def test_ten_families_have_their_picture_in_the_documentation() -> None:
    families = [family for picture in draw_masks.PICTURES.values() for family in picture]
    assert len(set(families)) == len(families) == 10
    page = (REPOSITORY / "docs" / "reference" / "masks.md").read_text()
    for picture in draw_masks.PICTURES:
        assert f"(../images/{picture}.png)" in page
        assert (REPOSITORY / "docs" / "images" / f"{picture}.png").stat().st_size < 150_000


@pytest.mark.parametrize(("family", "end"), [("qwen3", "&lt;|im_end|&gt;"), ("phi4_mini", "&lt;|end|&gt;")])
def test_a_card_has_the_answers_and_their_ends(family: str, end: str, tmp_path: Path) -> None:
    card, style = draw_masks.draw_card(family, tmp_path)
    assert "".join(re.findall(r'<span class="scored(?: parts)?">(.*?)</span>', card)) == "42.41."
    assert re.findall(r'<span class="end">(.*?)</span>', card) == [end, end]
    thoughts = re.findall(r'<span class="thought(?: parts)?">(.*?)</span>', card)
    assert "".join(thoughts) == ("7 and 5 are 12, so 42." if family == "qwen3" else "")
    assert ".marked .scored" in style
