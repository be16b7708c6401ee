"""Captions and answers against known contents, by arithmetic; and the rows that learners are made of."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.studies.hallucination.learned import best_caption, learned_groups
from penchant.studies.hallucination.measures import (
    CaptionMeasures,
    answers_right,
    companion_recall,
    count_scene_caption,
    is_right,
    marked_caption,
    measure_caption,
    named_objects,
)
from penchant.studies.hallucination.names import LEARNERS
from penchant.studies.hallucination.pictures import ask, popular_objects
from penchant.tasks.scenes import SHAPE_WORLD, Scene, caption, shape_scenes
from penchant.types import Response

# the companion of the red circle is the blue square, which is not there
SCENE = Scene(SHAPE_WORLD, (("red circle",), ("green cross", "white cross")), np.zeros((32, 32, 3), np.uint8))
FALSE = "a red circle and a blue square. a red circle. a green cross."


def test_a_caption_is_counted() -> None:
    counts = count_scene_caption(SCENE, FALSE)
    assert (counts.true, counts.recalled, counts.false, counts.duplicates) == (3, 2, 1, 1)
    assert counts.score == 0
    assert measure_caption(SCENE, FALSE) == CaptionMeasures(
        false_caption=1, false_mentions=1, recall=2 / 3, companion=1, false_sentences=1 / 3, mentions=4, words=13,
        repeated=1, empty=0,
    )  # fmt: skip


def test_a_right_caption_has_nothing_false_and_an_empty_one_names_nothing() -> None:
    right = measure_caption(SCENE, caption(SCENE.rows))
    assert (right.false_caption, right.recall, right.repeated, right.mentions) == (0, 1, 0, 3)
    nothing = measure_caption(SCENE, " ")
    assert nothing == CaptionMeasures(0, 0, 0, 0, 0, 0, 0, 0, 1)
    # words that name no object claim nothing
    assert measure_caption(SCENE, "a picture.").empty == 1


def test_a_false_object_that_is_named_twice_counts_twice_as_false_and_once_as_repeated() -> None:
    counts = count_scene_caption(SCENE, "a blue square and a blue square.")
    assert (counts.true, counts.false, counts.duplicates, counts.false_sentences) == (0, 2, 1, 1)


def test_companions_that_are_there() -> None:
    scene = Scene(SHAPE_WORLD, (("red circle", "blue square"), ("blue cross", "red triangle")), SCENE.pixels)
    assert companion_recall(scene, "a red circle and a blue square.") == 0.5
    assert companion_recall(scene, "a red circle. a blue cross.") == 0
    assert companion_recall(scene, caption(scene.rows)) == 1


def test_answers_are_read_and_the_unreadable_are_apart() -> None:
    assert is_right("present", "yes.") == 1
    assert is_right("present", "No.") == 0
    assert is_right("adversarial", "no.") == 1
    assert is_right("random", "yes.") == 0
    assert is_right("random", "a red circle.") is None
    assert answers_right({"present": "yes.", "random": "yes."}, "random") == 0.5
    # what cannot be read is not right, whatever was asked
    assert answers_right({"present": "yes.", "random": ""}, "random") == 0.5
    assert answers_right({"present": "yes.", "random": "no."}, "random") == 1


def test_false_claims_are_marked() -> None:
    parts = marked_caption(SHAPE_WORLD, SCENE.objects, "a red circle and a blue square.")
    assert parts == [("a red circle and a ", False), ("blue square", True), (".", False)]
    assert "".join(text for text, _ in parts) == "a red circle and a blue square."
    assert marked_caption(SHAPE_WORLD, (), "") == []


def test_questions_ask_for_one_that_is_there_and_three_that_are_not() -> None:
    scenes = list(islice(shape_scenes("0", "choose", "apart"), 30))
    popular = popular_objects("scenes")
    assert sorted(popular) == sorted(SHAPE_WORLD.objects)
    # companions are seen most, since they stand beside their objects
    assert set(popular[:4]) <= set(SHAPE_WORLD.companions.values())
    for scene, asked in zip(scenes, ask(scenes, popular), strict=True):
        assert asked["present"] in scene.objects
        assert asked["adversarial"] in scene.missing_companions
        assert not {asked["random"], asked["popular"], asked["adversarial"]} & {*scene.objects}
    assert ask(scenes, popular) == ask(scenes, popular)


DRAWS = [
    Response(text)
    for text in (
        "a red circle and a blue square.",
        "a red circle. a green cross.",
        "a red circle.",
        "a red circle. a green cross. a blue square. a blue square.",
    )
]


def test_the_best_is_learned_against_one_with_a_false_claim() -> None:
    (group,), counts = learned_groups("dpo", [SCENE], [DRAWS], 0)
    # scores 1 - 1, 2, 1, and 2 - 1 - 1, which has 11 words to 6: too many to be of one length with the best
    assert [response.text for response in group.responses] == [DRAWS[1].text, DRAWS[0].text]
    assert (group.comparisons[0].winner, group.comparisons[0].loser) == (0, 1)
    assert (counts["best_worst"], counts["samples"]) == (1, 4)
    # right captions alone teach nothing about false claims
    groups, counts = learned_groups("dpo", [SCENE, SCENE], [DRAWS, [DRAWS[2]] * 2], 0)
    assert (len(groups), counts["equal"]) == (1, 1)
    with pytest.raises(InputError, match="none of 1 pictures"):
        learned_groups("dpo", [SCENE], [[DRAWS[2]] * 4], 0)


def test_an_exchanged_pair_differs_in_one_object_alone() -> None:
    (group,), _ = learned_groups("dpo_swap", [SCENE], [DRAWS], 0)
    chosen, rejected = (response.text for response in group.responses)
    assert chosen == DRAWS[1].text
    assert len(chosen.split()) == len(rejected.split())
    # one of its objects gave way to the one that other captions name falsely
    assert named_objects(SHAPE_WORLD, rejected).count("blue square") == 1
    assert len({*named_objects(SHAPE_WORLD, rejected)} & {*SCENE.objects}) == 1


def test_what_the_others_learn() -> None:
    rows = {learner: learned_groups(learner, [SCENE], [DRAWS], 0)[0][0] for learner in LEARNERS}
    assert [response.text for response in rows["sft_best"].responses] == [DRAWS[1].text]
    assert [response.text for response in rows["sft_corrected"].responses] == [caption(SCENE.rows)]
    assert rows["unlikelihood"].responses == rows["dpo"].responses
    assert not rows["sft_best"].comparisons
    assert not rows["dpo"].columns


def test_a_caption_that_was_cut_is_not_learned() -> None:
    cut = [Response("a red circle. a green cross. a white", finished=False), Response("a red circle.")]
    assert best_caption(SCENE, cut) == cut[1]
    assert best_caption(SCENE, cut[:1]) is None
