"""Secrets: the key file, the links that come from it, sessions and CSRF tokens.

Everything is an HMAC-SHA256 under the key, so the database holds no secret and may be handed on, and a restarted
server knows its links and sessions again. Comparisons take constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from penchant.errors import InputError, RunError
from penchant.files import atomic_write, read_file

log = logging.getLogger("penchant.web")
KEY_BYTES = 32
SESSION_DAYS = 30
ADMIN = "admin"


class Keys:
    """The links, sessions and tokens that come from one secret.

    A person is `"admin"` or an annotator's number as text.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @property
    def fingerprint(self) -> str:
        """A digest of the key, by which another key is noticed; it does not give this one away."""
        return self._mac("fingerprint")

    def link(self, person: str) -> str:
        """Return the secret part of a person's link."""
        return self._mac("link", person)

    def opens(self, person: str, link: str) -> bool:
        """Return whether a link's secret part is the person's."""
        return _equal(link, self.link(person))

    def new_session(self, person: str, now: float | None = None) -> str:
        """Return what the cookie holds: when it was made, something random, and a seal."""
        # random, so that two browsers of one person have different tokens; sealed with the person, so that nobody can
        # write another one's number into it
        content = f"{int(time.time() if now is None else now)}.{secrets.token_urlsafe(9)}"
        return f"{content}.{self._mac('session', person, content)}"

    def holds(self, person: str, session: str, now: float | None = None) -> bool:
        """Return whether a session is the person's and still valid."""
        content, _, seal = session.rpartition(".")
        if not _equal(seal, self._mac("session", person, content)):
            return False
        age = (time.time() if now is None else now) - int(content.partition(".")[0])
        return age < SESSION_DAYS * 86400

    def csrf(self, session: str) -> str:
        """Return what every request that changes something must bring besides the cookie."""
        return self._mac("csrf", session)

    def allows(self, session: str, token: str) -> bool:
        """Return whether a CSRF token belongs to the session."""
        return _equal(token, self.csrf(session))

    def _mac(self, *parts: str) -> str:
        # a zero byte stands in none of the parts, so ("a", "bc") and ("ab", "c") differ
        message = "\0".join(parts).encode("utf-8", errors="replace")
        digest = hmac.new(self._secret, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def _equal(candidate: str, secret: str) -> bool:
    # in constant time, which does not tell how much of a guess is right
    return hmac.compare_digest(candidate.encode("utf-8", errors="replace"), secret.encode("utf-8"))


def load_keys(path: Path) -> Keys:
    """Load the keys of a file, which is made, readable by its owner alone, where there is none.

    Raises:
        InputError: the file holds something else. RunError: it cannot be written.
    """
    try:
        text = read_file(path).decode("ascii")
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no key file of Penchant ({error})") from None
    if not text:  # what a full disk left of a key that nobody was ever given
        log.warning("%s is empty: a new key is made, so links from an earlier one do not open", path)
        return _make(path)
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise InputError(
            f"{path}: no key file of Penchant (expected {KEY_BYTES} bytes in base64). Name another with key=..., or "
            "remove it: then a new one is made, and people need new links"
        )
    _close_to_others(path)
    return Keys(secret)


def _make(path: Path) -> Keys:
    """Write a new key under its name only when it is whole on the disk, readable by its owner alone."""
    secret = secrets.token_bytes(KEY_BYTES)
    try:
        atomic_write(path, base64.b64encode(secret) + b"\n", private=True, shared=True)
    except OSError as error:
        raise RunError(
            f"{path}: the key file cannot be written ({error.strerror or error}); nothing was left behind. Check the "
            "free space and the folder's permissions, or name another with key=..."
        ) from error
    return Keys(secret)


def _close_to_others(path: Path) -> None:
    """Take a key file, as one that was copied, out of the reach of other users of this machine."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        with suppress(OSError):  # another owner's
            path.chmod(0o600)
            log.warning("%s was readable by others; it no longer is", path)
