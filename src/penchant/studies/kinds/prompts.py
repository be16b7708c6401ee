"""The prompts of a kind of output. Imports no torch."""

from __future__ import annotations

from penchant.codecs.tokens import CLASSES, WORDS, picture_prompt, sound_prompt
from penchant.data.load import load_prompts
from penchant.errors import InputError
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.kinds.settings import Kind
from penchant.types import prompt_text

EMBEDDED = {
    "pictures": tuple(map(picture_prompt, CLASSES)),
    "sounds": tuple(map(sound_prompt, WORDS)),
}


def kind_prompts(name: str, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the prompts to train on and to measure on.

    Raises:
        InputError: there are fewer than are asked for.
    """
    prompts = EMBEDDED.get(kind.prompts)
    if prompts is None:
        groups = load_prompts(locate_prompts(kind.prompts))
        prompts = tuple(dict.fromkeys(prompt_text(group.prompt) for group in groups))
    if kind.train is None or kind.test is None:
        return prompts, prompts
    if len(prompts) < kind.train + kind.test:
        raise InputError(
            f"`kinds.{name}`: {kind.prompts} has {len(prompts)} prompts, fewer than the {kind.train} to train on and "
            f"the {kind.test} to measure on"
        )
    return prompts[: kind.train], prompts[kind.train : kind.train + kind.test]
