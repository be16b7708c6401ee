"""What captions and answers say, measured against the known contents of the pictures. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

from penchant.metrics.hallucination import read_yes_no
from penchant.metrics.object_mentions import CaptionCounts, ObjectVocabulary, count_caption, false_mentions
from penchant.metrics.object_questions import NEGATIVES
from penchant.tasks.scenes import Scene, World

__all__ = ["MEASURES", "NEGATIVES", "SHARES", "CaptionMeasures", "count_scene_caption", "measure_caption"]


@cache
def vocabulary_of(objects: tuple[str, ...]) -> ObjectVocabulary:
    """Return what captions are searched for: the objects of a world."""
    return ObjectVocabulary.of_names(objects)


def count_scene_caption(scene: Scene, text: str) -> CaptionCounts:
    """Return counts of what a caption says of a picture."""
    return count_caption(text, scene.objects, vocabulary_of(scene.world.objects))


def named_objects(world: World, text: str) -> list[str]:
    """Return the objects that a text names, in its order."""
    return [mention.name for mention in vocabulary_of(world.objects).mentions(text)]


@dataclass(frozen=True)
class CaptionMeasures:
    """The numbers of one caption, of which means are reported.

    Attributes:
        false_caption: 1 where it names something false. false_mentions: how often it does.
        recall: share of the picture's objects that it names. companion: 1 where it names an absent companion.
        false_sentences: share of its sentences that name something false; 0 where it has none.
        mentions, words: how many. repeated: 1 where an object is named twice. empty: 1 where none is named.
    """

    false_caption: float
    false_mentions: float
    recall: float
    companion: float
    false_sentences: float
    mentions: float
    words: float
    repeated: float
    empty: float


MEASURES = tuple(field.name for field in fields(CaptionMeasures))
SHARES = ("false_caption", "recall", "companion", "false_sentences", "repeated", "empty")
"""Measures between 0 and 1."""


def measure_caption(scene: Scene, text: str) -> CaptionMeasures:
    """Return the numbers of a caption."""
    counts = count_scene_caption(scene, text)
    # as often as they stand there, for length and repeats
    names = named_objects(scene.world, text)
    return CaptionMeasures(
        false_caption=float(counts.false > 0),
        false_mentions=float(counts.false),
        recall=counts.recalled / counts.objects,
        companion=float(any(name in scene.missing_companions for name in names)),
        # a caption without a sentence has none that is false
        false_sentences=counts.false_sentences / max(1, counts.sentences),
        mentions=float(len(names)),
        words=float(counts.words),
        repeated=float(counts.duplicates > 0),
        empty=float(not names),
    )


def companion_recall(scene: Scene, text: str) -> float:
    """Return the share of the companions in a picture, beside their objects, that a caption names."""
    # a picture may show two pairs
    companions = [scene.world.companions[name] for name in scene.objects if name in scene.world.companions]
    companions_there = [name for name in companions if name in scene.objects]
    names = named_objects(scene.world, text)
    return sum(name in names for name in companions_there) / len(companions_there)


def is_right(kind: str, answer: str) -> float | None:
    """Return whether an answer to a question is right, 1 or 0; None where it is neither yes nor no."""
    answer_is_yes = read_yes_no(answer)
    # never taken for a yes, as the published parser does
    return None if answer_is_yes is None else float(answer_is_yes == (kind == "present"))


def answers_right(answer_by_kind: Mapping[str, str], kind: str) -> float:
    """Return how right the answers about what is there and about one kind of what is not are, from 0 to 1.

    Args:
        answer_by_kind: answers by kind of question.

    Returns:
        The mean over the two; an answer that is neither yes nor no counts as wrong, and is counted apart elsewhere.
    """
    return sum(is_right(name, answer_by_kind[name]) or 0.0 for name in ("present", kind)) / 2


def marked_caption(world: World, objects: Sequence[str], text: str) -> list[tuple[str, bool]]:
    """Return a caption in parts, each with whether it is a false claim."""
    parts, start = [], 0
    for mention in false_mentions(text, objects, vocabulary_of(world.objects)):
        parts += [(text[start : mention.start], False), (text[mention.start : mention.end], True)]
        # denied objects are no claims, and are not marked
        start = mention.end
    return [(part, is_false) for part, is_false in [*parts, (text[start:], False)] if part]
