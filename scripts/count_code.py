"""Count what decides how easily the code is read: sizes, comments, docstrings, `Any` and vague names.

    python scripts/count_code.py            # prints the numbers of src/penchant
    python scripts/count_code.py FOLDER     # of any other folder of Python files
    python scripts/count_code.py --check    # prints only what breaks a limit, and then exits with 1

It needs nothing but Python. `make check` runs it with `--check`. The list of vague names is `VAGUE_NAMES` in
`counting/words.py`.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from counting.counts import Counts, count_folder

ROOT = Path(__file__).resolve().parents[1] / "src" / "penchant"
LONG_MODULE, LONGER_MODULE, LONGEST_FUNCTIONS = 300, 400, 10


def percentile_90(numbers: Sequence[int]) -> int:
    """Return the smallest of the numbers that at least 90% of them do not exceed."""
    return sorted(numbers)[math.ceil(0.9 * len(numbers)) - 1]


def format_folders(counts: Counts) -> Iterator[str]:
    """Yield a line per folder: its modules (not those of folders within it), their median and 90th percentile."""
    folders: dict[str, list[int]] = defaultdict(list)
    for path, lines in counts.lines.items():
        folders[str(Path(path).parent)].append(lines)
    rows = [*sorted(folders.items()), ("all", list(counts.lines.values()))]
    width = max(len(name) for name, _ in rows)
    yield f"{'folder':{width}}  modules  median lines  p90 lines"
    for name, sizes in rows:
        yield f"{name:{width}}  {len(sizes):7}  {statistics.median(sizes):12g}  {percentile_90(sizes):9}"


def format_sizes(counts: Counts) -> Iterator[str]:
    """Yield the lines of code, the longest functions and the long modules."""
    yield f"lines: {counts.total_lines:,}, code lines: {counts.code_lines:,} (no docstrings, comments and blanks)"
    yield f"comments: {counts.comments:,}, {counts.comments_per_100:.1f} per 100 code lines"
    yield ""
    yield f"the {LONGEST_FUNCTIONS} longest functions:"
    for size in sorted(counts.functions, key=lambda size: -size.lines)[:LONGEST_FUNCTIONS]:
        yield f"  {size.lines:4} lines  {size.location}"
    long = {path: lines for path, lines in counts.lines.items() if lines > LONG_MODULE}
    yield (
        f"modules longer than {LONG_MODULE} lines: {len(long)}, "
        f"longer than {LONGER_MODULE}: {sum(lines > LONGER_MODULE for lines in long.values())}"
    )
    for path, lines in sorted(long.items(), key=lambda item: -item[1]):
        yield f"  {lines:4} lines  {path}"


def format_words(counts: Counts) -> Iterator[str]:
    """Yield the numbers of `Any`, of docstrings and of vague names."""
    yield (
        f"Any: {counts.any_in_annotations} in annotations and {counts.any_elsewhere} elsewhere, "
        f"{counts.any_per_1000:.1f} per 1,000 code lines"
    )
    yield "".join(f"{container}[str, Any]: {number}  " for container, number in counts.dict_any.items()).rstrip()
    yield ""
    openings = {"functions": "verb", "properties": "noun or verb", "classes": "noun"}
    for kind, docstrings in counts.docstrings.items():
        yield (
            f"public {kind}: {docstrings.defined}, with a docstring {docstrings.documented}, "
            f"of which open with a {openings[kind]} {docstrings.percent:.1f}%"
        )
    yield ""
    yield f"vague names: {len(counts.vague)} of {counts.bindings} bindings, {counts.vague_percent:.2f}%"
    frequencies = Counter(location.name.strip("_").lower() for location in counts.vague)
    yield from textwrap.wrap(", ".join(f"{name} {number}" for name, number in frequencies.most_common()), 110)
    yield from (f"  {location}" for location in counts.vague)


def find_failures(counts: Counts, limits: argparse.Namespace) -> list[str]:
    """Return a line for each vague name and for each limit that the counts break."""
    # relative to where the program was started, so that an editor finds the line
    prefix = f"{os.path.relpath(limits.root)}/".removeprefix("./")
    failures = []
    if counts.vague_percent > limits.max_vague:
        failures += [f"{prefix}{location} is a vague name" for location in counts.vague]
    for size in counts.functions:
        if limits.max_function is not None and size.lines > limits.max_function:
            failures.append(
                f"{prefix}{size.location} has {size.lines} lines, at most {limits.max_function} are allowed"
            )
    for path, lines in counts.lines.items():
        if limits.max_module is not None and lines > limits.max_module:
            failures.append(f"{prefix}{path}:1: {lines} lines, at most {limits.max_module} are allowed")
    if limits.max_any is not None and counts.any_per_1000 > limits.max_any:
        failures.append(f"Any: {counts.any_per_1000:.1f} per 1,000 code lines, at most {limits.max_any:g} are allowed")
    verbs = counts.docstrings["functions"].percent
    if limits.min_verbs is not None and verbs < limits.min_verbs:
        failures.append(f"docstrings that open with a verb: {verbs:.1f}%, at least {limits.min_verbs:g}% are needed")
    if limits.min_comments is not None and counts.comments_per_100 < limits.min_comments:
        failures.append(
            f"comments: {counts.comments_per_100:.1f} per 100 code lines, at least {limits.min_comments:g} are needed"
        )
    return failures


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Count sizes, comments, docstrings, Any and vague names of the Python files below a folder."
    )
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="the folder (default: src/penchant)")
    parser.add_argument(
        "--docstrings", action="store_true", help="list the docstrings that open without a verb or noun"
    )
    check = parser.add_argument_group("check")
    check.add_argument("--check", action="store_true", help="print only what breaks a limit, and then exit with 1")
    check.add_argument(
        "--allow", metavar="FILE:NAME", action="append", default=[],
        help="a vague name that may stay in a file, such as a setting that users write; may be given again",
    )  # fmt: skip
    check.add_argument(
        "--max-vague", type=float, default=0.0, metavar="PERCENT", help="vague names among all names (default: none)"
    )
    check.add_argument("--max-any", type=float, metavar="N", help="uses of Any per 1,000 code lines")
    check.add_argument("--max-function", type=int, metavar="LINES", help="lines of a function")
    check.add_argument("--max-module", type=int, metavar="LINES", help="lines of a module")
    check.add_argument(
        "--min-verbs", type=float, metavar="PERCENT", help="docstrings of functions that open with a verb"
    )
    check.add_argument("--min-comments", type=float, metavar="N", help="comments per 100 code lines")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts, or what breaks a limit; return the exit status."""
    options = parse_arguments(arguments)
    if not options.root.is_dir():
        print(f"{options.root}: no such folder", file=sys.stderr)
        return 2
    try:
        counts = count_folder(options.root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not counts.lines:
        print(f"{options.root}: no Python file in it", file=sys.stderr)
        return 2
    # before the limits: what is allowed counts as a good name
    counts.vague = [location for location in counts.vague if f"{location.path}:{location.name}" not in options.allow]
    if options.check:
        failures = find_failures(counts, options)
        print("\n".join(failures) or f"{counts.bindings:,} names, {len(counts.vague) or 'none'} of them vague")
        if any(failure.endswith(" is a vague name") for failure in failures):
            print("A name should say what it holds or does. The list of vague names is in scripts/counting/words.py.")
        return 1 if failures else 0
    for section in (format_folders, format_sizes, format_words):
        print("\n".join(section(counts)), end="\n\n")
    if options.docstrings:
        for docstrings in counts.docstrings.values():
            print("\n".join(map(str, docstrings.misfits)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
