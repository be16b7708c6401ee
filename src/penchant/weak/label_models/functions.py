"""Labelling functions of the user's: found, called on each row with what they share computed once, and counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from numbers import Integral
from types import ModuleType
from typing import Any, overload

from penchant.errors import InputError
from penchant.extension.door import Door
from penchant.extension.user_code import describe_error, load_module
from penchant.session.store import is_session_name

LABELLING_FUNCTIONS = Door("labelling function", kind="function")
"""Functions of the user's, by `module:attribute`."""
CHUNK = 200  # rows that a process takes at a time, at least
ABSTENTION = -1

Shared = Callable[[Any], object]
Vote = str | None
"""A class by its name or number; None abstains."""


@dataclass(frozen=True)
class LabellingFunction:
    """A function that votes on a row, or abstains by None or -1.

    Attributes:
        name: of the source. function: called with the text, or with the whole row where its first parameter is `row`.
        preprocess: called first, and once per row for all functions that share it; its result is what they get.
    """

    name: str
    function: Callable[[Any], object]
    preprocess: Shared | None = None

    def __call__(self, text_or_row: object) -> object:
        """Return the vote on one row, as the function itself does."""
        return self.function(text_or_row if self.preprocess is None else self.preprocess(text_or_row))


@overload
def labelling_function(function: Callable[[Any], object]) -> LabellingFunction: ...
@overload
def labelling_function(
    *, name: str | None = None, preprocess: Shared | None = None
) -> Callable[[Callable[[Any], object]], LabellingFunction]: ...
def labelling_function(
    function: Callable[[Any], object] | None = None, *, name: str | None = None, preprocess: Shared | None = None
) -> LabellingFunction | Callable[[Callable[[Any], object]], LabellingFunction]:
    """Mark a function as one that votes: `penchant weak sources functions=FILE` takes all of these in the file.

    Args:
        name: of the source; the function's own if not given.
        preprocess: what to make of the text (or of the row, where its first parameter is `row`) beforehand; computed
            once per row for all functions that name the same one.

    Example:
        @pt.labelling_function
        def asks_to_subscribe(text):
            return "spam" if "subscribe" in text.lower() else None
    """

    def mark(marked_function: Callable[[Any], object]) -> LabellingFunction:
        return LabellingFunction(name or marked_function.__name__, marked_function, preprocess)

    return mark if function is None else mark(function)


def find_functions(names: Sequence[str]) -> list[LabellingFunction]:
    """Run the user's files and return their functions, in the order of the names and of the files.

    Args:
        names: `module:attribute`, or a file or module alone for all functions in it that are marked.

    Raises:
        InputError: no such file or attribute, none that is marked, what cannot be called, or one name twice.
    """
    functions: list[LabellingFunction] = []
    for name in names:
        functions += _marked(name) if ":" not in name else [_load_function(name)]
    # columns of votes are known by name: one of two would be lost
    names_taken: set[str] = set()
    for function in functions:
        if function.name in names_taken:
            raise InputError(f"two labelling functions are called `{function.name}`: give one another `name`")
        names_taken.add(function.name)
    return functions


def _load_function(name: str) -> LabellingFunction:
    attribute = LABELLING_FUNCTIONS.load_callable(name)
    if isinstance(attribute, LabellingFunction):
        return attribute
    return LabellingFunction(getattr(attribute, "__name__", name.rpartition(":")[2]), attribute)


def _marked(name: str) -> list[LabellingFunction]:
    module: ModuleType = load_module(name, lambda reason: LABELLING_FUNCTIONS.refusal(name, reason))
    marked = [value for value in vars(module).values() if isinstance(value, LabellingFunction)]
    if not marked:
        raise LABELLING_FUNCTIONS.refusal(
            name, f"none of its functions is marked by `@pt.labelling_function`; mark them, or name one: `{name}:NAME`"
        )
    return marked


@dataclass
class FunctionVotes:
    """Votes of functions on rows.

    Attributes:
        votes: by function, one per row. failures: by function, on how many rows it raised an error.
        first_errors: by function, the first of these errors with its row.
    """

    votes: dict[str, list[Vote]]
    failures: dict[str, int] = field(default_factory=dict)
    first_errors: dict[str, str] = field(default_factory=dict)


