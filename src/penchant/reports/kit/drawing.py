"""Make Matplotlib's SVG fit to stand inside of a page: small, without `style` attributes, built from few elements.

A page draws each figure once. Its style sheet swaps the colours, which are attributes here, for dark screens, and its
policy forbids `style` attributes. What stands in a page could run scripts, which a picture could not: so a drawing is
written anew from the elements and attributes below, and everything else is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from penchant.clean_text import clean

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# In place of Matplotlib's style sheet. Lines are far more frequent than areas, so nothing is filled by default.
_ROOT_STYLE = {"fill": "none", "stroke-linejoin": "round", "font-family": FONTS}
_PIXELS_PER_POINT = 96 / 72
_SHAPES = {"path", "text", "use", "rect"}
_ELEMENTS = _SHAPES | {"g", "defs", "clipPath"}
_GEOMETRY = {"x", "y", "width", "height", "d", "transform"}
_LINKS = {"{http://www.w3.org/1999/xlink}href": "xlink:href", "clip-path": "clip-path"}
_INHERITED = {
    "fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "fill-opacity",
    "stroke-dasharray", "stroke-dashoffset", "font-size", "font-weight", "text-anchor",
}  # fmt: skip
_STYLE = _INHERITED | {"opacity"}


@dataclass
class Node:
    """An element of a drawing, with the attributes that are written."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)


def compact_svg(svg: str) -> str:
    """Return Matplotlib's SVG without metadata and empty groups, in tenths of points, with styles as attributes."""
    root = ElementTree.fromstring(clean(svg))
    _, _, width, height = map(float, root.get("viewBox", "0 0 0 0").split())
    # Matplotlib gives an id to every group; only markers and areas to clip by are referred to.
    used = _used_ids(root)
    names = {name: f"i{index}" for index, name in enumerate(used)}
    children = [node for child in root for node in _rebuild(child, names, precise=False)]
    size = {
        "width": f"{width * _PIXELS_PER_POINT:.0f}",
        "height": f"{height * _PIXELS_PER_POINT:.0f}",
        "viewBox": f"0 0 {_number(width)} {_number(height)}",
    }
    spaces = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
    return "".join(_write(Node("svg", spaces | size | _ROOT_STYLE, children=_merge(children))))


def with_ids(svg: str, prefix: str) -> str:
    """Return a drawing with `prefix` before its ids, for a page that holds several."""
    renamed = re.compile(r'( id="|url\(#|href="#)')
    # in tags only: a label may look like a link
    return re.sub(r"<[^>]*>", lambda tag: renamed.sub(rf"\g<1>{prefix}-", tag.group()), svg)


def _used_ids(root: ElementTree.Element) -> list[str]:
    """Return the ids that something refers to, each once."""
    links = [link for element in root.iter() for key in _LINKS if (link := element.get(key))]
    return list(dict.fromkeys(re.sub(r"^url\(#|^#|\)$", "", link) for link in links))


def _rebuild(element: ElementTree.Element, names: Mapping[str, str], *, precise: bool) -> Iterator[Node]:
    """Yield an element's twin, or its children where it is a group that says nothing."""
    tag = element.tag.rpartition("}")[2]
    if tag not in _ELEMENTS:
        return
    # Definitions are markers, a few points wide, which a tenth of a point would bend; and areas to clip by.
    precise = precise or tag == "defs"
    attributes = _attributes(element, names, precise=precise)
    children = _merge([node for child in element for node in _rebuild(child, names, precise=precise)])
    if tag in _SHAPES:
        if precise or tag != "path" or not _is_invisible(attributes):
            yield Node(tag, attributes, "".join(element.itertext()) if tag == "text" else "")
    elif children and (attributes or tag != "g"):
        # the marks of a line differ in their places alone
        shared = _shared_style(children) if tag == "g" else {}
        for child in children:
            child.attributes = {key: value for key, value in child.attributes.items() if key not in shared}
        yield Node(tag, attributes | shared, children=children)
    else:
        yield from children


def _attributes(element: ElementTree.Element, names: Mapping[str, str], *, precise: bool) -> dict[str, str]:
    attributes = {"id": names[name]} if (name := element.get("id", "")) in names else {}
    for key, written in _LINKS.items():
        if link := element.get(key):
            attributes[written] = re.sub(r"#([^)]*)", lambda match: f"#{names[match.group(1)]}", link)
    for key in sorted(_GEOMETRY.intersection(element.keys())):
        value = element.get(key, "")
        # every text that is not turned is turned by nothing
        if not value.startswith("rotate(-0 "):
            attributes[key] = _rounded(value, 2 if precise else 1)
    for declaration in element.get("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in _STYLE:
            attributes[key] = _rounded(value.removesuffix("px"), 2) if not value.startswith("#") else value
    # sorted, so that equal figures are equal bytes
    changed = {key: value for key, value in sorted(attributes.items()) if _ROOT_STYLE.get(key) != value}
    return changed | ({"fill": "#000000"} if "fill" not in attributes and element.tag.endswith("}text") else {})


def _is_invisible(attributes: Mapping[str, str]) -> bool:
    """Return whether nothing is drawn: an empty ground, or the line of markers that no line joins."""
    return "fill" not in attributes and (attributes.get("stroke-opacity") == "0" or "stroke" not in attributes)


def _merge(nodes: list[Node]) -> list[Node]:
    """Join opaque lines that follow each other in one style to one path."""
    merged: list[Node] = []
    for node in nodes:
        last = merged[-1] if merged else None
        if last and _is_opaque_line(node) and _is_opaque_line(last) and _style(node) == _style(last):
            last.attributes["d"] += node.attributes["d"]
        else:
            merged.append(node)
    return merged


def _is_opaque_line(node: Node) -> bool:
    # An id is referred to; what shines through would look different where lines cross; dashes would start anew.
    unsafe_keys = {"id", "opacity", "stroke-opacity", "fill", "transform"}
    return node.tag == "path" and {"d", "stroke"} <= node.attributes.keys() and not unsafe_keys & node.attributes.keys()


def _style(node: Node) -> dict[str, str]:
    return {key: value for key, value in node.attributes.items() if key != "d"}


def _shared_style(nodes: list[Node]) -> dict[str, str]:
    """Return what all children inherit from a group alike; nothing for one child alone."""
    if len(nodes) < 2 or any(node.tag == "defs" for node in nodes):
        return {}
    first = nodes[0].attributes
    return {
        key: value
        for key, value in first.items()
        if key in _INHERITED and all(node.attributes.get(key) == value for node in nodes)
    }


def _rounded(text: str, decimals: int) -> str:
    """Round the numbers of a path or a style, and leave out the spaces and signs that nothing needs."""
    text = re.sub(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", lambda match: _number(float(match.group()), decimals), text)
    # SVG needs no space beside a letter: "M0 0L1 1" is two points
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r" ?([A-Za-z(),]) ?", r"\1", text)


def _number(value: float, decimals: int = 1) -> str:
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _write(node: Node) -> Iterator[str]:
    attributes = "".join(f" {key}={_quoted(value)}" for key, value in node.attributes.items())
    if not node.text and not node.children:
        yield f"<{node.tag}{attributes}/>"
        return
    yield f"<{node.tag}{attributes}>{escape(node.text)}"
    for child in node.children:
        yield from _write(child)
    yield f"</{node.tag}>"


def _quoted(value: str) -> str:
    # always in the same quotes, which `with_ids` looks for
    return quoteattr(value.replace('"', "'"))
