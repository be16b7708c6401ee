"""A model behind an OpenAI-compatible endpoint as a judge: several calls at once, repeated where that can help."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from httpx import AsyncClient

from penchant.clean_text import clean
from penchant.errors import InputError, RunError
from penchant.http_client import AnswerTooLarge, Limits, TemporaryFailure, open_client, post_json, retry, run_async
from penchant.judges.contract import Done, Question
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint
from penchant.judges.shown_media import message_content
from penchant.judges.verdicts import read_verdict
from penchant.redact import hide_credentials, redact, secret_from, secrets_of_address, shown_url
from penchant.types import Verdict

log = logging.getLogger("penchant.judges")
EXCERPT = 200  # characters of an answer that a message shows
# A judge whose first so many answers cannot be used is stopped: the rest would cost as much and say as little.
FIRST_ANSWERS = 20
MAX_BYTES = 2**24  # of an answer: far more than a model writes
# Statuses that say of one question that it cannot be answered, such as one that is longer than the context. They are
# no reason to stop, and none to try again.
REFUSALS = (400, 422)
Content = str | list[dict[str, object]]
"""Of a message: a text, or parts of which some are pictures or sounds."""
OPENAI = "https://api.openai.com/v1"
# Headers that say who pays, where the environment names it.
OPENAI_HEADERS = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
# The reason stands before the winner: a model writes in this order, and should weigh before it decides.
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


class QuestionRefused(Exception):
    """A question that the endpoint refuses, in the server's words: asking it again changes nothing."""


