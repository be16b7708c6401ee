"""`penchant agree`: how far judges and people agree. Imports no torch, so that help is instant."""

from __future__ import annotations

import json
from typing import Any

from penchant.cli.arguments import Arguments, Command
from penchant.cli.summary_lines import MOST_LINES, NAME_LENGTH, left_out_lines, print_result
from penchant.raters.settings import Agree


def _agree(arguments: Arguments) -> int:
    config = arguments.load(Agree)
    from penchant.raters.agreement import agree

    result = agree(config)
    return print_result(result, agreement_lines(result.metrics))


def agreement_lines(numbers: dict[str, Any]) -> list[str]:
    """Return what `agree` prints."""
    from penchant.reports.kit.text import format_estimate, short

    lines = [
        f"agree: {len(numbers['raters'])} raters, {numbers['comparisons']} comparisons of {numbers['prompts']} "
        f"prompts, {numbers['shared']} judged by two or more",
        *left_out_lines(numbers),
        f"  Krippendorff's alpha: {format_estimate(numbers['alpha'])}",
    ]
    if numbers["alpha_people"]:
        lines.append(f"  of people alone: {format_estimate(numbers['alpha_people'])}")
    pairs = [pair for pair in numbers["pairs"] if pair["raw"]["n"]]
    for pair in pairs[:MOST_LINES]:
        names = f"{short(pair['one'], NAME_LENGTH)} and {short(pair['other'], NAME_LENGTH)}"
        lines.append(
            f"  {names}: kappa {format_estimate(pair['kappa'])}, "
            f"the same in {format_estimate(pair['raw'], percent=True)} of {pair['raw']['n']}"
        )
    if (hidden_pairs := len(pairs) - MOST_LINES) > 0:
        lines.append(f"  (+{hidden_pairs} pairs of raters more in the report)")
    if (orders := numbers["orders"]) and orders["same"] and orders["opposite"]:
        same_order, opposite = (format_estimate(orders[name], percent=True) for name in ("same", "opposite"))
        lines.append(
            f"  two who saw a comparison in the same order say the same in {same_order}, in opposite orders "
            f"in {opposite}"
        )
    consensus = "the majority of people" if numbers["people_files"] else "the majority of the others"
    for rater in numbers["raters"][:MOST_LINES]:
        majority = consensus if rater["kind"] != "person" else "the majority of the other people"
        left_out = rater["left_out"]
        if not left_out["raw"]["n"]:
            lines.append(f"  {short(rater['name'], NAME_LENGTH)} has no comparison in common with {majority}")
            continue
        lines.append(
            f"  {short(rater['name'], NAME_LENGTH)} against {majority}: kappa {format_estimate(left_out['kappa'])}, "
            f"the same in {format_estimate(left_out['raw'], percent=True)} of {left_out['raw']['n']}"
        )
    return lines


AGREE = Command(
    "agree",
    Agree,
    _agree,
    help="how far judges and people agree: raw, Cohen's kappa, Krippendorff's alpha, with intervals",
    positionals={"files": "FILE"},
    example="people=[people.jsonl] bad_rows=skip",
    retired={"--people": lambda files: f"people={json.dumps(files, ensure_ascii=False)}"},
)
