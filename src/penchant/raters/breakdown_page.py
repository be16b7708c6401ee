"""Say where raters disagree, in tables and sentences: by length, by the order shown, by topic."""

from __future__ import annotations

from penchant.metrics.catalogue import metric
from penchant.raters.results import Agreement, GroupAgreement, LengthGroup, TopicGroup, Topics
from penchant.reports.kit.page import format_measure
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import count, number, short

NAME = 60  # characters of a topic
AGREEMENT = ("comparisons", "prompts", "two raters say the same", metric("alpha").column)


def where_tables(results: Agreement) -> list[Table | None]:
    """Return tables by length, by order and by topic; None for what is not known."""
    return [_lengths(results), _orders(results), _topics(results)]


def where_findings(results: Agreement) -> list[str]:
    """Return sentences on what the order shown may do, and on what the topics are."""
    sentences = []
    if results.orders:
        sentences.append(
            "Two who see a comparison in opposite orders and both lean to the response on one side of the page "
            "disagree: if that is the trouble, agreement is higher among those who saw it in the same order."
        )
    if results.topics:
        rows = results.topics.rows
        sentences.append(f"Of {count(len(rows), 'topic')} some lie apart by chance alone: their intervals say how far.")
        if results.topics.field is None:
            sentences.append(
                "No field says what the prompts are about: the topics are clusters of their words (k-means on TF-IDF), "
                "named after the heaviest words; another seed may give others."
            )
    return sentences


def length_range(row: LengthGroup, *, to: str = " to ") -> str:
    """Return a range of length differences, with `to` between its ends."""
    shortest, longest = number(row.least, 0), number(row.most, 0)
    return shortest if shortest == longest else f"{shortest}{to}{longest}"


def topic_name(row: TopicGroup, topics: Topics, limit: int = NAME) -> str:
    """Return the name of a topic, or of the rows that are left over."""
    if row.topic is not None:
        return short(row.topic, limit)
    # The last row holds rare topics, or pairs whose rows name none.
    return f"{count(topics.left_out, 'other')}" if topics.left_out else "not said"


def _lengths(results: Agreement) -> Table:
    return Table(
        "By the difference in length of the two responses, in characters.",
        ("difference", *AGREEMENT),
        tuple((length_range(row), *_agreement(row.group)) for row in results.lengths),
    )


def _orders(results: Agreement) -> Table | None:
    orders = results.orders
    if orders is None:
        return None
    agreements = (("in the same order", orders.same), ("in opposite orders", orders.opposite))
    # all may have seen the same order, or no two of them
    rows = [(name, agreement) for name, agreement in agreements if agreement is not None]
    return Table(
        "By the order in which two raters saw the responses, as penchant collect records it.",
        ("both saw them", "pairs of verdicts", "prompts", "the same verdict"),
        tuple((name, number(e.n, 0), number(e.clusters, 0), format_measure(e, percent=True)) for name, e in rows),
    )


def _topics(results: Agreement) -> Table | None:
    topics = results.topics
    if topics is None:
        return None
    by = "clusters of the prompts' words" if topics.field is None else f"the rows' field {short(topics.field, NAME)}"
    return Table(
        f"By topic: {by}.",
        ("topic", *AGREEMENT),
        tuple((topic_name(row, topics), *_agreement(row.group)) for row in topics.rows),
    )


def _agreement(group: GroupAgreement) -> tuple[str, ...]:
    return (
        number(group.comparisons, 0),
        number(group.prompts, 0),
        format_measure(group.agreement, percent=True),
        format_measure(group.alpha),
    )
