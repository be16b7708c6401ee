"""A model behind an OpenAI-compatible endpoint as a judge: several calls at once, repeated where that can help."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penchant.errors import InputError, MissingExtra, RunError
from penchant.judges.contract import Done, Question
from penchant.judges.prompts import load_template, read_verdict
from penchant.judges.settings import Endpoint
from penchant.types import Verdict

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
        key = os.environ.get(settings.key_from)
        if not key and settings.base_url is None:
            raise InputError(
                f"no key: set the environment variable {settings.key_from} (or another, `judge.key_from`), or give "
                "`judge.base_url` for an endpoint of your own"
            )
        self._key = key or "none"  # the client wants one, an endpoint of one's own mostly does not
        self._plain = not settings.structured
        asked = (settings.base_url, settings.model, settings.temperature, settings.max_tokens, settings.structured)
        self.identity = f"endpoint {' '.join(map(str, asked))} {self.template.digest}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """As `Judge.judge_many`. A call that fails at every attempt is an unparseable verdict that is not final."""
        _run(self._all(questions, done))

    async def _all(self, questions: Sequence[Question], done: Done) -> None:
        settings = self.settings
        client = self._openai.AsyncOpenAI(
            base_url=settings.base_url, api_key=self._key, timeout=settings.timeout_s, max_retries=0
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
        begun, text, reason = time.monotonic(), self.template.ask(asked), ""
        for attempt in range(self.settings.attempts):
            try:
                said, tokens = await self._answer(client, text)
                winner, confidence = read_verdict(said)
                return Verdict(winner, confidence, said, time.monotonic() - begun, tokens)
            except (self._openai.APIError, TimeoutError, ValueError) as error:
                self._give_up(error, last=attempt + 1 == self.settings.attempts)
                reason = f"{type(error).__name__}: {error}"
                wait = self._wait(attempt, error)
            if attempt + 1 < self.settings.attempts:
                await asyncio.sleep(wait)
        return Verdict("unparseable", None, f"failed: {reason}", time.monotonic() - begun, final=False)

    async def _answer(self, client: Any, text: str) -> tuple[str, int]:
        """What the model says, and the tokens that it took; without a form where the endpoint refuses one."""
        settings, plain = self.settings, self._plain
        more: dict[str, Any] = {} if plain else {"response_format": FORM}
        if settings.temperature is not None:
            more["temperature"] = settings.temperature
        try:
            async with asyncio.timeout(settings.timeout_s):  # the client's own is that between two bytes
                answer = await client.chat.completions.create(
                    model=settings.model,
                    messages=[{"role": "user", "content": text}],
                    max_tokens=settings.max_tokens,
                    **more,
                )
        except self._openai.BadRequestError:
            if plain:
                raise
            self._plain = True
            return await self._answer(client, text)
        return _read(answer)

    def _give_up(self, error: Exception, *, last: bool) -> None:
        """Raise what would fail for every question."""
        where = self.settings.base_url or "the endpoint"
        if isinstance(error, self._openai.AuthenticationError | self._openai.PermissionDeniedError):
            raise InputError(f"{where} refuses the key in {self.settings.key_from}: {_short(error)}") from error
        if isinstance(error, self._openai.NotFoundError):
            raise InputError(
                f"{where} does not know this address or the model {self.settings.model!r}: {_short(error)}; the "
                "address mostly ends in /v1"
            ) from error
        if isinstance(error, self._openai.BadRequestError | self._openai.UnprocessableEntityError):
            raise InputError(f"{where} does not take the question: {_short(error)}") from error
        if last and type(error.__cause__).__name__ == "ConnectError":
            raise RunError(
                f"{where} cannot be reached, {self.settings.attempts} attempts failed ({error.__cause__}): start it, "
                "or correct `judge.base_url`. What was judged so far is kept"
            ) from error

    def _wait(self, attempt: int, error: Exception) -> float:
        """Seconds before the next attempt."""
        wait = self.settings.first_wait_s * 2.0**attempt
        try:
            asked = float(getattr(error, "response").headers.get("retry-after") or 0)  # noqa: B009
        except (AttributeError, ValueError):
            asked = 0.0
        return min(max(wait, asked), MOST_WAIT_S)


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


def _short(error: Exception) -> str:
    return str(error)[:200]


def _run(work: Coroutine[Any, Any, None]) -> None:
    """To its end, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, work).result()
