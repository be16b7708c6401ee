"""Look once at every group of a source: its units, the digest of its prompt, and how many comparisons it has.

Groups of a table are built for it and forgotten again, so whatever else a run must know of each group stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penchant.data.group_table import GroupRows
from penchant.train.plan import Unit, content_key, digest_key, split_key
from penchant.types import PromptGroup


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """Facts of a group that a run must know.

    Attributes:
        units: what an optimizer step counts of it.
        key: the digest of its prompt, which decides its side.
        comparisons: how many it has.
    """

    units: tuple[Unit, ...]
    key: bytes
    comparisons: int


def prompt_keys(groups_by_part: Sequence[Sequence[PromptGroup]], seed: int) -> list[list[bytes]]:
    """Return the digests of the prompts of each source's groups, as a run has them."""
    key = content_key if len(groups_by_part) > 1 else split_key
    return [[digest_key(key(group), seed) for group in groups] for groups in groups_by_part]


class GroupScan:
    """Looks at groups, for one run.

    Args:
        units: a group -> what an optimizer step counts of it.
        seed: of the run, which decides sides.
        by_content: whether prompts are told apart by what is asked alone, as over several sources.
    """

    def __init__(self, units: Callable[[PromptGroup], Sequence[Unit]], *, seed: int, by_content: bool) -> None:
        self._units, self._seed = units, seed
        self._key = content_key if by_content else split_key
        # most pairs of a file have the same unit: one object for all of them
        self._interned: dict[tuple[Unit, ...], tuple[Unit, ...]] = {}

    def facts(self, group: PromptGroup) -> GroupFacts:
        """Return the facts of a group."""
        units = tuple(self._units(group))
        return GroupFacts(
            self._interned.setdefault(units, units), digest_key(self._key(group), self._seed), len(group.comparisons)
        )

    def all_facts(self, groups: Sequence[PromptGroup]) -> list[GroupFacts]:
        """Return the facts of each group."""
        return [self.facts(group) for group in groups]

    def remaining(
        self, before: Sequence[GroupFacts], groups: Sequence[PromptGroup], remaining: Sequence[PromptGroup]
    ) -> list[GroupFacts]:
        """Return the facts of groups that are left of others, whose facts are known.

        Args:
            before: of each of `groups`.
        """
        if not (isinstance(groups, GroupRows) and isinstance(remaining, GroupRows)):
            return self.all_facts(remaining)
        facts_by_number = dict(zip(groups.numbers, before, strict=True))
        # groups of a table are built anew each time: what is known of one is not looked up by the group
        return [
            self.facts(remaining[index]) if number in remaining.changes else facts_by_number[number]
            for index, number in enumerate(remaining.numbers)
        ]
