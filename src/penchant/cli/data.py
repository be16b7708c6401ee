"""The command line's `data`: look at a file before training, or convert it to our own JSON Lines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penchant.errors import InputError, RunError
from penchant.files import atomic_write

FOUND, BAD = 1, 2
"""Exit codes: a check found something, and training would refuse the file."""


def add_data(commands: Any) -> None:
    """Add `data check` and `data convert` to the commands."""
    actions = commands.add_parser("data", help="look at data, or convert it").add_subparsers(
        required=True, metavar="ACTION"
    )
    check = actions.add_parser("check", help="say what a preference file holds and what is wrong with it")
    convert = actions.add_parser("convert", help="write any known layout as our JSONL")
    for parser in (check, convert):
        parser.add_argument("file", help="a file, or a hub id")
        parser.add_argument("--layout", help="the layout's name, if it is not to be found out")
        parser.add_argument("--split", default="train", help="of a hub data set (default: train)")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="the column that holds a field (prompt=problem), or FIELD=null to leave a column out; as data.columns",
        )
    check.add_argument("--model", help="a model whose tokenizer counts tokens and looks at the boundary")
    check.add_argument("--template", choices=("auto", "chat", "plain"), default="auto")
    check.add_argument("--trust-remote-code", action="store_true", help="run Python code that comes with the model")
    check.add_argument("--max-length", type=int, help="count rows that are longer, in tokens (needs --model)")
    check.add_argument("-o", "--out", help="write the report here too (.json for JSON, else text)")
    check.add_argument("--strict", action="store_true", help="exit with 1 if anything is worth a look")
    check.add_argument("--ties", choices=("error", "drop", "half"), default="error", help="as training would be told")
    check.add_argument("--bad-rows", choices=("error", "skip"), default="error", help="as training would be told")
    check.add_argument(
        "--overflow", choices=("error", "drop", "truncate_prompt"), default="error", help="as training would be told"
    )
    check.set_defaults(run=_check)
    convert.add_argument("-o", "--out", required=True, help="the file to write: .jsonl or .jsonl.gz")
    convert.add_argument("--ties", choices=("drop", "half"), default="half", help="half keeps ties (default)")
    convert.add_argument("--bad-rows", choices=("error", "skip"), default="error")
    convert.add_argument("--no-merge", action="store_true", help="keep rows with one prompt apart")
    convert.set_defaults(run=_convert)


def _check(options: argparse.Namespace) -> int:
    from penchant.data import check_preferences

    renderer = None
    if options.model:
        from penchant.models.load import load_renderer

        renderer = load_renderer(options.model, template=options.template, trust_remote_code=options.trust_remote_code)
    elif options.max_length:
        raise InputError("--max-length counts tokens: name a model whose tokenizer counts them, with --model")
    report = check_preferences(
        options.file,
        renderer=renderer,
        max_length=options.max_length,
        layout=options.layout,
        split=options.split,
        columns=_columns(options.column),
        ties=options.ties,
        bad_rows=options.bad_rows,
        overflow=options.overflow,
    )
    print(report.as_text())
    if options.out:
        out = Path(options.out)
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if out.suffix == ".json" else report.as_text()
        write_text(out, text + "\n")
    if report.refusals:
        return BAD
    return FOUND if options.strict and report.problems else 0


def _columns(pairs: Sequence[str]) -> dict[str, str | None]:
    """`FIELD=COLUMN` texts as the setting `data.columns`."""
    columns: dict[str, str | None] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not (field and equals and column):
            raise InputError(f"--column {pair}: expected FIELD=COLUMN, such as prompt=problem")
        columns[field] = None if column == "null" else column
    return columns


def _convert(options: argparse.Namespace) -> int:
    from penchant.data import read_preferences, write_groups

    if Path(options.out).exists() and Path(options.file).exists() and Path(options.out).samefile(options.file):
        raise InputError(f"{options.out} is the file to convert, which would be lost; write to another name")
    loaded = read_preferences(
        options.file,
        ties=options.ties,
        merge=not options.no_merge,
        bad_rows=options.bad_rows,
        layout=options.layout,
        split=options.split,
        columns=_columns(options.column),
    )
    write_groups(loaded.groups, options.out)
    print(f"{options.file} ({loaded.layout}): {len(loaded.groups)} prompts written to {options.out}")
    return 0


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none.

    Raises:
        RunError: it cannot be written.
    """
    try:
        atomic_write(path, text)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
