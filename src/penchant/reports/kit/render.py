"""Fill templates to self-contained pages.

A page asks no network. Its policy (CSP) allows one style sheet and one script of ours by their hashes, and pictures
from `data:` only, so nothing that a text brings along could run or load even if it got past the escaping. The script
saves figures as SVG and PNG from the drawings in the page, and nothing else; where scripts are off, its buttons are
not shown. Tables can be saved from links that hold them. So the one file is all that is sent around.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from types import CodeType

from jinja2 import BytecodeCache, Environment, FunctionLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from penchant.clean_text import clean
from penchant.reports.kit.canvas import RUN_COLORS, Picture
from penchant.reports.kit.drawing import with_ids
from penchant.reports.kit.glossary import Glossary
from penchant.reports.kit.packaged import read_packaged, shared_css
from penchant.reports.kit.tables import Table, csv_text, split_intervals
from penchant.reports.kit.text import listing, short

LEADING = {
    "Task", "Model", "Supervisors", "Student", "Students", "True reward", "Reward model",
    "Data", "Prompts", "Trained on",
    "Responses", "Against", "Judge", "File", "Files", "Rows", "Raters",
}  # fmt: skip
MOST_METHODS = 8  # in one line
MOST_FACT = 110  # characters: the whole stands at the end of the page


class CompiledTemplates(BytecodeCache):
    """The code of templates, compiled once per process: that takes longer than to fill them."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Put the kept code into the bucket, where there is any."""
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of the bucket."""
        self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = CompiledTemplates()


def render_page(template: str, context: Mapping[str, object]) -> str:
    """Fill a template of this package; every text from outside the package is escaped and cleaned."""
    # `StrictUndefined`: a name that nobody filled in is an error, not a gap that a reader takes for a finding.
    environment = Environment(
        loader=FunctionLoader(read_packaged),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        # an environment is made for each page, so its own cache of templates would be empty
        bytecode_cache=_COMPILED,
    )
    environment.filters["prose"] = _prose
    environment.filters["csv"] = _csv_uri
    environment.filters["file_name"] = _slug
    # A page of its own each time: a term is explained where it first stands.
    environment.globals["leading_facts"] = leading_facts
    environment.globals["explain"] = Glossary().explain
    environment.globals["run_colors"] = RUN_COLORS
    css, script = shared_css() + read_packaged("page.css"), read_packaged("save.js")
    # both are ours and come from the package: the only texts that are not escaped
    packaged = {
        "css": Markup(css),
        "style_hash": _digest(css),
        "script": Markup(script),
        "script_hash": _digest(script),
    }
    return environment.get_template(template).render(**packaged, **context).lstrip()


def _digest(text: str) -> str:
    """Return the hash by which a page's policy allows a style sheet or a script."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def leading_facts(facts: Sequence[tuple[str, str]], methods: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a page names before its first number: model, method, reward, data and judge, of all its facts."""
    method_facts = [("Methods", listing(methods))] if 0 < len(methods) <= MOST_METHODS else []
    leading = [(label, short(text, MOST_FACT)) for label, text in facts if label in LEADING]
    # the task first, as on the pages of runs
    first = 1 if leading and leading[0][0] == "Task" else 0
    return leading[:first] + method_facts + leading[first:]


def _finalize(value: object) -> str:
    """Clean every value on its way to the page: no surrogate, NUL or override gets through."""
    return value if isinstance(value, Markup) else clean(str(value))


def _prose(text: str) -> Markup:
    """Return a sentence as HTML: escaped first, then settings between backticks set as code."""
    # Names of runs and domains stand inside of sentences, so the order matters: no markup of theirs is left to match.
    return Markup(re.sub(r"`([\w.: ]+)`", r"<code>\1</code>", str(escape(clean(text)))))


def _csv_uri(table: Table) -> str:
    """Return a table as the address of a link that saves it; with a mark, as Excel takes it for Latin-1 otherwise."""
    return _encoded("text/csv;charset=utf-8", f"\ufeff{csv_text(split_intervals(table))}".encode("utf-8", "replace"))


def _slug(caption: str) -> str:
    """Return the first words of a caption as the name of a file."""
    words = re.findall(r"[a-z0-9]+", clean(caption).lower())
    return "-".join(words[:6]) or "table"


def figure_context(key: str, picture: Picture, sentence: str) -> dict[str, object]:
    """Return a picture and its sentence as the arguments of the templates' macro `figure`."""
    name = file_name(key)
    label = f"{picture.title}. {sentence}"
    return {
        "key": name,
        "title": picture.title,
        "drawing": _inline(picture.svg, name, label, "broad" if picture.narrow else ""),
        "narrow": _inline(picture.narrow, f"{name}-narrow", label, "narrow") if picture.narrow else "",
        "width": picture.width,
        "named_above": picture.named_above,
        "sentence": sentence,
    }


def _inline(svg: str, prefix: str, label: str, css_class: str) -> Markup:
    """Return a drawing as an element of the page, whose ids begin with `prefix`, with what a screen reader says."""
    attributes = Markup('<svg class="{}" role="img" aria-label="{}"').format(css_class, clean(label))
    # `drawing.compact_svg` wrote it from few elements, with every text escaped; HTML knows its namespaces
    drawing = re.sub(r' xmlns(?::xlink)?="[^"]*"', "", with_ids(svg, prefix).removeprefix("<svg"), count=2)
    return attributes + Markup(drawing)


def _encoded(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def file_name(key: str) -> str:
    """Return the name of a figure's file, without its ending."""
    return key.replace(".", "-").replace("_", "-")
