"""Comparisons from a file of one's own as rows: a prompt with two responses, and which of them is preferred.

Any preference file will do. Its responses stand in an order that depends on their texts alone, so that the place of a
response says nothing of who won. What is written is our own layout again, which every other command reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from penchant.data.load import load_responses
from penchant.data.options import Columns
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.tasks.spec import first_by_content, normalized, with_plain_prompt
from penchant.types import Comparison, PromptGroup, prompt_text
from penchant.weak.contract import Probabilities
from penchant.weak.rows import LabelledRows

OPTIONS = ("first response", "second response")
"""What the two are called where classes have names."""


def read_comparisons(
    source: str, *, labels: bool = True, split: str = "train", columns: Columns | None = None
) -> LabelledRows:
    """Read the pairs of responses of a preference file, each with the share of its verdicts that the first one won.

    A tie is half a win for each, and several verdicts on one pair (of annotators who differ, or of weak labels, which
    are written as weights) add up: so targets are soft where people were of two minds. Pairs of one prompt are related.

    Args:
        source: a preference file of any known layout, or a hub id.
        labels: whether only pairs that were compared count; if not, verdicts are not looked at, and where a prompt has
            none at all every two of its responses are a pair.
        columns: by field of the layout, the column that holds it.

    Raises:
        InputError: rows that cannot be used, all named with their lines; no pair of responses, or no comparison.
    """
    pairs: list[PromptGroup] = []
    shares: list[float] = []
    for group in load_groups(source, split=split, columns=columns):
        for first, second, share in _pairs(group, labels=labels):
            # a response that was drawn several times is one option of the pair
            responses = [replace(group.responses[index], count=1) for index in (first, second)]
            pairs.append(PromptGroup(group.prompt, responses, source=group.source))
            shares.append(share)
    if not pairs:
        expected = "comparisons of two responses" if labels else "prompts with two different responses"
        raise InputError(f"{source} has no {expected}: see `penchant data check` for what it has")
    prompts = [prompt_text(pair.prompt) for pair in pairs]
    return LabelledRows(
        source,
        tuple(pairs),
        OPTIONS,
        np.array([[share, 1 - share] for share in shares]) if labels else None,
        tuple(normalized(prompt) or prompt for prompt in prompts),
    )


def load_groups(source: str, *, split: str = "train", columns: Columns | None = None) -> list[PromptGroup]:
    """Return the prompts of a preference file with their responses, in text alone.

    Raises:
        InputError: rows that cannot be used, with the settings that these commands have.
    """
    try:
        return load_responses(source, split=split, columns=columns)
    except InputError as error:
        # readers name the settings of training
        message = str(error).replace(" (bad_rows=skip)", "").replace("data.columns=", "columns=")
        if "a picture cannot be used here" in message or "pictures, videos and sounds cannot" in message:
            message += ". Pictures are read as rows with a class (task=classes, fields `image` and `label`)"
        raise InputError(message) from error


def write_comparisons(rows: LabelledRows, probabilities: Probabilities, path: Path) -> None:
    """Write a preference file, one pair per line: each response wins with its probability as the weight."""
    groups = []
    for pair, row in zip(rows.examples, probabilities, strict=True):
        assert isinstance(pair, PromptGroup)
        # a response that cannot win has no comparison: a weight of 0 is none
        comparisons = [Comparison(index, 1 - index, weight=float(p)) for index, p in enumerate(row) if p > 0]
        groups.append(PromptGroup(pair.prompt, pair.responses, comparisons))
    write_groups(groups, path)


def longer_first(rows: LabelledRows) -> Probabilities:
    """Return which response of each pair has more characters: 1 the first, 0 the second, NaN for equal lengths."""
    pairs = [pair for pair in rows.examples if isinstance(pair, PromptGroup)]
    # in characters: tokens differ by model
    lengths = np.array([[len(option.text) for option in pair.responses] for pair in pairs])
    return np.where(lengths[:, 0] == lengths[:, 1], np.nan, (lengths[:, 0] > lengths[:, 1]) * 1.0)


def _pairs(group: PromptGroup, *, labels: bool) -> Iterator[tuple[int, int, float]]:
    """Yield the indices of two responses and the share of the verdicts that the first of them won."""
    weights: dict[tuple[int, int], float] = {}
    for comparison in group.comparisons:
        for winner, loser, weight in comparison.directed():
            # a tie comes as half a win in each direction
            weights[winner, loser] = weights.get((winner, loser), 0.0) + weight
    compared = {(min(pair), max(pair)) for pair in weights}
    # where verdicts say which pairs are meant, only these are labelled
    all_pairs = combinations(range(len(group.responses)), 2)
    for left, right in sorted(compared) if compared or labels else all_pairs:
        order = order_of_pair(group, left, right)
        if order is None:
            continue
        first, second = order
        # several verdicts on one pair add up: the share is soft where people differed
        wins, losses = weights.get((first, second), 0.0), weights.get((second, first), 0.0)
        yield first, second, wins / (wins + losses) if wins + losses else 0.5


def order_of_pair(group: PromptGroup, left: int, right: int) -> tuple[int, int] | None:
    """Return two responses of a group in the order that their texts decide; None where these are equal."""
    plain_group = with_plain_prompt(group)
    texts = [plain_group.responses[index].text for index in (left, right)]
    if texts[0] == texts[1]:  # such as one text, finished and cut
        return None
    # files put the chosen response first: in their order the place alone would give the answer away
    return (left, right) if first_by_content(str(plain_group.prompt), *texts) else (right, left)
