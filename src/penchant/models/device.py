"""Where a model lies and in which type of numbers."""

from __future__ import annotations

import importlib.util
import os

import torch

from penchant.engine.foreign_types import PreTrainedModel
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


def check_attention(model: ModelConfig, device: torch.device) -> None:
    """Refuse an implementation of attention that cannot run here.

    Raises:
        InputError: a package, a GPU or weights in half precision are missing.
    """
    name, missing = model.attention, ""
    if name in ("flash_attention_2", "flex_attention") and device.type != "cuda":
        missing = f"a GPU with CUDA, and the model is on {device}"
    elif name == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        missing = "the package flash-attn (pip install flash-attn)"
    elif name == "flash_attention_2" and weights_type(model, device) == torch.float32:
        missing = "weights in half precision (model.dtype=bfloat16)"
    if missing:
        raise InputError(f"model.attention={name} needs {missing}; take model.attention=auto")


def check_placed(network: PreTrainedModel, device_map: str) -> torch.device:
    """Return the device that Accelerate put a network on.

    Raises:
        InputError: it is spread over several, or partly on the disk.
    """
    placed: dict[str, object] = getattr(network, "hf_device_map", None) or {"": network.device}
    # our engine reads the head beside the forward pass, and trains all blocks on one device
    devices = list(
        dict.fromkeys(f"cuda:{device}" if isinstance(device, int) else str(device) for device in placed.values())
    )
    if len(devices) > 1 or "disk" in devices:
        raise InputError(
            f"model.device_map={device_map} spreads the model over {', '.join(devices)}: Penchant trains and samples a "
            "model on one device. Take a smaller dtype (model.dtype=bfloat16) or model, or a GPU with more memory"
        )
    return torch.device(devices[0])


def weights_type(model: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of the weights; `auto` depends on the device and on LoRA."""
    if model.dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[model.dtype]
    if model.lora is not None and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16  # frozen weights need no more
    return torch.float32