class EndpointJudge:
    """A judge that asks a model with a template, and reads the verdict out of its answer.

    Pictures and sounds of a question are sent as parts of the message, by their bytes.

    An answer that names no winner is an unparseable verdict, and is kept.

    Raises:
        InputError: no key in the environment, or no such template; while it judges, an endpoint that refuses the key or
            does not know the address or the model.
        RunError: while it judges, an endpoint that cannot be reached.
    """

    reads_media = True

    def __init__(self, settings: Endpoint) -> None:
        self.settings = settings
        self.template = load_template(settings.template)
        key = secret_from(settings.key_from)
        if not key and settings.base_url is None:
            raise InputError(
                f"no key: set the environment variable {settings.key_from} (or another, `judge.key_from`), or give "
                "`judge.base_url` for an endpoint of your own"
            )
        self._key = key  # empty for an endpoint of one's own, which mostly wants none
        self._plain, self._has_answered = not settings.structured, False
        # the identity is a key of the store, and must not hold what is secret in an address
        address = None if settings.base_url is None else hide_credentials(settings.base_url)
        self.addresses = {settings.base_url: address} if settings.base_url and address else {}
        call_settings = (address, settings.model, settings.temperature, settings.max_tokens, settings.structured)
        # timeouts and attempts are left out: they decide whether an answer comes, and not which
        self.identity = f"endpoint {' '.join(map(str, call_settings))} {self.template.digest}"
        if settings.template_args:  # only then, so that verdicts of earlier versions are found again
            self.identity += f" template_args {json.dumps(settings.template_args, sort_keys=True)}"

    @classmethod
    def from_settings(cls, settings: Endpoint) -> Self:
        """Return the judge that settings describe."""
        return cls(settings)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Ask all questions, several at once. One whose attempts all fail is unparseable, and asked again next time."""
        run_async(self._all(questions, done))

    def write_many(self, texts: Sequence[str], written: Callable[[int, str, float, int], None]) -> None:
        """Have the model answer texts of any kind, several at once, in its own words: nothing is judged.

        Args:
            written: called with the place of a text, the answer, the seconds and the tokens that it took, as each
                comes. A text whose attempts all fail gets no call.

        Raises:
            InputError, RunError: as `judge_many`.
        """
        run_async(self._write_all(texts, written))

    async def _write_all(self, texts: Sequence[str], written: Callable[[int, str, float, int], None]) -> None:
        waiting = iter(enumerate(texts))  # shared by all workers

        async def worker() -> None:
            for index, text in waiting:
                started = time.monotonic()
                try:
                    answer, tokens = await self._retried(partial(self._ask, client, text, True))
                except TemporaryFailure:
                    continue
                except (QuestionRefused, AnswerTooLarge) as error:
                    # asked again it would be refused again: this text has no answer
                    log.warning("%s: a text has no answer: %s", self._address, self._safe(str(error))[:EXCERPT])
                    answer, tokens = "", 0
                # before it is kept: a server may send back the key that it was sent
                written(index, self._safe(answer), time.monotonic() - started, tokens)

        async with open_client(self._url) as client:
            await _run_workers(worker, min(self.settings.concurrency, len(texts)))

    def reread(self, question: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict as its transcript is read now."""
        reading = read_verdict(verdict.transcript)
        return replace(verdict, winner=reading.winner, confidence=reading.confidence)

    async def _all(self, questions: Sequence[Question], done: Done) -> None:
        waiting = iter(enumerate(questions))  # shared by all workers, each of which takes the next one
        useless: list[Verdict] | None = []  # the first answers; None as soon as one names a winner

        async def worker() -> None:
            nonlocal useless
            for index, question in waiting:
                verdict = await self._judge_one(client, question)
                done(index, verdict)
                useless = None if useless is None or verdict.winner != "unparseable" else [*useless, verdict]
                if useless is not None and len(useless) >= FIRST_ANSWERS:
                    raise self._useless(useless)

        async with open_client(self._url) as client:
            await _run_workers(worker, min(self.settings.concurrency, len(questions)))

    async def _judge_one(self, client: AsyncClient, question: Question) -> Verdict:
        started = time.monotonic()
        content = message_content(self.template.ask(question), question.media)
        try:
            answer, tokens = await self._retried(partial(self._answer, client, content))
        except (TemporaryFailure, QuestionRefused, AnswerTooLarge) as error:
            reason = self._safe(str(error))[:EXCERPT]
            return Verdict("unparseable", None, f"failed: {reason}", time.monotonic() - started, final=False)
        # before it is read or kept: a server may send back the key that it was sent
        answer = self._safe(answer)
        verdict = read_verdict(answer)
        return Verdict(verdict.winner, verdict.confidence, answer, time.monotonic() - started, tokens)

    async def _retried(self, send: Callable[[], Awaitable[tuple[str, int]]]) -> tuple[str, int]:
        """Return an answer and its tokens, after as many attempts as it takes.

        Raises:
            TemporaryFailure, QuestionRefused, AnswerTooLarge: this text has no answer now.
            RunError: nobody ever answered at this address.
        """
        try:
            answer = await retry(send, self._limits)
        except TemporaryFailure as error:
            # one that never answered is a wrong address; one that went away may come back, and its failures count
            if error.unreachable and not self._has_answered:
                reason = self._safe(str(error))[:EXCERPT]
                raise RunError(
                    f"{self._address} cannot be reached, {self.settings.attempts} attempts failed ({reason}): start "
                    "it, or correct `base_url`, and give the same command again"
                ) from None
            raise
        self._has_answered = True
        return answer

    async def _answer(self, client: AsyncClient, message: Content) -> tuple[str, int]:
        """Return what the model says, and the tokens that it took.

        Where a form is refused it is asked for plain words; only if these are answered was it the form.
        """
        plain = self._plain  # as it is now: another worker may find it out meanwhile
        try:
            return await self._ask(client, message, plain)
        except QuestionRefused:
            if plain:
                raise
        answer = await self._ask(client, message, True)
        self._plain = True
        return answer

    async def _ask(self, client: AsyncClient, message: Content, plain: bool) -> tuple[str, int]:
        """Send one request, and return the model's words and its tokens.

        Raises:
            TemporaryFailure, QuestionRefused, AnswerTooLarge: this question has no answer now.
            InputError: a key, an address or a model that would fail for every question.
        """
        settings = self.settings
        content: dict[str, object] = {"model": settings.model, "messages": [{"role": "user", "content": message}]}
        content |= {} if plain else {"response_format": FORM}
        # OpenAI's own interface has no such field and refuses it, so it is sent only where it is asked for
        content |= {"chat_template_kwargs": settings.template_args} if settings.template_args else {}
        limits = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
        content |= {name: value for name, value in limits.items() if value is not None}
        reply = await post_json(client, self._url, content, self._headers, self._limits)
        if 200 <= reply.status < 300:
            return _read(reply.body)
        words = f"it answered {reply.status} - {_server_words(reply.body)}"
        excerpt = self._safe(words)[:EXCERPT]
        # what would fail for all questions is an error, and what may pass is tried again
        if reply.status in (401, 403):
            raise InputError(f"{self._address} refuses the key in {settings.key_from}: {excerpt}")
        # redirects are not followed: the key goes to the host that the user named and to no other
        if 300 <= reply.status < 400 or reply.status in (404, 405):
            raise InputError(
                f"{self._address} does not know this address or the model {settings.model!r}: {excerpt}; the address "
                "mostly ends in /v1"
            )
        if reply.status in REFUSALS:
            raise QuestionRefused(words)
        raise TemporaryFailure(words, asked_wait_s=reply.asked_wait_s)

    @property
    def _url(self) -> str:
        """Return the address that questions are sent to; a query stays at its end."""
        parts = urlsplit(self.settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions", fragment=""))

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if self.settings.base_url is None:  # they belong to OpenAI's key, and go where it goes
            headers |= {name: value for name, variable in OPENAI_HEADERS.items() if (value := secret_from(variable))}
        return headers

    @property
    def _limits(self) -> Limits:
        settings = self.settings
        return Limits(settings.timeout_s, settings.timeout_s, MAX_BYTES, settings.attempts, settings.first_wait_s)

    @property
    def _address(self) -> str:
        return shown_url(self.settings.base_url) if self.settings.base_url else "the endpoint"

    def _useless(self, first: Sequence[Verdict]) -> RunError:
        """Return the error for a judge whose first answers cannot be used, with what the first of them was."""
        where = self._address
        if failed := [verdict for verdict in first if not verdict.final]:
            return RunError(
                f"{where}: {len(failed)} of the first {len(first)} calls failed and no answer names a winner. The "
                f"first {failed[0].transcript.rstrip('.')}. Nothing is lost: correct `judge.base_url`, `judge.model` "
                "or what the message names, and give the same command again"
            )
        transcript, reason = first[0].transcript, read_verdict(first[0].transcript).reason
        return RunError(
            f"{where}: the first {len(first)} answers of {self.settings.model!r} name no winner. The first cannot be "
            f"read, since {reason}: {transcript[-EXCERPT:]!r}. They are kept. Name another model, raise "
            '`judge.max_tokens`, or let `judge.template` ask for a last line such as "Verdict: A"; '
            "`ask_again=unreadable` asks them again"
        )

    def _safe(self, text: str) -> str:
        """Return the text without the key and what is secret in the address, which a server may send back."""
        return redact(text, [self._key, *secrets_of_address(self.settings.base_url or "")])


async def _run_workers(worker: Callable[[], Coroutine[None, None, None]], count: int) -> None:
    """Run so many workers at once, and all of them to their end, or none where one fails."""
    workers = [asyncio.create_task(worker()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        # one that fails ends the run; the others must not go on to pay for answers that nobody keeps
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _server_words(body: bytes) -> str:
    """Return what a server says of an error, fit for a terminal: `error.message` as OpenAI has it, `detail`, or all."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # a proxy's HTML page, or brackets inside of brackets
        return clean(body.decode(errors="replace"))
    if isinstance(content, dict):
        content = content.get("error", content.get("detail", content))
    if isinstance(content, dict):
        content = content.get("message", content)
    return clean(str(content))


def _read(body: bytes) -> tuple[str, int]:
    """Return the text of an answer of the chat endpoint, and the tokens that it took.

    Raises:
        TemporaryFailure: it is no answer of a chat, or one without text.
    """
    try:
        answer = json.loads(body)
        text = answer["choices"][0]["message"]["content"]
        # some servers leave `usage` out, and some send null for it
        tokens = (answer.get("usage") or {}).get("total_tokens") or 0
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise TemporaryFailure(f"no answer of a chat in it: {body[:100].decode(errors='replace')!r}") from None
    if not isinstance(text, str):
        raise TemporaryFailure("an answer without text")
    return text, int(tokens)
