"""States of a frozen trunk: what enters the first block that trains, computed once into a file that steps read.

Where only the last blocks train, what the blocks below give for a token of the training data never changes. It is
computed in one pass, kept in the cache under a name that says of what it is (so that a sweep shares it), and mapped
into memory: a step touches the rows of its own trees and runs the blocks above.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.renderer import Rendered
from penchant.digests import BlockDigests, DamagedFile, append_block_digests, trailer_size
from penchant.engine.attention import entering_states, evaluating, predictor_states, trunk, trunk_blocks, unwrap
from penchant.engine.score import Progress, Scorer, batches
from penchant.engine.tree import Packing, TreeBatch, all_responses
from penchant.errors import InputError
from penchant.files import atomic_stream

log = logging.getLogger("penchant.engine")

ABANDONED_S = 24 * 3600.0  # a half-written file that nobody has touched for so long was left by a kill


def train_only_top(network: nn.Module, count: int) -> None:
    """Freeze all but the last blocks and what follows them in the trunk, the final norm.

    Raises:
        InputError: the model has no list of blocks, or fewer than asked for.
    """
    below, blocks = trunk(network), trunk_blocks(network)
    if blocks is None:
        raise InputError(
            f"model.train_top={count}: {type(unwrap(network)).__name__} does not keep its blocks in `layers`, so that "
            "Penchant cannot tell which are the last; train all weights, or adapters (model.lora)"
        )
    if not 1 <= count <= len(blocks):
        raise InputError(f"model.train_top={count}: the model has {len(blocks)} blocks; take 1 to {len(blocks)}")
    network.requires_grad_(False)
    children = list(below.named_children())
    after = children[[name for name, _ in children].index("layers") + 1 :]
    # the final norm stands after the blocks, under a name that differs by model
    for module in (*blocks[-count:], *(module for name, module in after if "norm" in name)):
        module.requires_grad_(True)


@dataclass(frozen=True)
class FrozenStates:
    """The states that enter the first block that trains, for every token of some groups.

    Attributes:
        states: (tokens, hidden), mapped from the file.
        origins: of each group, the first row of its prompt and of each of its responses.
        blocks: how many blocks they have been through.
        digests: of the file, whose parts are checked as they are read.
    """

    states: Float[Tensor, "tokens hidden"]
    origins: Sequence[tuple[int, ...]]
    blocks: int
    digests: BlockDigests

    def entering(self, batch: TreeBatch) -> Float[Tensor, "1 length hidden"] | None:
        """Return the states of a batch's tokens, on its device; None if the batch does not say where they lie.

        Raises:
            DamagedFile: the part of the file that holds them is damaged.
        """
        if batch.origin is None:
            return None
        self.digests.check_rows(batch.origin.tolist(), self.states.shape[1] * self.states.element_size())
        return self.states.index_select(0, batch.origin).to(batch.input_ids.device)[None]

    def score(self, scorer: Scorer, batch: TreeBatch) -> Float[Tensor, " slots"]:
        """Score a batch, by the blocks above alone where the batch allows it."""
        logps: Tensor = scorer(batch, self.entering(batch), self.blocks)
        return logps


def frozen_states(
    scorer: Scorer,
    rendered: Sequence[Rendered],
    folder: Path,
    *,
    blocks: int,
    weights: str,
    precision: str,
    budget: int,
    progress: Progress | None = None,
) -> tuple[FrozenStates | None, str]:
    """Return the states of all tokens after the first `blocks` blocks, from the file where it is complete.

    Args:
        folder: where the file lies or is to lie.
        weights: a digest of the model, its configuration included.
        precision: names what else the numbers depend on (dtype, autocast).
        budget: tokens of a forward pass. It is part of the file's name: data cut into other passes gives other last
            bits, and a run has to find its own when it is resumed.
        progress: called with a number of tokens done.

    Returns:
        The states, or None and the reason why they cannot serve: then every step has to compute everything.
    """
    packing = scorer.packing_for(rendered)
    # a prompt's states differ by the class of its row's length, and there is room for one set of them
    if any(len({packing.lengths.class_of(length) for length in group.lengths}) > 1 for group in rendered):
        return None, "responses of one prompt lie on both sides of a length at which the model's arithmetic changes"
    origins, rows = _origins(rendered)
    first = [batch.to(scorer.device) for batch in _batches(rendered[:1], origins[:1], budget, packing)]
    # one group tells whether the blocks above can be run alone at all, before all data go through those below
    with evaluating(scorer.model):
        example = [entering_states(scorer.model, batch, blocks) for batch in first]
        if reason := _difference(scorer, first, example, blocks):
            return None, reason
        shape, dtype = (rows, example[0].shape[-1]), example[0].dtype
        path = folder / f"{_key(rendered, blocks, weights, precision, scorer.device, budget)}.bin"
        size = shape[0] * shape[1] * dtype.itemsize
        for _ in range(2):  # a second time where what is there turns out to be damaged
            try:
                if not _is_whole(path, size):
                    with _replacing(path, size) as file:
                        _compute(scorer, _batches(rendered, origins, budget, packing), blocks, file, progress)
                elif progress:
                    progress(rows)
            except OSError as error:
                return None, f"{path} cannot be written ({error.strerror or error})"
            try:
                states = torch.from_file(str(path), shared=False, size=shape[0] * shape[1], dtype=dtype).view(shape)
                frozen = FrozenStates(states, origins, blocks, BlockDigests(path, size))
                entering = [frozen.entering(batch) for batch in first]
            except DamagedFile as error:
                log.warning("%s: computing anew", error)
                path.unlink(missing_ok=True)
                continue
            except RuntimeError as error:  # whatever the system says
                return None, f"{path} cannot be mapped ({str(error).splitlines()[0]})"
            if reason := _difference(scorer, first, entering, blocks):
                path.unlink(missing_ok=True)  # the next run computes it again
                return None, f"{path} is damaged and was removed: {reason}"
            return frozen, ""
    return None, f"{path} was damaged twice: the disk cannot be trusted"


def _is_whole(path: Path, size: int) -> bool:
    """Return whether a file has its length, and digests of its blocks that fit each other."""
    try:
        return path.stat().st_size == size + trailer_size(size) and bool(BlockDigests(path, size))
    except FileNotFoundError:
        return False
    except DamagedFile as error:
        log.warning("%s: computing anew", error)
        return False


def _origins(rendered: Sequence[Rendered]) -> tuple[list[tuple[int, ...]], int]:
    """Return where each group's prompt and responses begin among all tokens, and how many tokens there are."""
    origins, row = [], 0
    for group in rendered:
        starts = []
        for ids in (group.prompt_ids, *(branch.ids for branch in group.branches)):
            starts.append(row)
            row += len(ids)
        origins.append(tuple(starts))
    return origins, row


