"""Names of rewards: which kind each stands for, and which stand for none. Loads nothing, runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult

from penchant.config.addresses import split_http_address
from penchant.errors import InputError
from penchant.extension.door import Door
from penchant.models.finished import reward_checkpoint
from penchant.models.locate import check_model
from penchant.rewards.verifiers import is_verifier, parse_verifier
from penchant.thoughts import READ_THOUGHTS

TOKEN_MEDIA = ("picture_area", "picture_brightness", "picture_class", "sound_seconds", "sound_pitch_hz", "sound_word")
"""Rules of the pictures and sounds that `penchant-kinds` writes."""
BUILT_IN = {
    "vader": "penchant.rewards.vader:vader",
    **{name: f"penchant.rewards.token_media:{name}" for name in TOKEN_MEDIA},
}
"""The rewards that need no code of the user's, by name."""
OTHER_FORMS = (
    *("exact_answer", "number", "regular_expression:pattern=PATTERN"),
    *("classifier:MODEL", "http://address", "the folder of a reward model"),
)
FUNCTIONS = Door("reward", BUILT_IN, kind="function", other_forms=OTHER_FORMS)
"""Functions, ours and the user's, by `module:function`."""
CLASSIFIER, ADDRESS = "classifier:", ("http://", "https://")

Kind = Literal["built_in", "verifier", "classifier", "address", "learned", "function"]


def split_thoughts_mark(spec: str) -> tuple[bool, str]:
    """Return whether a reward is to see thoughts (`thoughts:NAME`), and its name without that."""
    return spec.startswith(READ_THOUGHTS), spec.removeprefix(READ_THOUGHTS)


def reward_kind(spec: str) -> Kind:
    """Return what a reward's name stands for; whether that is there is another matter."""
    spec = spec.removeprefix(READ_THOUGHTS)
    if spec in BUILT_IN:
        return "built_in"
    if is_verifier(spec):
        return "verifier"
    if spec.startswith(CLASSIFIER):
        return "classifier"
    if spec.lower().startswith(ADDRESS):
        return "address"
    # folders come last: a folder with the name of a built-in reward must not take its place
    return "learned" if all(part and Path(part).expanduser().is_dir() for part in spec.split(",")) else "function"


def check_reward(spec: str) -> None:
    """Refuse a name that stands for no reward, without loading a model or running any code of the user's.

    Raises:
        InputError: no such name, file, module, function or model; an address that is none; a folder that holds no
            reward model, or one whose run did not come to its end.
    """
    _, spec = split_thoughts_mark(spec)
    match reward_kind(spec):
        case "verifier":
            parse_verifier(spec)
        case "classifier":
            check_model(classifier_name(spec)[0])
        case "address":
            address_parts(spec)
        case "learned":
            for part in spec.split(","):
                reward_checkpoint(part)
        case _:
            FUNCTIONS.check(spec)


def classifier_name(spec: str) -> tuple[str, str | None]:
    """Return the model and the label of `classifier:MODEL` or `classifier:MODEL:LABEL`.

    Raises:
        InputError: it names no model.
    """
    # a folder may have a colon in its name; a hub id has none, so the last one begins the label
    rest = spec.removeprefix(CLASSIFIER)
    if Path(rest).expanduser().is_dir() or ":" not in rest:
        name, label = rest, None
    else:
        name, _, label = rest.rpartition(":")
    if not name:
        raise InputError(f"the reward `{spec}` names no model: expected classifier:MODEL or classifier:MODEL:LABEL")
    return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name, label


def address_parts(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        InputError: no scheme or host, a port that is none, characters that must be percent-encoded.
    """
    try:
        return split_http_address(url)
    except ValueError as error:  # without the text itself: nobody knows where in it a password ends
        raise InputError(
            f"the reward's address cannot be used: {error}; expected one such as http://localhost:8000/score"
        ) from None
