"""The data of a collection: groups with two different responses or more, and the pictures that prompts name."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from penchant.data.load import load_responses
from penchant.errors import InputError
from penchant.types import PromptGroup, response_text
from penchant.web.pictures import Picture, names_remote_pictures, pictures_of
from penchant.web.settings import Collect

log = logging.getLogger("penchant.web")
Illustrated = tuple[PromptGroup, dict[str, Picture]]  # a group, and the pictures of its prompt by address
# Settings that say how data is read. They count once: afterwards the database holds what was read.
READING = ("layout", "split", "bad_rows", "limit", "pictures", "checks")


def read_data(config: Collect) -> tuple[list[Illustrated], list[Illustrated]]:
    """Return the groups to compare and the attention checks that a configuration names.

    Raises:
        InputError: as the readers of data; nothing to compare; pictures that cannot be shown.
    """
    assert config.data is not None
    loaded = load_responses(
        config.data,
        layout=config.layout,
        split=config.split,
        bad_rows=config.bad_rows,
        limit=config.limit,
        media=True,
        media_folder=_media_folder(config),
    )
    groups = _illustrated(config, config.data, _comparable(config.data, loaded), config.bad_rows)
    checks: list[Illustrated] = []
    if config.checks is not None:
        checked = load_responses(config.checks, media=True, media_folder=_media_folder(config))
        checks = _illustrated(config, config.checks, _comparable(config.checks, checked), "error")
    return groups, checks


def _media_folder(config: Collect) -> str | None:
    # where a prompt names no picture, the folder need not be there
    return config.pictures if config.pictures and Path(config.pictures).expanduser().is_dir() else None


def _illustrated(config: Collect, source: str, groups: list[PromptGroup], bad_rows: str) -> list[Illustrated]:
    """Return the groups with the pictures that their prompts name, which must be there.

    Raises:
        InputError: pictures that cannot be shown, unless rows that cannot be used are skipped.
    """
    path = Path(source)
    folder = Path(config.pictures) if config.pictures else path if path.is_dir() else path.parent
    # plain texts show a picture's address, and a data set of the hub has no folder that pictures could lie in
    if config.show == "plain" or not (config.pictures or path.exists()):
        return [(group, {}) for group in groups]
    illustrated: list[Illustrated] = []
    problems = []
    for group in groups:
        try:
            illustrated.append((group, pictures_of(group.prompt, folder)))
        except InputError as error:
            problems.append(f"{group.source}: {error}")
    if problems and (bad_rows == "error" or not illustrated):
        remainder = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise InputError(
            f"{source}: pictures of {len(problems)} prompts cannot be shown (bad_rows=skip leaves those prompts out, "
            "show=plain shows texts alone):\n" + "\n".join(problems[:10]) + remainder
        )
    if problems:
        log.warning("%s: %d prompts are left out, whose pictures cannot be shown", source, len(problems))
    remote = sum(names_remote_pictures(group.prompt) for group, _ in illustrated)
    if remote:
        log.warning(
            "%s: %d prompts name pictures on other machines. The page fetches none and shows their address; for the "
            "picture itself put the file beside the data and its name into the text",
            source,
            remote,
        )
    return illustrated


def _comparable(source: str, groups: Iterable[PromptGroup]) -> list[PromptGroup]:
    """Return the groups with two different texts or more."""
    all_groups = list(groups)
    comparable = [group for group in all_groups if len(different_members(group)) > 1]
    if not comparable:
        raise InputError(f"{source}: no prompt has two different responses, so there is nothing to compare")
    if len(comparable) < len(all_groups):
        dropped = len(all_groups) - len(comparable)
        log.warning("%s: %d prompts have fewer than two different responses and are left out", source, dropped)
    return comparable


def different_members(group: PromptGroup) -> list[int]:
    """Return indices of the responses that a reader can tell apart: the first of each text."""
    seen: dict[str, int] = {}
    for index, response in enumerate(group.responses):
        # spaces at the ends cannot be seen, and a choice between the same two texts says nothing
        seen.setdefault(response_text(response).strip(), index)
    return sorted(seen.values())
