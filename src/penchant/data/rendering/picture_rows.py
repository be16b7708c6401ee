"""Pictures as rows of a diffusion model: the number of the condition, then a grey level per pixel.

A picture model has no tokenizer. Its rows have the same form as rows of text, so that splits, reference tables, steps
and digests are those of every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.data.rendering.renderer import Renderer
from penchant.errors import InputError, did_you_mean
from penchant.image import Image
from penchant.types import Prompt, PromptGroup, Response, prompt_turns

ANY = "any"
"""The prompt that stands for all conditions; so does an empty one."""
LEVELS = " .:-=+*#%@"
"""Grey levels as letters, for a terminal."""


@dataclass(frozen=True)
class PixelTokens:
    """Stands where a language model has its tokenizer: writes rows of numbers as readable text.

    Attributes:
        conditions: names of the classes. side: height and width of a picture.
    """

    conditions: tuple[str, ...]
    side: int
    eos_token_id: int = -1

    def decode(self, ids: Sequence[int], **_: object) -> str:
        """Return the name of the condition, and the picture with a letter per pixel."""
        # the first number of a row is its condition, whichever pixels follow
        text = [f"{(*self.conditions, ANY)[number]}\n" for number in ids[:1]]
        for pixel, level in enumerate(ids[1:], 1):
            text.append(LEVELS[level * len(LEVELS) // 256] + ("\n" if pixel % self.side == 0 else ""))
        return "".join(text)


@dataclass(frozen=True)
class PictureRenderer(Renderer):
    """Turns prompts that name a class, and responses that are one picture each, into rows of numbers.

    Attributes:
        pixels: what the model draws.
    """

    pixels: PixelTokens = field(default_factory=lambda: PixelTokens((), 0))

    def __post_init__(self) -> None:
        # nothing of a tokenizer is to be checked
        pass

    @classmethod
    def make(cls, conditions: tuple[str, ...], side: int) -> PictureRenderer:
        """Make one for a model that draws pictures of some classes at one size."""
        pixels = PixelTokens(conditions, side)
        return cls(tokenizer=pixels, pixels=pixels)

    def condition(self, prompt: Prompt) -> int:
        """Return the number of the class that a prompt names.

        Raises:
            InputError: it names none.
        """
        turns = [turn for turn in prompt_turns(prompt) if turn.text]
        names = {name.casefold(): number for number, name in enumerate((*self.pixels.conditions, ANY))}
        text = turns[0].only_text.strip() if turns else ANY
        if len(turns) > 1 or text.casefold() not in names:
            words = text if len(turns) <= 1 else f"{len(turns)} turns"
            raise InputError(
                f"the prompt {words[:60]!r} names nothing that this diffusion model draws, expected one of "
                f"{', '.join((*self.pixels.conditions, ANY))}{did_you_mean(text, names, form=repr)}"
            )
        return names[text.casefold()]

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the number of the prompt's class as the only one of its row."""
        return (self.condition(prompt),)

    def render_many(self, groups: Sequence[PromptGroup]) -> list[Rendered | InputError]:
        """Return what `render` gives or raises, per group."""
        return [self._outcome(group) for group in groups]

    def _outcome(self, group: PromptGroup) -> Rendered | InputError:
        try:
            branches = tuple(self._branch(response) for response in group.responses)
            unstable = (False,) * len(branches)
            return Rendered(self.prompt_ids(group.prompt), branches, unstable, source=group.source)
        except InputError as error:
            located = InputError(f"{group.source or 'a row'}: {error}")
            located.__cause__ = error
            return located

    def _branch(self, response: Response) -> Branch:
        side = self.pixels.side
        pictures = [part for part in response.parts if not (isinstance(part, str) and not part.strip())]
        if len(pictures) != 1 or not isinstance(pictures[0], Image):
            words = f"text ({response.text[:40]!r})" if not response.parts else f"{len(pictures)} parts"
            raise InputError(
                f"a diffusion model learns from responses that are one picture each, got {words}: name a language "
                "model for text"
            )
        levels = pictures[0].decode()
        if levels.ndim == 3 and (levels == levels[..., :1]).all():
            levels = levels[..., 0]
        if levels.shape != (side, side):
            height, width = levels.shape[:2]
            colours = " in colours" if levels.ndim == 3 else ""
            raise InputError(
                f"{pictures[0].name or 'a picture'} has {width} x {height} pixels{colours}, but the diffusion model "
                f"draws grey ones of {side} x {side}: resize it"
            )
        return Branch(tuple(levels.ravel().tolist()), ((0, side * side),))
