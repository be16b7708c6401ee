"""What to collect, from whom, and where the page is served. Imports neither torch nor FastAPI."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.addresses import is_host, split_http_address
from penchant.config.limits import Rows, Seed
from penchant.data.options import BadRows

# Anything else is the path of an SQLite file.
POSTGRES = re.compile(r"postgres(ql)?(\+\w+)?://")
MOST_RANKED = 9  # responses that a person ranks at once: they have one key each

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f/]+$")]


class Collect(Config):
    """Let people compare the responses of a file, on a page that this machine serves."""

    method: ClassVar[str] = "collect"

    data: str | None = None
    """Prompts with two responses or more: any preference layout, or what `penchant sample` wrote. May be left out where
    `out` holds a collection already: it goes on."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    split: str = "train"
    """Which split of a hub data set."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: name them all and stop, or skip them with a count."""
    limit: Rows | None = None
    """Use only the first so many prompts."""
    pictures: Annotated[str, Field(min_length=1)] | None = None
    """The folder that pictures in prompts, such as `![a cat](cat.png)`, lie in; the data's own unless given."""
    out: Annotated[str, Field(min_length=1)] = "penchant.sqlite"
    """Where judgments go: an SQLite file, or the URL of a PostgreSQL database (postgresql://user@host/name)."""
    key: str | None = None
    """The file with the secret that all links come from (made where there is none); beside `out` unless given, or
    `penchant.key` for PostgreSQL."""
    annotators: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many people judge; each has a link of their own."""
    names: tuple[Name, ...] = ()
    """What to call the first of them in exports and on the admin page; the others are annotator-1, annotator-2, ..."""
    overlap: Annotated[int, Field(ge=1, le=1_000)] = 2
    """How many people judge each item."""
    ask: Literal["rank", "pairs"] = "rank"
    """What people do with more than two responses: `rank` all of them at once, or judge all `pairs`, each an item."""
    lease_minutes: Annotated[float, Field(gt=0, le=1440)] = 20.0
    """How long an item that somebody has before them is kept from others; afterwards it goes to whoever comes."""
    checks: str | None = None
    """Attention checks: a preference file whose comparisons are the known answers. Everybody gets each once; they are
    not exported."""
    check_every: Annotated[int, Field(ge=2, le=1_000_000)] = 10
    """One item in so many is an attention check, at a place drawn for each person, while there are some left."""
    seed: Seed = 0
    """Fixes on which side a response stands, and who sees the items in which order."""
    show: Literal["markdown", "plain"] = "markdown"
    """How texts are shown: as Markdown without raw HTML, or as they are, line by line."""
    title: Annotated[str, Field(min_length=1, max_length=120)] = "Which response is better?"
    """The heading above every item."""
    instructions: Annotated[str, Field(max_length=20_000)] = (
        "Read the prompt, then the responses. Say which one you would rather have been given, and how sure you are. "
        "If you cannot tell them apart, say so: a tie is an answer, too."
    )
    """What people read before they begin, as Markdown."""
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on. The default is reached from this machine only."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    """The port to listen on; 0 takes a free one."""
    url: str | None = None
    """The address that people reach the page under, for links and for the check of the host's name, such as
    https://judge.example.org behind a proxy. Needed where `host` means every address of this machine."""
    requests_per_minute: Annotated[int, Field(ge=10, le=1_000_000)] = 240
    """How many requests one person's browser may make per minute; more are answered with 429 until it slows down."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # the database of a collection that goes on may know of more people than the default says
        both_given = {"overlap", "annotators"} <= self.model_fields_set
        if self.overlap > self.annotators and (both_given or self.data is not None):
            raise ValueError(
                f"`overlap`: {self.overlap} people cannot judge each item where `annotators` is {self.annotators}"
            )
        if len(self.names) > self.annotators:
            raise ValueError(f"`names`: {len(self.names)} names for {self.annotators} annotators")
        if len(set(self.annotator_names)) < self.annotators:
            raise ValueError("`names`: two annotators have the same name")
        in_brackets = self.host.startswith("[") and self.host.endswith("]") and ":" in self.host
        if not is_host(self.host[1:-1] if in_brackets else self.host):
            raise ValueError(f"`host`: expected a name or an IP address to listen on, got {self.host[:80]!r}")
        if self.url is not None:
            try:
                split_http_address(self.url)
            except ValueError as error:
                raise ValueError(f"`url`: {error}; expected an address such as https://judge.example.org") from None
        # the guard refuses other names than the page's own, and "every address" is none
        if self.url is None and _is_wildcard(self.host):
            raise ValueError(
                f"`url`: {self.host} means every address of this machine; say under which one people reach the page, "
                "such as url=http://192.168.1.5:8321"
            )
        return self

    @property
    def annotator_names(self) -> tuple[str, ...]:
        """The name of each person: those that were given, then `annotator-N`."""
        return self.names + tuple(f"annotator-{number}" for number in range(len(self.names) + 1, self.annotators + 1))

    @property
    def lease_s(self) -> float:
        """Seconds that an item is kept from others."""
        return self.lease_minutes * 60

    @property
    def is_postgres(self) -> bool:
        """Whether judgments go to PostgreSQL."""
        return POSTGRES.match(self.out) is not None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the page."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine itself, reached from nowhere else."""
    address = _ip_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _is_wildcard(host: str) -> bool:
    address = _ip_address(host)
    return address is not None and address.is_unspecified


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host as an IP address, with or without brackets; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
