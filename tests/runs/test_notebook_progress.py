"""Progress in a notebook: one display, changed in place, and no other bar."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from penchant.runs import notebook_progress
from penchant.runs.notebook_progress import notebook_bar, notebook_display
from penchant.runs.progress import progress_bar


class Display:
    """What IPython would show, by display."""

    def __init__(self) -> None:
        self.contents: list[str] = []

    def __call__(self, content: Any) -> Display:
        self.contents.append(repr(content))
        self.html = content._repr_html_()
        return self

    def update(self, content: Any) -> None:
        self(content)


def test_a_bar_is_shown_once_and_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_progress, "EVERY_S", 0.0)
    display = Display()
    with notebook_bar(display, "training <dpo>", 3, "steps", done=1) as advance:
        advance(1, "loss 0.5")
        advance(1)
    assert [text.partition(",")[0] for text in display.contents] == [f"training <dpo>: {n}/3" for n in (1, 2, 3)]
    assert display.contents[1].endswith("loss 0.5")
    assert display.html.startswith('<progress value="3" max="3"></progress> training &lt;dpo&gt;')


def test_changes_are_rare_and_the_last_one_is_shown() -> None:
    display = Display()
    with notebook_bar(display, "t", 1000, "steps", done=0) as advance:
        for _ in range(1000):
            advance()
    assert 2 <= len(display.contents) <= 50
    assert display.contents[-1].startswith("t: 1000/1000")


def test_a_kernel_gets_it_and_everybody_else_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook_display() is None
    display = Display()
    shell = SimpleNamespace(get_ipython=lambda: object())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=lambda c, display_id: display(c)))
    assert notebook_display() is None  # IPython in a terminal
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    with progress_bar("t", 1, "steps") as advance:
        advance()
    assert display.contents[-1].startswith("t: 1/1")
    assert capsys.readouterr().err == ""
