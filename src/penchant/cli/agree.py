"""The command line's `agree` and `rank`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from penchant.config import Config, load_config
from penchant.raters.settings import Agree, Rank
from penchant.types import RunResult

MOST_LINES = 15
NAME = 60  # characters of a name on a line; no control character reaches the terminal


def add_agree(commands: Any) -> None:
    """Add `agree` and `rank` to the commands."""
    for config, run, metavar, example in (
        (Agree, _agree, "FILE", "preference files; key=value changes a setting, such as out=runs/agree bad_rows=skip"),
        (Rank, _rank, "FILE", "a preference file; key=value changes a setting, such as prior=0.1"),
    ):
        summary = (config.__doc__ or "").strip()
        short = (summary[:1].lower() + summary[1:]).rstrip(".")
        parser = commands.add_parser(config.method, help=short, description=summary)
        parser.settings = config
        parser.add_argument("overrides", nargs="+", metavar=metavar, help=example)
        parser.set_defaults(run=run)
        if config is Agree:
            parser.add_argument("--people", action="append", default=[], metavar="FILE", help="a file of people")


def _agree(options: argparse.Namespace) -> int:
    files, overrides = _split(options.overrides, Agree)
    overrides += [
        f"{key}={json.dumps(given)}" for key, given in (("files", files), ("people", options.people)) if given
    ]
    config = load_config(Agree, None, overrides)
    from penchant.raters.agreement import agree

    return _tell(agree(config), agreement_lines)


def _rank(options: argparse.Namespace) -> int:
    files, overrides = _split(options.overrides, Rank)
    overrides += [f"file={json.dumps(file)}" for file in files[-1:]]
    if len(files) > 1:
        from penchant.errors import InputError

        raise InputError(f"rank reads one file, got {len(files)}: {', '.join(files)}. Put their rows into one")
    config = load_config(Rank, None, overrides)
    from penchant.raters.ranking.rank import rank

    return _tell(rank(config), rank_lines)


def _tell(result: RunResult, lines: Callable[[dict[str, Any]], list[str]]) -> int:
    print("\n".join(lines(result.metrics)))
    print(f"report: {result.path / 'report.html'}")
    return 0


def _split(arguments: list[str], config: type[Config]) -> tuple[list[str], list[str]]:
    """Files, and settings: what starts with a setting's name and `=`. A file may have `=` in its name."""
    overrides = [text for text in arguments if text.partition("=")[1] and text.partition("=")[0] in config.model_fields]
    return [text for text in arguments if text not in overrides], overrides


def agreement_lines(numbers: dict[str, Any]) -> list[str]:
    """What `agree` prints."""
    from penchant.reports.kit.text import short

    lines = [
        f"agree: {len(numbers['raters'])} raters, {numbers['comparisons']} comparisons of {numbers['prompts']} "
        f"prompts, {numbers['shared']} judged by two or more",
        *_left_out(numbers),
        f"  Krippendorff's alpha: {_shown(numbers['alpha'])}",
    ]
    if numbers["alpha_people"]:
        lines.append(f"  of people alone: {_shown(numbers['alpha_people'])}")
    pairs = [pair for pair in numbers["pairs"] if pair["raw"]["n"]]
    for pair in pairs[:MOST_LINES]:
        lines.append(
            f"  {short(pair['one'], NAME)} and {short(pair['other'], NAME)}: kappa {_shown(pair['kappa'])}, "
            f"the same in {_shown(pair['raw'], percent=True)} of {pair['raw']['n']}"
        )
    if (more := len(pairs) - MOST_LINES) > 0:
        lines.append(f"  (+{more} pairs of raters more in the report)")
    if (orders := numbers["orders"]) and orders["same"] and orders["opposite"]:
        lines.append(
            f"  two who saw a comparison in the same order say the same in {_shown(orders['same'], percent=True)}, in "
            f"opposite orders in {_shown(orders['opposite'], percent=True)}"
        )
    whose = "the majority of people" if numbers["people_files"] else "the majority of the others"
    for rater in numbers["raters"][:MOST_LINES]:
        held = whose if rater["kind"] != "person" else "the majority of the other people"
        left_out = rater["left_out"]
        if not left_out["raw"]["n"]:
            lines.append(f"  {short(rater['name'], NAME)} has no comparison in common with {held}")
            continue
        lines.append(
            f"  {short(rater['name'], NAME)} against {held}: kappa {_shown(left_out['kappa'])}, the same in "
            f"{_shown(left_out['raw'], percent=True)} of {left_out['raw']['n']}"
        )
    return lines


def rank_lines(numbers: dict[str, Any]) -> list[str]:
    """What `rank` prints."""
    from penchant.reports.kit.text import count, short

    counted = f"{numbers['comparisons']} comparisons ({numbers['ties']} ties)"
    if numbers["rankings"] is not None:
        counted = f"{numbers['rankings']} rankings"
    elif numbers["by"] == "annotators":
        counted = f"{numbers['comparisons']} times that of two one was with the majority of the others"
    lines = [f"rank: {len(numbers['items'])} {numbers['by']}, {counted}", *_left_out(numbers)]
    if numbers["unmet"]:
        names = ", ".join(short(name, NAME) for name in numbers["unmet"][:MOST_LINES])
        verb = "is" if len(numbers["unmet"]) == 1 else "are"
        lines.append(f"  {count(len(numbers['unmet']), 'annotator')} met nobody and {verb} left out: {names}")
    if numbers["reason"]:
        lines.append(f"  no intervals: {numbers['reason']}")
    for place, item in enumerate(numbers["items"], 1):
        between = f", place {_range(*item['places'])}" if item["places"] else ""
        lines.append(
            f"  {place}. {short(item['name'], NAME)}: {_shown(item['strength'])} (Elo "
            f"{item['elo']['value']:.0f}){between}; {item['wins']:g} wins, {item['losses']:g} losses"
        )
    if numbers["prior"]:
        lines.append(f"  with a prior of {numbers['prior']:g} virtual ties between every two")
    return lines


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def _left_out(numbers: dict[str, Any]) -> list[str]:
    told = (
        ("skipped_rows", "rows cannot be used and are left out"),
        ("alike", "comparisons are of responses that differ in white space only, left out"),
        ("contradicted", "times somebody judged one comparison twice and differently: counted as ties"),
        ("against_itself", "comparisons are of something with itself, left out"),
        ("unranked", "rows are no rankings, left out"),
    )
    return [f"  {numbers[key]} {words}" for key, words in told if numbers.get(key)]


def _shown(estimate: dict[str, Any], *, percent: bool = False) -> str:
    from penchant.reports.kit.text import recorded

    return recorded(estimate, percent=percent, decimals=0 if percent else 2)
