"""Objects that a description mentions: found by a vocabulary with synonyms, and compared with what a picture shows."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from penchant.errors import InputError

DENIALS = ("no", "not", "without", "neither", "nor", "never")
BETWEEN = ("a", "an", "any", "the", "other", "single")
"""Words that may stand between a denial and the object that it denies."""
SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n+")


@dataclass(frozen=True, slots=True)
class Mention:
    """An object that a text names.

    Attributes:
        name: of the object, whichever synonym stands there.
        start, end: characters of the text.
        is_denied: the text says that it is not there ("no dog"), which claims nothing that could be false.
    """

    name: str
    start: int
    end: int
    is_denied: bool = False


@dataclass(frozen=True)
class ObjectVocabulary:
    """The objects that descriptions are searched for.

    Attributes:
        synonyms: the words for each object, by its name; the name is one of them by itself. A word may be several
            ("traffic light"), and its plural by -s or -es is found too.
        ignored: phrases that hold a word and name no object, such as "hot dog" for "dog".
    """

    synonyms: Mapping[str, Sequence[str]]
    ignored: tuple[str, ...] = ()
    _names: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: dict[str, str] = {}
        for name, words in self.synonyms.items():
            if isinstance(words, str):
                raise InputError(f"the synonyms of {name!r} are a text, expected a list of words: [{words!r}]")
            for word in (name, *words):
                key = _normal(word)
                # an empty word would be found between any two letters
                if not key:
                    raise InputError(f"the object {name!r} has an empty word")
                # a mention is of one object, or counts of two would be wrong in silence
                if names.setdefault(key, name) != name:
                    raise InputError(f"{word!r} stands for {names[key]!r} and for {name!r}: a word names one object")
        if not names:
            raise InputError("a vocabulary needs at least one object")
        object.__setattr__(self, "_names", names)  # the class is frozen; this is its only writer

    @classmethod
    def of_names(cls, names: Collection[str]) -> ObjectVocabulary:
        """Return a vocabulary of objects without synonyms."""
        return cls(dict.fromkeys(names, ()))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the objects."""
        return tuple(self.synonyms)

    def name_of(self, word: str) -> str:
        """Return the object that a word stands for.

        Raises:
            InputError: the vocabulary does not have it.
        """
        key = _normal(word)
        if (name := self._names.get(key)) is None:
            raise InputError(
                f"the vocabulary has no object {word!r}; it has {', '.join(sorted(self.names)[:20])}"
                f"{' and others' if len(self.names) > 20 else ''}"
            )
        return name

    def has_word(self, text: str) -> bool:
        """Return whether a text is a word for an object as the vocabulary has it, and no plural of one."""
        return _normal(text) in self._names

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = [*self._names, *(_normal(phrase) for phrase in self.ignored)]
        # the longest first: a traffic light is no light
        ordered = sorted(set(words), key=lambda word: (-len(word), word))
        # words of a phrase may stand on two lines
        alternatives = "|".join(r"\s+".join(map(re.escape, word.split())) for word in ordered)
        return re.compile(rf"(?<![\w-])({alternatives})(?:s|es)?(?![\w-])", re.IGNORECASE)

    def mentions(self, text: str) -> list[Mention]:
        """Return the objects that a text names, in its order; each as often as it stands there."""
        mentions = []
        for match in self._pattern.finditer(text):
            # a phrase that is ignored has matched, so that the word within it does not
            name = self._names.get(_normal(match[1]))
            if name is not None:
                mentions.append(Mention(name, match.start(), match.end(), _is_denied(text[: match.start()])))
        return mentions


def _normal(word: str) -> str:
    return " ".join(word.lower().split())


def _is_denied(before: str) -> bool:
    """Return whether the words before an object deny it: "no", "not a", "without any"."""
    # a denial reaches to the end of its sentence at most
    sentence = SENTENCE_END.split(before)[-1]
    words = re.findall(r"[\w']+", sentence.lower())
    # "no other single dog" denies the dog as "no dog" does
    while words and words[-1] in BETWEEN:
        words.pop()
    return bool(words) and (words[-1] in DENIALS or words[-1].endswith("n't"))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text begin and end, in characters; those without a word are none."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    # the last sentence may have no mark behind it
    edges = [0, *(end for end in ends if end < len(text)), len(text)]
    return [(start, end) for start, end in itertools.pairwise(edges) if re.search(r"\w", text[start:end])]


@dataclass(frozen=True, slots=True)
class CaptionCounts:
    """Counts of one description of a picture whose objects are known.

    Attributes:
        true, false: mentions of objects that the picture shows, and that it does not; denied ones count in neither.
        recalled: different objects of the picture that are mentioned, of `objects`.
        invented: different objects that are mentioned and not there.
        duplicates: mentions of an object beyond the number of times that the picture shows it.
        sentences: sentences; `false_sentences`: those with a false mention.
        words: words.
    """

    true: int
    false: int
    recalled: int
    objects: int
    invented: int
    duplicates: int
    sentences: int
    false_sentences: int
    words: int

    @property
    def score(self) -> int:
        """Return what descriptions are ranked by: recalled minus invented objects minus duplicates."""
        return self.recalled - self.invented - self.duplicates


def false_mentions(text: str, objects: Collection[str], vocabulary: ObjectVocabulary) -> list[Mention]:
    """Return the mentions of objects that a picture does not show.

    Args:
        objects: what it shows, by any word of the vocabulary.

    Raises:
        InputError: the vocabulary lacks one of the objects.
    """
    names = {vocabulary.name_of(name) for name in objects}
    return [mention for mention in vocabulary.mentions(text) if mention.name not in names and not mention.is_denied]


def count_caption(text: str, objects: Sequence[str], vocabulary: ObjectVocabulary) -> CaptionCounts:
    """Count what a description says of a picture.

    Args:
        objects: what the picture shows, by any word of the vocabulary; an object that it shows twice stands twice.

    Raises:
        InputError: the vocabulary lacks one of the objects.
    """
    object_counts = Counter(vocabulary.name_of(name) for name in objects)
    claims = [mention for mention in vocabulary.mentions(text) if not mention.is_denied]
    claim_counts = Counter(mention.name for mention in claims)
    wrong = [mention for mention in claims if mention.name not in object_counts]
    spans = sentence_spans(text)
    return CaptionCounts(
        true=len(claims) - len(wrong),
        false=len(wrong),
        recalled=sum(name in claim_counts for name in object_counts),
        objects=len(object_counts),
        invented=sum(name not in object_counts for name in claim_counts),
        duplicates=sum(max(0, count - max(1, object_counts[name])) for name, count in claim_counts.items()),
        sentences=len(spans),
        false_sentences=sum(any(start <= mention.start < end for mention in wrong) for start, end in spans),
        words=len(text.split()),
    )
