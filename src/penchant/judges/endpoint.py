"""A model behind an OpenAI-compatible endpoint as a judge: several calls at once, repeated where that can help."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from penchant.errors import InputError, MissingExtra, RunError
from penchant.judges.contract import Done, Question
from penchant.judges.prompts import load_template, read_verdict
from penchant.judges.settings import Endpoint
from penchant.redact import redact, secrets_of_address
from penchant.rewards.http import shown_url
from penchant.types import Verdict

EXCERPT = 200  # characters of an answer that a message shows
MOST_WAIT_S = 60.0  # between two attempts, whatever `Retry-After` asks for
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "winner": {"type": "string", "enum": ["A", "B", "tie"]},
            },
            "required": ["reason", "winner"],
            "additionalProperties": False,
        },
    },
}


class EndpointJudge:
    """Asks with a template and reads the verdict from the answer; an answer that names none is kept as unparseable.

    Raises:
        InputError: no key in the environment, or no such template; later, an endpoint that refuses the key or does not
            know the address or the model.
        RunError: later, nobody there.
        MissingExtra: the package `openai` is not installed.
    """

    def __init__(self, settings: Endpoint) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtra("an endpoint needs the package `openai`: pip install 'penchant[judges]'") from error
        self.settings, self._openai = settings, openai
        self.template = load_template(settings.template)
        if "@" in (settings.base_url or ""):
            raise InputError(f"base_url has credentials in it: put the key into the variable {settings.key_from}")
        key = os.environ.get(settings.key_from)
        if not key and settings.base_url is None:
            raise InputError(
                f"no key: set the environment variable {settings.key_from} (or another, `judge.key_from`), or give "
                "`judge.base_url` for an endpoint of your own"
            )
        self._key = key or "none"  # the client wants one, an endpoint of one's own mostly does not
        self._plain, self._answered = not settings.structured, False
        asked = (settings.base_url, settings.model, settings.temperature, settings.max_tokens, settings.structured)
        self.identity = f"endpoint {' '.join(map(str, asked))} {self.template.digest}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """As `Judge.judge_many`. A call that fails at every attempt is an unparseable verdict that is not final."""
        _run(self._all(questions, done))

    async def _all(self, questions: Sequence[Question], done: Done) -> None:
        settings = self.settings
        # no redirects: texts and key go to the address that was given; and no proxy lies before this machine itself
        here = urlsplit(settings.base_url or "").hostname in ("localhost", "127.0.0.1", "::1")
        http = self._openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not here)
        client = self._openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key,
            timeout=settings.timeout_s,
            max_retries=0,
            http_client=http,
        )
        waiting = iter(enumerate(questions))

        async def worker() -> None:
            for place, asked in waiting:
                done(place, await self._one(client, asked))

        async with client:
            workers = [asyncio.create_task(worker()) for _ in range(min(settings.concurrency, len(questions)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for task in workers:
                    task.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _one(self, client: Any, asked: Question) -> Verdict:
        begun, text, reason, wait = time.monotonic(), self.template.ask(asked), "", 0.0
        for attempt in range(self.settings.attempts):
            if attempt:
                await asyncio.sleep(wait)
            try:
                said, tokens = await self._answer(client, text)
                self._answered = True
                winner, confidence = read_verdict(said)
                return Verdict(winner, confidence, self._safe(said), time.monotonic() - begun, tokens)
            except (self._openai.APIError, TimeoutError, ValueError) as error:
                self._give_up(error, last=attempt + 1 == self.settings.attempts)
                reason = self._safe(f"{type(error).__name__}: {_words(error)}")[:EXCERPT]
                if isinstance(error, self._refusals):  # of this question: asking again changes nothing
                    break
                wait = self._wait(attempt, error)
        return Verdict("unparseable", None, f"failed: {reason}", time.monotonic() - begun, final=False)

    async def _answer(self, client: Any, text: str) -> tuple[str, int]:
        """What the model says, and the tokens that it took. Where a form is refused it is asked for plain words; only
        if these are answered was it the form."""
        plain = self._plain
        try:
            return _read(await self._ask(client, text, plain))
        except self._refusals:
            if plain:
                raise
        found = _read(await self._ask(client, text, True))
        self._plain = True
        return found

    async def _ask(self, client: Any, text: str, plain: bool) -> Any:
        settings = self.settings
        more: dict[str, Any] = {} if plain else {"response_format": FORM}
        more |= {key: value for key in ("temperature", "max_tokens") if (value := getattr(settings, key)) is not None}
        async with asyncio.timeout(settings.timeout_s):  # the client's own is that between two bytes
            return await client.chat.completions.create(
                model=settings.model, messages=[{"role": "user", "content": text}], **more
            )

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        return (self._openai.BadRequestError, self._openai.UnprocessableEntityError)

    def _give_up(self, error: Exception, *, last: bool) -> None:
        """Raise what would fail for every question."""
        address = self.settings.base_url
        where, said = shown_url(address) if address else "the endpoint", self._safe(_words(error))[:EXCERPT]
        status = getattr(error, "status_code", 0)
        if status in (401, 403):
            raise InputError(f"{where} refuses the key in {self.settings.key_from}: {said}") from None
        if 300 <= status < 400 or status in (404, 405):
            raise InputError(
                f"{where} does not know this address or the model {self.settings.model!r}: {said}; the address mostly "
                "ends in /v1"
            ) from None
        if last and not self._answered and type(error.__cause__).__name__ == "ConnectError":
            cause = self._safe(str(error.__cause__))
            raise RunError(
                f"{where} cannot be reached, {self.settings.attempts} attempts failed ({cause}): start it, or "
                "correct `base_url`, and give the same command again"
            ) from None

    def _safe(self, text: str) -> str:
        """Return the text without the key and what is secret in the address, which a server may send back."""
        key = self._key if self._key != "none" else ""
        return redact(text, [key, *secrets_of_address(self.settings.base_url or "")])

    def _wait(self, attempt: int, error: Exception) -> float:
        """Seconds before the next attempt."""
        wait = self.settings.first_wait_s * 2.0**attempt
        try:
            asked = float(getattr(error, "response").headers.get("retry-after") or 0)  # noqa: B009
        except (AttributeError, ValueError):
            asked = 0.0
        return min(max(wait, asked), MOST_WAIT_S)


def _words(error: Exception) -> str:
    """What an error says. The client shows a server's words where they stand as OpenAI has them; others write `detail`,
    or no JSON at all."""
    said, body = str(error), getattr(error, "body", None)
    if not body or " - " in said:
        return said
    return f"{said} - {body.get('detail', body) if isinstance(body, dict) else body}"


def _read(answer: Any) -> tuple[str, int]:
    """The text of an answer, and its tokens. Raises ValueError where it is none."""
    try:
        said = answer.choices[0].message.content
        tokens = getattr(answer.usage, "total_tokens", 0) or 0
    except (AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"no answer of a chat in it: {str(answer)[:100]!r}") from error
    if not isinstance(said, str):
        raise ValueError("an answer without text")
    return said, int(tokens)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """To its end, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, work).result()