def _batches(
    rendered: Sequence[Rendered], origins: Sequence[tuple[int, ...]], budget: int, packing: Packing
) -> list[TreeBatch]:
    return batches(all_responses(rendered), budget=budget, packing=packing, origins=origins)


def _compute(
    scorer: Scorer, batches: Sequence[TreeBatch], blocks: int, file: IO[bytes], progress: Progress | None
) -> None:
    """Write the states of every batch into the file."""
    # by `write` and no mapping, which would end the process on a full disk
    for batch in batches:
        assert batch.spans is not None
        assert batch.origin is not None
        states = entering_states(scorer.model, batch.to(scorer.device), blocks)[0].cpu().contiguous()
        for tree in batch.spans:  # a tree's responses are consecutive ones of its group, and so are their rows
            for start, stop in ((tree.start, tree.prompt_end), (tree.prompt_end, tree.ends[-1])):
                data = states[start:stop].view(torch.uint8).numpy()
                file.seek(int(batch.origin[start]) * data.shape[1])
                file.write(data.tobytes())
        if progress:
            progress(batch.forwarded)


def _difference(scorer: Scorer, batches: Sequence[TreeBatch], inputs: Sequence[Tensor | None], blocks: int) -> str:
    """Compare the blocks above, run on these states, with the whole model; return how far they differ, or "".

    Their final states are compared: scores could agree by chance, as those of a new reward head, which are all 0.
    """
    # the same states through the same blocks: only rounding may differ, which half precision has more of
    half = torch.is_autocast_enabled(scorer.device.type) or next(scorer.parameters()).dtype != torch.float32
    for batch, states in zip(batches, inputs, strict=True):
        full_states = predictor_states(scorer.model, batch).float()
        top = predictor_states(scorer.model, batch, states, blocks).float()
        share = float((top - full_states).norm() / full_states.norm())
        if not share <= (0.05 if half else 1e-4):
            return f"{type(unwrap(scorer.model)).__name__} gives other numbers from the states (by {share:.3g} of them)"
    return ""


def _key(
    rendered: Sequence[Rendered], blocks: int, weights: str, precision: str, device: torch.device, budget: int
) -> str:
    digest = hashlib.sha256(f"{weights} {precision} {device.type} {blocks} {budget}".encode())
    for group in rendered:
        for ids in (group.prompt_ids, *(branch.ids for branch in group.branches)):
            digest.update(array("q", (len(ids), *ids)).tobytes())
        digest.update(b"group")  # two groups are not one with the responses of both
    return digest.hexdigest()[:32]


@contextmanager
def _replacing(path: Path, size: int) -> Iterator[IO[bytes]]:
    """Yield a file to write states into, which ends with the digests of its blocks once the block is left.

    Raises:
        OSError: the disk is full, or does not let us; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(".*.tmp"):
        if time.time() - old.stat().st_mtime > ABANDONED_S:
            old.unlink(missing_ok=True)
    with atomic_stream(path, private=True, shared=True) as file:
        yield file
        if (written := file.seek(0, os.SEEK_END)) != size:
            raise OSError(f"{written} bytes were written instead of {size}")
        append_block_digests(file)
