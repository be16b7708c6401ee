"""Who gets which item, and on which side its responses stand.

An item is given to a person who has not had it and while fewer people than the overlap have judged it or have it before
them. Whoever has it before them holds a lease: one who closes the browser does not keep the item for ever. Items that
somebody has begun come first, so that the overlap is reached early; among the others everybody has an order of their
own, drawn by the seed. So a fast person takes more items, and each item still gets its overlap.
"""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, and_, func, literal, or_
from sqlmodel import Session, col, exists, select

from penchant.web.settings import Collect
from penchant.web.tables import Assignment, Item

# A person's order of the items is x -> (a x + b) mod this prime, a permutation that the database computes by itself: no
# table of orders for each person. All products stay below 2**62.
PRIME = 2**31 - 1
OPEN, DONE, SKIPPED, LAPSED = "open", "done", "skipped", "lapsed"


def next_assignment(session: Session, annotator: int, config: Collect, now: float) -> Assignment | None:
    """Return the assignment that a person works on from now on; None where nothing is left for them at the moment.

    Call it in a writing transaction. The same open assignment comes again until it is judged, with a new lease, unless
    its lease had ended and others have given the item its overlap meanwhile.
    """
    for assignment in open_assignments(session, annotator):
        item = session.get(Item, assignment.item_id)
        assert item is not None
        # an attention check takes no place away from others, so its lease never ends
        if (
            assignment.lease_until > now
            or item.answer is not None
            or count_claims(session, item.id, now) < config.overlap
        ):
            assignment.lease_until = now + config.lease_s
            session.add(assignment)
            return assignment
        assignment.state = LAPSED
        session.add(assignment)
        session.flush()  # the queries below must not see it as open
    chosen = _due_check(session, annotator, config)
    if chosen is None:
        chosen = _next_item(session, annotator, config, now)
    return None if chosen is None else _assigned(session, chosen, annotator, config, now)


def open_assignments(session: Session, annotator: int) -> list[Assignment]:
    """Return what is before a person, the latest opened first (an undone judgment comes before what it interrupted)."""
    query = select(Assignment).where(Assignment.annotator_id == annotator, Assignment.state == OPEN)
    return list(session.exec(query.order_by(col(Assignment.opened_at).desc(), col(Assignment.id).desc())))


def count_claims(session: Session, item_id: int, now: float) -> int:
    """Return how many people have judged an item or hold a lease on it."""
    return session.exec(select(func.count()).where(Assignment.item_id == item_id, _counts(now))).one()


def _counts(now: float) -> ColumnElement[bool]:
    """Return the condition for assignments that count towards an item's overlap: judged, or open with a lease."""
    return or_(
        col(Assignment.state) == DONE,
        and_(col(Assignment.state) == OPEN, col(Assignment.lease_until) > now),
    )


def _next_item(session: Session, annotator: int, config: Collect, now: float) -> Item | None:
    # a skipped item does not come again; one that lapsed may
    already_assigned = exists().where(
        col(Assignment.item_id) == Item.id,
        col(Assignment.annotator_id) == annotator,
        col(Assignment.state) != LAPSED,
    )
    # One query over all assignments, under the lock of writers: 16 ms with 5,000 items and as many judgments
    # (docs/decisions/0014-collecting.md).
    place_counts = (
        select(Assignment.item_id, func.count().label("n"))
        .where(_counts(now))
        .group_by(col(Assignment.item_id))
        .subquery()
    )
    used_places = func.coalesce(place_counts.c.n, 0)
    factor, offset = (_draw(config.seed, "order", annotator, part) % (PRIME - 1) + 1 for part in ("a", "b"))
    own_order = (col(Item.shuffle) * literal(factor, BigInteger) + literal(offset, BigInteger)) % PRIME
    query = select(Item).outerjoin(place_counts, place_counts.c.item_id == Item.id)
    query = query.where(col(Item.answer).is_(None), ~already_assigned, used_places < config.overlap)
    # begun items first, so that agreement can be measured early
    return session.exec(query.order_by(used_places.desc(), own_order, col(Item.id)).limit(1)).first()


def _due_check(session: Session, annotator: int, config: Collect) -> Item | None:
    """Return the next attention check, if one is due: one in every `check_every` items, at a drawn position."""
    is_check = col(Item.answer).is_not(None)
    of_mine = select(func.count()).select_from(Assignment).join(Item).where(Assignment.annotator_id == annotator)
    checks = session.exec(of_mine.where(is_check)).one()
    item_count = session.exec(of_mine.where(~is_check, col(Assignment.state).in_((DONE, SKIPPED)))).one()
    # a block is `check_every` items, one of them a check at a drawn place: at a fixed place people would notice it
    block, position = divmod(item_count, config.check_every - 1)
    if checks > block or position < _draw(config.seed, "check", annotator, block) % (config.check_every - 1):
        return None
    already_assigned = exists().where(col(Assignment.item_id) == Item.id, col(Assignment.annotator_id) == annotator)
    # drawn for each person, so that two who compare notes do not meet the same check at the same time
    left = session.exec(select(Item).where(is_check, ~already_assigned)).all()
    return min(left, key=lambda item: _draw(config.seed, "which", annotator, item.id), default=None)


def _assigned(session: Session, item: Item, annotator: int, config: Collect, now: float) -> Assignment:
    # an item that lapsed comes back in the order in which the person saw it first
    assignment = session.exec(
        select(Assignment).where(Assignment.item_id == item.id, Assignment.annotator_id == annotator)
    ).first()
    if assignment is None:
        person_count = session.exec(select(func.count()).where(Assignment.item_id == item.id)).one()
        order = order_of(json.loads(item.members), config.seed, item.id, person_count)
        assignment = Assignment(
            item_id=item.id, annotator_id=annotator, shown=json.dumps(order), state=OPEN, opened_at=now, lease_until=0
        )
    assignment.state, assignment.opened_at, assignment.lease_until = OPEN, now, now + config.lease_s
    session.add(assignment)
    session.flush()
    return assignment


def order_of(members: list[int], seed: int, item: int, person_count: int) -> list[int]:
    """Return the order in which a person sees an item's responses.

    It is drawn by the seed for the first, third, fifth person who gets the item; the second, fourth, sixth see the
    reverse. So nobody can tell sides, and within an item they balance.

    Args:
        members: response indices of the item.
        person_count: how many people got the item before.
    """
    rng = np.random.default_rng(_draw(seed, "sides", item, person_count // 2))
    order = [members[index] for index in rng.permutation(len(members))]
    return order[::-1] if person_count % 2 else order


def fair_share(items: int, overlap: int, annotators: int) -> int:
    """Return how many items a person would judge if all were equally fast."""
    return min(items, math.ceil(items * overlap / annotators))


def _draw(*parts: object) -> int:
    """Return a number that anybody can draw again from the same parts."""
    # 56 bits, so that its remainder by 2**31 is as good as even
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:7], "big")
