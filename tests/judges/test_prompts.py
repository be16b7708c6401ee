"""Templates are whole and harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.judges.contract import Question
from penchant.judges.prompts import BUILT_IN, load_template


@pytest.mark.parametrize("name", BUILT_IN)
def test_ours_show_all_three_texts_as_they_are(name: str) -> None:
    text = load_template(name).ask(Question("P {{ 7 * 7 }}", "A {% raw %} <b>", "B"))
    assert "P {{ 7 * 7 }}" in text
    assert "A {% raw %} <b>" in text
    assert "Verdict: tie" in text
    assert len({load_template(other).digest for other in BUILT_IN}) == len(BUILT_IN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ prompt }} {{ a }}", "has no b"),
        ("{{ prompt }} {{ a }} {{ b }} {{ c }}", "asks for c"),
        ("{{ prompt }} {{ a ", "cannot be read"),
    ],
)
def test_a_template_without_a_slot_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.j2"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_template(str(file))
    with pytest.raises(InputError, match="expected a file of yours"):
        load_template("no-such")


def test_a_template_of_ones_own_cannot_reach_out(tmp_path: Path) -> None:
    file = tmp_path / "own.j2"
    file.write_text("{{ prompt }}{{ a }}{{ b.__class__.__mro__ }}")
    with pytest.raises(Exception, match="unsafe"):
        load_template(str(file)).ask(Question("p", "a", "b"))
