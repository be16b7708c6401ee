"""What is answered before any command is imported: the version, the overview, what to do next, and a mistyped command.

Imports no settings and no argparse: these answers come at once.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import NoReturn

from penchant.clean_text import clean
from penchant.cli.commands import ENTRIES, GROUPS, Entry
from penchant.cli.other_words import COMMAND_FORMS, METHOD_FORMS
from penchant.errors import did_you_mean, near_names

DESCRIPTION = "Align language models from preferences, and train models on weak labels."
FIRST_STEPS = (
    ("look at your file", "penchant data check prefs.jsonl"),
    ("train on it", "penchant train dpo model=penchant-0.5m data=prefs.jsonl out=runs/first"),
    ("read the report", "penchant report runs/first -o report.html"),
)
HELP_FLAGS = ("-h", "--help", "--help-all")
RESUME = "--resume"
LOUDNESS_FLAGS = ("-q", "--quiet", "-v", "--verbose")


def chosen_entry(typed: Sequence[str]) -> tuple[Entry, list[str]]:
    """Return the command that was typed, with all words in the order that its parser reads.

    Raises:
        SystemExit: the words are answered here, or are no command; with the exit code.
    """
    words, loudness = _split_loudness(typed)
    if words and words[0] == "help":  # as git and others have it
        words = [*words[1:], "--help"]
    if not words:
        _end("\n".join(_next_steps()))
    if words[0] == "--version":
        _end(f"penchant {_version()}")
    if words[0] in HELP_FLAGS:
        _end("\n".join(_every_command() if words[0] == "--help-all" else _overview()))
    entry = next((entry for entry in ENTRIES if entry.name == words[0]), None)
    if entry is None:
        _refuse(words)
    if entry.inner:
        rest, inner_loudness = _split_loudness(words[1:])
        if entry.name == "train" and any(word.partition("=")[0] == RESUME for word in rest):
            from penchant.cli.resumed_run import with_run_and_method  # it looks into the run

            rest = with_run_and_method(rest, entry.inner[1])
            _check_method_is_known(rest, entry.inner[1])
        words, loudness = [entry.name, *rest], [*loudness, *inner_loudness]
        if rest and not rest[0].startswith("-") and rest[0] not in entry.inner[1]:
            _refuse_inner(entry.name, *entry.inner, words)
    return entry, [*words, *loudness]


def _split_loudness(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return words without `-q` and `-v` at their beginning, and these flags.

    `penchant -q train dpo` and `penchant train -q dpo` are `penchant train dpo -q`: only commands have a parser.
    """
    start = next((index for index, word in enumerate(words) if word not in LOUDNESS_FLAGS), len(words))
    return list(words[start:]), list(words[:start])


def _refuse_inner(group: str, metavar: str, names: Sequence[str], words: Sequence[str]) -> NoReturn:
    """End with the command below a group that was meant."""
    word, rest = words[1], words[2:]
    meant = _inner_forms(word, names) if group == "train" else []
    meant = meant or near_names(word, names)
    message = f"there is no {metavar.lower()} {word!r}: expected one of {', '.join(names)}"
    if len(meant) == 1:
        message += f"; did you mean this?\n  penchant {shlex.join([group, *meant[0].split(), *rest])}"
    else:
        message += did_you_mean(word, names)
    print(f"usage: penchant {group} {metavar} ...\npenchant {group}: error: {clean(message)}", file=sys.stderr)
    raise SystemExit(2)


def _check_method_is_known(words: Sequence[str], methods: Sequence[str]) -> None:
    """End where a run is to be resumed and neither the words nor the run name a method."""
    is_asked = any(word in HELP_FLAGS for word in words)
    if is_asked or any(word in methods for word in words[:1]) or not words[0].startswith(("-", "out=")):
        return
    folder = next((word.partition("=")[2] for word in words if word.startswith("out=")), "")
    problem = f"{folder} holds no config.yaml that names its method" if folder else "name the folder of the run"
    form = f"penchant train {RESUME} out={shlex.quote(folder) if folder else 'DIRECTORY'}"
    print(f"usage: {form}\npenchant train: error: {clean(problem)}", file=sys.stderr)
    raise SystemExit(2)


def _inner_forms(word: str, methods: Sequence[str]) -> list[str]:
    """Return what a word that people and papers have is here: a method, or a loss of `dpo`."""
    # they are written in many ways; ours are in lower case with underscores
    name = word.lower().replace("-", "_")
    return [name] if name in methods else [METHOD_FORMS[name]] if name in METHOD_FORMS else []


def _end(text: str) -> NoReturn:
    print(text, flush=True)
    raise SystemExit(0)


def _version() -> str:
    from importlib.metadata import version  # slow enough to be felt, and needed here alone

    return version("penchant")


def _width() -> int:
    # a pipe has no width: 80. Lines wider than 100 are hard to read, and narrower ones than 24 hold a word each
    return min(100, max(24, shutil.get_terminal_size((80, 24)).columns))


def _next_steps() -> Iterator[str]:
    yield "What to do next:"
    yield from _steps()
    yield "No file yet? `penchant demo` compares five methods on a small model, in minutes."
    yield "penchant --help lists the commands, and penchant COMMAND --help explains one."


def _steps() -> Iterator[str]:
    for _, command in FIRST_STEPS:
        yield f"  {command}"  # on one line, however long: it is there to be copied


def _overview() -> Iterator[str]:
    yield from _wrapped(DESCRIPTION)
    yield ""
    yield "Example:"
    yield from _steps()
    yield ""
    yield "Usage: penchant COMMAND ..."
    margin = max(map(len, GROUPS)) + 4
    for group in GROUPS:
        names = "  ".join(entry.name for entry in ENTRIES if entry.group == group)
        yield from _wrapped(names, f"  {group}".ljust(margin), " " * margin)
    yield ""
    yield from _wrapped("penchant COMMAND --help explains a command; penchant --help-all says what each is for.")
    yield from _wrapped("-q says less, -v says more; --version names the version.")


def _every_command() -> Iterator[str]:
    yield from _wrapped(DESCRIPTION)
    for group in GROUPS:
        yield ""
        yield f"{group}:"
        for entry in ENTRIES:
            if entry.group == group:
                yield from _wrapped(entry.help, f"  {entry.name:<15} ", " " * 18)


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    width = _width()
    rest = rest if len(rest) < width - 20 else "    "  # in a narrow terminal the text goes below its name
    if first and len(rest) < len(first):
        return [first.rstrip(), *textwrap.wrap(text, width, initial_indent=rest, subsequent_indent=rest)]
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _refuse(words: Sequence[str]) -> NoReturn:
    """End with the command that was meant, as it is typed."""
    word, *rest = words
    if word.startswith("-"):  # a setting of some command, which nobody can tell
        message = f"{word} stands before the command: penchant COMMAND ... {shlex.join(words)}"
    else:
        form = COMMAND_FORMS.get(word.lower().replace("_", "-"))
        nearest = [form] if form else near_names(word, [entry.name for entry in ENTRIES])
        message = f"there is no command {word!r}"
        # of several that are as near, none is offered as the line to copy
        if len(nearest) == 1:
            message += f"; did you mean this?\n  penchant {shlex.join([*nearest[0].split(), *rest])}"
        else:
            message += did_you_mean(word, nearest) or "; penchant --help lists them"
    # as argparse has it, which answers all that is typed behind a command
    print(f"usage: penchant COMMAND ...\npenchant: error: {clean(message)}", file=sys.stderr)
    raise SystemExit(2)