def apply_functions(
    names: Sequence[str], rows: Sequence[Mapping[str, object]], texts: Sequence[str], *, jobs: int = 1
) -> FunctionVotes:
    """Call labelling functions on rows. One that raises an error abstains there, and is counted.

    Args:
        names: as of `find_functions`. texts: of the rows.
        jobs: processes that share the rows; each of them runs the user's files.

    Raises:
        InputError: as `find_functions`; a function that returns what is no vote; functions of a session with `jobs`.
    """
    if jobs > 1 and (handed_over := [name for name in names if is_session_name(name)]):
        raise InputError(
            f"{len(handed_over)} functions are of this session, which other processes have not: leave jobs=1"
        )
    functions = find_functions(names)
    # a share per process, but no smaller chunks: each process runs the user's files first
    size = max(CHUNK, -(-len(rows) // jobs))
    chunks = [(start, rows[start : start + size], texts[start : start + size]) for start in range(0, len(rows), size)]
    if jobs == 1 or len(chunks) < 2:
        return _joined(functions, [_vote_chunk(functions, *chunk) for chunk in chunks])
    # fresh processes, not forks: a forked one may hold a lock of a thread that it does not have
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (tuple(names),)) as pool:
        return _joined(functions, list(pool.map(_vote_in_worker, chunks)))


_worker_functions: list[LabellingFunction] = []


def _start_worker(names: Sequence[str]) -> None:
    # by name, since functions of a file of the user's cannot be pickled
    _worker_functions[:] = find_functions(names)


def _vote_in_worker(chunk: tuple[int, Sequence[Mapping[str, object]], Sequence[str]]) -> FunctionVotes:
    return _vote_chunk(_worker_functions, *chunk)


def _vote_chunk(
    functions: Sequence[LabellingFunction], start: int, rows: Sequence[Mapping[str, object]], texts: Sequence[str]
) -> FunctionVotes:
    """Return the votes of functions on some rows, of which the first has the place `start`."""
    result = FunctionVotes({function.name: [] for function in functions})
    takes_row = {function.name: _takes_row(function.preprocess or function.function) for function in functions}
    for number, (row, text) in enumerate(zip(rows, texts, strict=True), start + 1):
        # per row: the next row must not see what was made of this one
        shared: dict[Shared, object] = {}
        for function in functions:
            value: object = row if takes_row[function.name] else text
            try:
                if (preprocess := function.preprocess) is not None:
                    # parsing a text may take longer than all functions on it
                    if preprocess not in shared:
                        shared[preprocess] = preprocess(value)
                    value = shared[preprocess]
                answer = function.function(value)
            # one odd row must not end a labelling of hours: it abstains, is counted and is shown
            except Exception as error:
                result.failures[function.name] = result.failures.get(function.name, 0) + 1
                result.first_errors.setdefault(function.name, f"row {number}: {describe_error(error)}")
                answer = None
            result.votes[function.name].append(_vote(answer, function.name, number))
    return result


def _takes_row(function: Callable[..., object]) -> bool:
    """Return whether a function's first parameter is called `row`."""
    try:
        return next(iter(inspect.signature(function).parameters), "") == "row"
    except (TypeError, ValueError):  # code in C says nothing of its parameters
        return False


def _vote(answer: object, name: str, row: int) -> Vote:
    """Return an answer as a vote; refuse what is none: a slip in a function must not count as an abstention."""
    if answer is None or (isinstance(answer, str) and answer):
        return answer
    # True is a whole number to Python, and no class
    if isinstance(answer, Integral) and not isinstance(answer, bool):
        return None if int(answer) == ABSTENTION else str(int(answer))
    raise InputError(
        f"the labelling function `{name}` returned {answer!r} for row {row}: expected a class, or None to abstain"
    )


def _joined(functions: Sequence[LabellingFunction], parts: Sequence[FunctionVotes]) -> FunctionVotes:
    joined = FunctionVotes({function.name: [] for function in functions})
    for part in parts:
        for name, votes in part.votes.items():
            joined.votes[name] += votes
        for name, failures in part.failures.items():
            joined.failures[name] = joined.failures.get(name, 0) + failures
        # parts come in the order of rows: the earliest error stays
        joined.first_errors = part.first_errors | joined.first_errors
    return joined
