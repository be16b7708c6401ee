"""A judge of the user's: named as `module:attribute`, and held to the contract that the built-in ones keep."""

from __future__ import annotations

import inspect
import json
import operator
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Self, SupportsFloat, SupportsIndex

from penchant.clean_text import clean
from penchant.extension.user_code import ASYNC, call_problem, is_async
from penchant.judges.contract import SWAPPED, Done, Judge, Question
from penchant.judges.settings import OWN_JUDGES, Custom
from penchant.judges.shown_media import reads_media
from penchant.types import Verdict

ROUNDING = 1e-6  # how far above 1 a softmax in float32 may put a probability
LARGEST = 1e15  # seconds and tokens: no call takes more, and SQLite holds it
MAX_SHOWN = 120  # characters of a foreign value that a message shows


class CustomJudge:
    """A user's judge, of which every question gets exactly one verdict.

    Args:
        factory: `module:attribute` of a class or a function that makes the judge; or of a ready one.
        settings: what the class or function is called with.

    Raises:
        InputError: there is no such attribute, it fails, or what it makes is no judge.
    """

    def __init__(self, factory: str, settings: Mapping[str, object]) -> None:
        self.factory = factory
        self.judge = _make(factory, settings)
        self.reads_media = reads_media(self.judge)
        # The code's digest comes first: an edited judge is another one, whatever it calls itself. The identity is read
        # once: one that changes while it judges would put the verdicts of one run under several keys.
        parts = [OWN_JUDGES.content(factory), json.dumps(dict(settings), sort_keys=True, default=str)]
        self.identity = f"custom {' '.join(parts)} {_identity_of(factory, self.judge)}".rstrip()

    @classmethod
    def from_settings(cls, settings: Custom) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.factory, settings.settings)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Judge as `Judge.judge_many`; the judge may call `done` from threads of its own.

        Raises:
            InputError: the judge fails or breaks its contract, also where its own code catches the error.
        """
        count = len(questions)
        judged_indices: set[int] = set()
        errors: list[BaseException] = []
        lock = threading.Lock()  # the store and the progress bar take one verdict at a time
        has_returned = False
        process = os.getpid()

        def check_and_pass_on(number: object, verdict: object) -> None:
            # a connection to SQLite must not be used beyond a fork, and this process would not see the verdict
            if os.getpid() != process:
                self._refuse("it called `done` in another process: let that one return, and call `done` in this one")
            with lock:
                try:
                    if has_returned:
                        self._refuse("it called `done` after `judge_many` had returned: wait for its threads")
                    index = self._check_index(number, count)
                    if index in judged_indices:
                        self._refuse(f"it gave two verdicts on question {index}")
                    done(index, self._check_verdict(index, verdict))
                    judged_indices.add(index)
                except BaseException as error:
                    errors.append(error)
                    raise

        with OWN_JUDGES.named_errors(self.factory, f"failed on {count} questions"):
            try:
                # a copy: a judge that sorts or empties its list must not move verdicts to other questions
                self.judge.judge_many(list(questions), check_and_pass_on)
            finally:
                has_returned = True
        if errors:  # it was caught: by the judge's own `except`, or by a pool whose results nobody asked for
            raise errors[0]
        if missing := [index for index in range(count) if index not in judged_indices]:
            self._refuse(
                f"{len(missing)} of {count} questions have no verdict, the first is question {missing[0]}: call "
                "`done(place, verdict)` once for each before `judge_many` returns; what it returns is not read"
            )

    def _refuse(self, reason: str) -> NoReturn:
        raise OWN_JUDGES.refusal(self.factory, reason)

    def _check_index(self, number: object, count: int) -> int:
        """Return the place of a question as an int. Numpy's integers are places, too; True is none."""
        index = operator.index(number) if isinstance(number, SupportsIndex) and not isinstance(number, bool) else -1
        if not 0 <= index < count:
            self._refuse(f"it gave a verdict on question {_excerpt(number)}; there are {count}, from 0")
        return index

    def _check_verdict(self, index: int, verdict: object) -> Verdict:
        """Return a verdict with plain values: JSON has no form for numpy's numbers, and SQLite turns nan into NULL."""
        winner: object = verdict.winner if isinstance(verdict, Verdict) else None
        if not isinstance(verdict, Verdict) or not isinstance(winner, str) or winner not in SWAPPED:
            self._refuse(
                f"it gave {_excerpt(verdict)} for question {index}, expected a penchant.types.Verdict whose winner is "
                f"one of {', '.join(SWAPPED)}"
            )
        confidence = 0.0 if verdict.confidence is None else verdict.confidence
        transcript: object = verdict.transcript
        for name, value, fits, expected in (
            ("confidence", confidence, _is_number(confidence, 0, 1 + ROUNDING), "a probability, or None"),
            ("seconds", verdict.seconds, _is_number(verdict.seconds, -LARGEST, LARGEST), "a finite number"),
            ("tokens", verdict.tokens, _is_number(verdict.tokens, 0, LARGEST), "a finite number"),
            ("transcript", transcript, isinstance(transcript, str), "a text"),
        ):
            if not fits:
                self._refuse(f"its verdict on question {index} has the {name} {_excerpt(value)}, expected {expected}")
        return Verdict(
            verdict.winner,
            None if verdict.confidence is None else min(float(verdict.confidence), 1.0),
            verdict.transcript,
            float(verdict.seconds),
            int(verdict.tokens),
            bool(verdict.final),
        )


