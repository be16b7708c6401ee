"""Name the domains of studies that measure on several."""

from __future__ import annotations

from typing import Protocol

from penchant.reports.kit.text import NAME, short


class NamedDomain(Protocol):
    """A domain as a summary holds it; `own` is whether methods learned from its prompts."""

    @property
    def name(self) -> str: ...
    @property
    def own(self) -> bool: ...


def domain_name(domain: NamedDomain) -> str:
    """Return a domain's name, short enough for a sentence; that of the own domain says so."""
    name = short(domain.name, NAME)
    # "own (own)" would be said of a domain that nobody named.
    return f"{name} (own)" if domain.own and domain.name != "own" else name
