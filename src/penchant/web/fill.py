"""A collection's beginning: a file becomes entries and items, or a database goes on with what it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from sqlmodel import Session, col, func, select

from penchant.data.sources.row_digests import check_rows
from penchant.data.write import group_to_row
from penchant.errors import InputError
from penchant.types import PromptGroup
from penchant.web.assignment import PRIME
from penchant.web.database import Database
from penchant.web.media import stored_fields, stored_files
from penchant.web.pictures import Picture
from penchant.web.rendering import Show
from penchant.web.reopen import Opened, kept_settings, merge_settings
from penchant.web.settings import MOST_RANKED, Collect
from penchant.web.sources import READING, Illustrated, different_members, read_data
from penchant.web.tables import VERSION, Annotator, Collection, Entry, Image, Item, Judgment

log = logging.getLogger("penchant.web")


def open_collection(database: Database, config: Collect, key_hash: str) -> Opened:
    """Fill an empty database, or go on with a filled one by the settings that it holds.

    Raises:
        InputError: nothing to compare in the data; a collection of other data, of more annotators, of another question
            that has judgments, or (`data` left out) none at all.
    """
    with database.reading() as session:
        collection = session.get(Collection, 1)
    # Data are read outside of a transaction: it takes long, and people may be judging by another process.
    read = None if config.data is None or collection is not None else read_data(config)
    is_same_data = True
    if collection is not None:
        _refuse_reading_options_alone(database.name, config)
        if config.data is not None:
            is_same_data = _is_made_of(
                config, _stored_settings(database.name, collection).get("show"), collection.content
            )
    with database.writing() as session:
        collection = session.get(Collection, 1)
        if collection is None:
            if read is None:
                raise InputError(f"{database.name} holds no collection yet: name the file whose responses to compare")
            _fill(session, config, key_hash, *read)
            return Opened(False, config)
        # before anybody judges on: a damaged row would be copied into every export from now on
        if not check_rows(lambda statement: session.connection().exec_driver_sql(statement), database.name):
            log.warning("%s has rows of an earlier version, without digests: they are read unchecked", database.name)
        stored = _stored_settings(database.name, collection)
        if read is not None:  # another process filled it meanwhile
            is_same_data = collection.content in _contents(config, *read)
        if config.data is None:
            _refuse_another_ask(session, database.name, config)
        elif not is_same_data:
            options = ", ".join(f"`{name}`" for name in READING if name in config.model_fields_set)
            raise InputError(
                f"{database.name} was made of other data, attention checks, another `ask`, or read in another way "
                f"(this time with {options or 'none of ' + ', '.join(READING)}): name another `out`, or leave out the "
                "file to go on with what it holds"
            )
        names = session.exec(select(Annotator.name).order_by(col(Annotator.id))).all()
        judgments = session.exec(select(func.count()).select_from(Judgment)).one()
        opened = merge_settings(config, stored, names, judgments)
        # no error: a key that was lost must not lock a collection up
        if collection.key_hash != key_hash:
            log.warning("%s: another key than before, so earlier links no longer open", database.name)
        collection.key_hash, collection.settings = key_hash, kept_settings(opened.config)
        session.add(collection)
        _add_annotators(session, opened.config)
        return opened


def _refuse_reading_options_alone(name: str, config: Collect) -> None:
    """Refuse settings that say how a file is read where none is given: they would change nothing.

    Raises:
        InputError: with the first of them.
    """
    options_set = [setting for setting in READING if setting in config.model_fields_set]
    if config.data is None and options_set:
        raise InputError(
            f"`{options_set[0]}` says how the file of a new collection is read, and {name} holds one already: leave it "
            "out to go on, or name the file and another `out` for a new round"
        )


def _is_made_of(config: Collect, show: object, content: str) -> bool:
    """Return whether a collection was made of the data that is given.

    Args:
        show: how its texts are shown now; it was made with the pictures of its prompts, or without, by what
            it was then.
        content: the digest of what it was made of.
    """
    # the way of now first, as a collection whose `show` never changed needs its data read only once
    shows: tuple[Show, ...] = ("plain", "markdown") if show == "plain" else ("markdown", "plain")
    failure: InputError | None = None
    for way in shows:
        try:
            read = read_data(config.replace(show=way))
        except InputError as error:
            failure = failure or error
            continue
        if content in _contents(config, *read):
            return True
    if failure is not None:
        raise failure
    return False


def _stored_settings(name: str, collection: Collection) -> dict[str, object]:
    """Return the settings in a database. Raises InputError where they are damaged."""
    try:
        stored = json.loads(collection.settings)
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise InputError(
            f"{name}: a damaged collection, whose settings cannot be read. Use a copy of it, or another `out`"
        )
    return stored


def _contents(config: Collect, groups: list[Illustrated], checks: list[Illustrated]) -> set[str]:
    """Return the digests that a collection of these data may have: with the `ask` that was given, or with any."""
    asks = (config.ask,) if "ask" in config.model_fields_set else ("rank", "pairs")
    return {_content(ask, groups, checks) for ask in asks}


def _refuse_another_ask(session: Session, name: str, config: Collect) -> None:
    """Refuse `ask` where it is given and the items were made by the other one."""
    items = session.exec(select(Item.entry_id, Item.members).where(col(Item.answer).is_(None))).all()
    one_item_per_entry = len({entry for entry, _ in items}) == len(items)
    two_each = all(len(json.loads(members)) == 2 for _, members in items)
    wrong = not one_item_per_entry if config.ask == "rank" else not two_each
    if "ask" in config.model_fields_set and wrong:
        raise InputError(f"{name} was made with another `ask` than {config.ask}: leave it out, or name another `out`")


def _items_of(group: PromptGroup, ask: str) -> list[list[int]]:
    members = different_members(group)
    if ask == "pairs":
        return [list(pair) for pair in combinations(members, 2)]
    if len(members) > MOST_RANKED:
        raise InputError(
            f"{group.source}: {len(members)} responses are too many to rank at once (at most {MOST_RANKED}); "
            "use ask=pairs, or fewer responses"
        )
    return [members]


def known_places(group: PromptGroup, members: Sequence[int]) -> list[int] | None:
    """Return places (1 the best) that the group's comparisons give its members; None where they do not order them all.

    A response's place comes from its wins less its losses among the members; every pair must be compared.
    """
    wins: dict[tuple[int, int], float] = {}
    for comparison in group.comparisons:
        for winner, loser, weight in comparison.directed():
            wins[winner, loser] = wins.get((winner, loser), 0.0) + weight
    score = dict.fromkeys(members, 0)
    for first, second in combinations(members, 2):
        ahead, behind = wins.get((first, second), 0.0), wins.get((second, first), 0.0)
        if not ahead and not behind:
            return None
        score[first] += (ahead > behind) - (ahead < behind)
        score[second] -= (ahead > behind) - (ahead < behind)
    order = sorted(set(score.values()), reverse=True)
    return [order.index(score[member]) + 1 for member in members]


def _known_answer(group: PromptGroup, members: Sequence[int]) -> list[int]:
    """Return the places that an attention check expects. Raises InputError where nothing is expected."""
    answer = known_places(group, members)
    if answer is None or len(set(answer)) == 1:
        raise InputError(f"{group.source}: an attention check needs comparisons that order all responses")
    return answer


def _fill(
    session: Session, config: Collect, key_hash: str, groups: list[Illustrated], checks: list[Illustrated]
) -> None:
    collection = Collection(
        version=VERSION,
        content=_content(config.ask, groups, checks),
        key_hash=key_hash,
        settings=kept_settings(config),
        made_at=time.time(),
    )
    session.add(collection)
    numbers = np.random.default_rng(config.seed)
    items = 0
    # several prompts may name one picture, and one file may lie under several names
    by_digest = {picture.digest: picture for _, pictures in [*groups, *checks] for picture in pictures.values()}
    for picture in by_digest.values():
        session.add(Image(digest=picture.digest, media_type=picture.media_type, content=picture.content()))
        session.flush()  # else all pictures would be in memory at once
    for digest, media_type, content in stored_files(group for group, _ in [*groups, *checks]):
        if digest not in by_digest:
            session.add(Image(digest=digest, media_type=media_type, content=content))
            session.flush()
    for number, (group, pictures) in enumerate([*groups, *checks], start=1):
        row = json.dumps(_plain(group, pictures), ensure_ascii=False)
        session.add(Entry(id=number, source=group.source, row=row))
        session.flush()
        is_check = number > len(groups)
        for members in _items_of(group, "rank" if is_check else config.ask):
            items += 1
            session.add(
                Item(
                    id=items,
                    entry_id=number,
                    members=json.dumps(members),
                    answer=json.dumps(_known_answer(group, members)) if is_check else None,
                    shuffle=int(numbers.integers(PRIME)),
                )
            )
    _add_annotators(session, config)


def _plain(group: PromptGroup, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return the row of a group without what anybody said of it before: judgments here stand for themselves.

    Raises:
        InputError: half of a surrogate pair, which no database can hold.
    """
    # an annotator must not be told what others chose, and an export must not hold it as theirs
    row = group_to_row(group.replace(comparisons=(), scores=None), stored_fields)
    if pictures:
        row["pictures"] = {address: picture.digest for address, picture in pictures.items()}
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{group.source} holds half of a surrogate pair, which is no text ({error.reason})") from None
    return row


def _add_annotators(session: Session, config: Collect) -> None:
    """Write the annotators' names; those that are there keep their numbers."""
    for number, name in enumerate(config.annotator_names, start=1):
        annotator = session.get(Annotator, number) or Annotator(id=number, name=name)
        annotator.name = name
        session.add(annotator)


def _content(ask: str, groups: list[Illustrated], checks: list[Illustrated]) -> str:
    """Return a digest of what people are to compare, and how."""
    # with the pictures' digests: another file under the same name is other data
    digest = hashlib.sha256(ask.encode())
    for group, pictures in [*groups, *checks]:
        digest.update(json.dumps(_plain(group, pictures), sort_keys=True).encode())
        digest.update(b"\n")
    digest.update(str(len(checks)).encode())  # where the groups end and the checks begin
    return digest.hexdigest()
