"""Forward prompts that show pictures: the media prefix goes through the model once per group.

A tree holds the prompt with its media, then every response, each seeing the prompt and its own earlier tokens; a 4-D
mask says so. Positions in three dimensions (M-RoPE) are the model's own, and tokens of one picture see each other where
its model has it so. Trees with the same forms of features lie end to end in one row.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.rendered import Branch
from penchant.engine.attention import unwrap
from penchant.engine.tree import Blocks, Tree, TreeBatch

PACKED_TOKENS = 512  # of one row: its mask has the square of them


@dataclass(frozen=True)
class MediaRow:
    """A prompt with its media as a model reads them, and its responses.

    Attributes:
        prompt_ids: with the tokens that stand for the media. branches: the responses.
        features: what the model's towers read, by the name of its argument (`pixel_values` and others); on the CPU.
        token_kinds: by the name of an argument, (1, prompt) numbers that say what each token is, such as
            `token_type_ids`.
    """

    prompt_ids: tuple[int, ...]
    branches: tuple[Branch, ...]
    features: Mapping[str, Tensor]
    token_kinds: Mapping[str, Tensor]

    @property
    def length(self) -> int:
        """Count the tokens of the prompt and of all responses."""
        return len(self.prompt_ids) + sum(len(branch.ids) for branch in self.branches)

    @property
    def form(self) -> tuple[object, ...]:
        """Return what rows have in common that may lie end to end: shapes of features, one picture aside."""
        features = tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in sorted(self.features.items()))
        return features, tuple(sorted(self.token_kinds))


def media_row(tree: Tree) -> MediaRow:
    """Return a tree as the model reads it; its pictures are read here."""
    assert tree.media is not None
    inputs = tree.media.load()
    return MediaRow(tree.prompt_ids, tree.branches, inputs.features, inputs.token_kinds)


def batch_states(model: nn.Module, batch: TreeBatch) -> Float[Tensor, "rows length hidden"]:
    """Return the final states of every token of a batch of trees with media."""
    rows = [media_row(tree) for tree in batch.trees]
    if batch.spans is not None:
        return tree_states(model, rows, batch.blocks)[None]
    # each response with its own prompt, by the model's own mask; what is behind a row is never read
    states = [row_states(model, row) for row in rows]
    width = batch.input_ids.shape[1]
    return torch.stack([nn.functional.pad(row, (0, 0, 0, width - len(row))) for row in states])


def row_states(model: nn.Module, row: MediaRow) -> Float[Tensor, "length hidden"]:
    """Return the final states of a prompt with its only response, by the model's own mask and positions."""
    (branch,) = row.branches
    return _states(model, model_arguments(model, [(row, (*row.prompt_ids, *branch.ids))]))


def tree_states(model: nn.Module, rows: Sequence[MediaRow], blocks: Blocks) -> Float[Tensor, "length hidden"]:
    """Return the final states of trees, one behind the other.

    Args:
        blocks: which tokens of a prompt see each other in both directions.
    """
    states: dict[int, Tensor] = {}
    for numbers in _packed(rows):
        packed_states = _packed_states(model, [rows[number] for number in numbers], blocks)
        lengths = [rows[number].length for number in numbers]
        states |= dict(zip(numbers, packed_states.split(lengths), strict=True))
    return torch.cat([states[number] for number in range(len(rows))])


def _packed(rows: Sequence[MediaRow]) -> Iterator[list[int]]:
    """Yield the numbers of trees that share a row: those of one form, up to a number of tokens."""
    by_form: dict[tuple[object, ...], list[int]] = {}
    for number, row in enumerate(rows):
        by_form.setdefault(row.form, []).append(number)
    for numbers in by_form.values():
        packed: list[int] = []
        for number in numbers:
            if packed and sum(rows[other].length for other in (*packed, number)) > PACKED_TOKENS:
                yield packed
                packed = []
            packed.append(number)
        yield packed


def _packed_states(model: nn.Module, rows: Sequence[MediaRow], blocks: Blocks) -> Float[Tensor, "length hidden"]:
    """Forward trees end to end in one row."""
    device = next(model.parameters()).device
    ids = [(row, (*row.prompt_ids, *(token for branch in row.branches for token in branch.ids))) for row in rows]
    arguments = model_arguments(model, ids)
    arguments["position_ids"] = torch.cat([_positions(model, row) for row in rows], dim=-1)
    arguments["attention_mask"] = _mask(rows, blocks, next(model.parameters()).dtype).to(device)
    return _states(model, arguments)


def _positions(model: nn.Module, row: MediaRow) -> Tensor:
    """Return the position ids of a tree: (1, length), or (dimensions, 1, length) where the model has several."""
    own_positions, first = prompt_positions(model, row)
    offsets = [offset for branch in row.branches for offset in range(first, first + len(branch.ids))]
    behind = torch.tensor(offsets, dtype=own_positions.dtype, device=own_positions.device)
    return torch.cat([own_positions, behind.expand(*own_positions.shape[:-1], -1)], dim=-1)


