"""Worker: how fast this machine multiplies matrices of a model's shapes, and how much of that a token needs.

The three products of a linear layer (forward, gradient of its input, gradient of its weight) into outputs that are
there already; for the head in blocks of vocabulary that stay in the caches.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from statistics import median

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from side_by_side.recording import read_job

ROWS = 768
HEAD_BLOCK = 4096
TRIES = 15


def main() -> None:
    """Leave the rates (FLOP/s) of trunk and head, and their FLOP a token and unit."""
    job, result = read_job()
    torch.set_num_threads(job["threads"])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(job["model"]))
    shapes = Counter(tuple(layer.weight.shape) for layer in trunk(model))
    vocabulary, hidden = model.get_output_embeddings().weight.shape
    seconds = {shape: product_seconds(*shape) for shape in shapes}
    flop = sum(count * 2 * out * into for (out, into), count in shapes.items())
    trunk_rate = 3 * flop * ROWS / sum(count * seconds[shape] for shape, count in shapes.items())
    block = min(HEAD_BLOCK, vocabulary)
    told = {
        "trunk_flop": flop,
        "head_flop": 2 * vocabulary * hidden,
        "trunk_rate": trunk_rate,
        "head_rate": 3 * 2 * block * hidden * ROWS / product_seconds(block, hidden),
    }
    Path(result).write_text(json.dumps(told))


def trunk(model: nn.Module) -> list[nn.Linear]:
    """The linear layers of the decoder's blocks."""
    blocks = max(
        (module for module in model.modules() if isinstance(module, nn.ModuleList)),
        key=lambda module: sum(weight.numel() for weight in module.parameters()),
    )
    return [module for module in blocks.modules() if isinstance(module, nn.Linear)]


def product_seconds(out: int, into: int) -> float:
    """Median seconds of the three products of one layer for `ROWS` tokens."""
    weight, states, slopes = torch.randn(out, into), torch.randn(ROWS, into), torch.randn(ROWS, out)
    forward, back, change = torch.empty(ROWS, out), torch.empty(ROWS, into), torch.empty(out, into)
    taken = []
    for _ in range(TRIES):
        started = time.perf_counter()
        torch.mm(states, weight.T, out=forward)
        torch.mm(slopes, weight, out=back)
        torch.mm(slopes.T, states, out=change)
        taken.append(time.perf_counter() - started)
    return median(taken)


if __name__ == "__main__":
    main()
