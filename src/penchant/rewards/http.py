"""A reward behind an address: (prompt, response) texts are POSTed as JSON in batches, and again where that can help.

The endpoint is sent `{"pairs": [{"prompt": ..., "response": ...}, ...]}` and answers with status 200 and
`{"rewards": [number, ...]}`, one number per pair, in the same order.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlunsplit

from httpx import AsyncClient

from penchant.errors import InputError, RunError
from penchant.http_client import (
    AnswerTooLarge,
    Limits,
    Reply,
    TemporaryFailure,
    open_client,
    post_json,
    retry,
    run_async,
)
from penchant.redact import redact, secret_from, secrets_of_address, shown_url
from penchant.rewards.names import address_parts

log = logging.getLogger("penchant.rewards")

TOKEN = "PENCHANT_REWARD_TOKEN"
"""The environment variable whose value is sent as a bearer token, so that no secret stands in a configuration."""

MAX_BYTES = 2**20  # of an answer: thousands of times what a batch of numbers takes
TRY_AGAIN = (429, *range(500, 600))  # busy or broken; any other status says that asking again is of no use
FORM = '{"pairs": [{"prompt": "...", "response": "..."}, ...]}'
ANSWER = '{"rewards": [...]} with a number for each pair'
PATIENCE = 5  # times `timeout_s`, for a whole answer
EXCERPT = 120  # characters of an answer that a message shows


@dataclass(frozen=True)
class HTTPReward:
    """The rewards that an endpoint gives; `load_reward("http://...")` makes one with these defaults.

    Attributes:
        url: of the endpoint. Credentials in it (`http://user:password@host/...`) are sent as basic authentication
            and shown in no message, even if the endpoint sends them back; the token in `$PENCHANT_REWARD_TOKEN`,
            where there is one, goes before them.
        batch: pairs of one request, at most.
        timeout_s: seconds that connecting, and each wait for data, may take; a whole answer, five times as many.
        attempts: how often a request is sent before giving up.
        first_wait_s: seconds before the second attempt; each further wait is twice as long.

    Raises:
        InputError: an address that is none; later, an answer that another attempt would not change: a status of
            300 to 499 except 429, no JSON, another number of rewards than of pairs.
        RunError: later, nobody there, no answer in time, or status 429 or 5xx, at every attempt.
    """

    url: str = field(repr=False)
    batch: int = 64
    timeout_s: float = 60.0
    attempts: int = 6
    first_wait_s: float = 0.5

    def __post_init__(self) -> None:
        address_parts(self.url)

    @property
    def __name__(self) -> str:
        """The name in messages: the address without credentials and without its query."""
        return shown_url(self.url)

    @property
    def _title(self) -> str:
        return f"the reward `{self.__name__}`"

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[object]:
        """Return the endpoint's rewards as they came; `checked_reward` looks at each."""
        return run_async(self._all(pairs)) if pairs else []

    async def _all(self, pairs: Sequence[tuple[str, str]]) -> list[object]:
        limits = Limits(self.timeout_s, PATIENCE * self.timeout_s, MAX_BYTES, self.attempts, self.first_wait_s)
        rewards: list[object] = []
        async with open_client(self.url) as client:
            for start in range(0, len(pairs), self.batch):
                batch = pairs[start : start + self.batch]
                body = await self._answer(client, batch, limits)
                rewards += self._rewards(body, len(batch))
        return rewards

    async def _answer(self, client: AsyncClient, pairs: Sequence[tuple[str, str]], limits: Limits) -> bytes:
        """Return the body of the answer to one request, after as many attempts as it takes."""
        url, headers = _target(self.url)
        content = {"pairs": [{"prompt": prompt, "response": response} for prompt, response in pairs]}

        # errors that asking again may cure are `TemporaryFailure`; all others end the attempts at once
        async def send() -> bytes:
            reply = await post_json(client, url, content, headers, limits)
            if reply.status in TRY_AGAIN:
                raise TemporaryFailure(f"it answered {reply.status} {reply.reason}", asked_wait_s=reply.asked_wait_s)
            if not 200 <= reply.status < 300:
                raise self._refusal(reply)
            return reply.body

        def warn(attempt: int, failure: TemporaryFailure, wait: float) -> None:
            number, reason = f"attempt {attempt} of {self.attempts}", self._safe(str(failure))
            log.warning("%s: %s failed (%s); again in %.3g s", self._title, number, reason, wait)

        try:
            return await retry(send, limits, warn)
        except AnswerTooLarge as error:
            raise InputError(f"{self._title} answered with {error}, expected a few numbers") from None
        except TemporaryFailure as failure:
            raise RunError(
                f"{self._title} cannot be reached: {self.attempts} attempts failed, the last because "
                f"{self._safe(str(failure))}. Start it, or correct the address (a training run keeps its last "
                "checkpoint and goes on with --resume)"
            ) from None

    def _refusal(self, reply: Reply) -> InputError:
        """Return the error for a status that asking again would not change."""
        # a redirect may lead to another host, which would get the prompts and the token
        if 300 <= reply.status < 400:
            target = reply.headers.get("Location", "")
            where = f" to {self._safe(shown_url(target))}" if target else ""
            return InputError(
                f"{self._title} answered {reply.status}: a redirect{where}, which is not followed; give that address"
            )
        advice = f"it must take POSTed JSON {FORM}"
        if reply.status in (401, 403):
            advice = f"put its token into ${TOKEN}"
        return InputError(
            f"{self._title} refused the request: {reply.status} {self._safe(reply.reason)}, "
            f"{self._excerpt(reply.body)}. Check the address; {advice}"
        )

    def _rewards(self, body: bytes, expected: int) -> list[object]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            excerpt = self._excerpt(body)
            raise InputError(f"{self._title} answered {excerpt}, which is no JSON; expected {ANSWER}") from None
        rewards = answer.get("rewards") if isinstance(answer, dict) else None
        if not isinstance(rewards, list):
            raise InputError(f"{self._title} answered {self._excerpt(body)}, expected {ANSWER}")
        if len(rewards) != expected:  # counted here: two wrong batches may add up to the right number
            raise InputError(f"{self._title} returned {len(rewards)} numbers for {expected} (prompt, response) pairs")
        # what is no number ends up in a message of `checked_reward`
        return [value if isinstance(value, int | float | None) else self._shown(value) for value in rewards]

    def _shown(self, value: object) -> str:
        return self._safe(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def _safe(self, text: str) -> str:
        """Return the text without token and credentials, which an endpoint may send back."""
        return redact(text, [secret_from(TOKEN), *secrets_of_address(self.url)])

    def _excerpt(self, body: bytes) -> str:
        """Return the beginning of an answer, for a message; redacted before it is cut, or a part would stay."""
        text = self._safe(body.decode(errors="replace"))
        return ascii(text if len(text) <= EXCERPT else f"{text[: EXCERPT - 3]}...")


def _target(url: str) -> tuple[str, dict[str, str]]:
    """Return the address without its credentials, and the header that carries these or the token."""
    parts = address_parts(url)
    user, separator, host = parts.netloc.rpartition("@")
    headers = {}
    if token := secret_from(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    elif separator:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    return urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")), headers
