"""Drawings inside of pages: what is kept of Matplotlib's SVG, and what never gets through."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from penchant.reports.kit.drawing import compact_svg, with_ids

HEAD = (
    '<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" '
    'viewBox="0 0 72 36">'
)


def draw(inner: str) -> str:
    """Return the inside of a compact drawing."""
    compact = compact_svg(f"{HEAD}{inner}</svg>")
    ElementTree.fromstring(compact)
    return compact.partition(">")[2].removesuffix("</svg>")


def test_the_size_is_that_of_the_screen() -> None:
    root = ElementTree.fromstring(compact_svg(f'{HEAD}<path d="M 0 0" style="stroke: #0072b2"/></svg>'))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("96", "48", "0 0 72 36")


@pytest.mark.parametrize(
    ("inner", "kept"),
    [
        # styles become attributes, which a policy without inline styles lets through; numbers are rounded
        ('<path d="M 1.26 -0.01 \nL 3 4.123 \nz" style="fill: none; stroke: #0072b2; stroke-width: 1.50"/>',
         '<path d="M1.3 0L3 4.1z" stroke="#0072b2" stroke-width="1.5"/>'),
        ('<text x="1" y="2" style="font-size: 9px; fill: #667080" transform="rotate(-0 1 2)">0.5 &lt; a</text>',
         '<text fill="#667080" font-size="9" x="1" y="2">0.5 &lt; a</text>'),
        # black is Matplotlib's unspoken colour of texts
        ('<text x="1" y="2">a</text>', '<text x="1" y="2" fill="#000000">a</text>'),
        # empty groups and grounds, ids that nothing refers to
        ('<g id="axes_1"><g id="patch_1"><path d="M 0 0 L 1 1" style="fill: none"/></g></g>', ""),
        ('<path d="M 0 0 L 1 1" style="stroke: #000000; stroke-opacity: 0"/>', ""),
        # opaque lines of one look are one path; lines that shine through stay apart
        ('<path d="M 0 0 L 1 1" style="stroke: #0072b2"/><path d="M 2 2 L 3 3" style="stroke: #0072b2"/>',
         '<path d="M0 0L1 1M2 2L3 3" stroke="#0072b2"/>'),
        ('<path d="M 0 0" style="stroke: #0072b2; stroke-opacity: 0.5"/>' * 2,
         '<path d="M0 0" stroke="#0072b2" stroke-opacity="0.5"/>' * 2),
    ],
)  # fmt: skip
def test_a_drawing_is_small_and_looks_the_same(inner: str, kept: str) -> None:
    assert draw(inner) == kept


def test_marks_share_their_look_and_keep_their_shape() -> None:
    marker = '<defs><path id="m1f" d="M 0 0.125 L 1 1.333 z"/></defs>'
    uses = "".join(f'<use xlink:href="#m1f" x="{x}" y="2" style="fill: #0072b2"/>' for x in (1, 3))
    area = '<defs><clipPath id="p9"><rect width="72.001" height="36"/></clipPath></defs>'
    assert draw(f'{marker}<g clip-path="url(#p9)">{uses}</g>{area}') == (
        '<defs><path d="M0 0.12L1 1.33z" id="i1"/></defs><g clip-path="url(#i0)" fill="#0072b2">'
        '<use x="1" xlink:href="#i1" y="2"/><use x="3" xlink:href="#i1" y="2"/></g>'
        '<defs><clipPath id="i0"><rect height="36" width="72"/></clipPath></defs>'
    )


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<foreignObject><img xmlns="http://www.w3.org/1999/xhtml" src="x" onerror="alert(1)"/></foreignObject>',
        '<image xlink:href="http://example.org/x.png" width="1" height="1"/>',
        '<a xlink:href="javascript:alert(1)"/>',
        "<style>* { background: url(http://example.org) }</style>",
    ],
)
def test_nothing_that_runs_or_loads_gets_into_a_page(inner: str) -> None:
    assert draw(inner) == ""


def test_events_and_foreign_styles_are_left_out() -> None:
    assert draw('<path d="M 0 0" onclick="alert(1)" style="stroke: #0072b2; background: url(x)"/>') == (
        '<path d="M0 0" stroke="#0072b2"/>'
    )


def test_ids_are_those_of_the_figure_and_labels_stay() -> None:
    marker = '<defs><path id="m" d="M 0 0"/></defs><use xlink:href="#m" x="1" y="2"/>'
    label = '<text x="1" y="2" style="fill: #1f2530">url(#i0) id="i0"</text>'
    renamed = with_ids(compact_svg(f"{HEAD}{marker}{label}</svg>"), "loss")
    assert 'id="loss-i0"' in renamed
    assert 'xlink:href="#loss-i0"' in renamed
    assert '>url(#i0) id="i0"</text>' in renamed


def test_text_that_no_file_can_hold_becomes_visible() -> None:
    assert "⟨U+202E⟩␀⟨U+D800⟩" in draw('<text x="1" y="2">\u202e\x00\ud800</text>')
