"""The page of settings: one section for each configuration class that a command's settings hold."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.config import Config
from reference_pages.commands import commands
from reference_pages.fields import explanation, heading, nested, settings_table

TITLE = """# Settings

The groups of settings that commands share. [The page of commands](commands.md) says which command takes which, and how
a setting is written. This page is written from the code by `scripts/reference.py`.
"""
PARTS = {
    "models": "Models",
    "data": "Data",
    "train": "Training and evaluation",
    "losses": "Losses",
    "weak": "Weak labels",
    "judges": "Judges",
    "studies": "Studies",
}
"""Titles of the page's parts by the room of the package that a class is in, in the order of the page."""


def settings_page() -> str:
    """Return the page as Markdown."""
    classes = list(shared_classes())
    rooms = {config: config.__module__.split(".")[1] for config in classes}
    titles = PARTS | {room: room.capitalize() for room in rooms.values() if room not in PARTS}
    lines = [TITLE]
    for room, title in titles.items():
        members = [config for config in classes if rooms[config] == room]
        if members:
            lines += [f"## {title}", ""]
        for config in members:
            lines += [f"### {heading(config)}", "", *explanation(config), *settings_table(config, "")]
    return "\n".join(lines).rstrip() + "\n"


def shared_classes() -> Iterator[type[Config]]:
    """Yield every configuration class inside of a command's settings once, in the order of the commands."""
    top = [command.settings for command in commands() if command.settings]
    seen = set(top)
    waiting = [config for settings in top for config in nested(settings)]
    while waiting:
        config = waiting.pop(0)
        if config not in seen:
            seen.add(config)
            yield config
            waiting = [*nested(config), *waiting]  # right behind the class that holds them
