"""Supervisors and students as stages and their files know them. Imports nothing."""

from __future__ import annotations

CEILING, RANDOM = "ceiling|0", "random|0"
"""The student that learned the truth, and the one of labels that know nothing, as files name them."""

FEW_LABELS = "few|0"
"""The student of a few true labels: what its model knows of the task before it learns from a supervisor."""


PROMPTED = "prompted"
"""The student's model as it is, asked in words."""
EASY_TO_HARD, ANY_TO_HARD = "easy to hard", "any rows to hard"
"""What stands behind a task's name where easy rows are trained and hard ones tested on, and of its control."""

# Not the supervisor's number: a stage stays valid when another supervisor is put before its own.
WEAK = "weak"
"""The supervisor of a stage that knows of one only."""


def weak_name(number: int) -> str:
    """Return the name of a supervisor, as stages and files know it."""
    return f"weak-{number}"


def chain_name(weak: str, link: int) -> str:
    """Return the name of a supervisor's labels after the student of this number, from 0, of the chain."""
    return f"{weak}-chain-{link}"


def student_name(weak: str, loss: int) -> str:
    """Return the name of the student of a supervisor with a loss, by its number."""
    # `|` ends the supervisor's name: a stage of probes writes `weak|`, and its readers put the number in
    return f"{weak}|{loss}"


def chained_name(weak: str) -> str:
    """Return the name of the student at the end of a supervisor's chain."""
    return f"{weak}|bootstrapped"


def longer_name(weak: str) -> str:
    """Return the name of the chain's control: a student without a chain, trained as long as all of it."""
    return f"{weak}|longer"


def algorithm_name(weak: str, number: int) -> str:
    """Return the name of the student with an algorithm for rows without labels, by its number."""
    return f"{weak}|algorithm-{number}"


def noise_name(weak: str) -> str:
    """Return the name of the student that learned a supervisor's labels dealt out at random."""
    return f"noise {weak}|0"


def errors_name(weak: str, where: str) -> str:
    """Return the name of the student of a supervisor's labels dealt out so that their errors lie in certain rows."""
    return f"{weak}|errors-{where}"


def confidence_name(weak: str) -> str:
    """Return the name of the naive student that also sees the supervisor's probabilities."""
    return f"{weak}|confidence"


def shown_name(weak: str, number: int) -> str:
    """Return the name of the naive student that is also shown the supervisor's label, by the number of the share."""
    return f"{weak}|shown-{number}"


def drift_name(weak: str, number: int, *, drifts: bool = True) -> str:
    """Return the name of a supervisor whose classes drift, by the number of the drift, or of its control."""
    return f"{weak}-{'drift' if drifts else 'as-many'}-{number}"
