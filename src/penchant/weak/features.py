"""Activations of a language model at a text's last token, of every layer, computed once and kept on disk.

The file's name is a digest of all that they depend on: the model's weights, the tokenizer, the texts and their order.
So every seed, loss and supervisor of a study reads the same file, memory-mapped, and nothing is ever stale.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.engine.reference import fingerprint
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET, evaluating
from penchant.engine.tree import fill
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.train.progress import progress_bar

Activations = NDArray[np.float16]
LARGEST = float(np.finfo(np.float16).max)
LONGEST = 512  # tokens of a text; the rest is cut off


def activations(policy: Policy, texts: Sequence[str], folder: Path, *, longest: int = LONGEST) -> Activations:
    """The states after each layer at the last token of each text.

    Args:
        folder: where they are kept. longest: a text's first so many tokens are read, or fewer where the model's
            context ends.

    Returns:
        Shape (layers + 1, texts, hidden), float16, memory-mapped; layer 0 is the embedding.

    Raises:
        InputError: no texts, a text without a token, or a folder that cannot be written.
    """
    longest = min(longest, policy.context or longest)
    ids = [policy.renderer.prompt_ids(text)[:longest] for text in texts]
    if not ids:
        raise InputError("there are no texts to compute activations of")
    if empty := [place for place, row in enumerate(ids) if not row]:
        raise InputError(f"text {empty[0]} has no token ({len(empty)} such texts): leave empty texts out")
    digest = hashlib.sha256(fingerprint(policy.model).encode())
    for row in ids:
        digest.update(np.asarray(row, dtype=np.int32).tobytes() + b"|")
    path = folder / f"activations-{digest.hexdigest()[:32]}.npy"
    with suppress(ValueError, EOFError, OSError):  # a damaged file is computed again
        return np.load(path, mmap_mode="r", allow_pickle=False)
    _write(policy, ids, path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _write(policy: Policy, ids: Sequence[Sequence[int]], path: Path) -> None:
    """Into another file first, which takes its name only when it is whole."""
    config = policy.model.config.get_text_config()  # type: ignore[operator, union-attr]
    shape = (config.num_hidden_layers + 1, len(ids), config.hidden_size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".npy")
        os.close(handle)
        try:
            kept = np.lib.format.open_memmap(name, mode="w+", dtype=np.float16, shape=shape)
            _compute(policy, ids, kept)
            kept.flush()
            os.replace(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
    except OSError as error:
        raise InputError(
            f"cannot keep activations in {path.parent}: {error.strerror}; they need "
            f"{np.prod(shape) * 2 / 2**20:,.0f} MiB"
        ) from error


def _compute(policy: Policy, ids: Sequence[Sequence[int]], kept: Activations) -> None:
    device = policy.scorer.device
    budget = GPU_BUDGET if device.type == "cuda" else DEFAULT_BUDGET
    lengths = [len(row) for row in ids]
    with evaluating(policy.model), torch.no_grad(), progress_bar("activations", len(ids), "texts") as advance:
        for places in fill(lengths, budget):
            width = max(lengths[place] for place in places)
            rows = torch.zeros(len(places), width, dtype=torch.long)
            mask = torch.zeros(len(places), width, dtype=torch.long)
            for number, place in enumerate(places):
                rows[number, : lengths[place]] = torch.tensor(ids[place])
                mask[number, : lengths[place]] = 1
            out = policy.model(
                input_ids=rows.to(device),
                attention_mask=mask.to(device),
                output_hidden_states=True,
                use_cache=False,
                logits_to_keep=1,
            )
            last = (torch.arange(len(places)), torch.tensor([lengths[place] - 1 for place in places]))
            for layer, states in enumerate(out.hidden_states):
                taken = states[last].float().clamp(-LARGEST, LARGEST)
                kept[layer, places] = taken.cpu().numpy()
            advance(len(places), "")
