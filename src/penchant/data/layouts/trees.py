"""Read OpenAssistant's trees of messages: every turn with answers becomes a prompt, and their ranks comparisons.

A tree is one row, or it is spread over a table with a row per message, in any order. Either becomes one row per turn
that was answered: a tree that has a single path down to that turn, and its answers as the leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penchant.data.layouts.outcomes import comparisons_of_scores, refuse_identical
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import (
    RowError,
    RowValues,
    as_number,
    as_object,
    as_records,
    as_text,
    cut,
    flag,
    holds,
)
from penchant.types import Comparison, Message, PromptGroup, Response

MESSAGE_COLUMNS = ("message_id", "parent_id", "message_tree_id", "text", "role")
ROLES = {"prompter": "user", "assistant": "assistant"}
MessagePath = tuple[RowValues, ...]
MOST_LEVELS = 500  # of replies to replies


def is_tree(row: RowValues) -> bool:
    """Return whether a row is a tree of messages."""
    prompt = row.get("prompt")
    return isinstance(prompt, dict) and "replies" in prompt


def is_message(row: RowValues) -> bool:
    """Return whether a row is one message of a tree, whose other messages stand in other rows."""
    return all(name in row for name in MESSAGE_COLUMNS)


def unfold_trees(items: Iterator[Row | RowProblem]) -> Iterator[Row | RowProblem]:
    """Yield rows with a row per answered turn in place of each tree; rows of other kinds as they are.

    Messages with a row each are gathered until the source ends.
    """
    messages: dict[str, tuple[str, RowValues]] = {}
    for item in items:
        if isinstance(item, Row) and is_tree(item.values):
            yield from _answered_rows(item)
        elif isinstance(item, Row) and is_message(item.values):
            identity = str(item.values["message_id"])
            if identity in messages:
                yield RowProblem(
                    item.source, "value", f"field 'message_id': {cut(identity)!r} stands twice in the file"
                )
            else:
                messages[identity] = (item.source, {**item.values, "replies": []})
        else:
            yield item
    yield from _assembled(messages)


def _assembled(messages: dict[str, tuple[str, RowValues]]) -> Iterator[Row | RowProblem]:
    """Yield the answered turns of the trees that single messages make up."""
    roots = []
    # Links are made when all rows are known: a table may hold an answer before its question.
    for identity, (source, message) in messages.items():
        parent = message["parent_id"]
        if not holds(parent):
            roots.append(identity)
        elif str(parent) in messages:
            replies = messages[str(parent)][1]["replies"]
            assert isinstance(replies, list)  # put there in `unfold_trees`
            replies.append(message)
        else:
            yield RowProblem(
                source, "missing", f"field 'parent_id': no row of the file has the message_id {cut(parent)!r}"
            )
    yield from _circles(messages, roots)
    for identity in roots:
        source, message = messages[identity]
        yield from _answered_rows(Row(source, {"message_tree_id": message["message_tree_id"], "prompt": message}))


def _circles(messages: dict[str, tuple[str, RowValues]], roots: Sequence[str]) -> Iterator[RowProblem]:
    """Yield the messages that are replies to each other in a circle, so that no tree holds them."""
    waiting = [*roots]
    waiting += [name for name, (_, message) in messages.items() if str(message["parent_id"]) not in messages]
    visited: set[str] = set()
    while waiting:
        identity = waiting.pop()
        if identity not in visited:
            visited.add(identity)
            waiting += [str(reply["message_id"]) for reply in as_records(messages[identity][1]["replies"], "replies")]
    for identity, (source, _) in messages.items():
        if identity not in visited:
            yield RowProblem(source, "value", f"field 'parent_id': {cut(identity)!r} is a reply to its own replies")


def _answered_rows(tree: Row) -> Iterator[Row | RowProblem]:
    """Yield a row per turn of a tree that has answers: the path to it, and the answers below."""
    try:
        paths = list(_answered_paths(as_object(tree.values["prompt"], "prompt")))
    except RowError as error:
        yield RowProblem(tree.source, error.kind, str(error))
        return
    if not paths:
        yield RowProblem(tree.source, "empty", "field 'prompt': nobody answered it, so the tree has nothing to learn")
    for path, answers in paths:
        node: RowValues = {**path[-1], "replies": answers}
        # from the leaf up, each turn with one reply: what is beside the path is another row
        for message in reversed(path[:-1]):
            node = {**message, "replies": [node]}
        yield Row(tree.source, {**tree.values, "prompt": node})


def _answered_paths(root: RowValues) -> Iterator[tuple[MessagePath, Sequence[RowValues]]]:
    """Yield each turn of a person's that was answered, with the turns before it and its answers."""
    waiting: list[tuple[RowValues, MessagePath]] = [(root, ())]
    # a loop and not a function that calls itself: a hostile tree is deeper than Python's stack
    while waiting:
        message, above = waiting.pop(0)
        if len(above) >= MOST_LEVELS:
            raise RowError("value", f"field 'prompt': more than {MOST_LEVELS} replies below each other")
        if _is_deleted(message):
            continue
        below = (*above, message)
        replies = [reply for reply in as_records(message.get("replies") or [], "replies") if not _is_deleted(reply)]
        if replies and _role(message) == "user":
            yield below, [{**reply, "replies": []} for reply in replies]
        waiting += [(reply, below) for reply in replies]


def _is_deleted(message: RowValues) -> bool:
    return holds(message.get("deleted")) and flag(message["deleted"], "deleted")


def _role(message: RowValues) -> str:
    role = as_text(message.get("role"), "role")
    if role not in ROLES:
        raise RowError("value", f"field 'role': expected prompter or assistant, got {cut(role)!r}")
    return ROLES[role]


def read_tree(row: RowValues) -> PromptGroup:
    """Read a tree with a single path down to a turn with answers: that path is the prompt; the lowest rank wins.

    Answers without a rank are kept and not compared.
    """
    row.get("tree_state")  # whether it was exported, which says nothing of the answers
    node = as_object(row["prompt"], "prompt")
    turns, replies = [_turn(node)], as_records(node.get("replies") or [], "replies")
    while len(replies) == 1 and replies[0].get("replies"):
        node = replies[0]
        turns.append(_turn(node))
        replies = as_records(node["replies"], "replies")
    answers = [_turn(reply) for reply in replies]
    roles = [turn.role for turn in (*turns, *answers[:1])]
    if any(role != ("user", "assistant")[index % 2] for index, role in enumerate(roles)):
        raise RowError("history", f"field 'prompt': its turns must alternate, got {', '.join(roles[:6])}")
    responses = [Response(answer.only_text) for answer in answers]
    comparisons = _comparisons(replies)
    refuse_identical(responses, comparisons, "replies")
    return PromptGroup(turns, responses, comparisons)


def _turn(message: RowValues) -> Message:
    return Message(_role(message), as_text(message.get("text"), "text"))


def _comparisons(replies: Sequence[RowValues]) -> list[Comparison]:
    # a reply that nobody ranked is no worse than the others; it is only not compared
    ranked = [index for index, reply in enumerate(replies) if holds(reply.get("rank"))]
    ranks = [as_number(replies[index]["rank"], "rank") for index in ranked]
    by_rank = comparisons_of_scores(ranks, ranked, lower_wins=True)
    return [Comparison(ranked[pair.winner], ranked[pair.loser], tie=pair.tie) for pair in by_rank]
