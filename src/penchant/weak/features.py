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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.engine.reference import fingerprint
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET, evaluating
from penchant.engine.tree import fill
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.train.progress import progress_bar
from penchant.weak.reading import Ids, last_states

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


class ModelFeatures:
    """Texts to activations of one layer, computed once for texts that come again.

    Args:
        model: a built-in name, a folder or a hub id. layer: 0 is the embedding, negative ones count from the last.
        folder: where activations are kept; a temporary one, which goes with this object, if not given.
    """

    def __init__(self, model: str, layer: int = -1, *, longest: int = LONGEST, folder: Path | None = None) -> None:
        self.settings: dict[str, Any] = {"model": model, "layer": layer, "longest": longest}
        self._scratch = tempfile.TemporaryDirectory(prefix="penchant-") if folder is None else None
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._policy: Policy | None = None

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Shape (texts, hidden), float16."""
        if self._policy is None:
            self._policy = load_policy(self.settings["model"], template="plain")
        found = activations(self._policy, texts, self._folder, longest=self.settings["longest"])
        return layer_of(found, self.settings["layer"])


def layer_of(found: Activations, layer: int) -> torch.Tensor:
    """One layer of activations, in memory.

    Raises:
        InputError: there is no such layer.
    """
    if not -len(found) <= layer < len(found):
        raise InputError(
            f"layer {layer} is not there: this model has layers 1 to {len(found) - 1}, and 0, the embedding"
        )
    return torch.as_tensor(np.array(found[layer]))


def _write(policy: Policy, ids: Sequence[Ids], path: Path) -> None:
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


def _compute(policy: Policy, ids: Sequence[Ids], kept: Activations) -> None:
    device = policy.scorer.device
    budget = GPU_BUDGET if device.type == "cuda" else DEFAULT_BUDGET
    lengths = [len(row) for row in ids]
    with evaluating(policy.model), progress_bar("activations", len(ids), "texts") as advance:
        for places in fill(lengths, budget):
            for layer, states in enumerate(last_states(policy, [ids[place] for place in places])):
                kept[layer, places] = states.float().clamp(-LARGEST, LARGEST).cpu().numpy()
            advance(len(places), "")
