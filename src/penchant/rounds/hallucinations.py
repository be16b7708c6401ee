"""Pairs that teach a model not to state what a picture does not show, made of its own descriptions.

`best_worst`: of the descriptions of one picture, one that says more that is true and less that is false against one
that says something false, both about as long. `swap`: a description without a false claim against the same one with a
true object exchanged for a false one. Both sides of a pair have one style: they come from one policy, differ in one
word, or are both rewritten.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import permutations
from typing import Literal, get_args

from penchant.errors import InputError
from penchant.metrics.object_mentions import CaptionCounts, Mention, ObjectVocabulary, count_caption, false_mentions
from penchant.types import Comparison, PromptGroup, Response

PairKind = Literal["best_worst", "swap"]
PAIR_KINDS: tuple[PairKind, ...] = get_args(PairKind)
ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)
CLAIMS = "false_claims"
"""The column of the false claims: of each the response, its characters, and the object that is not there."""
Rewriter = Callable[[Sequence[str]], list[str]]
"""Writes texts anew, each in one and the same style."""


@dataclass(frozen=True)
class KnownPicture:
    """What is known of a picture.

    Attributes:
        objects: what it shows; an object that it shows twice stands twice.
        absent: what it does not show and may be claimed; every other object of the vocabulary unless given.
    """

    objects: tuple[str, ...]
    absent: tuple[str, ...] | None = None


@dataclass
class PairCounts:
    """Counts of what became of descriptions.

    Attributes:
        prompts: pictures. samples: descriptions of them. cut: those that did not end by themselves, and are left out.
        captions_without_false: descriptions in which nothing is false. false_mentions: mentions of what is not there.
        best_worst, swap: pairs of each kind.
        equal: pictures of which no description is better than one with more false claims, so that there is no
            `best_worst` pair.
        unequal_length: those with such descriptions, all of other lengths.
        never_clean: pictures whose descriptions all have a false claim or no true one, so that there is no `swap` pair.
        never_swapped: those in which no object can be exchanged for another.
        rewritten_wrongly: pairs left out since a side states other objects once it is rewritten.
        chosen_words, rejected_words: words of each side, over all pairs.
    """

    prompts: int = 0
    samples: int = 0
    cut: int = 0
    captions_without_false: int = 0
    false_mentions: int = 0
    best_worst: int = 0
    swap: int = 0
    equal: int = 0
    unequal_length: int = 0
    never_clean: int = 0
    never_swapped: int = 0
    rewritten_wrongly: int = 0
    chosen_words: int = 0
    rejected_words: int = 0

    @property
    def pairs(self) -> int:
        """Return how many pairs there are."""
        return self.best_worst + self.swap

    def to_row(self) -> dict[str, int]:
        """Return the counts by name."""
        return {count.name: getattr(self, count.name) for count in fields(self)}


@dataclass(frozen=True)
class HallucinationPairs:
    """Pairs about pictures.

    Attributes:
        groups: one per picture that has a pair; the column `false_claims` says where its responses state what is not
            there. counts: what became of the descriptions.
    """

    groups: list[PromptGroup]
    counts: PairCounts


@dataclass(frozen=True)
class _Pair:
    """Two descriptions of a picture, of which the first is better."""

    kind: PairKind
    chosen: Response
    rejected: Response


@dataclass(frozen=True)
class _Described:
    """Different descriptions of a picture that ended by themselves, with their counts."""

    responses: tuple[Response, ...]
    counts: tuple[CaptionCounts, ...]
    picture: KnownPicture


@dataclass(frozen=True)
class _Builder:
    """What pairs are made by."""

    vocabulary: ObjectVocabulary
    length_ratio: float | None
    seed: int
    together: Counter[tuple[str, str]] = field(default_factory=Counter)


def build_pairs(
    samples: Sequence[PromptGroup],
    pictures: Sequence[KnownPicture],
    vocabulary: ObjectVocabulary,
    *,
    kinds: Sequence[PairKind] = PAIR_KINDS,
    length_ratio: float | None = 1.5,
    rewrite: Rewriter | None = None,
    seed: int = 0,
) -> HallucinationPairs:
    """Return pairs of descriptions: one that is true against one that states what the picture does not show.

    Args:
        samples: descriptions of each picture. pictures: what is known of it.
        vocabulary: the words for objects.
        kinds: which pairs are made of each picture, one of each.
        length_ratio: how many times the words of the shorter side the longer one of a `best_worst` pair may have; None
            for any. Pairs in which the better side is the shorter one teach to say less.
        rewrite: writes both sides of all pairs anew in one style. A side that then states other objects is left out,
            with its pair.
        seed: decides which object of a description is exchanged.

    Raises:
        InputError: other lengths, an object that the vocabulary lacks, no description, or none that ended by itself.
    """
    if len(samples) != len(pictures):
        raise InputError(f"one list of objects per prompt is needed, got {len(pictures)} for {len(samples)}")
    counts = PairCounts(prompts=len(samples))
    described = [
        _described(group, picture, vocabulary, counts) for group, picture in zip(samples, pictures, strict=True)
    ]
    if not any(descriptions.responses for descriptions in described):
        reason = "all descriptions were cut: raise max_new_tokens" if counts.samples else "no row has a description"
        raise InputError(f"{reason}; pairs are made of descriptions that ended by themselves")
    # what stands together in the pictures tempts a model to name the other
    names = [sorted({vocabulary.name_of(name) for name in picture.objects}) for picture in pictures]
    together = Counter(pair for present in names for pair in permutations(present, 2))
    builder = _Builder(vocabulary, length_ratio, seed, together)
    pairs: list[list[_Pair]] = []
    for number, descriptions in enumerate(described):
        candidates = [_best_worst(builder, descriptions, counts)] if "best_worst" in kinds else []
        candidates += [_swapped(builder, descriptions, number, counts)] if "swap" in kinds else []
        pairs.append([pair for pair in candidates if pair is not None])
    if rewrite is not None:
        pairs = _rewritten(pairs, rewrite, vocabulary, counts)
    groups = []
    for group, picture, of_picture in zip(samples, pictures, pairs, strict=True):
        for pair in of_picture:
            setattr(counts, pair.kind, getattr(counts, pair.kind) + 1)
            counts.chosen_words += len(pair.chosen.text.split())
            counts.rejected_words += len(pair.rejected.text.split())
        if of_picture:
            groups.append(_group(group, picture, of_picture, vocabulary))
    return HallucinationPairs(groups, counts)


def _described(
    group: PromptGroup, picture: KnownPicture, vocabulary: ObjectVocabulary, counts: PairCounts
) -> _Described:
    """Return the different descriptions of a picture, and count what they say."""
    different: dict[str, Response] = {}
    for response in group.responses:
        counts.samples += response.count
        # the end of a cut description says nothing of what the model would have stated
        if not response.finished:
            counts.cut += response.count
            continue
        caption = count_caption(response.only_text, picture.objects, vocabulary)
        counts.captions_without_false += response.count * (caption.false == 0)
        counts.false_mentions += response.count * caption.false
        # a text that was drawn twice makes no second pair
        different.setdefault(response.text, response)
    captions = tuple(count_caption(text, picture.objects, vocabulary) for text in different)
    return _Described(tuple(different.values()), captions, picture)


def _best_worst(builder: _Builder, described: _Described, counts: PairCounts) -> _Pair | None:
    """Return the two descriptions that are furthest apart, of which the worse one states more that is false."""
    better = [
        (described.counts[first].score - described.counts[second].score, first, second)
        for first, second in permutations(range(len(described.counts)), 2)
        if described.counts[first].score > described.counts[second].score
        and described.counts[first].invented < described.counts[second].invented
    ]
    if not better:
        counts.equal += 1
        return None
    fitting = [pair for pair in better if _alike_in_length(builder, described, *pair[1:])]
    if not fitting:
        counts.unequal_length += 1
        return None
    # of equally good ones the first: samples come in the order of their index
    _, first, second = max(fitting, key=lambda pair: (pair[0], -pair[1], -pair[2]))
    return _Pair("best_worst", described.responses[first], described.responses[second])


def _alike_in_length(builder: _Builder, described: _Described, first: int, second: int) -> bool:
    words = sorted(described.counts[number].words for number in (first, second))
    return builder.length_ratio is None or words[1] <= builder.length_ratio * words[0]


def _swapped(builder: _Builder, described: _Described, number: int, counts: PairCounts) -> _Pair | None:
    """Return the best description without a false claim, and the same with one true object exchanged."""
    clean = [
        (caption.score, -number)
        for number, caption in enumerate(described.counts)
        if caption.false == 0 and caption.recalled > 0
    ]
    if not clean:
        counts.never_clean += 1
        return None
    response = described.responses[-max(clean)[1]]
    draws = random.Random(f"{builder.seed}|{number}|swap")
    vocabulary, objects = builder.vocabulary, described.picture.objects
    # a plural has another form, which the name of another object may not have
    mentions = [
        mention
        for mention in vocabulary.mentions(response.text)
        if not mention.is_denied and vocabulary.has_word(response.text[mention.start : mention.end])
    ]
    for mention in draws.sample(mentions, len(mentions)):
        for name in _false_names(builder, described, draws):
            text = swap_mention(response.text, mention, name)
            before, after = (count_caption(side, objects, vocabulary) for side in (response.text, text))
            # exactly one claim is another; such as a word of two objects ("traffic light") would change more
            if (after.invented, after.recalled) == (1, before.recalled - 1) and after.true == before.true - 1:
                # as texts, both: the tokens that were drawn may be cut in another way than those of a text
                return _Pair("swap", Response(response.text), Response(text))
    counts.never_swapped += 1
    return None


def _false_names(builder: _Builder, described: _Described, draws: random.Random) -> list[str]:
    """Return objects that a picture does not show: what its descriptions invent first, then what is often beside it."""
    vocabulary, picture = builder.vocabulary, described.picture
    present = {vocabulary.name_of(name) for name in picture.objects}
    invented = Counter(
        mention.name
        for response in described.responses
        for mention in false_mentions(response.text, picture.objects, vocabulary)
    )
    claimable = vocabulary.names if picture.absent is None else [vocabulary.name_of(name) for name in picture.absent]
    absent = [name for name in dict.fromkeys(claimable) if name not in present]
    ordered = draws.sample(absent, len(absent))
    ordered.sort(key=lambda name: (-invented[name], -sum(builder.together[name, other] for other in present)))
    return ordered


def swap_mention(text: str, mention: Mention, name: str) -> str:
    """Return a text with another object in the place of one that it names; an article before it fits the new one."""
    before, word = text[: mention.start], text[mention.start : mention.end]
    if (article := ARTICLE.search(before)) is not None:
        fitting = "an" if name[0].lower() in "aeiou" else "a"
        fitting = fitting.capitalize() if article[1][0].isupper() else fitting
        before = before[: article.start()] + fitting + article[2]
    return before + (name.capitalize() if word[0].isupper() else name) + text[mention.end :]


def list_objects(vocabulary: ObjectVocabulary) -> Rewriter:
    """Return what writes descriptions anew as a list of the objects that they claim, in their order."""

    def rewrite(texts: Sequence[str]) -> list[str]:
        return [
            _listed([mention.name for mention in vocabulary.mentions(text) if not mention.is_denied]) for text in texts
        ]

    return rewrite


def _listed(names: Sequence[str]) -> str:
    items = [f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}" for name in names]
    if not items:
        return "The picture shows nothing that is known."
    return f"The picture shows {' and '.join([', '.join(items[:-1])] * bool(items[:-1]) + items[-1:])}."


def _rewritten(
    pairs: Sequence[Sequence[_Pair]], rewrite: Rewriter, vocabulary: ObjectVocabulary, counts: PairCounts
) -> list[list[_Pair]]:
    """Return pairs whose sides were both written anew, without those that then state something else."""
    flat = [pair for of_picture in pairs for pair in of_picture]
    texts = [side.text for pair in flat for side in (pair.chosen, pair.rejected)]
    written = rewrite(texts) if texts else []
    if len(written) != len(texts):
        raise InputError(f"the rewriter gave {len(written)} texts for {len(texts)}")
    sides = iter(zip(texts, written, strict=True))
    result = []
    for of_picture in pairs:
        same_claims = []
        for pair in of_picture:
            rewritten = (next(sides), next(sides))
            if all(_claims(before, vocabulary) == _claims(after, vocabulary) for before, after in rewritten):
                same_claims.append(
                    _Pair(pair.kind, Response(rewritten[0][1].strip()), Response(rewritten[1][1].strip()))
                )
            else:
                counts.rewritten_wrongly += 1
        result.append(same_claims)
    return result


def _claims(text: str, vocabulary: ObjectVocabulary) -> set[str]:
    return {mention.name for mention in vocabulary.mentions(text) if not mention.is_denied}


def _group(
    group: PromptGroup, picture: KnownPicture, pairs: Sequence[_Pair], vocabulary: ObjectVocabulary
) -> PromptGroup:
    """Return the pairs of a picture as one group, with a column of the false claims."""
    # a side of both pairs is one response, which is scored once
    responses = list(dict.fromkeys(side for pair in pairs for side in (pair.chosen, pair.rejected)))
    claims = [
        {"response": number, "start": claim.start, "end": claim.end, "object": claim.name}
        for number, response in enumerate(responses)
        for claim in false_mentions(response.text, picture.objects, vocabulary)
    ]
    comparisons = [Comparison(responses.index(pair.chosen), responses.index(pair.rejected)) for pair in pairs]
    columns = {**group.columns, "objects": list(picture.objects), CLAIMS: claims}
    return PromptGroup(group.prompt, responses, comparisons, source=group.source, columns=columns)
