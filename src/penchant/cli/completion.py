"""`penchant completion SHELL`: a script by which a shell completes commands, flags, settings and their choices.

The script holds all words, so that a shell need not start Python at every press of the key.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from penchant.cli.arguments import Arguments, Command, CommandGroup, CommandParser, make_parser
from penchant.config import Config
from penchant.config.fields import is_tag, literals_of, shape_of, tag_of
from penchant.config.schema import Schema

DEPTH = 3
"""Levels of settings that are completed: `model.lora.rank`."""


class Completion(Config):
    """Print a script that completes these words in a shell: `eval "$(penchant completion bash)"` switches it on."""

    method: ClassVar[str] = "completion"

    shell: Literal["bash", "zsh", "fish"]
    """The shell that reads the script."""


@dataclass(frozen=True)
class CommandWords:
    """Words that can stand behind a command.

    Attributes:
        flags: that begin with dashes.
        keys: settings by dotted path, each with the choices of its value; none where it can be anything.
        summary: a line on the command.
    """

    flags: list[str]
    keys: dict[str, list[str]]
    summary: str


def command_words() -> dict[str, CommandWords]:
    """Return what can be typed, by command: `train dpo`, `sample`. Groups are the words before a space."""
    from penchant.cli.commands import load_commands

    commands = load_commands()
    # from the parsers themselves: a list of its own would lack the next flag
    parser = make_parser("", commands)
    words: dict[str, CommandWords] = {}
    for entry in commands:
        for command in entry.commands if isinstance(entry, CommandGroup) else [entry]:
            name = f"{entry.name} {command.name}" if isinstance(entry, CommandGroup) else command.name
            inner = _parser_of(parser, name.split())
            # `out=` is completed as all settings are
            flags = [flag for flag in inner.shown_flags if flag != "--out"]
            keys = dict(_keys(command.settings, "", DEPTH))
            words[name] = CommandWords(sorted(flags), keys, command.help or command.description)
    return words


def _parser_of(parser: CommandParser, names: list[str]) -> CommandParser:
    for name in names:
        # argparse has no public way from a parser to those below it
        action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        parser = action.choices[name]
    return parser


def _keys(config: type[Schema], prefix: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Yield settings by dotted path, of unions those of every branch, with the choices that their values have."""
    for name, field in config.model_fields.items():
        if is_tag(name, config):
            continue
        shape = shape_of(field.annotation)
        choices = literals_of(field.annotation)
        if shape.is_union:
            # code of the user's is named by its file, not by the branch that takes it
            choices = [tag_of(branch) for branch in shape.configs if not branch.extension]
        # a switch that has words as well is completed by these
        elif shape.takes(bool) and not choices:
            choices = ["true", "false"]
        yield f"{prefix}{name}", choices
        # each level multiplies the words, and a shell reads the script when it starts
        for inner in shape.configs if depth > 1 else ():
            yield from _keys(inner, f"{prefix}{name}.", depth - 1)


def bash_script(words: dict[str, CommandWords]) -> str:
    """Return the script for bash; `_penchant` fills `COMPREPLY`."""
    # behind a group comes one more word before the settings
    groups = sorted({name.partition(" ")[0] for name in words if " " in name})
    lines = [
        '# completion of penchant for bash: put into a file that bash reads, or: eval "$(penchant completion bash)"',
        "_penchant() {",
        '    local current="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]}"',
        '    local previous="" key="" prefix="" words=""',
        '    [[ $COMP_CWORD -gt 0 ]] && previous="${COMP_WORDS[COMP_CWORD-1]}"',
        "    # bash splits key=value at the equals sign, zsh does not",
        '    if [[ $current == "=" ]]; then key="$previous"; current=""',
        '    elif [[ $previous == "=" ]]; then key="${COMP_WORDS[COMP_CWORD-2]}"',
        '    elif [[ $current == *=* ]]; then key="${current%%=*}"; prefix="$key="; current="${current#*=}"; fi',
        "    COMPREPLY=()",
        "    if [[ $COMP_CWORD -eq 1 ]]; then",
        f'        COMPREPLY=($(compgen -W "{" ".join(_first_words(words))} --help --version" -- "$current")); return',
        "    fi",
        '    case "$command" in',
        f"        {'|'.join(groups)})",
        "            if [[ $COMP_CWORD -eq 2 ]]; then",
        '                case "$command" in',
        *(f'                    {group}) words="{" ".join(_inner_words(words, group))}" ;;' for group in groups),
        "                esac",
        '                COMPREPLY=($(compgen -W "$words --help" -- "$current")); return',
        "            fi",
        '            command="$command ${COMP_WORDS[2]}" ;;',
        "    esac",
        "    if [[ -n $key ]]; then",
        '        case "$command:$key" in',
        *(f'            {pattern}) words="{" ".join(choices)}" ;;' for pattern, choices in _choice_cases(words)),
        "        esac",
        '        if [[ -n $words ]]; then COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))',
        '        else COMPREPLY=($(compgen -P "$prefix" -f -- "$current")); compopt -o filenames 2>/dev/null; fi',
        "        return",
        "    fi",
        '    case "$command" in',
        *(f'        "{name}") words="{_all_words(entry)}" ;;' for name, entry in words.items()),
        "    esac",
        '    [[ $previous == "-o" || $previous == "--out" ]] && words=""',
        '    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))',
        "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null",
        "    return 0",
        "}",
        "complete -F _penchant penchant",
    ]
    return "\n".join(lines) + "\n"


