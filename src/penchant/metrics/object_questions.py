"""Questions whether a picture shows an object, half of them about objects that it does not show (POPE).

What is not there is drawn in three ways: at random, from what is common in the pictures, and from what often stands
beside what is there. The last tempts a model that says what it expects.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, get_args

from penchant.errors import InputError

Negatives = Literal["random", "popular", "adversarial"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)


@dataclass(frozen=True, slots=True)
class ObjectQuestion:
    """A question whether a picture shows an object.

    Attributes:
        picture: its number. name: of the object. truth: whether it is there.
        negatives: how the objects that are not there were drawn in the questions that it belongs to.
    """

    picture: int
    name: str
    truth: bool
    negatives: Negatives


def build_questions(
    objects: Sequence[Collection[str]],
    names: Sequence[str],
    *,
    per_picture: int = 6,
    negatives: Sequence[Negatives] = NEGATIVES,
    seed: int = 0,
) -> list[ObjectQuestion]:
    """Return questions about pictures, as many with the answer yes as with no, of each kind.

    All kinds ask about the same objects that are there. A picture with fewer objects, or with fewer that it lacks, than
    half of `per_picture` has fewer questions, as many of both answers.

    Args:
        objects: what each picture shows. names: every object that may be asked about.
        per_picture: questions per picture and kind, an even number.
        seed: of the draws; a picture's draws do not depend on the other pictures, save by what is common in them.

    Raises:
        InputError: an odd number of questions, objects that are not among the names, or nothing to ask.
    """
    if per_picture < 2 or per_picture % 2:
        raise InputError(f"per_picture must be an even number of questions, at least 2, got {per_picture}")
    if unknown := sorted({name for present_names in objects for name in present_names} - set(names)):
        raise InputError(f"pictures show objects that are not among the names: {', '.join(unknown[:10])}")
    frequency = Counter(name for present_names in objects for name in set(present_names))
    together = Counter(pair for present_names in objects for pair in permutations(sorted(set(present_names)), 2))
    questions = []
    for picture, collection in enumerate(objects):
        present_names = sorted(set(collection))
        absent = [name for name in dict.fromkeys(names) if name not in set(present_names)]
        count = min(per_picture // 2, len(present_names), len(absent))
        # the same questions with the answer yes for all kinds, so that kinds differ in what is not there alone
        present = random.Random(f"{seed}|{picture}|present").sample(present_names, count)
        for kind in negatives:
            draws = random.Random(f"{seed}|{picture}|{kind}")
            # shuffled first, so that those of one rank come in no order of the names
            ordered = draws.sample(absent, len(absent))
            if kind == "popular":
                ordered.sort(key=lambda name: -frequency[name])
            elif kind == "adversarial":
                ordered.sort(key=lambda name: -sum(together[name, other] for other in present_names))
            questions += [ObjectQuestion(picture, name, truth=True, negatives=kind) for name in present]
            questions += [ObjectQuestion(picture, name, truth=False, negatives=kind) for name in ordered[:count]]
    if not questions:
        raise InputError("no picture has an object that is there and one that is not, so there is nothing to ask")
    return questions
