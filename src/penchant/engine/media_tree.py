"""Score responses to prompts that show pictures: the media prefix goes through the model once per group.

A tree holds the prompt with its media, then every response, each seeing the prompt and its own earlier tokens; a 4-D
mask says so. Positions in three dimensions (M-RoPE) are the model's own, and tokens of one picture see each other where
its model has it so. Where none of that gives the model's own numbers, and in rows that are longer than a window, each
response is forwarded with its own prompt. A probe with the media in it decides.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.rendered import Branch
from penchant.engine.attention import evaluating, output_head, unwrap
from penchant.engine.logps import token_logps
from penchant.engine.probe import logps_close, random_ids, short_text
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

PROBE_LENGTHS = (6, 9, 6)  # tokens of the responses that a probe has; two of one length, as a group may have
MASKED = "eager", "sdpa"
"""Attention that takes an additive mask of our own."""
Blocks = Literal["none", "media", "prompt"]
"""Which tokens of a prompt see each other in both directions: none, those of one picture, or all of them."""


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
    def kinds(self) -> tuple[str, ...]:
        """Return what the probe's verdict depends on: which towers are at work."""
        return tuple(sorted(self.features))


class MediaScorer(nn.Module):
    """A model of texts and pictures that scores responses.

    Attributes:
        model: of `transformers`, with a head for text.
        plain_reasons: by the kinds of media, why responses are forwarded one by one; no entry where they go as trees.
        blocks: by the kinds of media, which tokens of a prompt see each other in both directions.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.plain_reasons: dict[tuple[str, ...], str] = {}
        self.blocks: dict[tuple[str, ...], Blocks] = {}
        self._probed: set[tuple[str, ...]] = set()

    def forward(self, row: MediaRow) -> Float[Tensor, " responses"]:
        """Return the summed log-probability of each response's scored tokens, float32, in nats.

        Raises:
            InputError: the model cannot be run on such a row, or no way gives its own numbers.
        """
        tokens = self.token_logps(row)
        scored = [
            torch.cat([logps[first:last] for first, last in branch.spans])
            for logps, branch in zip(tokens, row.branches, strict=True)
        ]
        return torch.stack([logps.sum() for logps in scored])

    def token_logps(self, row: MediaRow) -> list[Float[Tensor, " tokens"]]:
        """Return the log-probability of every token of each response."""
        if row.kinds not in self._probed:
            self._probe(row)
        if row.kinds in self.plain_reasons or _exceeds_window(self.model, row):
            return _plain_logps(self.model, row)
        return _tree_logps(self.model, row, self.blocks[row.kinds])

    def _probe(self, row: MediaRow) -> None:
        """Find out whether trees give the model's own numbers for a prompt with such media.

        Raises:
            InputError: the model cannot be run, or rows one by one do not give its own numbers either.
        """
        probe = _probe_row(self.model, row)
        # a verdict is of the weights as they are, whatever is trained around it
        with torch.no_grad(), evaluating(self.model):
            expected = torch.cat(_own_logps(self.model, probe))
            if not torch.isfinite(expected).all():
                raise InputError("the model's log-probabilities are not finite: its weights are damaged")
            # first what everything else rests on: states of the trunk, projected by us
            plain = torch.cat(_plain_logps(self.model, probe))
            if not logps_close(plain, expected, self.model):
                raise InputError(
                    f"{type(unwrap(self.model)).__name__} changes its logits in a way that Penchant does not know (off "
                    f"by {float((plain - expected).abs().max()):.3g} nats), so it cannot be scored; please report it"
                )
            reason = self._tree_problem(probe, expected)
        if reason:
            self.plain_reasons[row.kinds] = reason
            log.warning("every response is forwarded with its own prompt and pictures: %s", reason)
        self._probed.add(row.kinds)

    def _tree_problem(self, probe: MediaRow, expected: Tensor) -> str:
        """Return why trees cannot be used; empty where they can."""
        attention = unwrap(self.model).config.get_text_config()._attn_implementation
        if attention not in MASKED:
            return f"its attention is its own ({attention})"
        if _exceeds_window(self.model, probe):
            return "its attention slides over a window that is shorter than a prompt with a picture"
        worst = float("inf")
        # most models are causal throughout, so that way is tried first
        for blocks in get_args(Blocks):
            try:
                logps = torch.cat(_tree_logps(self.model, probe, blocks))
            except Exception as error:  # whatever a model raises that does not know such masks
                return f"it takes no trees ({short_text(error)})"
            if logps_close(logps, expected, self.model):
                self.blocks[probe.kinds] = blocks
                return ""
            worst = min(worst, float((logps - expected).abs().max()))
        return f"trees with a picture differ from single rows by {worst:.3g} nats per token"


def _probe_row(model: nn.Module, row: MediaRow) -> MediaRow:
    """Return the prompt with its media and fixed random responses."""
    config = unwrap(model).config
    special = {getattr(config, name, None) for name in ("image_token_id", "video_token_id", "audio_token_id")}
    ids = [token for token in random_ids(config.get_text_config(), 4 * sum(PROBE_LENGTHS)) if token not in special]
    # a probe of a row's own responses would depend on which row comes first
    branches, start = [], 0
    for length in PROBE_LENGTHS:
        branches.append(Branch(tuple(ids[start : start + length]), ((0, length),)))
        start += length
    return replace(row, branches=tuple(branches))


def _arguments(model: nn.Module, row: MediaRow, ids: Sequence[int]) -> dict[str, object]:
    """Return a model's arguments for a prompt with its media and some tokens behind it."""
    device = next(model.parameters()).device
    behind = len(ids) - len(row.prompt_ids)
    arguments: dict[str, object] = {"input_ids": torch.tensor([list(ids)], device=device)}
    arguments |= {name: tensor.to(device) for name, tensor in row.features.items()}
    for name, numbers in row.token_kinds.items():
        # responses are text, which is kind 0 everywhere; PaliGemma alone calls what is learned 1
        kind = int(name == "token_type_ids" and unwrap(model).config.model_type == "paligemma")
        filled = torch.cat([numbers, numbers.new_full((1, behind), kind)], dim=1)
        arguments[name] = filled.to(device)
    return arguments