def zsh_script(words: dict[str, CommandWords]) -> str:
    """Return the script for zsh, which reads that of bash through its own `bashcompinit`."""
    head = [
        "#compdef penchant",
        '# completion of penchant for zsh: eval "$(penchant completion zsh)"',
        "autoload -U +X compinit && compinit -u",
        "autoload -U +X bashcompinit && bashcompinit",
        "compopt() { :; }  # zsh has no such builtin",
    ]
    return "\n".join([*head, bash_script(words)])


def fish_script(words: dict[str, CommandWords]) -> str:
    """Return the script for fish: a line per command, per flag and per setting."""
    lines = [
        "# completion of penchant for fish: penchant completion fish > ~/.config/fish/completions/penchant.fish",
        "function __penchant_at",
        "    set -l typed (commandline -opc)[2..-1]",
        "    set -l depth (count $argv)",
        '    test (count $typed) -ge $depth; and test "$typed[1..$depth]" = "$argv"',
        "end",
        "function __penchant_needs",
        "    set -l typed (commandline -opc)[2..-1]",
        '    test "$typed" = "$argv"',
        "end",
    ]
    # in fish a condition stands on each line, so there is no case as in bash
    for word in _first_words(words):
        lines.append(_fish_line("__penchant_needs", word, words[word].summary if word in words else ""))
    for name, entry in words.items():
        group, _, inner = name.partition(" ")
        if inner:
            lines.append(_fish_line(f"__penchant_needs {group}", inner, entry.summary))
        for word in _all_words(entry).split():
            lines.append(_fish_line(f"__penchant_at {name}", word, ""))
        for key, choices in entry.keys.items():
            lines += [_fish_line(f"__penchant_at {name}", f"{key}={choice}", "") for choice in choices]
    return "\n".join(lines) + "\n"


def _fish_line(condition: str, word: str, summary: str) -> str:
    quoted = summary.replace("\\", "\\\\").replace("'", "\\'")
    return f"complete -c penchant -n '{condition}' -a '{word}'" + (f" -d '{quoted}'" if summary else "")


def _first_words(words: dict[str, CommandWords]) -> list[str]:
    return list(dict.fromkeys(name.partition(" ")[0] for name in words))


def _inner_words(words: dict[str, CommandWords], group: str) -> list[str]:
    return [name.partition(" ")[2] for name in words if name.startswith(f"{group} ")]


def _all_words(entry: CommandWords) -> str:
    return " ".join([*(f"{key}=" for key in entry.keys), *entry.flags])


def _choice_cases(words: dict[str, CommandWords]) -> Iterator[tuple[str, list[str]]]:
    """Yield patterns `command:key` with the choices that they have; methods that share them stand in one pattern."""
    patterns: dict[tuple[str, ...], list[str]] = {}
    for name, entry in words.items():
        for key, choices in entry.keys.items():
            if choices:
                patterns.setdefault(tuple(choices), []).append(f'"{name}:{key}"')
    for shared, names in patterns.items():
        yield "|".join(names), list(shared)


SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}


def _completion(arguments: Arguments) -> int:
    config = arguments.load(Completion)
    print(SCRIPTS[config.shell](command_words()), end="")
    return 0


COMPLETION = Command(
    "completion",
    Completion,
    _completion,
    positionals={"shell": "bash|zsh|fish"},
    example="bash",
    takes_config=False,
)
