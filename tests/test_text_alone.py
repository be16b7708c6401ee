"""What reads text alone refuses groups that show something, so that none takes a mark for text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import penchant as pt
from chat_templates import CHATML, renderer
from media_files import picture_bytes
from penchant.errors import InputError
from penchant.text_alone import has_media, media_of, refuse_media
from penchant.train.plan import content_key, split_by_prompt, split_key
from penchant.types import Message, PromptGroup, Response
from penchant.weak.contract import marks_of, width_of

RED, BLUE = (pt.Image.make(picture_bytes(colour)) for colour in ("red", "blue"))
ASKED = PromptGroup((Message("user", (RED, "What?")),), ["a", "b"], source="prefs.jsonl:3")
DRAWN = PromptGroup("Draw.", [Response("", parts=(image,)) for image in (RED, BLUE)])

READERS: dict[str, Callable[[PromptGroup], object]] = {
    "a reward": lambda group: pt.score_groups([group], lambda pairs: [0.0 for _ in pairs]),
    "a template": lambda group: renderer(CHATML).render(group),
    "a tokenizer": lambda group: renderer(None).render(group),
    "a classifier": lambda group: width_of([group]),
}


@pytest.mark.parametrize("group", [ASKED, DRAWN], ids=["asked", "drawn"])
@pytest.mark.parametrize("name", READERS)
def test_it_is_refused(name: str, group: PromptGroup) -> None:
    with pytest.raises(InputError, match=r"hold.? (a picture|pictures or sounds)"):
        READERS[name](group)


def test_the_first_place_is_named() -> None:
    with pytest.raises(
        InputError, match=r"1 of 2 prompts hold pictures or sounds \(the first: prefs\.jsonl:3\), and no"
    ):
        refuse_media([PromptGroup("Hi", ["a"]), ASKED], "no")
    refuse_media([PromptGroup("Hi", ["a"])], "no")


def test_what_is_shown_is_found_prompts_first() -> None:
    assert media_of(ASKED) == [RED]
    assert media_of(DRAWN.replace(prompt=ASKED.prompt)) == [RED, RED, BLUE]
    assert has_media(DRAWN)
    assert has_media(ASKED)
    assert not has_media(PromptGroup((Message("user", "Hi"),), ["a"]))


def test_other_pictures_are_other_prompts_for_splits_and_leak_checks() -> None:
    other = ASKED.replace(prompt=(Message("user", (BLUE, "What?")),))
    for key in (split_key, content_key):
        assert key(ASKED) != key(other)
    assert marks_of([ASKED]) != marks_of([other])
    groups = [ASKED, other] * 10
    train, held_out = split_by_prompt(groups, 1, seed=0)
    assert len(held_out) == 10
    assert not {groups[index].prompt for index in train} & {groups[index].prompt for index in held_out}


def test_a_renamed_file_is_the_same_prompt(tmp_path: Path) -> None:
    from penchant.runs.input_digests import digest_groups

    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(picture_bytes("red"))
    groups = [
        PromptGroup((Message("user", (pt.Image.make(tmp_path / name), "What?")),), ["a"])
        for name in ("one.png", "two.png")
    ]
    assert groups[0] == groups[1]
    assert digest_groups(groups[:1]) == digest_groups(groups[1:]) != digest_groups([ASKED.replace(prompt="What?")])
