"""A reward by its name: a built-in one, any Python function, or an address; held to its contract on every call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import wraps
from numbers import Real
from typing import TYPE_CHECKING, Any

from penchant.arguments import check_pairs
from penchant.clean_text import clean
from penchant.errors import InputError, PenchantError
from penchant.extension.user_code import ASYNC, call_problem, describe_error, is_async, raising_line
from penchant.rewards.columns import ColumnReward, column_names
from penchant.rewards.names import FUNCTIONS, reward_kind, split_thoughts_mark
from penchant.session.objects import NAME, code_name, shown_name
from penchant.thoughts import READ_THOUGHTS

if TYPE_CHECKING:
    from penchant.data.options import Overflow, Thoughts

Reward = Callable[[Sequence[tuple[str, str]]], list[float]]
"""(prompt, response) texts in, one finite number for each out, in the same order; larger is better."""

EXCERPT = 40
"""Characters of a prompt or response that a message shows."""


def load_reward(spec: str | Callable[..., object], *, device: str = "auto", overflow: Overflow = "error") -> Reward:
    """Return a reward by name, by where its function lies, or of a function itself.

    Args:
        spec: `"vader"`; or `"module:function"`, a file `module.py` of the current folder or an installed module; or
            `"path/to/file.py:function"` (see `penchant.extension.user_code`). The function takes a list of
            (prompt, response) texts and returns a number for each; further parameters without a default are columns of
            the rows, such as `answer`, each a list with a value per text (see `penchant.rewards.columns`). Or a
            verifier, such as `"exact_answer"` or `"number:marker=####"` (see `penchant.rewards.verifiers`). Or
            `"classifier:MODEL"` (see
            `penchant.rewards.classifier`). Or the `http://` or `https://` address of an endpoint (see
            `penchant.rewards.http`). Or the folder of a reward model (a `reward_model` run, or its `checkpoint`), or
            several with commas between: the mean of them. A reward sees the answer of a response; with `thoughts:`
            before its name it sees the thoughts before the answer too.
        device: where a classifier or a reward model runs, as `load_policy` takes it. (Code of its own is never run.)
        overflow: of a reward model, what becomes of texts beyond its context
            (see `penchant.data.rendering.renderer.Renderer`).

    Returns:
        The function, checked on every call: whatever it returns but one finite number per pair, and any exception
        of its own, is an InputError that names the function (and the pair). An endpoint that cannot be reached,
        after several attempts, is a RunError. Not called for no pairs at all.

    Raises:
        InputError: no such name, file, module or function (with names like it), a module that fails when it
            is imported, something that cannot be called, or an address that is none.

    What is computed with a function is kept under its code (`penchant.extension.code_digest`). That does not hold what
    no import statement shows: modules that `importlib` imports, files that the code reads, environment variables.
    """
    spec = str(code_name(spec))
    reads_thoughts, spec = split_thoughts_mark(spec)
    if reads_thoughts and reward_kind(spec) != "learned":
        reading = _with_thoughts(load_reward(spec, device=device, overflow=overflow))
        return _with_name(reading, f"{READ_THOUGHTS}{spec}")
    match reward_kind(spec):
        case "verifier":
            from penchant.rewards.verifiers import Verification, parse_verifier

            verifier = parse_verifier(spec)
            return _with_name(_checked(Verification(verifier), spec, verifier.columns), spec)
        case "classifier":
            from penchant.rewards.classifier import load_classifier

            return _with_name(checked_reward(load_classifier(spec, device=device), spec), spec)
        case "address":
            from penchant.rewards.http import HTTPReward

            return _with_name(checked_reward(HTTPReward(spec)), spec)
        case "learned":
            from penchant.rewards.learned import learned_reward  # brings torch

            thoughts: Thoughts | None = "score" if reads_thoughts else None
            return learned_reward(spec.split(","), device=device, overflow=overflow, thoughts=thoughts)
    function = FUNCTIONS.load(spec)
    if not callable(function):
        raise FUNCTIONS.refusal(
            spec, f"expected a function, but {spec.rpartition(':')[2]} is a {type(function).__name__}"
        )
    columns = dict.fromkeys(column_names(function))
    if not is_async(function) and (problem := call_problem(function, 1, columns)):
        raise FUNCTIONS.refusal(
            spec,
            "it is called with a list of (prompt, response) texts, and with columns of the rows by name, but "
            f"{problem}",
        )
    return _with_name(checked_reward(function, spec), spec)


def _with_name(reward: Reward, spec: str) -> Reward:
    """Note the name of a reward, so that settings take the reward itself as well."""
    setattr(reward, NAME, spec)
    return reward


def _with_thoughts(reward: Reward) -> Reward:
    """Return a reward that `score_groups` hands whole responses, with their thoughts."""

    if isinstance(reward, ColumnReward):
        return replace(reward, reads_thoughts=True)

    @wraps(reward)
    def reading(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return reward(pairs)

    reading.reads_thoughts = True  # type: ignore[attr-defined]
    return reading


def checked_reward(function: Callable[..., Any], name: str | None = None) -> Reward:
    """Return a function with the contract of a reward enforced; one that is checked already comes back as it is.

    Args:
        function: takes a list of (prompt, response) texts, returns a number for each.
        name: what messages call it; its own name where it is None.

    Returns:
        The same function, of which every call raises InputError unless it gives one finite number per pair. An
        exception of its own is kept as the `__cause__`; a `PenchantError`, which is a message for the user already,
        comes through as it is. It is not called for no pairs at all.
    """
    if getattr(function, "is_checked_reward", False):
        return function
    return _checked(function, name, column_names(function))


def _checked(function: Callable[..., Any], name: str | None, columns: tuple[str, ...]) -> Reward:
    """Return a function with the contract of a reward enforced; it is handed the columns that it asks for."""
    # before its first call, which would only warn that nobody awaited it
    if is_async(function):
        raise FUNCTIONS.refusal(name or str(getattr(function, "__name__", repr(function))), ASYNC)
    reward_name = f"the reward `{shown_name(name or '') or getattr(function, '__name__', repr(function))}`"

    def where(error: BaseException) -> str:
        return raising_line(error, name.rpartition(":")[0]) if name is not None else ""

    def check(pairs: Sequence[tuple[str, str]], results: object) -> list[float]:
        return _numbers(reward_name, pairs, results)

    if columns:
        return ColumnReward(function, reward_name, columns, check, where)

    @wraps(function, updated=())
    def reward(pairs: Sequence[tuple[str, str]]) -> list[float]:
        check_pairs(pairs)
        # a copy, since user code may change the list that it gets
        pairs = list(pairs)
        if not pairs:
            return []
        try:
            results = function(pairs)
        except (PenchantError, KeyboardInterrupt):
            raise
        except BaseException as error:  # the user's code may raise anything, and `sys.exit` is an exception
            reason = f"{describe_error(error)}{where(error)}"
            raise InputError(f"{reward_name} failed on {len(pairs)} pairs: {reason}") from error
        return check(pairs, results)

    # learned rewards and ensembles have the same mark: they keep the contract by themselves
    reward.is_checked_reward = True  # type: ignore[attr-defined]
    return reward


def _numbers(reward_name: str, pairs: Sequence[tuple[str, str]], results: Any) -> list[float]:
    """Return what a reward gave as finite floats.

    Raises:
        InputError: it is not one finite number per pair.
    """
    count = _length(results)
    if count is None:
        raise InputError(f"{reward_name} returned {_excerpt(results)}, expected a list of numbers")
    if count != len(pairs):
        raise InputError(f"{reward_name} returned {count} numbers for {len(pairs)} (prompt, response) pairs")
    return [_number(reward_name, index, pairs, result) for index, result in enumerate(results)]


def _length(results: Any) -> int | None:
    """Return how many results there are; None for what is no sequence (a set or a mapping has no order to trust)."""
    if isinstance(results, (str, bytes, Mapping, Set)):
        return None
    try:
        return len(results)
    except TypeError:  # a single number, nothing, a generator, an array without dimensions
        return None


def _number(reward_name: str, index: int, pairs: Sequence[tuple[str, str]], result: object) -> float:
    """Return one result as a finite float; numbers of numpy and torch, and truth values, count as numbers."""
    # tensors and numpy's truth values are no `Real`; an array of one number is a list and no number
    try:
        value: object = result.item() if hasattr(result, "item") and getattr(result, "ndim", None) == 0 else result
    except Exception as error:  # a tensor without numbers, such as one on torch's device `meta`
        device = getattr(result, "device", None)
        where = "" if device is None else f" on the device `{device}`"
        raise InputError(
            f"{reward_name} returned a {type(result).__name__}{where} whose numbers cannot be read "
            f"({describe_error(error)}); return a list of floats, such as `scores.tolist()`"
        ) from error
    if isinstance(value, Real) and math.isfinite(number := _float(value)):
        return number
    prompt, response = pairs[index]
    raise InputError(
        f"{reward_name} returned {_excerpt(result)} for pair {index} (counted from 0), expected a finite number; "
        f"its prompt is {_excerpt(prompt)}, its response {_excerpt(response)}"
    )


def _float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond every float
        return math.inf


def _excerpt(value: object) -> str:
    text = clean(repr(value))  # a class of the user's may print anything
    return text if len(text) <= EXCERPT else text[: EXCERPT - 3] + "..."
