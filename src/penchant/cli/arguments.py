"""One way to read the arguments of every command.

A command is declared by the class of its settings. Settings are written `key=value`. Words without `=` stand for the
settings that the command names as positional, and a first word may be a YAML file of settings. Flags are only for what
is no setting; `-o` alone is short for `out=`. A flag that another version had for a setting is translated, aloud.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn, TypeVar

from penchant.clean_text import clean
from penchant.cli.slips import explain_bare_words, explain_flags
from penchant.config import Config, load_config
from penchant.config.base import is_unicode
from penchant.config.fields import shape_of
from penchant.config.problems import NO_UNICODE
from penchant.config.schema import summary_of
from penchant.errors import did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

log = logging.getLogger("penchant.cli")

C = TypeVar("C", bound=Config)

RetiredForm = str | Callable[[list[str]], str]
"""How a flag of before is written now: a setting's name, `key=value` for a flag that took no value, or a function from
all values that were given to `key=value`."""


def retired_flags(*settings: str) -> dict[str, RetiredForm]:
    """Return the flags that settings had, which are called like them: `--top-k` for `top_k`."""
    return {f"--{name.replace('_', '-')}": name for name in settings}


@dataclass(frozen=True)
class Command:
    """A command: its settings, what runs it, and which words and flags it takes.

    Attributes:
        name: as it is typed.
        source: the class of its configuration, or `module:CLASS` of one that is imported when it is needed.
        run: called with what was typed; returns the exit code.
        help: a line for the list of commands: from the table of commands, or the first sentence about the class.
        positionals: settings that words without `=` stand for, in order, and what the help calls them. The last takes
            all words that are left where it is a list.
        example: a whole line of words behind the command's name, which the help shows first.
        main_settings: dotted paths of those that the short help lists first.
        resolve: returns the configuration that `run` will use, for `--print-config`; reading it is all it does.
        takes_config: whether a first word that ends in `.yaml` is a file of settings.
        add_flags: adds flags for what is no setting to the command's parser.
        retired: flags of the version before, and how each is written now.
    """

    name: str
    source: type[Config] | str
    run: Callable[[Arguments], int]
    help: str = ""
    positionals: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    main_settings: Sequence[str] = ()
    resolve: Callable[[Arguments], Config] = lambda arguments: arguments.load(arguments.command.settings)
    takes_config: bool = True
    add_flags: Callable[[argparse.ArgumentParser], None] = lambda _: None
    retired: Mapping[str, RetiredForm] = field(default_factory=dict)

    @property
    def settings(self) -> type[Config]:
        """The class of its configuration, whose fields the help lists."""
        if not isinstance(self.source, str):
            return self.source
        # Python keeps the module: asked again, this costs nothing
        module, _, name = self.source.partition(":")
        settings: type[Config] = getattr(import_module(module), name)
        return settings

    @property
    def description(self) -> str:
        """The first paragraph of the docstring of the settings' class."""
        return " ".join(summary_of(self.settings).strip().partition("\n\n")[0].split())


@dataclass(frozen=True)
class CommandGroup:
    """Commands under a common word, such as `penchant train METHOD`.

    Attributes:
        name: the common word.
        metavar: what the help calls the word behind it.
        commands: in the order of the help.
        help: a line for the list of commands, from the table of commands.
        example_of: the name of the command whose example the help has.
    """

    name: str
    metavar: str
    commands: Sequence[Command]
    help: str = ""
    example_of: str = ""


@dataclass(frozen=True)
class Arguments:
    """The words typed after a command, sorted by what they are.

    Attributes:
        command: the command itself.
        path: a YAML file of settings, if one was given.
        positional: settings that positional words stand for.
        overrides: settings as `key=value`.
        flags: what is no setting.
        error: ends the program with the command's usage and a message.
        when_read: called once the settings are read and right.
    """

    command: Command
    path: str | None
    positional: Mapping[str, str | list[str]]
    overrides: list[str]
    flags: argparse.Namespace
    error: Callable[[str], NoReturn]
    when_read: Callable[[], None] = lambda: None

    def load(self, settings: type[C], path: str | None = None) -> C:
        """Return the configuration.

        Args:
            path: a YAML file in place of the one that was typed, such as that of a preset.

        Raises:
            InputError: with every problem at once.
        """
        config = load_config(settings, self.path if path is None else path, self.overrides, self.positional)
        self.when_read()
        return config