def _own_logps(model: nn.Module, row: MediaRow) -> list[Tensor]:
    """Return what the model's own forward pass gives for each response alone."""
    logps = []
    for branch in row.branches:
        try:
            logits = model(**_arguments(model, row, (*row.prompt_ids, *branch.ids)), use_cache=False).logits
        except Exception as error:  # each class has its own ways
            raise InputError(
                f"{type(unwrap(model)).__name__} cannot be run on such a prompt: {short_text(error)}. Does the model "
                "read pictures, and was its own processor used?"
            ) from error
        table = logits[0, len(row.prompt_ids) - 1 : -1].float().log_softmax(-1)
        logps.append(table.gather(1, torch.tensor(branch.ids, device=table.device)[:, None]).squeeze(1))
    return logps


def _plain_logps(model: nn.Module, row: MediaRow) -> list[Tensor]:
    """Forward each response with its own prompt and media."""
    logps = []
    for branch in row.branches:
        states = _states(model, _arguments(model, row, (*row.prompt_ids, *branch.ids)))
        predicting = states[len(row.prompt_ids) - 1 : -1]
        targets = torch.tensor(branch.ids, device=states.device)
        logps.append(token_logps(predicting, output_head(model), targets))
    return logps


def _exceeds_window(model: nn.Module, row: MediaRow) -> bool:
    """Return whether a row is longer than a window of the attention, which a mask of our own would override."""
    config = unwrap(model).config.get_text_config()
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    length = len(row.prompt_ids) + max(len(branch.ids) for branch in row.branches)
    return window is not None and length > window


