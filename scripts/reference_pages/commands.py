"""The page of commands: every command with its options and the settings that it takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from penchant.cli.arguments import CommandParser, make_parser
from penchant.cli.commands import load_commands
from penchant.cli.help_text import COMMON_FLAGS
from penchant.config import Config
from penchant.config.schema import summary_of
from reference_pages.fields import explanation, prose, settings_table

TITLE = """# Commands

Every command, its options and its settings. This page is written from the code by `scripts/reference.py`, so it says
what `--help` says.

## How settings are written

Settings come from a YAML file, from `key=value` on the command line, or both; the command line wins.

- A dot reaches into a group of settings: `optimizer.learning_rate=1e-4` is `optimizer: {learning_rate: 1e-4}` in YAML.
- Lists and groups may be written in YAML's short form, in quotes: `seeds='[0,1]'`, `model.lora='{rank: 16}'`.
- `null` switches an optional group off.
- Where a value is *one of* several groups, its `name` says which: `loss.name=ipo loss.tau=0.2`. The name alone is short
  for it: `loss=ipo`.
- Some groups take a bare value for their main setting: `data=prefs.jsonl` is `data.path=prefs.jsonl`. The tables below
  then say "`path` or DataConfig".
- Groups are explained on [the page of settings](settings.md). "As there" means that the group has its own defaults.

## Flags that every command has

| flag | meaning |
|---|---|
| `--help`, `--help-all` | what fits on a screen, with an example; every setting |
| `--print-config` | print all settings as YAML, which the command takes as its file, and do nothing |
| `-q`, `--quiet` | no progress, and only warnings and results |
| `-v`, `--verbose` | more of what is done, also from libraries |
| `-o OUT`, `--out OUT` | short for `out=OUT` where there is such a setting; both at once must agree |

A setting that does not exist is refused, and the message names the nearest one that does.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check found something, or a part of the work failed |
| 2 | bad input or configuration; the message says what, where and what to do |
| 130 | interrupted |
"""


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    Attributes:
        name: as it is typed, such as `penchant train dpo`.
        parser: what reads its arguments.
        summary: what the list of commands says of it.
    """

    name: str
    parser: argparse.ArgumentParser
    summary: str

    @property
    def settings(self) -> type[Config] | None:
        """The configuration class of its `key=value` arguments."""
        command = self.parser.command if isinstance(self.parser, CommandParser) else None
        return command.settings if command else None


def commands() -> Iterator[Command]:
    """Yield every command that does something, in the order of the help."""
    yield from _walk(make_parser("", load_commands()), "penchant", "")


def _walk(parser: argparse.ArgumentParser, name: str, summary: str) -> Iterator[Command]:
    # argparse has no public way to walk its parsers
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:  # a word such as `train` does nothing by itself
        yield Command(name, parser, summary)
    for group in groups:
        summaries = {action.dest: action.help or "" for action in group._choices_actions}
        for choice, child in group.choices.items():
            yield from _walk(child, f"{name} {choice}", summaries.get(choice, ""))


def commands_page() -> str:
    """Return the page as Markdown."""
    all_commands = list(commands())
    lines = [TITLE, "## All commands", "", "| command | what it does |", "|---|---|"]
    lines += [f"| [`{c.name}`](#{c.name.replace(' ', '-')}) | {_sentence(c.summary)} |" for c in all_commands]
    for command in all_commands:
        lines += [
            "",
            f"## {command.name}",
            "",
            *_described(command),
            "```",
            _usage(command),
            *_example(command),
            "```",
            "",
            *_options(command),
        ]
        if command.settings:
            lines += settings_table(command.settings, "settings.md")
        lines = lines[:-1] if not lines[-1] else lines
    return "\n".join(lines).rstrip() + "\n"


def _described(command: Command) -> list[str]:
    if command.settings and summary_of(command.settings):
        return explanation(command.settings)
    return [prose(command.parser.description or _sentence(command.summary)), ""]


def _sentence(text: str) -> str:
    """Return the first paragraph of a summary as one line that begins with a capital."""
    text = prose(text.partition("\n\n")[0]).replace("|", r"\|")
    return text[:1].upper() + text[1:]


def _usage(command: Command) -> str:
    words = [command.name]
    for action in command.parser._actions:
        if not action.option_strings:
            words.append(_positional(action))
    return " ".join(words)


def _example(command: Command) -> list[str]:
    example = command.parser.command.example if isinstance(command.parser, CommandParser) else ""
    return ["", f"{command.name} {example}"] if example else []


def _positional(action: argparse.Action) -> str:
    name = _metavar(action)
    return {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _metavar(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return action.dest.upper()


def _options(command: Command) -> list[str]:
    """Return the table of arguments and options, without `--help`."""
    actions = [
        action
        for action in command.parser._actions
        if action.help != argparse.SUPPRESS and not set(COMMON_FLAGS) & set(action.option_strings)
    ]
    if not actions:
        return []
    rows = ["| argument | meaning |", "|---|---|"]
    for action in actions:
        takes_value = action.nargs != 0 and bool(action.option_strings)
        name = ", ".join(action.option_strings) or _metavar(action)
        text = f"{name} {_metavar(action)}" if takes_value else name
        rows.append(f"| `{text.replace('|', ' or ')}` | {prose(_help(action)).replace('|', chr(92) + '|')} |")
    return [*rows, ""]


def _help(action: argparse.Action) -> str:
    text = action.help or (f"one of {', '.join(map(str, action.choices))}" if action.choices else "")
    return text % {"default": action.default} if "%(" in text else text.replace("%%", "%")
