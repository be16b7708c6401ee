"""A collection's beginning: a file becomes entries and items, or a database goes on with what it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from sqlmodel import Session, col, func, select

from penchant.config.base import shallow
from penchant.data import load_responses
from penchant.data.write import group_to_row
from penchant.errors import InputError
from penchant.types import PromptGroup
from penchant.web.assignment import PRIME
from penchant.web.database import Database
from penchant.web.settings import MOST_RANKED, Collect
from penchant.web.tables import VERSION, Annotator, Collection, Entry, Item

log = logging.getLogger("penchant.web")
KEPT = ("title", "instructions", "show", "seed", "overlap", "lease_minutes", "check_every")


def open_collection(database: Database, config: Collect, key_hash: str) -> bool:
    """Fill an empty database, or check that a filled one may go on; returns whether it was filled before.

    Raises:
        InputError: nothing to compare in the data; a collection of other data, of more annotators, or (`data` left
            out) none at all.
    """
    read = None if config.data is None else _read(config)
    with database.writing() as session:
        found = session.get(Collection, 1)
        if found is None:
            if read is None:
                raise InputError(f"{database.name} holds no collection yet: name the file whose responses to compare")
            _fill(session, config, key_hash, *read)
            return False
        if read is not None and found.content != _content(config, *read):
            raise InputError(
                f"{database.name} was made of other data, attention checks or another `ask`: name another `out`, or "
                "leave out the file to go on with what it holds"
            )
        if found.key_hash != key_hash:
            log.warning("%s: another key than before, so earlier links no longer open", database.name)
        found.key_hash, found.settings = key_hash, _settings(config)
        session.add(found)
        _add_annotators(session, database.name, config)
        return True


def _read(config: Collect) -> tuple[list[PromptGroup], list[PromptGroup]]:
    assert config.data is not None
    loaded = load_responses(
        config.data, layout=config.layout, split=config.split, bad_rows=config.bad_rows, limit=config.limit
    )
    groups = _comparable(config.data, loaded)
    checks: list[PromptGroup] = []
    if config.checks is not None:
        checks = _comparable(config.checks, load_responses(config.checks))
    return groups, checks


def _comparable(source: str, groups: Iterable[PromptGroup]) -> list[PromptGroup]:
    """The groups with two different texts or more."""
    all_groups = list(groups)
    kept = [group for group in all_groups if len(_members(group)) > 1]
    if not kept:
        raise InputError(f"{source}: no prompt has two different responses, so there is nothing to compare")
    if len(kept) < len(all_groups):
        gone = len(all_groups) - len(kept)
        log.warning("%s: %d prompts have fewer than two different responses and are left out", source, gone)
    return kept


def _members(group: PromptGroup) -> list[int]:
    """Indices of the responses that a reader can tell apart: the first of each text."""
    seen: dict[str, int] = {}
    for index, response in enumerate(group.responses):
        seen.setdefault(response.text.strip(), index)
    return sorted(seen.values())


def _items_of(group: PromptGroup, ask: str) -> list[list[int]]:
    members = _members(group)
    if ask == "pairs":
        return [list(pair) for pair in combinations(members, 2)]
    if len(members) > MOST_RANKED:
        raise InputError(
            f"{group.source}: {len(members)} responses are too many to rank at once (at most {MOST_RANKED}); "
            "use ask=pairs, or fewer responses"
        )
    return [members]


def known_places(group: PromptGroup, members: Sequence[int]) -> list[int] | None:
    """Places (1 the best) that the group's comparisons give its members; None where they do not order them all.

    A response's place comes from its wins less its losses among the members; every pair must be compared.
    """
    said: dict[tuple[int, int], float] = {}
    for comparison in group.comparisons:
        for winner, loser, weight in comparison.directed():
            said[winner, loser] = said.get((winner, loser), 0.0) + weight
    score = dict.fromkeys(members, 0)
    for one, other in combinations(members, 2):
        ahead, behind = said.get((one, other), 0.0), said.get((other, one), 0.0)
        if not ahead and not behind:
            return None
        score[one] += (ahead > behind) - (ahead < behind)
        score[other] -= (ahead > behind) - (ahead < behind)
    order = sorted(set(score.values()), reverse=True)
    return [order.index(score[member]) + 1 for member in members]


def _fill(
    session: Session, config: Collect, key_hash: str, groups: list[PromptGroup], checks: list[PromptGroup]
) -> None:
    collection = Collection(
        version=VERSION,
        content=_content(config, groups, checks),
        key_hash=key_hash,
        settings=_settings(config),
        made_at=time.time(),
    )
    session.add(collection)
    numbers = np.random.default_rng(config.seed)
    items = 0
    for place, group in enumerate([*groups, *checks], start=1):
        row = json.dumps(_plain(group), ensure_ascii=False)
        session.add(Entry(id=place, source=group.source, row=row))
        session.flush()
        answer = None
        for members in [_members(group)] if place > len(groups) else _items_of(group, config.ask):
            if place > len(groups):
                answer = known_places(group, members)
                if answer is None or len(set(answer)) == 1:
                    raise InputError(f"{group.source}: an attention check needs comparisons that order all responses")
            items += 1
            session.add(
                Item(
                    id=items,
                    entry_id=place,
                    members=json.dumps(members),
                    answer=None if answer is None else json.dumps(answer),
                    shuffle=int(numbers.integers(PRIME)),
                )
            )
    _add_annotators(session, "", config)


def _plain(group: PromptGroup) -> dict[str, Any]:
    """The row of a group without what anybody said of it before: judgments here stand for themselves.

    Raises:
        InputError: half of a surrogate pair, which no database can hold.
    """
    row = group_to_row(group.replace(comparisons=(), scores=None))
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{group.source} holds half of a surrogate pair, which is no text ({error.reason})") from None
    return row


def _add_annotators(session: Session, name: str, config: Collect) -> None:
    known = int(session.exec(select(func.count()).select_from(Annotator)).one())
    if known > config.annotators:
        raise InputError(
            f"{name} has {known} annotators, {config.annotators} are given: their number may grow, but nobody who may "
            "have judged can be taken away"
        )
    for number, called in enumerate(config.annotator_names, start=1):
        found = session.get(Annotator, number)
        session.add(Annotator(id=number, name=called) if found is None else _renamed(found, called, config))


def _renamed(annotator: Annotator, called: str, config: Collect) -> Annotator:
    if config.names:
        annotator.name = called
    return annotator


def _settings(config: Collect) -> str:
    return json.dumps({name: value for name, value in shallow(config).items() if name in KEPT})


def _content(config: Collect, groups: list[PromptGroup], checks: list[PromptGroup]) -> str:
    digest = hashlib.sha256(config.ask.encode())
    for group in [*groups, *checks]:
        digest.update(json.dumps(_plain(group), sort_keys=True).encode())
        digest.update(b"\n")
    digest.update(str(len(checks)).encode())
    return digest.hexdigest()


def items_of(session: Session) -> int:
    """How many items there are, attention checks aside."""
    return int(session.exec(select(func.count()).select_from(Item).where(col(Item.answer).is_(None))).one())