def prompt_positions(model: nn.Module, row: MediaRow) -> tuple[Tensor, int]:
    """Return the prompt's position ids, and the position of a response's first token.

    The ids are (1, prompt), or (dimensions, 1, prompt) where the model has several.
    """
    device = next(model.parameters()).device
    find_positions = getattr(unwrap(model).model, "get_rope_index", None)
    if find_positions is None:
        return torch.arange(len(row.prompt_ids), device=device)[None], len(row.prompt_ids)
    # A picture takes fewer positions than it has tokens, and a slow video more than the text behind it goes on from:
    # the model is asked where a token behind the prompt stands.
    # without responses any token of text will do: 0 stands for no picture anywhere
    ids = (*row.prompt_ids, row.branches[0].ids[0] if row.branches else 0)
    # versions of `transformers` and families differ in what they ask for
    known = inspect.signature(find_positions).parameters
    arguments = {name: value for name, value in model_arguments(model, [(row, ids)]).items() if name in known}
    positions: Tensor = find_positions(**arguments)[0]
    return positions[..., :-1], int(positions[..., -1].max())


def model_arguments(model: nn.Module, rows: Sequence[tuple[MediaRow, Sequence[int]]]) -> dict[str, Tensor]:
    """Return a model's arguments for prompts with their media and some tokens behind each, end to end in one row."""
    device = next(model.parameters()).device
    ids = [token for _, row_ids in rows for token in row_ids]
    arguments = {"input_ids": torch.tensor([ids], device=device)}
    for name in rows[0][0].features:
        # pictures in the order of the rows, which is the order of their places
        arguments[name] = torch.cat([row.features[name] for row, _ in rows]).to(device)
    # responses are text, which is kind 0 everywhere; PaliGemma alone calls what is learned 1
    paligemma = unwrap(model).config.model_type == "paligemma"
    for name in rows[0][0].token_kinds:
        kind = int(name == "token_type_ids" and paligemma)
        kinds = [
            part
            for row, row_ids in rows
            for numbers in [row.token_kinds[name]]
            for part in (numbers, numbers.new_full((1, len(row_ids) - numbers.shape[1]), kind))
        ]
        arguments[name] = torch.cat(kinds, dim=1).to(device)
    return arguments


def _block_numbers(row: MediaRow, blocks: Blocks) -> Tensor:
    """Return the number of the block that each token of a prompt is of, (prompt,); -1 for those of none."""
    if blocks != "media":
        return torch.full((len(row.prompt_ids),), -1 if blocks == "none" else 0)
    kinds = next(iter(row.token_kinds.values()), torch.zeros(1, len(row.prompt_ids)))[0]
    is_media = kinds > 0
    # two pictures side by side have tokens of text between them in every template that has blocks
    starts = is_media & ~torch.cat([is_media.new_zeros(1), is_media[:-1]])
    return torch.where(is_media, starts.cumsum(0) - 1, -1)


def _mask(rows: Sequence[MediaRow], blocks: Blocks, dtype: torch.dtype) -> Float[Tensor, "1 1 length length"]:
    """Return what is added to the attention's scores: 0 where a token is seen, the lowest number elsewhere."""
    masks = [_tree_mask(row, _block_numbers(row, blocks)) for row in rows]
    # numbers and not truth values, which eager attention would add as 0 and 1
    sees = torch.block_diag(*masks)
    return torch.zeros(sees.shape, dtype=dtype).masked_fill(sees == 0, torch.finfo(dtype).min)[None, None]


def _tree_mask(row: MediaRow, blocks: Tensor) -> Float[Tensor, "length length"]:
    """Return 1 where a token of a tree sees another, and 0 elsewhere.

    Args:
        blocks: (prompt,) the block of each of its tokens, whose tokens see each other both ways; -1 for those of none.
    """
    owners = torch.tensor([-1] * len(row.prompt_ids) + [n for n, branch in enumerate(row.branches) for _ in branch.ids])
    length = len(owners)
    is_prompt = (owners == -1)[None, :]
    is_own = owners[:, None] == owners[None, :]
    sees = (is_prompt | is_own) & torch.ones(length, length, dtype=torch.bool).tril()
    sees[: len(blocks), : len(blocks)] |= (blocks[:, None] == blocks[None, :]) & (blocks >= 0)[:, None]
    return sees.float()


def _states(model: nn.Module, arguments: Mapping[str, object]) -> Float[Tensor, "length hidden"]:
    """Return the final states of one row."""
    body = unwrap(model).model
    # without a cache: it would keep the keys of all layers, and nothing follows
    states: Tensor = body(**arguments, use_cache=False).last_hidden_state
    return states[0]
