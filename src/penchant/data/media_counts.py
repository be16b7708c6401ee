"""Count the pictures, sounds and videos of a file, for `penchant data check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penchant.text_alone import media_of
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.media import Media

SPEECH_RATE = 16_000  # samples per second that models of speech are made for


@dataclass(frozen=True)
class MediaCounts:
    """Counts of one kind of media: `images`, `audios` or `videos`.

    Attributes:
        prompts: groups that hold some, in their prompt or their responses.
        uses: how often some is group_media or played. different: by their content.
        smallest, largest: of these, by pixels, seconds or frames.
        rates: of sounds by samples per second, how many. stereo: of sounds, how many have two channels.
    """

    prompts: int
    uses: int
    different: int
    smallest: str
    largest: str
    rates: dict[str, int] = field(default_factory=dict)
    stereo: int = 0

    @property
    def sentence(self) -> str:
        """Return the counts on one line."""
        sizes = self.smallest if self.smallest == self.largest else f"{self.smallest} to {self.largest}"
        return f"{self.uses} in {self.prompts} prompts, {self.different} different ({sizes})"


def count_media(groups: Sequence[PromptGroup]) -> dict[str, MediaCounts]:
    """Return counts by the kind of media; nothing for text alone."""
    by_kind: dict[str, list[list[Media]]] = {}
    for group in groups:
        kinds: dict[str, list[Media]] = {}
        for media in media_of(group):
            kinds.setdefault(f"{type(media).__name__.lower()}s", []).append(media)
        for kind, group_media in kinds.items():
            by_kind.setdefault(kind, []).append(group_media)
    return {kind: _counts(by_kind[kind]) for kind in sorted(by_kind)}


def _counts(groups: Sequence[Sequence[Media]]) -> MediaCounts:
    # one picture under three names is one
    different = list({media.sha256: media for group_media in groups for media in group_media}.values())
    sizes = sorted(map(_size, different))
    rates = Counter(
        rate for media in different if (rate := getattr(media, "rate", None)) and hasattr(media, "channels")
    )
    return MediaCounts(
        prompts=len(groups),
        uses=sum(map(len, groups)),
        different=len(different),
        smallest=sizes[0][1],
        largest=sizes[-1][1],
        # JSON has no numbers as keys
        rates={str(rate): count for rate, count in sorted(rates.items())},
        stereo=sum(getattr(media, "channels", 1) > 1 for media in different),
    )


def _size(media: Media) -> tuple[float, str]:
    """Return the size of one to sort by, and as text."""
    # inside: a file of text alone is counted without what opens pictures
    from penchant.media import Audio, Image

    if isinstance(media, Image):
        width, height = media.size
        return width * height, f"{width} x {height} pixels"
    if isinstance(media, Audio):
        return media.seconds, f"{media.seconds:.2f} s"
    return len(media.frames), f"{len(media.frames)} frames"


def media_sentences(counts: dict[str, MediaCounts]) -> Iterable[str]:
    """Yield what of sounds is used in another form than it is stored in."""
    sounds = counts.get("audios")
    if sounds is None:
        return
    if sounds.stereo:
        yield f"{sounds.stereo} sounds have two channels, of which the mean is used"
    # recordings of telephones have 8,000
    low = {rate: count for rate, count in sounds.rates.items() if int(rate) < SPEECH_RATE}
    if low:
        rates = ", ".join(f"{int(rate):,} Hz" for rate in low)
        yield (
            f"{sum(low.values())} sounds have fewer than {SPEECH_RATE:,} samples per second ({rates}): models of "
            "speech were mostly trained on that many, and what is above half the rate is missing"
        )
