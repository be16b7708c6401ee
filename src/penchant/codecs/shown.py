"""Responses of tokens as the pictures and sounds that they are, for people and judges, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from penchant.codecs.pictures import show_picture
from penchant.codecs.sounds import play_sound
from penchant.errors import InputError
from penchant.types import PromptGroup, Response


def shown_response(response: Response) -> Response:
    """Return a response of picture or sound tokens as the PNG or WAV that it is; any other as it is."""
    part = show_picture(response.text) or play_sound(response.text)
    return response if part is None else Response("", finished=response.finished, count=response.count, parts=(part,))


def show_tokens(groups: Sequence[PromptGroup]) -> tuple[list[PromptGroup], dict[str, str]]:
    """Return groups whose responses are pictures and sounds, and the tokens by the mark of each.

    `penchant collect` and judges that take pictures read the groups once `penchant.data.write.write_groups` has written
    them. `restore_tokens` takes the marks back.

    Raises:
        InputError: two responses with different tokens are one picture, so that their marks would be one.
    """
    tokens: dict[str, str] = {}
    media_groups = []
    for group in groups:
        responses = [shown_response(response) for response in group.responses]
        for response, former in zip(responses, group.responses, strict=True):
            if response is former:
                continue
            # codes that nearly agree may give the same pixels
            if tokens.setdefault(response.text, former.text) != former.text:
                raise InputError(
                    f"two responses to {group.prompt!r} have different tokens and the same picture or sound: leave "
                    "one of them out"
                )
        media_groups.append(group.replace(responses=responses))
    return media_groups, tokens


def restore_tokens(groups: Sequence[PromptGroup], tokens: Mapping[str, str]) -> list[PromptGroup]:
    """Return groups with the tokens in place of what was shown, so that a model can be trained on them.

    Raises:
        InputError: a picture or sound that was not shown by `show_tokens`.
    """
    restored = []
    for group in groups:
        responses = []
        for response in group.responses:
            if response.parts and response.text not in tokens:
                raise InputError(f"{response.text} is none of the pictures and sounds that were shown")
            coded = replace(response, text=tokens[response.text], parts=()) if response.parts else response
            responses.append(coded)
        restored.append(group.replace(responses=responses))
    return restored
