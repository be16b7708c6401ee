"""Checkpoints: model, optimizer, schedule, random states and data cursor in one folder, replaced by renaming.

`checkpoint/` opens with `AutoModelForCausalLM.from_pretrained`; what only resuming needs lies in its `resume/`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penchant.errors import InputError
from penchant.models.adapters import trained_part
from penchant.models.learner import Learner
from penchant.train.run_folder import cannot_write

STATE = Path("resume") / "state.pt"


def save(folder: Path, policy: Learner, state: dict[str, Any] | None) -> None:
    """Write a checkpoint beside the old one, then take its place.

    Args:
        folder: the checkpoint's final name.
        state: what resuming needs (`step`, `optimizer`, ...), or None for a model that is not resumed from.

    Raises:
        RunError: it cannot be written; the old one is still there.
    """
    building, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        policy.save(building)
        if state is not None:
            (building / STATE).parent.mkdir()
            torch.save(state, building / STATE)
        _sync(building)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(building, folder)
    except Exception as error:  # on a full disk torch raises RuntimeError, tokenizers a bare Exception, ...
        recover(folder)
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """After a kill between the two renames only the old checkpoint stands, under its other name: put it back."""
    old = folder.with_name(f".{folder.name}.old")
    if not folder.exists() and old.exists():
        os.replace(old, folder)


def load(folder: Path, policy: Learner) -> dict[str, Any] | None:
    """Put a checkpoint's weights into the policy, bit for bit, and return its resume state; None if there is none.

    Raises:
        InputError: a checkpoint of another model.
    """
    recover(folder)
    if not (folder / STATE).exists():
        return None
    load_weights(folder, policy.model)
    return load_state(folder)


def load_state(folder: Path) -> dict[str, Any]:
    """What was saved beside the weights."""
    state: dict[str, Any] = torch.load(folder / STATE, weights_only=True, map_location="cpu")
    return state


def load_weights(folder: Path, model: nn.Module) -> None:
    """The weights of a checkpoint into a model of the same shape (adapters alone under LoRA)."""
    from safetensors.torch import load_file

    if (folder / "adapter_model.safetensors").exists():
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, trained_part(load_file(folder / "adapter_model.safetensors"), folder))
        return
    index = folder / "model.safetensors.index.json"
    names = (
        sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else ["model.safetensors"]
    )
    tensors = {key: value for name in names for key, value in load_file(folder / name).items()}
    result = model.load_state_dict(tensors, strict=False)
    own = model.state_dict()
    loaded = {own[name].data_ptr() for name in tensors if name in own}
    missing = [name for name in result.missing_keys if own[name].data_ptr() not in loaded]  # tied ones are saved once
    if result.unexpected_keys or missing:
        raise InputError(
            f"{folder} holds another model: unexpected {result.unexpected_keys[:3]}, missing {missing[:3]}"
        )


def _sync(folder: Path) -> None:
    """Have the files on the disk before the rename, or a power cut could leave a named, empty checkpoint."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                os.fsync(file.fileno())
