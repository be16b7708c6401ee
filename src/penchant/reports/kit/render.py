"""Fill templates to self-contained pages.

A page holds no script and asks no network; its policy (CSP) allows the one style sheet by its hash and
pictures from `data:` only, so nothing that a text brings along could run or load even if it got past the
escaping.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from penchant.clean_text import clean
from penchant.reports.kit.canvas import Picture


def render_page(template: str, context: Mapping[str, object]) -> str:
    """Fill a template of this package; every text from outside the package is escaped and cleaned."""
    # `StrictUndefined`: a name that nobody filled in is an error, not a gap that a reader takes for a finding.
    environment = Environment(
        loader=FunctionLoader(_packaged),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    css = _packaged("page.css")
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    # the style sheet is ours and comes from the package: the only text that is not escaped
    return environment.get_template(template).render(css=Markup(css), style_hash=digest, **context).lstrip()


def _packaged(name: str) -> str:
    return files("penchant.reports.kit").joinpath("templates", name).read_text(encoding="utf-8")


def _finalize(value: object) -> str:
    """Clean every value on its way to the page: no surrogate, NUL or override gets through."""
    return value if isinstance(value, Markup) else clean(str(value))


def _prose(text: str) -> Markup:
    """Return a sentence as HTML: escaped first, then settings between backticks set as code."""
    # Names of runs and domains stand inside of sentences, so the order matters: no markup of theirs is left to match.
    return Markup(re.sub(r"`([\w.: ]+)`", r"<code>\1</code>", str(escape(clean(text)))))


def figure_context(key: str, picture: Picture, sentence: str) -> dict[str, object]:
    """Return a picture and its sentence as the arguments of the templates' macro `figure`."""
    return {
        "key": file_name(key),
        "title": picture.title,
        "light": _data_uri(picture.light),
        "dark": _data_uri(picture.dark),
        "width": picture.width,
        "height": picture.height,
        "sentence": sentence,
    }


# As an image, an SVG runs no script and loads nothing, which it could do as markup of the page.
def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode('utf-8')).decode('ascii')}"


def file_name(key: str) -> str:
    """Return the name of a figure's file, without its ending."""
    return key.replace(".", "-").replace("_", "-")
