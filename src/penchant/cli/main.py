"""The command line: parse, validate, call, print. Exit codes: 0 done, 1 a check found something, 2 bad input or
configuration, 130 interrupted."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from penchant.cli.agree import add_agree
from penchant.cli.collect import add_collect
from penchant.cli.data import add_data
from penchant.cli.judge import add_judge
from penchant.cli.sample import add_sample
from penchant.cli.study import add_study
from penchant.cli.train import add_train
from penchant.cli.weak import add_weak
from penchant.config import describe
from penchant.errors import PenchantError, did_you_mean, near_names
from penchant.redact import hide_credentials

DONE, FOUND, BAD, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutCredentials("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("penchant").setLevel(logging.INFO)
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(options, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}{_as_setting(rest, options)}")
    if rest:  # argparse takes positional arguments from one place only: `train dpo a.yaml --resume out=b`
        options.overrides += rest
    try:
        with _interruptible():
            code: int = options.run(options)
        sys.stdout.flush()
        return code
    except PenchantError as error:
        print(f"error: {hide_credentials(str(error))}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `penchant ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"error: {_write_failure(error)}", file=sys.stderr)
        return BAD


class _WithoutCredentials(logging.Formatter):
    """Formats messages without the passwords of addresses, whoever wrote them."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_credentials(super().format(record))


def _write_failure(error: OSError) -> str:
    if error.filename:
        return f"cannot write {error.filename}: {error.strerror}"
    advice = " (free some space there, or in the folder for temporary files)" if error.errno == errno.ENOSPC else ""
    return f"cannot write to the output folder: {error.strerror}{advice}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what runs is stopped, temporary files go, what is done is kept."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
        previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = _MethodParser(prog="penchant", description="Align language models from preferences.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_MethodParser)
    add_train(commands, _MethodParser)
    add_data(commands)
    add_sample(commands)
    add_collect(commands)
    _add_report(commands)
    add_study(commands, _MethodParser)
    add_weak(commands, _MethodParser)
    add_judge(commands)
    add_agree(commands)
    return parser


def _as_setting(rest: Sequence[str], options: argparse.Namespace) -> str:
    """Return how an option that there is not is written as a setting; empty where the command takes none."""
    option = next((text for text in rest if text.startswith("-")), None)
    if option is None or not hasattr(options, "overrides") or not hasattr(options, "settings"):
        return "" if option else " (this command takes options, no settings: its --help lists them)"
    name, equals, value = option.lstrip("-").partition("=")
    following = rest[rest.index(option) + 1 :]
    value = value if equals else next((text for text in following[:1] if not text.startswith("-")), "VALUE")
    name, fields = name.replace("-", "_"), list(options.settings.model_fields)
    near = [] if name in fields else near_names(name, fields)  # nested names: whoever reads settings tells
    return f"; a setting is written without dashes: {near[0] if near else name}={value}"


class _MethodParser(argparse.ArgumentParser):
    """Shows every setting with its default below the options, made only when help is asked for."""

    @property
    def settings(self) -> Any:
        """The configuration class, which parsed options have as well."""
        return self.get_default("settings")

    @settings.setter
    def settings(self, config: Any) -> None:
        self.set_defaults(settings=config)

    def error(self, message: str) -> NoReturn:
        """End with the message, and with what is most like a word that is no choice."""
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message)
        choices = [choice.strip(" '") for choice in found[2].split(",")] if found else []
        super().error(message + (did_you_mean(found[1], choices) if found else ""))

    def format_help(self) -> str:
        listing = f"\nsettings:\n{describe(self.settings)}\n" if self.settings else ""
        return super().format_help() + listing


# -- report -------------------------------------------------------------------------------------------------------


def _add_report(commands: Any) -> None:
    parser = commands.add_parser("report", help="make one HTML page (and PNGs) of some runs, or of a study")
    parser.add_argument("runs", nargs="+", help="run directories, or one study's folder")
    parser.add_argument("-o", "--out", default="report.html", help="the page to write (default: report.html)")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from penchant.studies.report import report

    print(report(options.runs, options.out))
    return DONE
