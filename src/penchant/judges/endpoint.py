"""A model behind an OpenAI-compatible endpoint as a judge: several calls at once, repeated where that can help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from penchant.errors import InputError, MissingExtra, RunError
from penchant.judges.contract import Done, Question
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint
from penchant.judges.verdicts import read_verdict
from penchant.redact import hide_credentials, redact, secret_from, secrets_of_address, shown_url
from penchant.types import Verdict

EXCERPT = 200  # characters of an answer that a message shows
FIRST_ANSWERS = 20
"""A judge whose first so many answers cannot be used is stopped: the rest would cost as much and say as little."""
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
        key = secret_from(settings.key_from)
        if not key and settings.base_url is None:
            raise InputError(
                f"no key: set the environment variable {settings.key_from} (or another, `judge.key_from`), or give "
                "`judge.base_url` for an endpoint of your own"
            )
        self._key = key or "none"  # the client wants one, an endpoint of one's own mostly does not
        self._plain, self._answered = not settings.structured, False
        address = None if settings.base_url is None else hide_credentials(settings.base_url)
        self.addresses = {settings.base_url: address} if settings.base_url and address else {}
        asked = (address, settings.model, settings.temperature, settings.max_tokens, settings.structured)
        self.identity = f"endpoint {' '.join(map(str, asked))} {self.template.digest}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """As `Judge.judge_many`. A call that fails at every attempt is an unparseable verdict that is not final."""
        _run(self._all(questions, done))

    def reread(self, asked: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict as its transcript is read now."""
        found = read_verdict(verdict.transcript)
        return replace(verdict, winner=found.winner, confidence=found.confidence)

    async def _all(self, questions: Sequence[Question], done: Done) -> None:
        settings = self.settings
        # no redirects: texts and key go to the address that was given; and no proxy lies before this machine itself
        parts = urlsplit(settings.base_url or "")
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        http = self._openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not here)
        client = self._openai.AsyncOpenAI(
            base_url=urlunsplit(parts._replace(query="", fragment="")) if settings.base_url else None,
            default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),  # the client would end it with the path
            api_key=self._key,
            timeout=settings.timeout_s,
            max_retries=0,
            http_client=http,
        )
        waiting = iter(enumerate(questions))
        useless: list[Verdict] | None = []  # the first answers; None as soon as one names a winner

        async def worker() -> None:
            nonlocal useless
            for place, asked in waiting:
                verdict = await self._one(client, asked)
                done(place, verdict)
                useless = None if useless is None or verdict.winner != "unparseable" else [*useless, verdict]
                if useless is not None and len(useless) >= FIRST_ANSWERS:
                    raise self._useless(useless)

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
                said = self._safe(said)
                found = read_verdict(said)
                return Verdict(found.winner, found.confidence, said, time.monotonic() - begun, tokens)
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

    def _useless(self, first: Sequence[Verdict]) -> RunError:
        """Return the error for a judge whose first answers cannot be used, with what the first of them was."""
        where = shown_url(self.settings.base_url) if self.settings.base_url else "the endpoint"
        if failed := [verdict for verdict in first if not verdict.final]:
            return RunError(
                f"{where}: {len(failed)} of the first {len(first)} calls failed and no answer names a winner. The "
                f"first {failed[0].transcript.rstrip('.')}. Nothing is lost: correct `judge.base_url`, `judge.model` "
                "or what the message names, and give the same command again"
            )
        said, reason = first[0].transcript, read_verdict(first[0].transcript).reason
        return RunError(
            f"{where}: the first {len(first)} answers of {self.settings.model!r} name no winner. The first cannot be "
            f"read, since {reason}: {said[-EXCERPT:]!r}. They are kept. Name another model, raise `judge.max_tokens`, "
            'or let `judge.template` ask for a last line such as "Verdict: A"; `ask_again=unreadable` asks them again'
        )

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
