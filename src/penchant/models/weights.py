"""Weights of a model, loaded whole: none made up at random, and none of the file left out in silence."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from penchant.engine.foreign_types import AutoClass, PreTrainedModel
from penchant.errors import InputError
from penchant.files import read_json
from penchant.models.diffusion_names import ARCHITECTURE, NO_TEXT

log = logging.getLogger("penchant.models")

OLD_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|\.(attn|attention)\.(masked_)?bias|position_ids)$")
"""Numbers that older versions of `transformers` wrote and that a model computes by itself."""
OTHER_SENSES = re.compile(r"(^|\.)(vision|visual|image|video|audio|speech|multi_?modal|mm_|perceiver|resampler)")
"""Parts of a model that read something else than text."""
TASKS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice", "RewardModel")


def complete(
    kind: AutoClass,
    name: str,
    options: Mapping[str, object],
    *,
    may_lack: str = "",
    may_drop_head: bool = False,
    clear_lacking: bool = False,
) -> PreTrainedModel:
    """Load a network with all of its weights, and with all weights of its file.

    `transformers` makes up those that a file lacks, leaves out those that the configuration has no place for, and goes
    on: a model with fewer layers than its file, or a reward model read as a policy, looks like a sound one.

    Args:
        kind: an auto class of `transformers`.
        may_lack: how the names of weights begin that may be missing, such as those of a new head; none if empty.
        may_drop_head: whether the file may have another head than the network, which then gets a new one.
        clear_lacking: whether weights that may be missing, and are, become 0: random ones would give a network that is
            only read another digest at each load.

    Raises:
        InputError: weights are missing, or left over.
    """
    from transformers.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # what it would report of missing weights is ours to decide
    try:
        # one label, or `transformers` makes a head of two
        labels = {"num_labels": 1} if may_lack == "score." else {}
        network, info = kind.from_pretrained(name, output_loading_info=True, **options, **labels)
    finally:
        hub_logging.set_verbosity(verbosity)
    # a new head is in no file; anything else that is missing would be random without a word
    missing = sorted(key for key in info["missing_keys"] if not (may_lack and key.startswith(may_lack)))
    if missing:
        raise InputError(f"its weights are incomplete: {list_some(missing)} are missing")
    if clear_lacking:
        lacking = {*info["missing_keys"]}
        for key, weight in network.named_parameters():
            if key in lacking:
                weight.detach().zero_()
    left = sorted(key for key in info["unexpected_keys"] if not OLD_BUFFERS.search(key))
    # the text part of a model of several senses is a whole model
    senses = [key for key in left if OTHER_SENSES.search(key)]
    if senses:
        log.warning("%d weights that read no text are left out (%s)", len(senses), list_some(senses))
    # only the head of another task may be dropped: leftovers of a head that the network has too are an error
    parts = {name for name, _ in network.named_children()}
    heads = [key for key in left if may_drop_head and key.partition(".")[0] not in parts]
    left = sorted({*left} - {*senses} - {*heads})
    if left:
        raise InputError(
            f"its configuration leaves out weights of its file: {list_some(left)}. Is it another kind of model, or "
            "are there fewer layers in config.json than in the file?"
        )
    return network


def check_kind(folder: Path, expected: Literal["policy", "reward model"]) -> None:
    """Refuse a folder that holds another kind of model, by its settings. A hub id passes: its weights tell.

    Raises:
        InputError: it does.
    """
    adapter, config = folder / "adapter_config.json", folder / "config.json"
    if not adapter.is_file() and not config.is_file():
        return
    try:
        # adapters name their task, whole models their class
        settings = read_json(adapter if adapter.is_file() else config)
        kind = settings.get("task_type") if adapter.is_file() else ", ".join(settings.get("architectures") or ())
        labels = len(settings.get("id2label") or {0: ""})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{folder}: its settings cannot be read ({error}): the folder is damaged") from error
    kind = str(kind or "no architecture")
    if kind == ARCHITECTURE:
        raise InputError(f"{folder} {NO_TEXT}")
    if expected == "policy":
        if kind == "SEQ_CLS" or kind.endswith(TASKS):
            raise InputError(
                f"{folder} holds no policy ({kind}): a reward model or a classifier predicts no text. Name it where a "
                "reward is asked for"
            )
        return
    good = kind == "SEQ_CLS" if adapter.is_file() else "SequenceClassification" in kind and labels == 1
    if not good:
        raise InputError(
            f"{folder} holds no reward model ({kind}), expected a sequence classifier with one label: make one with "
            "`penchant train reward_model`"
        )


def is_reward_model(folder: Path) -> bool:
    """Return whether a folder holds a reward model, by its settings; False for a hub id, which has none here."""
    if not any((folder / name).is_file() for name in ("adapter_config.json", "config.json")):
        return False
    try:
        check_kind(folder, "reward model")
    except InputError:
        return False
    return True


def list_some(names: Sequence[str]) -> str:
    """Return the first three names of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" (+{len(names) - 3} more)" if len(names) > 3 else "")