class CommandParser(argparse.ArgumentParser):
    """Lays its help out on one screen, or with every setting, made only when it is asked for."""

    command: Command | None = None
    group: CommandGroup | None = None
    full_help = False

    def error(self, message: str) -> NoReturn:
        """End with the message, and with the choice that is most like a word that is none."""
        # argparse says what was typed and what there is only in its message, with quotes until Python 3.12
        refusal = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message)
        choices = [choice.strip(" '") for choice in refusal[2].split(",")] if refusal else []
        # a name that a script hands over may hold sequences that a terminal obeys
        super().error(clean(message + (did_you_mean(refusal[1], choices) if refusal else "")))

    @property
    def shown_flags(self) -> list[str]:
        """The long flags that the help shows."""
        actions = self._option_string_actions.items()
        return [flag for flag, action in actions if flag.startswith("--") and action.help != argparse.SUPPRESS]

    def format_help(self) -> str:
        """Return the help of a command or of a group of commands."""
        from penchant.cli.help_text import full_help, group_help, short_help

        # a command has settings; a word that several stand under, such as `train`, has none
        if self.command:
            layout = full_help if self.full_help else short_help
            return layout(self.command, self.prog, self._actions)
        return group_help(self.group, self.prog) if self.group else super().format_help()

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help: to nobody where the output is closed, where argparse would take stderr."""
        print(self.format_help(), end="", file=file)
        if sys.stdout is not None:
            sys.stdout.flush()  # at exit, a closed pipe would be a traceback


class _FullHelp(argparse.Action):
    """Prints every setting and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        if isinstance(parser, CommandParser):
            parser.full_help = True
        parser.print_help()
        parser.exit()


def make_parser(
    description: str, commands: Sequence[Command | CommandGroup], words: Sequence[str] = ()
) -> CommandParser:
    """Return the parser of a program with these commands, for `read_arguments`.

    Args:
        words: what was typed, where it is known: of a group, only the command that it names is needed.
    """
    parser = CommandParser(prog="penchant", description=description, allow_abbrev=False)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for entry in commands:
        if isinstance(entry, Command):
            _add_command(subparsers, entry)
        else:
            usage = f"penchant {entry.name} {entry.metavar} ..."
            group = subparsers.add_parser(entry.name, help=entry.help, allow_abbrev=False, usage=usage)
            group.group = entry
            group.add_argument("--help-all", action=_FullHelp, nargs=0, help=argparse.SUPPRESS)
            inner = group.add_subparsers(required=True, metavar=entry.metavar, parser_class=CommandParser,
                                         prog=f"penchant {entry.name}")  # fmt: skip
            matches = [command for command in entry.commands if [entry.name, command.name] == list(words[:2])]
            # a word that names none is answered with all names
            for command in matches or entry.commands:
                _add_command(inner, command)
    return parser


def _add_command(subparsers: argparse._SubParsersAction[CommandParser], command: Command) -> None:
    from penchant.cli.help_text import usage

    parser = subparsers.add_parser(
        command.name,
        help=command.help or command.description,
        description=command.description,
        allow_abbrev=False,  # `--seed` must not be taken for `--seeds`
    )
    parser.command = command
    parser.usage = f"{parser.prog} {usage(command)}"
    names = " ".join(command.positionals.values()) or "CONFIG.yaml"
    config = ", or a CONFIG.yaml with settings" if command.positionals else " holds settings"
    config = config if command.takes_config else ""
    parser.add_argument(
        "words", nargs="*", metavar=f"{names} key=value", help=f"{names}{config}; key=value changes one"
    )
    command.add_flags(parser)
    if "out" in command.settings.model_fields:
        # all are collected: argparse would keep the last, and results would lie where nobody looks for them
        parser.add_argument("-o", "--out", action="append", default=[], metavar="OUT", help="short for out=OUT")
    if command.takes_config:  # what is printed is a file to start from
        text = "print all settings as YAML, and do nothing"
        parser.add_argument("--print-config", action="store_true", help=text)
    _add_common_flags(parser)
    for flag, form in command.retired.items():  # each is kept under its own name, which no setting has
        if callable(form) or "=" not in form:
            # all values are kept: a form that is a function may take every one, as that of `--column` does
            parser.add_argument(flag, dest=flag, action="append", help=argparse.SUPPRESS)
        else:
            parser.add_argument(flag, dest=flag, action="append_const", const="", help=argparse.SUPPRESS)
    # argparse returns a namespace and nothing else, so what belongs to the chosen command travels in it
    parser.set_defaults(command=command, error=parser.error, flags=parser.shown_flags)


