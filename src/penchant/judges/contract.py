"""What every judge does: two responses to a prompt in, a verdict out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from penchant.types import Verdict, Winner

if TYPE_CHECKING:
    from penchant.media import Media

# A callback rather than a returned list: the store commits each verdict as it comes, however many calls a judge makes
# at once. With a list, a killed run would lose verdicts that were paid for.
Done = Callable[[int, Verdict], None]
# What a verdict is called where the two responses have changed places.
SWAPPED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie", "unparseable": "unparseable"}


# Frozen and hashable: questions of one content are found in a dict, and asked once.
@dataclass(frozen=True, slots=True)
class Question:
    """Two responses to a prompt, in the order in which a judge sees them; plain text.

    Attributes:
        media: the pictures, sounds and videos that stand in the texts as marks. A mark has their digest, so that the
            texts alone tell two questions apart.
    """

    prompt: str
    a: str
    b: str
    media: tuple[Media, ...] = field(default=(), compare=False, repr=False)

    @property
    def swapped(self) -> Question:
        """The question in the other order."""
        return Question(self.prompt, self.b, self.a, self.media)

    def digest(self, *prefixes: str, ordered: bool = True) -> str:
        """Return the digest of the content, hexadecimal; the same in both orders unless `ordered`."""
        # without an order a coin or a vote is the same for both orders of a pair
        responses = (self.a, self.b) if ordered else sorted((self.a, self.b))
        return digest(*prefixes, self.prompt, *responses)


class Judge(Protocol):
    """Anything that says which of two responses is better.

    Attributes:
        identity: all that its verdicts depend on besides the question: part of every key under which one is kept.

    A judge whose identity left something out in earlier versions has the identities of then as `former_identities`. One
    that looks at the pictures of a question and listens to its sounds has `reads_media`.
    """

    identity: str

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Judge all questions, and call `done` with the place and the verdict of each as soon as it is there.

        The order is free; each question gets exactly one verdict.

        Raises:
            InputError, RunError: what would fail for all of them, such as a wrong key. Verdicts that were done stay.
        """


@runtime_checkable
class AnswerReader(Protocol):
    """A judge whose verdicts are read from an answer's words, and so can be read again without a call."""

    def reread(self, question: Question, verdict: Verdict) -> Verdict:
        """Return a stored verdict as its transcript is read now."""


def addresses_of(judge: Judge) -> dict[str, str]:
    """Return the addresses with secrets that a judge and its members ask, each with the form that files keep."""
    # no part of the protocol: most judges ask no address, and a user's judge need not know that there are some
    addresses: Mapping[str, str] = getattr(judge, "addresses", {})
    return {full: public for full, public in addresses.items() if full != public}


def reread(judge: Judge, question: Question, verdict: Verdict) -> Verdict:
    """Return a stored verdict as the judge reads its transcript now; unchanged where the judge reads none."""
    return judge.reread(question, verdict) if isinstance(judge, AnswerReader) else verdict


def former_identities(judge: Judge) -> tuple[str, ...]:
    """Return the identities that earlier versions gave a judge; verdicts under them may be another judge's."""
    return tuple(getattr(judge, "former_identities", ()))


def higher(first: float, second: float, margin: float = 0.0) -> Winner:
    """Return which of two scores is higher; a tie where they differ by `margin` at most."""
    return "tie" if abs(first - second) <= margin else "a" if first > second else "b"


def digest(*texts: str) -> str:
    """Return the digest of several texts, in hexadecimal digits."""
    hasher = hashlib.sha256()
    for text in texts:
        # texts of the data may hold half of a surrogate pair, which plain UTF-8 refuses
        content = text.encode(errors="surrogatepass")
        # the length first: else ("ab", "c") and ("a", "bc") would share a key
        hasher.update(len(content).to_bytes(8, "big") + content)
    return hasher.hexdigest()


def judge_one(judge: Judge, prompt: str, a: str, b: str) -> Verdict:
    """Return the verdict on two responses, in the order given."""
    verdicts: list[Verdict] = []
    judge.judge_many([Question(prompt, a, b)], lambda _, verdict: verdicts.append(verdict))
    return verdicts[0]
