"""Lines that `agree` and `rank` print of their results."""

from __future__ import annotations

from penchant.types import RunResult

MOST_LINES = 15
"""Raters, pairs or ranks that a command prints, at most; the report has all."""
NAME_LENGTH = 60
"""Characters of a name on a line. Names come from files: what prints them removes control characters, too."""


def print_result(result: RunResult, lines: list[str]) -> int:
    """Print a result's lines and where its report lies; return the exit code."""
    print("\n".join(lines))
    print(f"report: {result.path / 'report.html'}")
    return 0


def left_out_lines(**counts: int) -> list[str]:
    """Return a line for each reason why rows or comparisons are left out.

    Args:
        counts: how many are left out, by reason.
    """
    # `contradicted` alone leaves nothing out, so that its words say what is done instead
    words = {
        "skipped_rows": "rows cannot be used and are left out",
        "alike": "comparisons are of responses that differ in white space only, left out",
        "contradicted": "times somebody judged one comparison twice and differently: counted as ties",
        "against_itself": "comparisons are of something with itself, left out",
        "unranked": "rows are no rankings, left out",
    }
    return [f"  {count} {words[reason]}" for reason, count in counts.items() if count]
