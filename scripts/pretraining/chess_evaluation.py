"""What a model makes of held-out positions: surprise at the answers, and which legal move it prefers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.models.load import load_policy
from penchant.tasks.positions import answer_of, board_of, legal_moves
from penchant.types import PromptGroup, Response
from pretraining.chess_games import Position
from pretraining.chess_tokens import ASKED_AT


@torch.no_grad()
def surprise_of(model: nn.Module, table: np.ndarray, *, batch: int = 128) -> float:
    """Return the mean nats of an answer's tokens, the end token among them; `table` as of `chess_tokens.table_of`."""
    total = 0.0
    for start in range(0, len(table), batch):
        rows = torch.from_numpy(table[start : start + batch].astype(np.int64))
        answers = rows[:, 1 + ASKED_AT :]
        logits = model(input_ids=rows[:, :-1], use_cache=False, logits_to_keep=answers.shape[1]).logits
        total += float(cross_entropy(logits.flatten(0, 1).float(), answers.flatten(), reduction="sum"))
    return total / (len(table) * (table.shape[1] - 1 - ASKED_AT))


def accuracy(model: str, positions: Sequence[Position]) -> tuple[Estimate, float]:
    """Return how often the likeliest legal move is the answer, and how often one drawn at random would be."""
    policy = load_policy(model, template="plain", device="cpu")
    groups, answers = [], []
    for position in positions:
        moves = [answer_of(move) for move in legal_moves(board_of(position.prompt))]
        # not finished: the end token would ask how games go on after the move
        groups.append(PromptGroup(position.prompt, [Response(move, finished=False) for move in moves]))
        answers.append(moves.index(position.answer))
    right = [int(scores.argmax()) == answer for scores, answer in zip(policy.score(groups), answers, strict=True)]
    chance = float(np.mean([1 / len(group.responses) for group in groups]))
    return cluster_mean(np.array(right, dtype=float), np.arange(len(right))), chance