class FunctionJudge:
    """A function of one question, as a judge.

    Args:
        factory: the name of the function, for messages.
        answer: gives `"a"`, `"b"`, `"tie"` or a `Verdict`, of a question and the settings by name.
    """

    def __init__(self, factory: str, answer: Callable[..., object], settings: Mapping[str, object]) -> None:
        self.factory, self.answer, self.settings = factory, answer, settings
        self.identity = ""  # the digest of its code and its settings say all

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Answer the questions in their order.

        Raises:
            InputError: an answer that is none, with the question's number.
        """
        for number, question in enumerate(questions):
            answer = self.answer(question, **self.settings)
            if hasattr(answer, "judge_many"):
                lacking = next(name for name in inspect.signature(self.answer).parameters if name not in self.settings)
                raise OWN_JUDGES.refusal(
                    self.factory,
                    f"it was called with a question and returned a judge: it makes judges, and lacks the setting "
                    f"`{lacking}` (judge.settings={{{lacking!r}: ...}})",
                )
            if not isinstance(answer, Verdict) and answer not in ("a", "b", "tie"):
                raise OWN_JUDGES.refusal(
                    self.factory,
                    f"it returned {_excerpt(answer)} for question {number}, expected 'a', 'b', 'tie', or a "
                    "penchant.types.Verdict",
                )
            done(number, answer if isinstance(answer, Verdict) else Verdict(answer))


def answers_alone(candidate: object, settings: Mapping[str, object]) -> bool:
    """Return whether a function answers a question itself, and makes no judge that does."""
    # a factory can be called with the settings alone, a function of a question lacks the question then
    if not inspect.isfunction(candidate) or hasattr(candidate, "judge_many"):
        return False
    return bool(call_problem(candidate, 0, settings)) and not call_problem(candidate, 1, settings)


def _make(factory: str, settings: Mapping[str, object]) -> Judge:
    """Return the judge that an attribute is or makes.

    Raises:
        InputError: there is no such attribute, it fails, or what it makes is no judge.
    """
    candidate = OWN_JUDGES.load(factory)
    if is_async(candidate):
        raise OWN_JUDGES.refusal(factory, ASYNC)
    if answers_alone(candidate, settings):
        return FunctionJudge(factory, candidate, settings)
    # called, it would raise Python's own error, which knows nothing of questions and settings
    if inspect.isfunction(candidate) and (problem := call_problem(candidate, 0, settings)):
        raise OWN_JUDGES.refusal(
            factory,
            "expected a function of one question, which has `prompt`, `a` and `b`, but "
            f"{call_problem(candidate, 1, settings)}; or a function that makes a judge of `judge.settings`, but "
            f"{problem}",
        )
    made_by = candidate
    with OWN_JUDGES.named_errors(factory, "it cannot be made of `judge.settings`"):
        if isinstance(candidate, type) or (callable(candidate) and not hasattr(candidate, "judge_many")):
            candidate = candidate(**settings)
        elif settings:
            raise OWN_JUDGES.refusal(
                factory, "it is a ready judge, and `settings` are for a class or a function: leave them out"
            )
        judge_many = getattr(candidate, "judge_many", None)
    # a class has a `judge_many` too, which lacks its object: a function that gives a class was meant to call it
    if isinstance(candidate, type) or not callable(judge_many):
        kind = f"the class {candidate.__name__}" if isinstance(candidate, type) else f"a {type(candidate).__name__}"
        # of an object its class says most, of a function what it returned
        finding = f"it is {kind}"
        if inspect.isfunction(made_by) and not callable(judge_many):
            # most likely meant as a judge itself, whose answer does not depend on the question
            finding = (
                f"it takes no question, so it was called with `judge.settings` to make a judge, and returned "
                f"{_excerpt(candidate)}: give a function of one question, which has `prompt`, `a` and `b`, that "
                "returns 'a', 'b' or 'tie'; or one that returns a judge"
            )
        raise OWN_JUDGES.refusal(
            factory,
            f"expected a judge, which has `judge_many(questions, done)`, but {finding}: see penchant.judges.contract",
        )
    _check_call(factory, judge_many)
    judge: Judge = candidate
    return judge


def _check_call(factory: str, judge_many: Callable[..., object]) -> None:
    """Refuse a `judge_many` that cannot be called, or does nothing when it is, before models are asked."""
    if inspect.iscoroutinefunction(judge_many) or inspect.isgeneratorfunction(judge_many):
        raise OWN_JUDGES.refusal(
            factory, "`judge_many` is `async` or yields, so a call does nothing: make it a function that calls `done`"
        )
    try:
        inspect.signature(judge_many).bind([], print)  # any two values: nothing is called
    except TypeError as error:
        raise OWN_JUDGES.refusal(
            factory, f"`judge_many` does not take (questions, done): {error}. Give it these two arguments"
        ) from None
    except ValueError:  # code in C says nothing of its arguments
        return


def _identity_of(factory: str, judge: Judge) -> str:
    """Return the text that a judge calls itself by; empty where it has none.

    Raises:
        InputError: it is no text or number, so that it would hold an address in memory, which no later run finds again.
    """
    with OWN_JUDGES.named_errors(factory, "its `identity` cannot be read"):
        identity: object = getattr(judge, "identity", "")
    if not isinstance(identity, str | int | float | None) or re.search("[\ud800-\udfff]", str(identity)):
        raise OWN_JUDGES.refusal(
            factory,
            f"its `identity` is {_excerpt(identity)}: verdicts are kept under it, so give it a text that is the same "
            "in every run",
        )
    return str(identity)


def _is_number(value: object, low: float, high: float) -> bool:
    """Return whether a value is a number between two others; nan is between none."""
    # a tensor or an array of one number is a number too; one of several cannot be turned into a float
    try:
        return isinstance(value, SupportsFloat) and low <= float(value) <= high
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


def _excerpt(value: object) -> str:
    """Return the beginning of a foreign value for a message; its `__repr__` may fail or hold escapes."""
    try:
        return clean(repr(value)[:MAX_SHOWN])
    except Exception:
        return f"a {type(value).__name__}"
