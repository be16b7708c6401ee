"""`penchant agree`: how far judges and people agree. Imports no torch, so that help is instant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from penchant.cli.arguments import Arguments, Command
from penchant.cli.summary_lines import MOST_LINES, NAME_LENGTH, left_out_lines, print_result
from penchant.raters.settings import Agree
from penchant.typed_json import from_json

if TYPE_CHECKING:
    from penchant.raters.results import Agreement


def _agree(arguments: Arguments) -> int:
    config = arguments.load(Agree)
    # after the settings, so that a slip in them is answered before a second of imports
    from penchant.raters.agreement import agree
    from penchant.raters.results import Agreement

    result = agree(config)
    return print_result(result, agreement_lines(from_json(Agreement, result.metrics)))


def agreement_lines(agreement: Agreement) -> list[str]:
    """Return what `agree` prints: all raters together, pairs of them, and each against the majority."""
    from penchant.reports.kit.text import format_estimate, short

    lines = [
        f"agree: {len(agreement.raters)} raters, {agreement.comparisons} comparisons of {agreement.prompts} "
        f"prompts, {agreement.shared} judged by two or more",
        *left_out_lines(
            skipped_rows=agreement.skipped_rows, alike=agreement.alike, contradicted=agreement.contradicted
        ),
        f"  Krippendorff's alpha: {format_estimate(agreement.alpha)}",
    ]
    if agreement.alpha_people:
        lines.append(f"  of people alone: {format_estimate(agreement.alpha_people)}")
    # two raters may share no comparison; a line about them would say nothing
    pairs = [pair for pair in agreement.pairs if pair.agreement.raw.n]
    for pair in pairs[:MOST_LINES]:
        names = f"{short(pair.one, NAME_LENGTH)} and {short(pair.other, NAME_LENGTH)}"
        raw, kappa = pair.agreement.raw, format_estimate(pair.agreement.kappa)
        lines.append(f"  {names}: kappa {kappa}, the same in {format_estimate(raw, percent=True)} of {raw.n}")
    if (hidden_pairs := len(pairs) - MOST_LINES) > 0:
        lines.append(f"  (+{hidden_pairs} pairs of raters more in the report)")
    # both or neither: the difference between the two is what the order of responses does
    if (orders := agreement.orders) and orders.same and orders.opposite:
        lines.append(
            f"  two who saw a comparison in the same order say the same in "
            f"{format_estimate(orders.same, percent=True)}, in opposite orders in "
            f"{format_estimate(orders.opposite, percent=True)}"
        )
    consensus = "the majority of people" if agreement.people_files else "the majority of the others"
    for rater in agreement.raters[:MOST_LINES]:
        name = short(rater.name, NAME_LENGTH)
        # a person's own verdict must not be part of what it is compared with
        majority = consensus if rater.kind != "person" else "the majority of the other people"
        raw, kappa = rater.left_out.raw, format_estimate(rater.left_out.kappa)
        if not raw.n:
            lines.append(f"  {name} has no comparison in common with {majority}")
            continue
        lines.append(
            f"  {name} against {majority}: kappa {kappa}, the same in {format_estimate(raw, percent=True)} of {raw.n}"
        )
    return lines + _leaning_lines(agreement)


def _leaning_lines(agreement: Agreement) -> list[str]:
    """Return a line per rater that says how often it prefers the response shown first, and the longer one."""
    from penchant.reports.kit.text import format_estimate, short

    lines = []
    for rater in agreement.raters[:MOST_LINES]:
        leanings = [
            f"{words} in {format_estimate(leaning, percent=True)} of {leaning.n}"
            for words, leaning in (("the one shown first", rater.first_shown), ("the longer one", rater.longer))
            if leaning
        ]
        if leanings:
            lines.append(f"  {short(rater.name, NAME_LENGTH)} took {', '.join(leanings)}")
    if not any(rater.first_shown for rater in agreement.raters):
        lines.append(
            "  position: not measured, for nobody judged a pair in both orders (order=row says that response_a and "
            "response_b stand in the order shown)"
        )
    return lines


AGREE = Command(
    "agree",
    Agree,
    _agree,
    positionals={"files": "FILE"},
    example="judge.jsonl 'people=[people.jsonl]' out=agreement",
    retired={"--people": lambda files: f"people={json.dumps(files, ensure_ascii=False)}"},
)
