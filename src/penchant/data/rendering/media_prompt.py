"""A prompt with pictures as a row of training holds it: where they are and what they are, and no pixels.

Pixels are read and prepared where a forward pass needs them, so that a data set of pictures takes no more memory than
one of texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from penchant.image import Image
from penchant.media import Video
from penchant.types import Prompt, PromptGroup

if TYPE_CHECKING:
    from torch import Tensor

    from penchant.data.rendering.rendered import Rendered


@dataclass(frozen=True)
class MediaInputs:
    """What a model reads beside a prompt's tokens.

    Attributes:
        features: what its towers read, by the name of its argument (`pixel_values` and others); on the CPU.
        token_kinds: by the name of an argument, (1, prompt) numbers that say what each token is, such as
            `token_type_ids`.
    """

    features: Mapping[str, Tensor]
    token_kinds: Mapping[str, Tensor]


class MediaReader(Protocol):
    """What renders prompts with pictures, and prepares the pictures for a model."""

    @property
    def digest(self) -> str:
        """Return a digest of all that decides what the model reads of a prompt, the prompt aside."""

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of a prompt, those of its pictures among them."""

    def render(self, group: PromptGroup) -> Rendered:
        """Return the tokens of a group, those of its pictures among them."""

    def open_prompt(self, prompt: Prompt, where: str) -> MediaPrompt:
        """Return a prompt's pictures, without reading them."""

    def load(self, prompt: MediaPrompt) -> MediaInputs:
        """Read a prompt's pictures and prepare them for the model."""

    def without_limit(self) -> MediaReader:
        """Return the same reader for rows of any length."""

    def save(self, folder: Path) -> None:
        """Write what `from_pretrained` opens as the same reader."""


@dataclass(frozen=True)
class MediaPrompt:
    """The pictures of a prompt, and its text as the template wrote it. Equal where the model reads the same.

    Attributes:
        media: pictures and videos in the order of their places in the text; none for a prompt of text alone.
        text: with the template's mark in the place of each picture.
        where: what messages call it.
        reader: what prepares the pictures.
    """

    media: tuple[Image | Video, ...]
    text: str
    where: str = field(compare=False)
    reader: MediaReader = field(compare=False, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return which kinds of media a model reads here; empty for text alone."""
        return tuple(sorted({part.kind_name for part in self.media}))

    @property
    def digest(self) -> str:
        """Return a digest of all that the model reads beside the tokens: pictures by content, and how they are read."""
        # names and places of files count nowhere: equal bytes are the same picture
        content = (self.reader.digest, self.text, [part.sha256 for part in self.media])
        return hashlib.sha256(repr(content).encode(errors="surrogatepass")).hexdigest()

    def load(self) -> MediaInputs:
        """Read the pictures and prepare them for the model.

        Raises:
            InputError: a file is gone, or is another than when it was first read.
        """
        return self.reader.load(self)


@dataclass(frozen=True)
class MediaPrompts(Sequence["MediaPrompt"]):
    """The prompts of groups, opened one by one as they are asked for.

    Attributes:
        groups: a list, or a table. reader: what renders them.
    """

    groups: Sequence[PromptGroup]
    reader: MediaReader

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        group = self.groups[index]
        return self.reader.open_prompt(group.prompt, group.source or "a prompt group")
