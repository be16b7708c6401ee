"""Addresses that a client can connect to, and others."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.config.addresses import is_host, split_http_address


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8000/v1",
        "HTTPS://api.example.org",
        "http://127.0.0.1",
        "http://[::1]:8000/v1",
        "http://user:p%20w@host_1.example:1/score?x=1",
        "http://h.example.:65535/",
    ],
)
def test_what_can_be_connected_to(address: str) -> None:
    assert split_http_address(address).hostname


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("localhost:8000/v1", "does not begin with http"),
        ("ftp://host/", "does not begin with http"),
        ("http:/host", "does not begin with http"),
        ("http://", "names no host"),
        ("http://:8000/v1", "names no host"),
        ("http://host:0/", "port"),
        ("http://host:65536/", "port"),
        ("http://host:eighty/", "port"),
        ("http://host:/", "port"),
        ("http://host:-1/", "port"),
        ("http://a b/", "percent-encoded"),
        ("http://host/\x00", "percent-encoded"),
        ("http://h\u00f6st/", "percent-encoded"),
        ("http://999.1.1.1/", "no IP address"),
        ("http://-host/", "no IP address"),
        ("http://a..b/", "no IP address"),
        ("http://[::1/", "host is no address"),
        (f"http://{'a' * 64}.org/", "no IP address"),
        (f"http://{'a.' * 200}org/", "no IP address"),
        ("", "percent-encoded"),
    ],
)
def test_what_cannot_is_refused_with_its_reason(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split_http_address(address)


@settings(max_examples=40)
@given(st.one_of(st.text(), st.text().map("http://{}".format), st.text("0123456789.:[]@/a-", max_size=30)))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    is_host(text)
    with suppress(ValueError):
        assert split_http_address(text).hostname
