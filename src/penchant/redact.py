"""Secrets out of messages: a server may send back what it was sent, and messages end up in logs and bug reports."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from penchant.errors import InputError

HIDDEN = "[secret]"
# Neither pattern takes what is hidden already: a recorded configuration is read and hidden once more with each run.
_LOGIN = re.compile(r"(?<=://)(?!\[secret\]@)[^\s/?#'\"]{1,2000}(?=@)")
_SECRET_VALUE = re.compile(
    r"([?&;][\w.-]{0,40}(?:key|token|secret|pass|pwd|auth|sig|cred|session|code)[\w.-]{0,40}=)(?!\[secret\])[^\s&;#'\"]+",
    re.IGNORECASE,
)
SHORTEST_BASE64 = 8  # letters of base64 that are looked for; fewer stand in other texts by chance
_BASE64_AROUND = "[A-Za-z0-9+/_-]{0,4}@[A-Za-z0-9+/_-]{0,4}={0,2}"  # the letters that the secret shares with others
SHORTEST_VALUE = 4  # characters of a value in an address's query that may be a secret: `n=1` is none


def secret_from(variable: str) -> str:
    """Return the secret in an environment variable, without spaces and line ends around it; empty where there is none.

    Raises:
        InputError: it holds what no header of a request can carry. The message does not repeat it.
    """
    secret = os.environ.get(variable, "").strip()
    if secret and not re.fullmatch("[!-~]+", secret):
        raise InputError(f"${variable} holds spaces or other characters that no header can carry: set it anew")
    return secret


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets, however a server wrote them.

    Found are also their forms in an address, in HTML, in JSON with escapes, in base64 and hexadecimal digits, and in
    other case.
    """
    secrets = [secret for secret in secrets if secret]
    if not secrets:
        return text
    # longer forms first: what is hidden of a part would keep the rest of the whole from being found
    plain = {form for secret in secrets for form in _forms(secret)}
    encoded = {form for secret in secrets for form in _in_base64(secret)}
    patterns = [_BASE64_AROUND.replace("@", re.escape(form)) for form in sorted(encoded, key=len, reverse=True)]
    patterns += [re.escape(form) for form in sorted(plain, key=len, reverse=True)]
    return re.sub("|".join(patterns), HIDDEN, text, flags=re.IGNORECASE)


def secrets_of_address(url: str) -> list[str]:
    """Return what is secret in an address: credentials, whole and in parts, and the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return [url]
    secrets: list[str] = []
    if parts.password is not None or parts.username is not None:
        user, password = unquote_plus(parts.username or ""), unquote_plus(parts.password or "")
        # a client sends both as one text in base64, and a server may repeat either
        pair = f"{user}:{password}" if parts.password is not None else user
        secrets += [pair, base64.b64encode(pair.encode()).decode(), password or user]
    # a query may be a key alone, without a name
    values = [pair.partition("=")[2] or pair for pair in re.split("[&;]", parts.query)]
    return secrets + [value for raw in values for value in (raw, unquote_plus(raw)) if len(value) >= SHORTEST_VALUE]


def hide_credentials(text: str) -> str:
    """Return a text that is kept (a configuration, a command line) without the secrets in its addresses.

    Hidden are the user and password of an address, and the values of a query whose names say that they are secret.
    Anything else stays, so that an address still says what was asked for.
    """
    return _SECRET_VALUE.sub(rf"\1{HIDDEN}", _LOGIN.sub(HIDDEN, text))


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
        quote(quote(secret, safe=""), safe=""),
        secret.encode(errors="surrogateescape").hex(),
    }


def _in_base64(secret: str) -> Iterator[str]:
    """Yield what base64 makes of a secret wherever it stands in the text that was encoded.

    Three bytes become four letters, so what stands before shifts it; letters at the ends that depend on its neighbours
    are left out. Short secrets leave too little to be told from other texts.
    """
    data = secret.encode(errors="surrogateescape")
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data).decode()
        # a letter holds six bits, so those at the border of a byte depend on the byte beside it
        letters = (shift + len(data)) * 4 // 3  # that three bytes each make
        inner = encoded[(0, 2, 3)[shift] : letters - letters % 4 if (shift + len(data)) % 3 else letters]
        if len(inner) >= SHORTEST_BASE64:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
