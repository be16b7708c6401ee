"""Activations of a language model at a text's last token, of every layer, computed once and kept on disk.

Of a prompt with two options it is the difference between them: a linear probe of that is a linear reward of each.

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
from penchant.weak.contract import Example, only_texts, width_of
from penchant.weak.reading import Ids, last_states
from penchant.weak.responses import encode_options

Activations = NDArray[np.float16]
LARGEST = float(np.finfo(np.float16).max)
LONGEST = 512  # tokens of a text; the rest is cut off


def activations(policy: Policy, examples: Sequence[Example], folder: Path, *, longest: int = LONGEST) -> Activations:
    """The states after each layer at the last token of each text, or their difference between a prompt's two options.

    Args:
        folder: where they are kept. longest: a text's first so many tokens are read, or fewer where the model's
            context ends; of prompt and option the last ones.

    Returns:
        Shape (layers + 1, examples, hidden), float16, memory-mapped; layer 0 is the embedding.

    Raises:
        InputError: no examples, a text without a token, other than two options, or a folder that cannot be written.
    """
    longest = min(longest, policy.context or longest)
    width = width_of(examples)
    if not examples:
        raise InputError("there are no texts to compute activations of")
    if width > 2:
        raise InputError(f"a probe compares two options, and here are {width}: take a language model (`name: lm`)")
    if width:
        rendered = encode_options(policy, examples, longest)
        ids = [tuple((*row.prompt_ids, *branch.ids) for branch in row.branches) for row in rendered]
    else:
        ids = [(policy.renderer.prompt_ids(text)[:longest],) for text in only_texts(examples, "a probe")]
    if empty := [place for place, row in enumerate(ids) if not all(row)]:
        raise InputError(f"text {empty[0]} has no token ({len(empty)} such texts): leave empty texts out")
    digest = hashlib.sha256(fingerprint(policy.model).encode())
    for row in ids:
        for each in row:
            digest.update(np.asarray(each, dtype=np.int32).tobytes() + b"|")
        digest.update(b";" if width else b"")
    path = folder / f"activations-{digest.hexdigest()[:32]}.npy"
    with suppress(ValueError, EOFError, OSError):  # a damaged file is computed again
        return np.load(path, mmap_mode="r", allow_pickle=False)
    _write(policy, ids, path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


class ModelFeatures:
    """Examples to activations of one layer, computed once for those that come again.

    Args:
        model: a built-in name, a folder or a hub id. layer: 0 is the embedding, negative ones count from the last.
        folder: where activations are kept; a temporary one, which goes with this object, if not given.
    """

    def __init__(self, model: str, layer: int = -1, *, longest: int = LONGEST, folder: Path | None = None) -> None:
        self.settings: dict[str, Any] = {"model": model, "layer": layer, "longest": longest}
        self._scratch = tempfile.TemporaryDirectory(prefix="penchant-") if folder is None else None
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._policy: Policy | None = None

    def __call__(self, examples: Sequence[Example]) -> torch.Tensor:
        """Shape (examples, hidden), float16."""
        if self._policy is None:
            self._policy = load_policy(self.settings["model"], template="plain", overflow="truncate_prompt")
        found = activations(self._policy, examples, self._folder, longest=self.settings["longest"])
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


def _write(policy: Policy, ids: Sequence[tuple[Ids, ...]], path: Path) -> None:
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


def _compute(policy: Policy, ids: Sequence[tuple[Ids, ...]], kept: Activations) -> None:
    device = policy.scorer.device
    budget = GPU_BUDGET if device.type == "cuda" else DEFAULT_BUDGET
    lengths = [sum(len(each) for each in row) for row in ids]
    with evaluating(policy.model), progress_bar("activations", len(ids), "texts") as advance:
        for places in fill(lengths, budget):
            texts = [each for place in places for each in ids[place]]
            for layer, states in enumerate(last_states(policy, texts)):
                first, *second = states.float().view(len(places), -1, states.shape[-1]).unbind(1)
                found = first - second[0] if second else first
                kept[layer, places] = found.clamp(-LARGEST, LARGEST).cpu().numpy()
            advance(len(places), "")
