"""Secrets out of messages: a server may send back what it was sent, and messages end up in logs and bug reports."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

HIDDEN = "[secret]"
SHORTEST_VALUE = 4  # characters of a value in an address's query that may be a secret: `n=1` is none


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets, however a server wrote them.

    Found are also their forms in an address, in HTML, in JSON with escapes, and in other case.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return text
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)


def secrets_of_address(url: str) -> list[str]:
    """Return what is secret in an address: credentials, whole and in parts, and the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return [url]
    found: list[str] = []
    if parts.password is not None or parts.username is not None:
        user, password = unquote_plus(parts.username or ""), unquote_plus(parts.password or "")
        pair = f"{user}:{password}" if parts.password is not None else user
        found += [pair, base64.b64encode(pair.encode()).decode(), password or user]
    values = [pair.partition("=")[2] or pair for pair in re.split("[&;]", parts.query)]
    return found + [value for raw in values for value in (raw, unquote_plus(raw)) if len(value) >= SHORTEST_VALUE]


def shown_url(url: str) -> str:
    """Return an address without credentials and without the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return "(no address)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "..." if parts.query else "", ""))


def _forms(secret: str) -> set[str]:
    """Return the ways to write a secret."""
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        in_json,
        in_json.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
