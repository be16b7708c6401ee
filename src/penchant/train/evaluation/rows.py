"""What each held-out row gave, with its content's digest: what `penchant compare` pairs two runs by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from penchant.runs.held_out_rows import HeldOutRows, content_digest, numbered
from penchant.types import Prompt, PromptGroup, Response, prompt_turns

ROWS = "rows"
"""The name under which evaluations hand them on; no estimate, so that no line of metrics holds it."""


def pair_rows(
    groups: Sequence[PromptGroup], weights: torch.Tensor, losses: torch.Tensor | None, right: np.ndarray
) -> HeldOutRows:
    """Return the rows of comparisons, in the order of `pair_table`.

    Args:
        weights, losses: (pairs,); no losses where the loss is no mean over pairs.
        right: (pairs,) 1, 0 or a half; NaN for a tie, which has no right answer.
    """
    keys, prompts = [], []
    for group in groups:
        prompt = _prompt_content(group.prompt)
        for comparison in group.comparisons:
            for winner, loser, _ in comparison.directed():
                sides = [_response_content(group.responses[side]) for side in (winner, loser)]
                keys.append(content_digest((prompt, *sides, comparison.annotator)))
                prompts.append(content_digest(prompt))
    values = {"accuracy": tuple(None if np.isnan(value) else float(value) for value in right)}
    return HeldOutRows(
        numbered(keys),
        tuple(prompts),
        tuple(weights.tolist()),
        values if losses is None else {"loss": tuple(losses.double().tolist()), **values},
    )


def response_rows(
    rows: Sequence[tuple[PromptGroup, Response, str]],
    weights: Sequence[float] | torch.Tensor,
    values: Mapping[str, Sequence[float] | torch.Tensor],
) -> HeldOutRows:
    """Return the rows of single responses.

    Args:
        rows: per row its group, its response and its label; of demonstrations, which have none, an empty text.
        weights: of each row. values: by the name of a number, that of each row.
    """
    prompts = [_prompt_content(group.prompt) for group, _, _ in rows]
    contents = [
        (prompt, _response_content(response), label) for prompt, (_, response, label) in zip(prompts, rows, strict=True)
    ]
    return HeldOutRows(
        numbered([content_digest(content) for content in contents]),
        # text without prompts is resampled by response
        tuple(content_digest(prompt or content) for prompt, content in zip(prompts, contents, strict=True)),
        tuple(map(float, weights)),
        {name: tuple(map(float, column)) for name, column in values.items()},
    )


def _prompt_content(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((turn.role, turn.text) for turn in prompt_turns(prompt) if turn.text)


def _response_content(response: Response) -> tuple[str, str, str]:
    return response.text, response.reasoning, repr(response.tool_calls)