def _add_common_flags(parser: CommandParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, and only warnings and results")
    parser.add_argument("-v", "--verbose", action="store_true", help="more of what is done, also from libraries")
    parser.add_argument("--help-all", action=_FullHelp, nargs=0, help="show every setting, and exit")


def read_arguments(parser: CommandParser, arguments: Sequence[str] | None) -> Arguments:
    """Return what was typed. What cannot be read ends the program with the command's usage and exit code 2."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    # first of all: such a text cannot be printed, and argparse would try to
    if undecodable := next((word for word in typed if not is_unicode(word)), None):
        parser.error(f"{undecodable!a} {NO_UNICODE}")
    options, rest = parser.parse_known_args(typed)
    command: Command = options.command
    if any(word.startswith("-") for word in rest):
        advice = explain_flags(command, options.flags, rest, typed)
        options.error(f"unrecognized arguments: {' '.join(rest)}{advice}")
    # argparse takes positional words from one place only; `train dpo a.yaml --resume out=b` has more
    words = [*options.words, *rest]
    if not command.positionals and (meant := explain_bare_words(command.settings, words, typed)):
        options.error(meant)
    path = None
    # where words stand for settings, only the ending tells a file of settings from a file of data
    may_be_config = command.takes_config and words and (not command.positionals or words[0].endswith((".yaml", ".yml")))
    if may_be_config and not _is_setting(words[0], command):
        path = words.pop(0)
    overrides = [word for word in words if _is_setting(word, command)]
    names = [word for word in words if not _is_setting(word, command)]
    if not command.positionals:
        overrides, names = words, []  # a word that is no setting is named together with all other problems
    for flag, form in command.retired.items():
        if values := getattr(options, flag):
            translated = _translated(flag, values, form)
            key, _, value = translated.partition("=")
            _refuse_two_values(key, [*_values_of(key, overrides), value], options.error)
            overrides.append(translated)
    overrides += _out_override(getattr(options, "out", []), overrides, options.error)
    overrides = [_with_home(override) for override in overrides]
    positional = _positional_settings(command, names, options.error)
    # with a file of settings, only reading it tells what is missing
    if path is None:
        keys = {override.partition("=")[0].partition(".")[0] for override in overrides}
        fields = command.settings.model_fields
        missing = [name for key, name in command.positionals.items() if fields[key].is_required()
                   and key not in {*positional, *keys}]  # fmt: skip
        if missing:
            options.error(f"the following arguments are required: {', '.join(missing)}")
    return Arguments(command, path, positional, overrides, options, options.error)


def _is_setting(word: str, command: Command) -> bool:
    """Return whether a word is `key=value`: a file, or the address of one, may have `=` in its name."""
    key, equals, _ = word.partition("=")
    # `http://host/score?key=1` is an address
    if not equals or "://" in key:
        return False
    # a key of ours is a setting whatever files there are; any other word is one unless a file has that very name
    return key.partition(".")[0].strip() in command.settings.model_fields or not os.path.lexists(word)


def _positional_settings(
    command: Command, names: Sequence[str], error: Callable[[str], NoReturn]
) -> dict[str, str | list[str]]:
    """Return the settings that words without `=` stand for."""
    keys = list(command.positionals)
    # `judge a b c`: the last positional setting is a list, and takes all that is left
    takes_rest = bool(keys) and shape_of(command.settings.model_fields[keys[-1]].annotation).takes(list, tuple)
    if len(names) > len(keys) and not takes_rest:  # which of them was meant, nobody can tell
        error(f"expected one {' and one '.join(command.positionals.values())}, got {len(names)}: {', '.join(names)}")
    settings: dict[str, str | list[str]] = dict(zip(keys, names, strict=False))
    if takes_rest and len(names) >= len(keys):
        settings[keys[-1]] = list(names[len(keys) - 1 :])
    return settings


def _translated(flag: str, values: list[str], form: RetiredForm) -> str:
    """Return a flag of before as `key=value`, and say so."""
    plain = form(values) if callable(form) else form
    override = plain if "=" in plain else f"{plain}={values[-1]}"
    # a warning, not an error: scripts of the version before go on to run
    log.warning("%s is a setting now: write %s. The next version will refuse the flag", flag, shlex.quote(override))
    return override


def _with_home(override: str) -> str:
    """Return `key=~/path` with the home folder written out: bash does so behind `out=`, not behind `data.path=`."""
    key, _, value = override.partition("=")
    return f"{key}={os.path.expanduser(value)}" if value.startswith("~/") else override


def _out_override(flags: Sequence[str], overrides: Sequence[str], error: Callable[[str], NoReturn]) -> list[str]:
    """Return what `-o` stands for; end the program where it and `out=` name different files."""
    if not flags:
        return []
    _refuse_two_values("out", [*_values_of("out", overrides), *flags], error)
    return [f"out={flags[-1]}"]


def _values_of(setting: str, overrides: Sequence[str]) -> list[str]:
    """Return the values that `key=value` words give to a setting."""
    return [value.strip() for key, _, value in (word.partition("=") for word in overrides) if key.strip() == setting]


def _refuse_two_values(setting: str, values: Sequence[str], error: Callable[[str], NoReturn]) -> None:
    """End the program where a flag and `key=value` differ; nobody can tell which of them was meant."""
    if len(different := dict.fromkeys(values)) > 1:
        error(f"`{setting}` is given as {' and as '.join(different)}: name one of them")
