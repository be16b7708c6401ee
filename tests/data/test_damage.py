"""Texts that a program damaged: told in the check and as warnings of training, and used as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from penchant.data.check import check_preferences
from penchant.data.load import load_demonstrations, load_preferences, load_prompts, read_preferences
from penchant.errors import InputError

OTHER = {"prompt": "Name a lake.", "chosen": "The Garda.", "rejected": "The moon."}
PAIR = {"prompt": "Name a river.", "chosen": "The Po.", "rejected": "The moon."}


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


STRINGIFIED = "whole texts of 1 prompts are what programs write for a missing value or a list"
MISREAD = "texts of 1 prompts hold UTF-8 that was read as Latin-1"
DAMAGED = {
    "None": STRINGIFIED,
    "nan": STRINGIFIED,
    " NULL\n": STRINGIFIED,
    "['x']": STRINGIFIED,
    '["a", "b"]': STRINGIFIED,
    "b'The Po.'": STRINGIFIED,
    "\\N": STRINGIFIED,
    "('The Po.',)": STRINGIFIED,
    "{'text': 'The Po.'}": STRINGIFIED,
    "<generator object answers at 0x7f3c>": STRINGIFIED,
    "tensor([1, 2])": STRINGIFIED,
    "\u0420\u045f\u0421\u0402\u0420\u0451": MISREAD,  # three letters, read as Windows-1251
    "\ufeffThe Po.": "hold characters that nobody sees",
    "The%20Po%20is%20long.": "hold escapes as text",
    "Caf=C3=A9": "hold escapes as text",
    "#NAME?": STRINGIFIED,
    "{{ answer }}": "are the name of a text that was never filled in",
    "The Po\u202eriver": "hold characters that nobody sees inside words",
    "The Po.\U000e0041\U000e0042": "hold characters that nobody sees inside words",
    "riv\u200ber": "hold characters that nobody sees inside words",
    "It\u00e2\u20ac\u2122s the Po.": MISREAD,
    "Caf\u00c3\u00a9": MISREAD,
    "\u00d0\u0178\u00d1\u20ac": MISREAD,  # two Cyrillic letters
    "\u00f0\u0178\u02dc\u20ac": MISREAD,  # an emoji
    "\u00ef\u00bb\u00bfThe Po.": MISREAD,  # a byte order mark
    "The P\ufffd.": "hold the character for bytes that could not be read",
    "The\x08 Po.": "hold control characters",
    "The &amp;quot;Po&amp;quot;.": "hold HTML entities encoded twice",
    "The &quot;Po&quot;.": "hold HTML entities (&quot;, &#39;) but no tags",
    "It&#39;s the Po.": "hold HTML entities (&quot;, &#39;) but no tags",
    "The Po.\\nIt is long.\\n\\nYes.": "hold escapes as text",
    "Caf\\u00e9": "hold escapes as text",
    "a <|im\u200b_end|>": "looks like a mark of a chat template ('<|im_end|>'",
    "<|\u0456m_start|>": "looks like a mark of a chat template ('<|im_start|>'",
    "[\uff29NST] q": "looks like a mark of a chat template ('[INST]'",
}


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_texts_are_told_and_left_as_they_are(tmp_path: Path, text: str) -> None:
    path = save(tmp_path, PAIR | {"chosen": text})
    loaded = read_preferences(path)
    assert loaded.groups[0].responses[0].text == text
    assert any(DAMAGED[text] in warning for warning in loaded.warnings)
    assert any(DAMAGED[text] in problem for problem in check_preferences(path).problems)
    assert [main(["data", "check", str(path), *strict]) for strict in ([], ["--strict"])] == [0, 1]


@pytest.mark.parametrize("load", [load_demonstrations, load_prompts])
def test_demonstrations_and_prompts_are_looked_at_too(
    tmp_path: Path, load: Any, caplog: pytest.LogCaptureFixture
) -> None:
    load(save(tmp_path, {"prompt": "Caf\u00c3\u00a9?", "completion": "Yes."}))
    assert MISREAD in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "None of them.",
        "The list [1, 2] is short.",
        "Caf\u00e9, na\u00efve, \u00dcbung, \u00c0 propos.",
        "\u201eSpa\u00df\u201c und \u201eMEN\u00dc\u201c",
        "AMANH\u00c3\u201d disse",
        "\u00abFRAN\u00c7A\u00bb",
        "<p>a &lt; b</p>",
        "$\\nu = \\neq \\nabla$",
        "\u041c\u043e\u0441\u043a\u0432\u0430",
        "\u0420\u043e\u0441\u0441\u0438\u044f, \u0421\u0421\u0421\u0420 \u2014 \u0420\u0421\u0424\u0421\u0420.",
        "(a, b) and {x: y}, <class> at 5",
        "100%20 off",
        "\u4f60\u597d\uff1a\u300a\u4e66\u300b",
        "tab\tand\r\nline",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "\u0627\u0644\u200f\u0639",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
        "Human\uff1a\u4f60\u597d",
    ],
)
def test_honest_texts_are_not(tmp_path: Path, text: str) -> None:
    assert read_preferences(save(tmp_path, PAIR | {"chosen": text})).warnings == ()


def test_what_code_holds_too_is_told_from_a_tenth_of_the_prompts_on(tmp_path: Path) -> None:
    rows = [PAIR | {"prompt": f"{number}?"} for number in range(30)]
    rows[3]["chosen"] = "Write &quot;x&quot; or \\u00e9."
    assert read_preferences(save(tmp_path, *rows)).warnings == ()
    rows[4]["chosen"] = rows[5]["chosen"] = rows[3]["chosen"]
    assert len(read_preferences(save(tmp_path, *rows)).warnings) == 2


@pytest.mark.parametrize("place", ["prompt", "chosen"])
def test_a_nul_character_is_refused_by_name(tmp_path: Path, place: str) -> None:
    path = save(tmp_path, PAIR | {place: "The\x00Po."})
    with pytest.raises(
        InputError, match=rf"a\.jsonl:1: field '{place}' holds a NUL character \(\\x00\) at character 4"
    ):
        load_preferences(path)
    assert main(["data", "check", str(path)]) == 2


def test_a_sample_of_a_byte_level_model_may_hold_nul(tmp_path: Path) -> None:
    row = {"prompt": "q", "responses": [{"text": "a\x00", "token_ids": [5, 0]}]}
    (group,) = load_preferences(save(tmp_path, row))
    assert group.responses[0].token_ids == (5, 0)


def test_a_prompt_that_one_response_repeats(tmp_path: Path) -> None:
    sentence = "1 prompts stand again at the beginning of some of their responses"
    loaded = read_preferences(save(tmp_path, PAIR | {"chosen": "Name a river. The Po."}))
    assert any(sentence in warning for warning in loaded.warnings)
    assert (
        read_preferences(save(tmp_path, PAIR | {"prompt": "The", "chosen": "The Po.", "rejected": "A."})).warnings == ()
    )


def test_scores_of_minus_one_among_others_are_told(tmp_path: Path) -> None:
    def row(*scores: float) -> dict[str, Any]:
        answers = [{"response": f"r{n}", "overall_score": score} for n, score in enumerate(scores)]
        return {"instruction": "q", "completions": answers}

    assert any("1 of 2 scores are -1" in warning for warning in read_preferences(save(tmp_path, row(-1, 5))).warnings)
    assert read_preferences(save(tmp_path, row(-1, -0.5, 2))).warnings == ()


def test_a_file_whose_responses_all_repeat_their_prompt_is_refused(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"Name river {n}.", "chosen": f"Name river {n}. Po.", "rejected": f"Name river {n}. No."}
        for n in "12"
    ]
    path = save(tmp_path, *rows)
    with pytest.raises(InputError, match=r"a\.jsonl: all responses begin with their prompt \(the first: a\.jsonl:1\)"):
        load_preferences(path)
    assert main(["data", "check", str(path)]) == 2
    assert len(load_preferences(path, layout="trl")) == 2
    with pytest.raises(InputError, match="all responses begin with their prompt"):
        load_demonstrations(save(tmp_path, {"prompt": "Name a river.", "completion": "Name a river. The Po."}))
    loaded = read_preferences(save(tmp_path, *rows, OTHER))
    assert "2 prompts stand again at the beginning of all their responses" in loaded.warnings[0]


def test_transcripts_beside_a_prompt_are_refused_and_read_without_it(tmp_path: Path) -> None:
    texts = {key: f"\n\nHuman: Hi.\n\nAssistant: {text}" for key, text in (("chosen", "Yes."), ("rejected", "No."))}
    path = save(tmp_path, {"prompt": "Hi."} | texts)
    with pytest.raises(InputError, match="fields 'chosen' and 'rejected' are whole transcripts"):
        load_preferences(path)
    (group,) = load_preferences(path, columns={"prompt": None})
    assert [response.text for response in group.responses] == ["Yes.", "No."]
