"""The command line: parse, validate, call, print.

Exit codes: 0 done, 1 a check found something, 2 bad input or configuration, 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from penchant.clean_text import clean
from penchant.cli.early_imports import collector_paused
from penchant.cli.front import DESCRIPTION, chosen_entry
from penchant.errors import InputError, PenchantError, SettingsError
from penchant.redact import hide_credentials

if TYPE_CHECKING:
    import argparse

    from penchant.cli.arguments import Arguments
    from penchant.cli.commands import Entry

# 130 is 128 + SIGINT, as shells report what Ctrl-C ended
DONE, BAD, INTERRUPTED = 0, 2, 130
QUIET = "PENCHANT_QUIET"
"""The variable of the environment that switches progress off: `penchant.runs.progress`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # libraries may warn, and what we say ourselves is information
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutCredentials("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("penchant").setLevel(logging.INFO)
    words: list[str] = []
    try:
        # a library that is interrupted while it is imported ends in an error of its own: until the settings are read,
        # the handlers of `penchant_start` end the process at once
        entry, words = chosen_entry(sys.argv[1:] if arguments is None else arguments)
        with collector_paused():
            # after that word: the settings of all commands take half a second to import, those of one a fraction
            from penchant.cli.arguments import make_parser, read_arguments

            read = read_arguments(make_parser(DESCRIPTION, [entry.load()], words), words)
        with _interruptible(), _loudness(read.flags):
            # after the arguments, so that help and a mistyped word are answered in such a folder too
            _check_current_folder()
            code = _print_config(read) if getattr(read.flags, "print_config", False) else _run(read, entry, words)
        if sys.stdout is not None:  # `>&-` closes it, and Python then has none
            sys.stdout.flush()  # at exit, a full disk or a closed pipe would be a traceback
        return code
    except PenchantError as error:
        # a name in a foreign file may hold sequences that a terminal obeys
        print(f"error: {clean(hide_credentials(str(error)))}", file=sys.stderr)
        if isinstance(error, SettingsError) and error.corrections:
            from penchant.cli.slips import corrected_line

            if line := corrected_line(words, error.corrections):
                print(hide_credentials(line), file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `penchant ... | head`: nobody reads on
        # Python flushes once more at its end, which must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        # these are the machine's; any other is a mistake of ours, and its traceback helps to find it
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"error: {_write_failure(error)}", file=sys.stderr)
        return BAD


def _print_config(arguments: Arguments) -> int:
    """Print the settings that the command would run with, as a file to start from."""
    from penchant.config import to_yaml

    print(to_yaml(arguments.command.resolve(arguments)), end="")
    return DONE


def _run(arguments: Arguments, entry: Entry, words: Sequence[str]) -> int:
    """Run the command; from its settings to its end it keeps `penchant cache prune` from removing what it opens."""
    with ExitStack() as until_end:

        def use_cache() -> None:
            from pathlib import Path

            from penchant.cache_use import using_cache

            title = shlex.join(["penchant", *words[: 2 if entry.inner else 1]])
            until_end.enter_context(using_cache(Path.cwd(), title))

        # once the settings are right: a slip in them is answered without what locks files
        return arguments.command.run(replace(arguments, when_read=use_cache) if entry.uses_cache else arguments)


@contextmanager
def _loudness(flags: argparse.Namespace) -> Iterator[None]:
    """Let `-q` leave warnings, errors and results alone on the screen, and `-v` show what libraries have to say."""
    if not flags.verbose:
        # here, so that the answer to `--help` does not import it; `-v` asks for what they say
        from penchant.cli.libraries import quiet_libraries

        quiet_libraries()
    root = logging.getLogger()
    level, quiet = root.level, os.environ.get(QUIET)
    if flags.quiet:
        logging.getLogger("penchant").setLevel(logging.WARNING)
        os.environ[QUIET] = "1"  # the processes of a study start with it too
    elif flags.verbose:
        root.setLevel(logging.INFO)
        logging.getLogger("penchant").setLevel(logging.DEBUG)
    try:
        yield
    finally:  # whoever calls `main` from Python goes on as loudly as before
        root.setLevel(level)
        if quiet is None:
            os.environ.pop(QUIET, None)


class _WithoutCredentials(logging.Formatter):
    """Formats messages without the passwords of addresses and without what a terminal obeys, whoever wrote them."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(hide_credentials(super().format(record)))


def _check_current_folder() -> None:
    """Refuse to start in a folder that was removed: torch ends the process there, without a word of ours.

    Raises:
        InputError: the current folder is gone.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the current folder cannot be entered ({error.strerror}): go to another one with cd"
        ) from None


def _write_failure(error: OSError) -> str:
    if error.filename:
        return f"cannot write {error.filename}: {error.strerror}"
    advice = " (free some space there, or in the folder for temporary files)" if error.errno == errno.ENOSPC else ""
    return f"cannot write to the output folder: {error.strerror}{advice}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what runs is stopped, temporary files go, what is done is kept."""
    with ExitStack() as stack:
        # Python lets no other thread set handlers; who calls `main` from one keeps its own
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, signal.default_int_handler))
        yield
