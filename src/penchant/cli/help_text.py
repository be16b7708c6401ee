"""Lay out `--help` on one screen, an example first, and `--help-all` with every setting."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticUndefined

from penchant.config.listing import describe, find_setting, format_setting
from penchant.config.schema import Schema

if TYPE_CHECKING:
    from penchant.cli.arguments import Command, CommandGroup

SCREEN = 24
"""Lines of a terminal that nobody enlarged: `--help` takes no more of 80 columns."""
FEWEST_SETTINGS = 3
COMMON_FLAGS = ("--help", "--help-all", "--quiet", "--verbose", "--print-config", "--out")
"""Flags that most commands have, which the short help names in two lines."""


def screen_width() -> int:
    """Return the columns to write in: those of the terminal, 80 for a pipe; at most 100, which are easy to read."""
    return min(100, max(24, shutil.get_terminal_size((80, SCREEN)).columns))


def usage(command: Command) -> str:
    """Return what follows the command's name: `MODEL PROMPTS [key=value ...]`."""
    fields = command.settings.model_fields
    words = [
        name if fields[key].is_required() else f"[{name}]"  # a collection may be named by its database instead
        for key, name in command.positionals.items()
    ]
    if not command.positionals and command.takes_config:
        words = ["[CONFIG.yaml]"]
    return " ".join([*words, "[key=value ...]"])


def short_help(command: Command, prog: str, actions: Sequence[argparse.Action]) -> str:
    """Return what fits on a screen: what the command is for, an example, the first settings, the flags."""
    width = screen_width()
    # the example comes first: it is read by more people than the rest
    above = [*textwrap.wrap(command.description, width), ""]
    if command.example:
        above += ["Example:", f"  {prog} {command.example}", ""]
    above += [*textwrap.wrap(f"Usage: {prog} {usage(command)}", width, subsequent_indent="  "), "", "Settings:"]
    flags = list(_flag_lines(actions, width))
    below = [*(["", "Flags:", *flags] if flags else []), *_closing(command, prog, width)]
    # the settings take what the rest leaves of the screen, however much that is
    room = max(FEWEST_SETTINGS, SCREEN - len(above) - len(below))
    return "\n".join([*above, *_setting_lines(command, room, width), *below]) + "\n"


def full_help(command: Command, prog: str, actions: Sequence[argparse.Action]) -> str:
    """Return every flag and every setting with its type, default and explanation."""
    width = screen_width()
    lines = [*textwrap.wrap(command.description, width), ""]
    if command.example:
        lines += ["Example:", f"  {prog} {command.example}", ""]
    lines += [*textwrap.wrap(f"Usage: {prog} {usage(command)}", width, subsequent_indent="  "), "", "Flags:"]
    for action in actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            lines += _entry(_flag_name(action), action.help or "", width)
    return "\n".join([*lines, "", "Settings:", describe(command.settings, width)]) + "\n"


def group_help(group: CommandGroup, prog: str) -> str:
    """Return what stands under a common word: a line per command, an example first."""
    width = screen_width()
    first = next((command for command in group.commands if command.name == group.example_of), group.commands[0])
    lines = [*textwrap.wrap(group.help[:1].upper() + group.help[1:] + ".", width), ""]
    if first.example:
        lines += ["Example:", f"  {prog} {first.name} {first.example}", ""]
    lines += [f"Usage: {prog} {group.metavar} ..."]
    column = max(len(command.name) for command in group.commands) + 4
    for command in group.commands:
        text = command.help or command.description
        lines += _one_line(f"  {command.name}", text, column, width)
    return "\n".join([*lines, "", *textwrap.wrap(f"{prog} {group.metavar} --help explains one.", width)]) + "\n"


def _setting_lines(command: Command, room: int, width: int) -> Iterator[str]:
    """Yield a line per setting, those that are given most first; the last says how many there are beside them."""
    paths = [path for path in command.main_settings if find_setting(command.settings, path)]
    # what must be given comes first, then as the class has it
    fields = command.settings.model_fields
    paths += sorted(set(fields) - {path.partition(".")[0] for path in paths} - {"method"},
                    key=lambda name: (not fields[name].is_required(), list(fields).index(name)))  # fmt: skip
    left_out = len(paths) > room
    paths = paths[: room - left_out]
    names = [_assignment(command.settings, path) for path in paths]
    column = min(30, max(map(len, names), default=0) + 4)
    for path, name in zip(paths, names, strict=True):
        setting = find_setting(command.settings, path)
        yield from _one_line(f"  {name}", setting.text if setting else "", column, width)
    if left_out:
        yield "  ..."


def _assignment(config: type[Schema], path: str) -> str:
    """Return a setting with its default, as it is typed: `loss.beta=0.1`, and `model=...` where it must be given."""
    setting = find_setting(config, path)
    default = setting.default if setting else PydanticUndefined
    if default is PydanticUndefined:
        return f"{path}=..."
    # of settings their name; of a group that has none, its own settings are what is given
    value = getattr(default, "name", "{}") if isinstance(default, Schema) else format_setting(default)
    return f"{path}={value}" if len(str(value)) <= 16 else f"{path}="


def _closing(command: Command, prog: str, width: int) -> list[str]:
    out = "-o FILE is out=FILE; " if "out" in command.settings.model_fields else ""
    config = "--print-config prints all settings as YAML; " if command.takes_config else ""
    text = f"{out}{config}-q says less, -v more."
    return [
        "",
        *textwrap.wrap(text, width, break_on_hyphens=False),
        *textwrap.wrap(f"Every setting: {prog} --help-all", width, break_on_hyphens=False, subsequent_indent="  "),
    ]


def _flag_lines(actions: Sequence[argparse.Action], width: int) -> Iterator[str]:
    flags = [
        action
        for action in actions
        if action.option_strings and action.help != argparse.SUPPRESS
        if not set(COMMON_FLAGS) & set(action.option_strings)
    ]
    column = min(30, max((len(_flag_name(action)) for action in flags), default=0) + 4)
    for action in flags:
        yield from _one_line(f"  {_flag_name(action)}", action.help or "", column, width)


def _flag_name(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings)
    if action.nargs == 0:  # a switch
        return name
    return f"{name} {action.metavar or '|'.join(map(str, action.choices or ['VALUE']))}"


def _one_line(name: str, text: str, column: int, width: int) -> list[str]:
    """Return a name with as much of its text as one line holds; below the name in a narrow terminal."""
    text = " ".join(text.split())
    # beside its name less than three words would stand
    if width - column < 24:
        return [name, *([f"    {textwrap.shorten(text, width - 4, placeholder=' ...')}"] if text else [])]
    # a name that is wider than its column takes the room of the text
    start = f"{name:<{column}}" if len(name) < column else f"{name}  "
    return [(start + textwrap.shorten(text, max(12, width - len(start)), placeholder=" ...")).rstrip()]


def _entry(name: str, text: str, width: int) -> list[str]:
    return [
        f"  {name}",
        *textwrap.wrap(" ".join(text.split()), width, initial_indent=" " * 6, subsequent_indent=" " * 6),
    ]
