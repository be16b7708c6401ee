"""Tables and sentences about where raters disagree: by length, by the order shown, by topic."""

from __future__ import annotations

from penchant.reports.kit.page import Numbers, told
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import count, number, short

NAME = 60  # characters of a topic
AGREED = ("comparisons", "prompts", "two raters say the same", "Krippendorff's alpha")


def where_tables(numbers: Numbers) -> list[Table | None]:
    """By length, by order, by topic; None for what is not known."""
    return [_lengths(numbers), _orders(numbers), _topics(numbers)]


def where_findings(numbers: Numbers) -> list[str]:
    """What the order shown may do, and what the topics are."""
    said = []
    if numbers["orders"]:
        said.append(
            "Two who see a comparison in opposite orders and both lean to the response on one side of the page "
            "disagree: if that is the trouble, agreement is higher among those who saw it in the same order."
        )
    if numbers["topics"]:
        rows = numbers["topics"]["rows"]
        said.append(f"Of {count(len(rows), 'topic')} some lie apart by chance alone: their intervals say how far.")
        if numbers["topics"]["field"] is None:
            said.append(
                "No field says what the prompts are about: the topics are clusters of their words (k-means on TF-IDF), "
                "named after the heaviest words; another seed may give others."
            )
    return said


def span(row: Numbers) -> str:
    """A range of length differences."""
    least, most = number(row["least"], 0), number(row["most"], 0)
    return least if least == most else f"{least} to {most}"


def topic_name(row: Numbers, topics: Numbers, limit: int = NAME) -> str:
    """A topic, or what is left over."""
    if row["topic"] is not None:
        return short(row["topic"], limit)
    return f"{count(topics['left_out'], 'other')}" if topics["left_out"] else "not said"


def _lengths(numbers: Numbers) -> Table:
    return Table(
        "By the difference in length of the two responses, in characters.",
        ("difference", *AGREED),
        tuple((span(row), *_agreed(row)) for row in numbers["lengths"]),
    )


def _orders(numbers: Numbers) -> Table | None:
    orders = numbers["orders"]
    if orders is None:
        return None
    names = (("same", "in the same order"), ("opposite", "in opposite orders"))
    rows = [(words, orders[key]) for key, words in names if orders[key] is not None]
    return Table(
        "By the order in which two raters saw the responses, as penchant collect records it.",
        ("both saw them", "pairs of verdicts", "prompts", "the same verdict"),
        tuple((words, number(e["n"], 0), number(e["clusters"], 0), told(e, percent=True)) for words, e in rows),
    )


def _topics(numbers: Numbers) -> Table | None:
    topics = numbers["topics"]
    if topics is None:
        return None
    by = (
        "clusters of the prompts' words"
        if topics["field"] is None
        else f"the rows' field {short(topics['field'], NAME)}"
    )
    return Table(
        f"By topic: {by}.",
        ("topic", *AGREED),
        tuple((topic_name(row, topics), *_agreed(row)) for row in topics["rows"]),
    )


def _agreed(row: Numbers) -> tuple[str, ...]:
    return (
        number(row["comparisons"], 0),
        number(row["prompts"], 0),
        told(row["agreement"], percent=True),
        told(row["alpha"]),
    )
