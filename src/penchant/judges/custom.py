"""A judge of the user's: named as `module:attribute`, and held to the contract that the built-in ones keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from penchant.errors import PenchantError
from penchant.judges.contract import SWAPPED, Done, Judge, Question, addresses_of
from penchant.judges.settings import OWN_JUDGES, Custom
from penchant.types import Verdict


class CustomJudge:
    """A user's judge, of which every question gets exactly one verdict.

    Args:
        factory: `module:attribute` of a class or a function that makes the judge; or of a ready one.
        settings: what the class or function is called with.
    """

    def __init__(self, factory: str, settings: Mapping[str, Any]) -> None:
        self.factory = factory
        self.judge = _make(factory, settings)
        self.addresses = addresses_of(self.judge)
        # the code's digest first: an edited judge is another one, whatever it calls itself
        parts = [OWN_JUDGES.content(factory), json.dumps(dict(settings), sort_keys=True, default=str)]
        self.identity = f"custom {' '.join(parts)} {getattr(self.judge, 'identity', '')}".rstrip()

    @classmethod
    def from_settings(cls, settings: Custom) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.factory, settings.settings)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Judge as `Judge.judge_many`; what breaks its contract is an InputError that names the judge."""
        done_indices: set[int] = set()

        def check_and_pass_on(index: int, verdict: Verdict) -> None:
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(questions):
                raise OWN_JUDGES.refusal(
                    self.factory, f"it gave a verdict on question {index!r}; there are {len(questions)}, from 0"
                )
            if index in done_indices:
                raise OWN_JUDGES.refusal(self.factory, f"it gave two verdicts on question {index}")
            if not isinstance(verdict, Verdict) or verdict.winner not in SWAPPED:
                raise OWN_JUDGES.refusal(
                    self.factory,
                    f"it gave {verdict!r} for question {index}, expected a penchant.types.Verdict whose winner is one "
                    f"of {', '.join(SWAPPED)}",
                )
            done_indices.add(index)
            done(index, verdict)

        try:
            self.judge.judge_many(questions, check_and_pass_on)
        except (PenchantError, KeyboardInterrupt):
            raise
        except BaseException as error:  # the user's code may raise anything, and `sys.exit` is an exception
            raise OWN_JUDGES.failure(self.factory, error, f"failed on {len(questions)} questions") from error
        if missing := len(questions) - len(done_indices):
            raise OWN_JUDGES.refusal(
                self.factory,
                f"{missing} of {len(questions)} questions have no verdict: call `done(place, verdict)` once for each",
            )


def _make(factory: str, settings: Mapping[str, Any]) -> Judge:
    """Return the judge that an attribute is or makes.

    Raises:
        InputError: there is no such attribute, it fails, or what it makes is no judge.
    """
    candidate = OWN_JUDGES.load(factory)
    if isinstance(candidate, type) or (callable(candidate) and not hasattr(candidate, "judge_many")):
        try:
            candidate = candidate(**settings)
        except (PenchantError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise OWN_JUDGES.failure(factory, error, "it cannot be made") from error
    elif settings:
        raise OWN_JUDGES.refusal(
            factory, "it is a ready judge, and `settings` are for a class or a function: leave them out"
        )
    if not callable(getattr(candidate, "judge_many", None)):
        raise OWN_JUDGES.refusal(
            factory,
            f"expected a judge, which has `judge_many(questions, done)`, but it is a {type(candidate).__name__}: see "
            "penchant.judges.contract",
        )
    judge: Judge = candidate
    return judge