def _tree_logps(model: nn.Module, row: MediaRow, blocks: Blocks) -> list[Tensor]:
    """Forward the prompt with its media once, and all responses behind it."""
    prompt = len(row.prompt_ids)
    own_positions, first = _positions(model, row)
    ids, offsets, owners = list(row.prompt_ids), list[int](), [-1] * prompt
    predictors: list[int] = []
    for number, branch in enumerate(row.branches):
        # the first token of a response is predicted by the last of the prompt
        predictors += [prompt - 1, *range(len(ids), len(ids) + len(branch.ids) - 1)]
        ids += branch.ids
        offsets += range(first, first + len(branch.ids))
        owners += [number] * len(branch.ids)
    device = next(model.parameters()).device
    arguments = _arguments(model, row, ids)
    behind = torch.tensor(offsets, device=device).expand(*own_positions.shape[:-1], -1)
    arguments["position_ids"] = torch.cat([own_positions, behind], dim=-1)
    mask = _tree_mask(torch.tensor(owners), _block_numbers(row, blocks), _dtype(model))
    arguments["attention_mask"] = mask.to(device)
    states = _states(model, arguments)
    targets = torch.tensor(ids[prompt:], device=device)
    logps = token_logps(states[torch.tensor(predictors, device=device)], output_head(model), targets)
    return list(logps.split([len(branch.ids) for branch in row.branches]))


def _positions(model: nn.Module, row: MediaRow) -> tuple[Tensor, int]:
    """Return the prompt's position ids, and the position of a response's first token.

    The ids are (1, prompt), or (dimensions, 1, prompt) where the model has several.
    """
    device = next(model.parameters()).device
    find_positions = getattr(unwrap(model).model, "get_rope_index", None)
    if find_positions is None:
        return torch.arange(len(row.prompt_ids), device=device)[None], len(row.prompt_ids)
    # A picture takes fewer positions than it has tokens, and a slow video more than the text behind it goes on from:
    # the model is asked where a token behind the prompt stands.
    ids = (*row.prompt_ids, row.branches[0].ids[0])
    # versions of `transformers` and families differ in what they ask for
    known = inspect.signature(find_positions).parameters
    arguments = {name: value for name, value in _arguments(model, row, ids).items() if name in known}
    positions: Tensor = find_positions(**arguments)[0]
    return positions[..., :-1], int(positions[..., -1].max())


def _block_numbers(row: MediaRow, blocks: Blocks) -> Tensor:
    """Return the number of the block that each token of a prompt is of, (prompt,); -1 for those of none."""
    if blocks != "media":
        return torch.full((len(row.prompt_ids),), -1 if blocks == "none" else 0)
    kinds = next(iter(row.token_kinds.values()), torch.zeros(1, len(row.prompt_ids)))[0]
    is_media = kinds > 0
    # two pictures side by side have tokens of text between them in every template that has blocks
    starts = is_media & ~torch.cat([is_media.new_zeros(1), is_media[:-1]])
    return torch.where(is_media, starts.cumsum(0) - 1, -1)


def _tree_mask(owners: Tensor, blocks: Tensor, dtype: torch.dtype) -> Float[Tensor, "1 1 length length"]:
    """Return what is added to the attention's scores: 0 where a token is seen, the lowest number elsewhere.

    Args:
        owners: (length,) the response of each token, -1 for the prompt.
        blocks: (prompt,) the block of each of its tokens, whose tokens see each other both ways; -1 for those of none.
    """
    length = len(owners)
    is_prompt = (owners == -1)[None, :]
    is_own = owners[:, None] == owners[None, :]
    sees = (is_prompt | is_own) & torch.ones(length, length, dtype=torch.bool).tril()
    sees[: len(blocks), : len(blocks)] |= (blocks[:, None] == blocks[None, :]) & (blocks >= 0)[:, None]
    # numbers and not truth values, which eager attention would add as 0 and 1
    mask = torch.zeros(length, length, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)
    return mask[None, None]


def _states(model: nn.Module, arguments: Mapping[str, object]) -> Float[Tensor, "length hidden"]:
    """Return the final states of one row."""
    body = unwrap(model).model
    # without a cache: it would keep the keys of all layers, and nothing follows
    states: Tensor = body(**arguments, use_cache=False).last_hidden_state
    return states[0]


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype
