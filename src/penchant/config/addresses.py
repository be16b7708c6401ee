"""Check network addresses that a user gives, before anything is asked of them. Imports no client."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from penchant.redact import HIDDEN

# one part of a host's name: 63 characters at most, and no hyphen at either end (RFC 1035)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
MAX_HOST = 253
"""Characters of a host's name, by RFC 1035."""


def split_http_address(address: str) -> SplitResult:
    """Return the parts of an `http://` or `https://` address.

    Raises:
        ValueError: what is wrong with it, in words that never repeat the address, which may hold a password.
    """
    if HIDDEN in address:
        raise ValueError("its credentials were left out when the settings were saved: give it again, with them")
    if not re.fullmatch("[!-~]+", address):
        raise ValueError("it has spaces or characters that must be percent-encoded")
    if not re.match("https?://", address, re.IGNORECASE):
        raise ValueError("it does not begin with http:// or https://")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError("its port is no number from 1 to 65535, or its host is no address") from None
    # `urlsplit` lets both pass, and takes `host:` for an address without a port
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port is no number from 1 to 65535")
    if not is_host(parts.hostname or ""):
        raise ValueError("it names no host" if not parts.hostname else "its host is no name and no IP address")
    return parts


def is_host(host: str) -> bool:
    """Return whether a text can be the name of a host or an IP address (IPv6 without its brackets)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        numeric = all(label.isdecimal() for label in labels)  # 999.1.1.1 is a mistyped IP address, no name
        return len(host) <= MAX_HOST and not numeric and all(_LABEL.fullmatch(label) for label in labels)
    return True
