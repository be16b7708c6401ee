"""How many tokens go through at once where nobody said."""

from __future__ import annotations

import torch

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET, token_budget


def group(prompt: int, *branches: int) -> Rendered:
    return Rendered((1,) * prompt, tuple(Branch((1,) * size, ((0, size),)) for size in branches))


def test_a_whole_group_has_room_up_to_four_times_the_usual() -> None:
    cpu = torch.device("cpu")
    assert token_budget(cpu, []) == DEFAULT_BUDGET
    assert token_budget(cpu, [group(10, 5, 5)]) == DEFAULT_BUDGET
    assert token_budget(cpu, [group(10, 5), group(900, 100, 200)]) == 1200
    assert token_budget(cpu, [group(9000, 100)]) == 4 * DEFAULT_BUDGET
    assert token_budget(torch.device("cuda"), [group(900, 100, 200)]) == GPU_BUDGET
