"""Score responses to prompts that show pictures, as trees where a probe says that trees give the model's own numbers.

A probe with the media in it decides: it compares trees with the model's own forward pass. Where they differ, and in
rows that are longer than a window, each response is forwarded with its own prompt and pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.attention import evaluating, output_head, unwrap
from penchant.engine.logps import token_logps
from penchant.engine.media_tree import MediaRow, batch_states, model_arguments, row_states, tree_states
from penchant.engine.probe import logps_close, random_ids, short_text
from penchant.engine.score import Scorer
from penchant.engine.tree import ROWS, TREES, Blocks, Packing, TreeBatch
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

PROBE_LENGTHS = (6, 9, 6)  # tokens of the responses that a probe has; two of one length, as a group may have
MASKED = "eager", "sdpa"
"""Attention that takes an additive mask of our own."""


class MediaScorer(Scorer):
    """A model of texts and pictures that scores responses.

    Attributes:
        plain_reasons: by the kinds of media, why responses are forwarded one by one; no entry where they go as trees.
        blocks: by the kinds of media, which tokens of a prompt see each other in both directions.
    """

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)
        self.model = model
        self.packing, self.plain_reason, self.far_lengths = TREES, "", ()
        self.plain_reasons: dict[tuple[str, ...], str] = {}
        self.blocks: dict[tuple[str, ...], Blocks] = {}

    @property
    def plain(self) -> bool:
        """True where responses went through one by one."""
        return bool(self.plain_reason)

    def packing_for(self, rendered: Iterable[Rendered]) -> Packing:
        """Return how responses of these rows go through the model together.

        The first row of a kind has the model probed with its pictures.

        Raises:
            InputError: the model cannot be run on such a row, or no way gives its own numbers.
        """
        kinds_of_blocks: set[Blocks] = set()
        for row in rendered:
            assert row.media is not None
            if row.media.kinds not in self.blocks and row.media.kinds not in self.plain_reasons:
                inputs = row.media.load()
                self._probe(row.media.kinds, MediaRow(row.prompt_ids, (), inputs.features, inputs.token_kinds))
            if reason := self.plain_reasons.get(row.media.kinds) or self._window_problem(max(row.lengths, default=0)):
                self.plain_reason = reason
                return ROWS
            kinds_of_blocks.add(self.blocks[row.media.kinds])
        # rows of text have no tokens of pictures, so that blocks of these do nothing there
        if kinds_of_blocks > {"prompt"}:
            return ROWS
        return replace(TREES, blocks=max(kinds_of_blocks, key=get_args(Blocks).index, default="none"))

    def packing_up_to(self, longest: int) -> Packing:
        """Return how rows without a prompt that is known would go through the model: as trees, up to a window."""
        return ROWS if self._window_problem(longest) else self.packing

    def states(
        self, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
    ) -> Float[Tensor, "tokens hidden"]:
        """Return the states from which the vocabulary head predicts the scored tokens; no block is left out."""
        assert inputs is None, "frozen blocks of a model of pictures are run"
        states = batch_states(self.model, batch)
        return states.reshape(-1, states.shape[-1]).index_select(0, batch.predictors)

    def _window_problem(self, longest: int) -> str:
        """Return why rows of so many tokens are no trees; empty where they are."""
        config = unwrap(self.model).config.get_text_config()
        window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        # a mask of our own would override the window
        is_longer = window is not None and longest > window
        return f"a row is longer than the window of its attention ({window} tokens)" if is_longer else ""

    def _probe(self, kinds: tuple[str, ...], row: MediaRow) -> None:
        """Find out whether trees give the model's own numbers for a prompt with such media.

        Raises:
            InputError: the model cannot be run, or rows one by one do not give its own numbers either.
        """
        probe = _probe_row(self.model, row)
        # a verdict is of the weights as they are, whatever is trained around it
        with torch.no_grad(), evaluating(self.model), torch.autocast(self.device.type, enabled=False):
            expected = torch.cat(own_logps(self.model, probe))
            if not torch.isfinite(expected).all():
                raise InputError("the model's log-probabilities are not finite: its weights are damaged")
            # first what everything else rests on: states of the trunk, projected by us
            plain = torch.cat([_single_logps(self.model, replace(probe, branches=(b,))) for b in probe.branches])
            if not logps_close(plain, expected, self.model):
                raise InputError(
                    f"{type(unwrap(self.model)).__name__} changes its logits in a way that Penchant does not know (off "
                    f"by {float((plain - expected).abs().max()):.3g} nats), so it cannot be scored; please report it"
                )
            reason = self._tree_problem(kinds, probe, expected)
        if reason:
            self.plain_reasons[kinds] = reason
            log.warning("every response is forwarded with its own prompt and pictures: %s", reason)

    def _tree_problem(self, kinds: tuple[str, ...], probe: MediaRow, expected: Tensor) -> str:
        """Return why trees cannot be used; empty where they can."""
        attention = unwrap(self.model).config.get_text_config()._attn_implementation
        if attention not in MASKED:
            return f"its attention is its own ({attention})"
        if self._window_problem(len(probe.prompt_ids) + max(PROBE_LENGTHS)):
            return "its attention slides over a window that is shorter than a prompt with a picture"
        worst = float("inf")
        # two trees in one row, as batches have them: the second has the responses in another order
        reversed_probe = replace(probe, branches=probe.branches[::-1])
        expected_parts = expected.split([len(branch.ids) for branch in probe.branches])
        expected_both = torch.cat([expected, *expected_parts[::-1]])
        # most models are causal throughout, so that way is tried first
        for blocks in get_args(Blocks):
            try:
                logps = _tree_logps(self.model, [probe, reversed_probe], blocks)
            except Exception as error:  # whatever a model raises that does not know such masks
                return f"it takes no trees ({short_text(error)})"
            if logps_close(logps, expected_both, self.model):
                self.blocks[kinds] = blocks
                return ""
            worst = min(worst, float((logps - expected_both).abs().max()))
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


def own_logps(model: nn.Module, row: MediaRow) -> list[Tensor]:
    """Return what the model's own forward pass gives for the tokens of each response alone.

    Raises:
        InputError: the model cannot be run on such a prompt.
    """
    logps = []
    for branch in row.branches:
        arguments = model_arguments(model, [(row, (*row.prompt_ids, *branch.ids))])
        try:
            logits = model(**arguments, use_cache=False).logits
        except Exception as error:  # each class has its own ways
            raise InputError(
                f"{type(unwrap(model)).__name__} cannot be run on such a prompt: {short_text(error)}. Does the model "
                "read pictures, and was its own processor used?"
            ) from error
        table = logits[0, len(row.prompt_ids) - 1 : -1].float().log_softmax(-1)
        logps.append(table.gather(1, torch.tensor(branch.ids, device=table.device)[:, None]).squeeze(1))
    return logps


def _single_logps(model: nn.Module, row: MediaRow) -> Tensor:
    """Return the log-probabilities of the tokens of a prompt's only response."""
    states = row_states(model, row)[len(row.prompt_ids) - 1 : -1]
    return token_logps(states, output_head(model), torch.tensor(row.branches[0].ids, device=states.device))


def _tree_logps(model: nn.Module, rows: Sequence[MediaRow], blocks: Blocks) -> Tensor:
    """Return the log-probabilities of the responses' tokens of trees, in their order."""
    predictors: list[int] = []
    targets: list[int] = []
    start = 0
    for row in rows:
        prompt_end = branch_start = start + len(row.prompt_ids)
        for branch in row.branches:
            # the first token of a response is predicted by the last of the prompt
            predictors += [prompt_end - 1, *range(branch_start, branch_start + len(branch.ids) - 1)]
            targets += branch.ids
            branch_start += len(branch.ids)
        start += row.length
    states = tree_states(model, rows, blocks)
    chosen = states[torch.tensor(predictors, device=states.device)]
    return token_logps(chosen, output_head(model), torch.tensor(targets, device=states.device))
