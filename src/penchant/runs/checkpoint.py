"""Checkpoints: model, optimizer, random states and the loop's position in one folder, replaced by renaming.

`checkpoint/` opens with `AutoModelForCausalLM.from_pretrained`; what only resuming needs lies in its `resume/`. The
digests of all files stand in its `SHA256SUMS`, and each file is checked before it is read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penchant.digests import SUMS, check_files, read_sums, write_sums
from penchant.errors import InputError
from penchant.files import atomic_folder, read_json, recover_folder, remove
from penchant.models.adapters import trained_part
from penchant.models.learner import Learner
from penchant.runs.run_folder import cannot_write

State = dict[str, Any]
"""What resuming needs beside the weights, as torch saved it. Its types are unknown: the file may be anybody's."""
STATE = "resume/state.pt"
PARTS = ("loop", "optimizer", "beside", "random", "cuda_random")
"""What `state.pt` holds."""
ADAPTERS, WEIGHTS, INDEX = "adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"


def save(folder: Path, policy: Learner, state: State | None) -> None:
    """Write a checkpoint beside the old one, then take its place.

    Args:
        folder: the checkpoint's final name.
        state: what resuming needs (`step`, `optimizer`, ...), or None for a model that is not resumed from.

    Raises:
        RunError: it cannot be written; the old one is still there.
    """
    try:
        with atomic_folder(folder) as building:
            policy.save(building)
            if state is not None:
                (building / STATE).parent.mkdir()
                torch.save(state, building / STATE)
            # digests are computed while the disk is waited for
            with ThreadPoolExecutor(1) as disk:
                synced = disk.submit(_sync, building)
                write_sums(building)
                synced.result()
    # the temporary folder is gone by then, and the old checkpoint in its place
    except Exception as error:  # on a full disk torch raises RuntimeError, tokenizers a bare Exception, ...
        raise cannot_write(folder, error) from error


def keep_last(run: Path, step: int, count: int) -> None:
    """Keep the checkpoint of a step as a model in `checkpoint-STEP`, and no more than the last so many of them.

    Its files are those of `checkpoint`, under another name: they take no room on the disk until that is replaced.

    Raises:
        RunError: it cannot be written; `checkpoint` is whole.
    """
    source, target = run / "checkpoint", run / f"checkpoint-{step}"
    try:
        with atomic_folder(target) as building:
            for file in sorted(path for path in source.iterdir() if path.is_file() and path.name != SUMS):
                _link(file, building / file.name)
            sums = {name: digest for name, digest in (read_sums(source) or {}).items() if "/" not in name}
            write_sums(building, sums)
        for old_step in sorted(_kept_steps(run))[:-count]:
            remove(run / f"checkpoint-{old_step}")
    except OSError as error:
        raise cannot_write(target, error) from error


def _kept_steps(run: Path) -> list[int]:
    names = (path.name.removeprefix("checkpoint-") for path in run.glob("checkpoint-*"))
    return [int(name) for name in names if name.isdecimal()]


def _link(file: Path, name: Path) -> None:
    """Give a file a second name, or copy it where the file system has no such thing."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def load(folder: Path, policy: Learner) -> State | None:
    """Put a checkpoint's weights into the policy, bit for bit, and return its resume state; None if there is none.

    Raises:
        InputError: a checkpoint of another model, or a damaged one.
    """
    recover_folder(folder)
    if not folder.exists():
        return None
    # all at once: several files are read faster together; and nothing is put into the model before all are whole
    check_files(folder, [STATE, *(file.name for file in folder.glob("*.safetensors"))])
    state = load_state(folder)
    load_weights(folder, policy.model)
    return state


def load_state(folder: Path) -> State:
    """Return the resume state that was saved beside the weights.

    Raises:
        InputError: it is damaged, or there is none.
    """
    check_files(folder, [STATE])
    try:
        # `weights_only`: a pickle that somebody else packed would run code
        state = torch.load(folder / STATE, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged archive makes torch raise many kinds
        raise cannot_read(folder / STATE, error) from error
    if not isinstance(state, dict) or (missing := [name for name in PARTS if name not in state]):
        raise cannot_read(folder / STATE, f"it lacks {', '.join(missing) if isinstance(state, dict) else 'everything'}")
    return state


def load_weights(folder: Path, model: nn.Module) -> None:
    """Put the weights of a checkpoint into a model of the same shape (adapters alone under LoRA).

    Raises:
        InputError: they are damaged, or those of another model.
    """
    # under LoRA the base is not saved: it is the model that was loaded, and its own digest was compared
    if (folder / ADAPTERS).exists():
        from peft import set_peft_model_state_dict

        # adapters on adapters are saved as one set; the first ones' part is taken off again (decision 0021)
        tensors = trained_part(_read_tensors(folder, [ADAPTERS]), folder)
        try:
            result = set_peft_model_state_dict(model, tensors)
        except (RuntimeError, KeyError) as error:
            raise cannot_read(folder / ADAPTERS, error) from error
        # missing ones are no error: peft counts the base's weights among them
        if result.unexpected_keys:
            raise InputError(f"{folder} holds adapters of another model: unexpected {result.unexpected_keys[:3]}")
        return
    # all tensors are read before one is put in: a damaged second file must not leave half a model
    tensors = _in_own_form(folder, model, _read_tensors(folder, _weight_files(folder)))
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # weights of other shapes
        raise cannot_read(folder, error) from error
    # tied weights are saved once: a name that is missing may share its memory with one that is there
    model_state = model.state_dict()
    loaded = {model_state[name].data_ptr() for name in tensors if name in model_state}
    missing = [name for name in result.missing_keys if model_state[name].data_ptr() not in loaded]
    if result.unexpected_keys or missing:
        raise InputError(
            f"{folder} holds another model: unexpected {result.unexpected_keys[:3]}, missing {missing[:3]}"
        )


def _in_own_form(folder: Path, model: nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights under the names that the network has while it runs.

    `transformers` saves some networks in the form of the hub, such as experts one by one which run as one tensor, and
    turns it back only where it opens the folder itself.
    """
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel) or {*tensors} <= {*model.state_dict()}:
        return tensors
    network, info = type(model).from_pretrained(
        folder, dtype=model.dtype, use_safetensors=True, output_loading_info=True, local_files_only=True
    )
    # of a model with other weights the names as they are saved say more
    return tensors if info["missing_keys"] or info["unexpected_keys"] else dict(network.state_dict())


def _weight_files(folder: Path) -> list[str]:
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    check_files(folder, [INDEX])
    try:
        return sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise cannot_read(folder / INDEX, error) from error


def _read_tensors(folder: Path, names: list[str]) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    # before a byte is read: a flipped bit in a weight would be loaded, and training would go on
    check_files(folder, names)
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        try:
            tensors |= load_file(folder / name)
        except Exception as error:  # a damaged file makes the reader raise many kinds
            raise cannot_read(folder / name, error) from error
    return tensors


def cannot_read(path: Path, reason: object) -> InputError:
    """Return the error for a file of a checkpoint that cannot be resumed from."""
    # the run's folder, however deep the file lies in its checkpoint: the message names from there what to delete
    run = next((parent.parent for parent in path.parents if parent.name in ("checkpoint", "best")), path.parent)
    words = str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__
    return InputError(
        f"{path} cannot be read ({words[:200]}): put back a good copy, or delete {run / 'checkpoint'} and resume, "
        "which trains from the beginning"
    )


def _sync(folder: Path) -> None:
    """Flush the files to the disk before the rename: otherwise a power cut could leave an empty checkpoint."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                os.fsync(file.fileno())
