"""Estimate what training takes, in time and memory, before anything is loaded.

The numbers are rough: they come from the model's size, the tokens of the data, and how fast this machine multiplies
matrices now. So a time is given as two bounds, and `penchant train` says how long it really takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from penchant.errors import InputError
from penchant.models.locate import locate

FORWARD, BACKWARD, BACKWARD_LORA = 2.0, 4.0, 2.0
"""Operations per weight and token. Under LoRA the backward pass goes through frozen weights without their gradients."""
DECODING = 4.0
"""By how much a token that is sampled costs more than one that is scored: it comes alone, and the weights with it."""
EFFICIENCY = (0.2, 0.9)
"""The share of the matrix speed that training gets: SmolLM2-135M with adapters got 0.6 on short rows, one thread."""
STARTING_S = (6.0, 15.0)  # imports, reading the weights, the first pass; small runs of 8 s of processor time had 5
ACTIVATIONS = 20  # numbers per token, layer and width that the backward pass keeps
OPTIMIZER_NUMBERS = {"rmsprop": 1, "adamw": 2}  # per trained weight


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a model that its cost depends on.

    Attributes:
        parameters: all weights. trained: those that learn.
        layers, width, vocabulary: of its configuration.
    """

    parameters: int
    trained: int
    layers: int
    width: int
    vocabulary: int


@dataclass(frozen=True)
class Work:
    """Numbers of tokens that pass through a model.

    Attributes:
        trained: in all epochs together, a prompt counted once for all its responses.
        scored: by the reference and by evaluations on held-out data.
        sampled: by evaluations that draw responses, of policy and reference.
        tokens_per_pass: of one forward pass, at most.
    """

    trained: float
    scored: float
    sampled: float
    tokens_per_pass: int


@dataclass(frozen=True)
class Cost:
    """An estimate of time, as two bounds in seconds, and of memory in bytes."""

    fastest_s: float
    slowest_s: float
    memory: float


def estimate_cost(shape: ModelShape, work: Work, speed: float, *, optimizer: str = "rmsprop") -> Cost:
    """Return what training takes.

    Args:
        speed: operations per second, of `measure_speed`.
        optimizer: `rmsprop` or `adamw`.
    """
    backward = BACKWARD if shape.trained == shape.parameters else BACKWARD_LORA
    per_weight = (FORWARD + backward) * work.trained + FORWARD * (work.scored + DECODING * work.sampled)
    operations = shape.parameters * per_weight
    low, high = EFFICIENCY
    return Cost(
        STARTING_S[0] + operations / (speed * high),
        STARTING_S[1] + operations / (speed * low),
        _memory(shape, work.tokens_per_pass, optimizer),
    )


def _memory(shape: ModelShape, tokens: int, optimizer: str) -> float:
    # the peak of a step: all that is there when the backward pass begins
    numbers = float(shape.parameters) + shape.trained * (1 + OPTIMIZER_NUMBERS[optimizer])
    # samples of a policy whose weights all move need the weights of its start beside them
    if shape.trained == shape.parameters:
        numbers += shape.parameters
    numbers += tokens * shape.layers * shape.width * ACTIVATIONS
    numbers += 2 * tokens * shape.vocabulary  # logits, and their gradient
    return 4 * numbers + 0.6e9  # float32; and Python with torch itself


def measure_speed(device: torch.device | None = None, *, size: int = 768, seconds: float = 0.3) -> float:
    """Return how many operations per second matrices of float32 are multiplied with here, now.

    Args:
        size: of the matrices: as wide as a small model.
        seconds: how long is measured.
    """
    # on the machine as it is now: other work on it slows training down as well
    matrix = torch.rand(size, size, device=device)
    matrix @ matrix  # the first one sets up threads or a GPU's library
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or count < 3:
        matrix @ matrix
        if matrix.is_cuda:  # a GPU only notes what it is asked for
            torch.cuda.synchronize()
        count += 1
    return count * 2.0 * size**3 / passed


def model_shape(name: str, *, lora_rank: int | None = None) -> ModelShape:
    """Return the shape of a model by its configuration; no weights are read.

    Args:
        name: as `model=` takes it.
        lora_rank: of adapters on every linear layer; None where all weights learn.

    Raises:
        InputError: no such model, or its configuration cannot be read.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(locate(name), trust_remote_code=False)
        with torch.device("meta"):  # shapes alone: nothing is allocated
            network = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # a class that transformers does not know, code of its own, a damaged file
        lines = str(error).splitlines()
        raise InputError(f"the configuration of {name} cannot be read: {lines[0] if lines else error!r}") from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    inner = config.get_text_config()
    trained = parameters
    if lora_rank is not None:
        head = network.get_output_embeddings()
        layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear) and module is not head]
        # as peft does it for `all-linear`: an update of two narrow matrices per layer, and none on the head
        trained = sum(lora_rank * (layer.in_features + layer.out_features) for layer in layers)
    return ModelShape(parameters, trained, inner.num_hidden_layers, inner.hidden_size, inner.vocab_size)
