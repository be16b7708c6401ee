"""What the codecs of pictures and sounds share: k-means, and the training of a small network."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from penchant.codecs.store import nearest_codes

SAMPLE = 200_000
"""Vectors that a codebook is fitted to, at most."""
ROUNDS = 30


def fit_codebook(vectors: Tensor, count: int, *, seed: int) -> Tensor:
    """Return a codebook by Lloyd's k-means, shape (count, width); an entry without members moves to a far vector.

    Args:
        vectors: shape (vectors, width).
    """
    generator = torch.Generator().manual_seed(seed)
    sample = vectors[torch.randperm(len(vectors), generator=generator)[:SAMPLE]]
    # equal vectors (black patches) would start as several entries
    distinct = torch.unique(sample[: 50 * count], dim=0)
    book = distinct[torch.randperm(len(distinct), generator=generator)[:count]].clone()
    for _ in range(ROUNDS):
        nearest = nearest_codes(sample, book)
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(book).index_add_(0, nearest, sample)
        book = torch.where(sizes[:, None] > 0, sums / sizes[:, None].clamp_min(1), book)
        empty = torch.nonzero(sizes == 0)[:, 0]
        if len(empty):
            distance = ((sample - book[nearest]) ** 2).sum(1)
            book[empty] = sample[distance.topk(len(empty)).indices]
    return book


def fit_network(
    make: Callable[[], nn.Module],
    inputs: Tensor,
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    seed: int,
    batch: int = 128,
    learning_rate: float = 2e-3,
) -> nn.Module:
    """Return a network after AdamW with a cosine, rounded to 16 bits as it is shipped."""
    torch.manual_seed(seed)
    network, started = make(), time.monotonic()
    steps = epochs * (len(inputs) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)
    recent = 0.0
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed + epoch))
        for start in range(0, len(inputs) - batch + 1, batch):
            rows = order[start : start + batch]
            value = loss(network(inputs[rows]), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            schedule.step()
            recent = 0.98 * recent + 0.02 * float(value.detach())
        print(f"  epoch {epoch + 1}: loss {recent:.4f}, {time.monotonic() - started:.0f} s", flush=True)
    return network.half().float().eval()
