"""Which answers a method learns from: halves, agreement, consensus pairs, and their limits."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.studies.weak_to_strong_generation.selection import LabelledRow, consensus_pairs, learned_groups
from penchant.types import PromptGroup, Response


def rows(agrees: bool | None = None) -> list[LabelledRow]:
    return [
        LabelledRow(
            prompt=f"p{n}",
            answer=f"true {n}",
            label=Response(f"weak {n}", finished=n != 3),
            consistency=n % 3 / 2,
            agrees=n % 4 == 0 if agrees is None else agrees,
            likelihood=-float(n),
        )
        for n in range(12)
    ]


def same(first: Response, second: Response) -> bool:
    return first.text == second.text


def prompts(groups: list[PromptGroup]) -> list[object]:
    return [group.prompt for group in groups]


def test_naive_learns_every_answer_and_the_ceiling_the_true_ones() -> None:
    naive, ceiling = (learned_groups(method, rows(), 0) for method in ("naive", "ceiling"))  # type: ignore[arg-type]
    assert [group.responses[0].text for group in naive] == [f"weak {n}" for n in range(12)]
    assert [group.responses[0].text for group in ceiling] == [f"true {n}" for n in range(12)]
    # an answer that was cut teaches no end
    assert [group.responses[0].finished for group in naive].count(False) == 1


def test_agreement_of_all_rows_is_naive() -> None:
    assert learned_groups("agreement", rows(agrees=True), 0) == learned_groups("naive", rows(agrees=True), 0)
    assert prompts(learned_groups("agreement", rows(), 0)) == ["p0", "p4", "p8"]
    with pytest.raises(InputError, match="of 12 answers none is left"):
        learned_groups("agreement", rows(agrees=False), 0)


def test_halves() -> None:
    assert prompts(learned_groups("likely_half", rows(), 0)) == [f"p{n}" for n in range(6)]
    consistent = prompts(learned_groups("self_consistent", rows(), 0))
    assert {"p2", "p5", "p8", "p11"} < set(consistent)  # consistency 1
    assert len(consistent) == 6
    halves = [prompts(learned_groups("random_half", rows(), seed)) for seed in range(4)]
    assert all(len(half) == 6 for half in halves)
    assert len({tuple(half) for half in halves}) > 1
    assert halves[0] == prompts(learned_groups("random_half", rows(), 0))


def test_an_empty_answer_is_no_consensus() -> None:
    silent, some = Response("  ", count=3), Response("4", count=1)
    assert consensus_pairs([PromptGroup("p", [silent, some])], same) == []
    # as the worse one it stays
    (pair,) = consensus_pairs([PromptGroup("p", [Response("", count=1), Response("4", count=3)])], same)
    assert [response.text for response in pair.responses] == ["4", ""]


def test_equal_scores_are_not_decided_by_the_order_of_the_file() -> None:
    equal = [LabelledRow(f"p{n}", "a", Response("b"), 1.0, True, 0.0) for n in range(40)]
    chosen = prompts(learned_groups("likely_half", equal, 0))
    assert chosen != [f"p{n}" for n in range(20)]


def test_consensus_pairs_by_hand() -> None:
    draws = [
        PromptGroup("clear", [Response(text) for text in ("4", "4", "4", "5", "6", "5")]),  # 3 of 6 is no majority
        PromptGroup("majority", [Response(text) for text in ("5", "4", "4", "4", "6", "6")]),  # nor is this
        PromptGroup("won", [Response(text) for text in ("7", "4", "4", "4", "6", "6", "4")]),
        PromptGroup("all", [Response("4")] * 3),
    ]
    (pair,) = consensus_pairs(draws, same)
    assert pair.prompt == "won"
    assert [response.text for response in pair.responses] == ["4", "6"]
    assert (pair.comparisons[0].winner, pair.comparisons[0].loser) == (0, 1)


def test_answers_in_other_words_are_one() -> None:
    draws = [PromptGroup("p", [Response("so 4"), Response("it is 4"), Response("4"), Response("5")])]
    (pair,) = consensus_pairs(draws, lambda a, b: a.text[-1] == b.text[-1])
    assert [response.text[-1] for response in pair.responses] == ["4", "5"]


def test_counts_of_equal_draws_count() -> None:
    draws = [PromptGroup("p", [Response("4", count=3), Response("5", count=2)])]
    assert len(consensus_pairs(draws, same)) == 1
