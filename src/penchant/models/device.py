"""Where a model lies and in which type of numbers."""

from __future__ import annotations

import os

import torch

from penchant.errors import InputError
from penchant.models.settings import ModelConfig


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is a GPU if there is one.

    Raises:
        InputError: it is not to be had here.
    """
    if name == "auto":
        if torch.cuda.is_available():  # of several processes on a machine, each takes its own
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        # a valid name does not mean that the device is there
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name!r} is not to be had here: {str(error).splitlines()[0]}") from error
    return device


def weights_type(model: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of the weights; `auto` depends on the device and on LoRA."""
    if model.dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[model.dtype]
    if model.lora is not None and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16  # frozen weights need no more
    return torch.float32
