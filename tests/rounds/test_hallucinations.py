"""Pairs about pictures: what is better, what is exchanged, and what is left out and why."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penchant.errors import InputError
from penchant.metrics.object_mentions import ObjectVocabulary, count_caption, false_mentions
from penchant.rounds.hallucinations import (
    HallucinationPairs,
    KnownPicture,
    build_pairs,
    list_objects,
    swap_mention,
)
from penchant.types import Comparison, PromptGroup, Response

WORDS = ObjectVocabulary({"cat": ("kitten",), "dog": (), "owl": (), "cow": (), "traffic light": (), "light": ()})


def pairs_of(*texts: str | Response, objects: Sequence[str] = ("cat", "dog"), **settings: object) -> HallucinationPairs:
    return build_pairs([PromptGroup("Describe.", texts)], [KnownPicture(tuple(objects))], WORDS, **settings)  # type: ignore[arg-type]


def test_the_best_description_beats_the_worst() -> None:
    texts = ("A cat.", "A cat and a dog.", "A cat and an owl.", "A cow and an owl.", "A cat and a cat.")
    made = pairs_of(*texts, kinds=["best_worst"])
    (group,) = made.groups
    assert [response.text for response in group.responses] == ["A cat and a dog.", "A cow and an owl."]
    assert group.comparisons == (Comparison(0, 1),)
    assert group.columns["false_claims"] == [
        {"response": 1, "start": 2, "end": 5, "object": "cow"},
        {"response": 1, "start": 13, "end": 16, "object": "owl"},
    ]
    counts = made.counts
    assert (counts.samples, counts.captions_without_false, counts.false_mentions) == (5, 3, 3)
    assert (counts.best_worst, counts.swap, counts.chosen_words, counts.rejected_words) == (1, 0, 5, 5)


def test_lengths_are_matched() -> None:
    texts = ("A cat.", "A cow and an owl and a light.")
    assert pairs_of(*texts, kinds=["best_worst"]).counts.unequal_length == 1
    assert pairs_of(*texts, kinds=["best_worst"], length_ratio=None).counts.best_worst == 1
    # what is better and as false is no pair: it would teach length
    assert pairs_of("A cat.", "A cat and a dog.", kinds=["best_worst"]).counts.equal == 1


def test_one_true_object_is_exchanged_for_one_that_the_model_itself_invents() -> None:
    texts = ("A dog and a cat.", "A cat and an owl.")
    (group,) = pairs_of(*texts, kinds=["swap"]).groups
    chosen, rejected = (response.text for response in group.responses)
    assert chosen == "A dog and a cat."
    assert rejected in ("An owl and a cat.", "A dog and an owl.")
    assert len(false_mentions(rejected, ["cat", "dog"], WORDS)) == 1
    drawn = {pairs_of(*texts, kinds=["swap"], seed=seed).groups[0].responses[1].text for seed in range(20)}
    assert len(drawn) == 2
    assert pairs_of(*texts, kinds=["swap"], seed=3) == pairs_of(*texts, kinds=["swap"], seed=3)


def test_what_is_exchanged_is_expected_beside_what_is_there() -> None:
    samples = [PromptGroup("1", ["A cat."]), PromptGroup("2", ["A cat."]), PromptGroup("3", ["A cow."])]
    pictures = [KnownPicture(("cat",)), KnownPicture(("cat", "owl")), KnownPicture(("cow",), absent=("kitten",))]
    made = build_pairs(samples, pictures, WORDS, kinds=["swap"])
    assert [group.responses[1].text for group in made.groups][::2] == ["An owl.", "A cat."]


def test_what_cannot_be_exchanged_is_counted() -> None:
    assert pairs_of("A cow.", "Nothing.", kinds=["swap"]).counts.never_clean == 1
    # a plural, and an object twice: a claim would stay
    assert pairs_of("Cats.", kinds=["swap"]).counts.never_swapped == 1
    assert pairs_of("A cat, a cat.", kinds=["swap"]).counts.never_swapped == 1
    cut = Response("A cat and a", (1,), finished=False, count=3)
    assert pairs_of("A cow.", cut).counts.cut == 3
    with pytest.raises(InputError, match="all descriptions were cut: raise max_new_tokens"):
        pairs_of(cut)
    with pytest.raises(InputError, match="no row has a description"):
        pairs_of()
    with pytest.raises(InputError, match="one list of objects per prompt is needed, got 0 for 1"):
        build_pairs([PromptGroup("1", ["A cat."])], [], WORDS)


def test_both_sides_are_written_anew_in_one_style() -> None:
    texts = ("A cat is there, and near it a dog!", "Look, a cow with an owl beside it.")
    (group,) = pairs_of(*texts, kinds=["best_worst"], rewrite=list_objects(WORDS)).groups
    assert [response.text for response in group.responses] == [
        "The picture shows a cat and a dog.",
        "The picture shows a cow and an owl.",
    ]
    assert {claim["start"] for claim in group.columns["false_claims"]} == {20, 31}  # type: ignore[attr-defined]
    wrong = pairs_of(*texts, kinds=["best_worst"], rewrite=lambda given: [*given[1:], "A cat."])
    assert (wrong.groups, wrong.counts.rewritten_wrongly, wrong.counts.pairs) == ([], 1, 0)
    with pytest.raises(InputError, match="the rewriter gave 1 texts for 2"):
        pairs_of(*texts, kinds=["best_worst"], rewrite=lambda given: ["A cat."])


def test_a_pair_of_each_kind_shares_one_group() -> None:
    drawn = Response("A dog and a cat.", (5, 6), count=2)
    made = pairs_of(drawn, "A cow and an owl.")
    (group,) = made.groups
    assert len(group.responses) == 4  # what was drawn and its text are two responses to training
    assert group.responses[0] == drawn
    assert [(pair.winner, pair.loser) for pair in group.comparisons] == [(0, 1), (2, 3)]
    assert made.counts.pairs == 2


def test_an_exchange_keeps_case_and_article() -> None:
    (found,) = WORDS.mentions("An owl sat.")
    assert swap_mention("An owl sat.", found, "cow") == "A cow sat."
    (found,) = WORDS.mentions("Owl. It sat.")
    assert swap_mention("Owl. It sat.", found, "cow") == "Cow. It sat."
    assert count_caption("an owl", ["owl"], WORDS).true == 1
