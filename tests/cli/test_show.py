"""`penchant data show`: which rows, how they are marked, and that no text of the data escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.cli.marked_lines import MARKS, row_segments
from penchant.data.rendering.marked import MarkedPiece, MarkedResponse, MarkedRow

ROWS = [
    {"prompt": f"Question {number}?", "chosen": f" Yes {number}.", "rejected": f" No {number}."}
    for number in range(1, 13)
]
HOSTILE = "\x1b[31m\u202e</span><script>alert(1)</script>⟧"


@pytest.fixture
def show(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stories: str
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)

    def call(rows: list[dict[str, object]], *settings: str) -> tuple[int, str]:
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = [*(["rows.jsonl"] if rows else []), f"model={stories}", *settings]
        code = main(["data", "show", *words])
        out, err = capsys.readouterr()
        return code, out + err

    return call


def test_the_first_rows_are_shown_with_marks(show: Callable[..., tuple[int, str]]) -> None:
    code, out = show(ROWS, "n=2")
    assert code == 0
    assert out.count("rows.jsonl:") == 2
    assert "<s> Question 1?\n── chosen: " in out
    assert "⟦ ⋔Yes 1.⟧⟪</s>⟫" in out
    assert "⟦ ⋔No 1.⟧⟪</s>⟫" in out


def test_rows_are_chosen_by_line_and_by_seed(show: Callable[..., tuple[int, str]]) -> None:
    def lines(*settings: str) -> list[str]:
        return re.findall(r"rows\.jsonl:(\d+)", show(ROWS, *settings)[1])

    assert lines("row=5", "n=2") == ["5", "6"]
    first, again, other = (lines("order=random", f"seed={seed}") for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 3
    code, out = show(ROWS, "row=40")
    assert code == 2
    assert "no prompt begins in row 40 (the nearest: 10, 11, 12)" in out


def test_the_side_of_a_prompt_is_that_of_training(show: Callable[..., tuple[int, str]]) -> None:
    from penchant.data.load import load_preferences
    from penchant.train.plan import split_by_prompt

    _, out = show(ROWS, "n=12", "held_out=4", "seed=3")
    _, held_out = split_by_prompt(load_preferences("rows.jsonl"), 4, 3)
    sides = dict(re.findall(r"rows\.jsonl:(\d+) · (trained on|held out)", out))
    assert [int(line) - 1 for line, side in sides.items() if side == "held out"] == held_out
    assert "held out" not in show(ROWS, "n=12", "held_out=0")[1]


def test_a_row_that_training_refuses_is_named_and_the_others_are_shown(show: Callable[..., tuple[int, str]]) -> None:
    rows = [ROWS[0], {"prompt": "Q?", "chosen": " long" * 30, "rejected": " No."}]
    code, out = show(rows, "max_length=24")
    assert code == 2
    assert "Yes 1." in out
    assert re.search(r"rows\.jsonl:2\nnot rendered: \d+ tokens .* are more than max_length=24", out)
    assert show(rows, "max_length=200")[0] == 0


def test_demonstrations_are_shown_by_their_turns(show: Callable[..., tuple[int, str]]) -> None:
    turns = [("user", "A?"), ("assistant", "B."), ("user", "C?"), ("assistant", "D.")]
    rows = [{"messages": [{"role": role, "content": content} for role, content in turns]}]
    last, every = (show(rows, f"turns={turns}")[1] for turns in ("last", "every"))
    assert re.findall("⟦(.*?)⟧", last)[1:] == [" D."]
    assert re.findall("⟦(.*?)⟧", every)[1:] == [" B.", " D."]
    code, out = show(rows, "kind=preferences")
    assert code == 2
    assert "demonstrations" in out


def test_turns_that_the_file_teaches_are_marked(show: Callable[..., tuple[int, str]]) -> None:
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "abcd", strict=True)]
    taught = [turn | ({"train": True} if turn["role"] == "assistant" else {}) for turn in turns]
    opening, closing = MARKS["scored"]
    for extra in ({}, {"label": True}):
        for messages, marked in ((turns, 1), (taught, 2)):
            rows: list[dict[str, object]] = [{"messages": messages, **extra}]
            rows += [{"messages": [{**turns[0], "content": "e"}, turns[1]], "label": False}] if extra else []
            _, text = show(rows, "n=1", "template=chatml")
            response = text.partition("──")[2]
            assert response.count(opening) == response.count(closing) == marked


def test_a_long_text_loses_its_middle(show: Callable[..., tuple[int, str]]) -> None:
    rows = [{"prompt": "word " * 40 + "end?", "chosen": " a.", "rejected": " b."}]
    _, out = show(rows, "characters=40")
    assert "[…168 characters…]" in out  # 204 characters and the start token `<s> ` of 4, less 40
    assert "end?" in out


def test_sources_are_shown_each_by_its_own_template(show: Callable[..., tuple[int, str]]) -> None:
    for name, rows in (("a", ROWS[:3]), ("b", ROWS[2:5])):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("t.jinja").write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}")
    sources = "sources=[{path: a.jsonl, template: t.jinja}, {path: b.jsonl, evaluation: true}]"
    code, out = show([], sources, "n=3", "held_out=0")
    assert code == 0
    assert re.findall(r"([ab]\.jsonl:\d) · ([a-z ]+) ·", out) == [
        ("a.jsonl:1", "trained on"),
        ("a.jsonl:2", "trained on"),
        ("a.jsonl:3", "left out"),  # its prompt is in the source for evaluation
        *((f"b.jsonl:{line}", "held out") for line in (1, 2, 3)),
    ]
    assert out.count("[user] Question") == 3
    code, out = show([], sources, "row=2")
    assert (code, "row=2 is a line of one file" in out) == (2, True)


class Page(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_hostile_text_stays_text(show: Callable[..., tuple[int, str]]) -> None:
    rows = [{"prompt": f"Q{HOSTILE}", "chosen": f" a{HOSTILE}", "rejected": " b"}]
    code, out = show(rows, "out=page.html")
    assert code == 0
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "⟨U+27E7⟩" in out  # our own mark, where the text has it
    page = Page(Path("page.html").read_text())
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "⟨U+202E⟩" in page.text
    assert {"here the two responses part"} <= set(re.findall(r'title="([^"]*)"', Path("page.html").read_text()))


def test_the_line_breaks_of_windows_are_shown(show: Callable[..., tuple[int, str]]) -> None:
    rows: list[dict[str, object]] = [{"prompt": "Say\r\nit.", "chosen": "One.\r\nTwo.", "rejected": "No."}]
    _, text = show(rows, "n=1", "out=rows.html")
    assert "Say␍⏎\nit." in text
    assert "One.␍⏎\nTwo." in text
    assert Path("rows.html").read_text(encoding="utf-8").count("␍") == 2


def test_a_page_has_a_name_of_one(show: Callable[..., tuple[int, str]]) -> None:
    code, out = show(ROWS, "out=page.txt")
    assert code == 2
    assert "ends in .html" in out


def test_marks_and_colours_show_the_same_pieces() -> None:
    pieces = (MarkedPiece("a\n", "scored"), MarkedPiece("b", "scored", parts=True), MarkedPiece("</s>", "end"))
    response = MarkedResponse("chosen", (MarkedPiece("Hm", "thought"), *pieces), 5, 4, 3)
    row = MarkedRow("f:1", (MarkedPiece("Q", "given"),), 2, (response,))
    plain = "".join(text for text, _ in row_segments(row, coloured=False, characters=100))
    assert plain == (
        "\nf:1 · prompt of 2 tokens\nQ\n── chosen: 5 tokens, 4 scored, parts at token 3\n⟮Hm⟯⟦a⏎\n⋔b⟧⟪</s>⟫\n"
    )
    coloured = list(row_segments(row, coloured=True, characters=100))
    marks = str.maketrans("", "", "".join(opening + closing for opening, closing in MARKS.values()))
    assert "".join(text for text, _ in coloured) == plain.translate(marks)
    assert ("⋔b", "black on green bold underline") in coloured


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    from penchant.cli import marked_lines

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert marked_lines.has_colours()
    monkeypatch.setenv(variable, value)
    assert not marked_lines.has_colours()
