"""A template is compiled once per process, and every page begins with nothing explained."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from penchant.reports.kit import render

TEXTS = {
    "page.html.j2": '{% from "part.html.j2" import terms %}{{ title }}: {{ terms("at a KL of 7") }}{{ terms("KL") }}',
    "part.html.j2": "{% macro terms(text) %}{% for term, _ in explain(text) %}[{{ term }}]{% endfor %}{% endmacro %}",
}


def test_a_template_is_compiled_once_and_again_when_its_text_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {**TEXTS}
    monkeypatch.setattr(render, "read_packaged", lambda name: texts.get(name, ""))
    compiled: list[str] = []
    generate = Environment._generate

    def counted(environment: Environment, source: object, name: str, *rest: object, **options: object) -> str:
        compiled.append(name)
        return generate(environment, source, name, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Environment, "_generate", counted)
    monkeypatch.setattr(render, "_COMPILED", render.CompiledTemplates())
    assert render.render_page("page.html.j2", {"title": "A & B"}) == "A &amp; B: [KL]"
    assert render.render_page("page.html.j2", {"title": "C"}) == "C: [KL]"  # explained anew, as it is another page
    assert sorted(compiled) == ["page.html.j2", "part.html.j2"]
    texts["part.html.j2"] = "{% macro terms(text) %}-{% endmacro %}"
    assert render.render_page("page.html.j2", {"title": "D"}) == "D: --"
    assert compiled[2:] == ["part.html.j2"]
