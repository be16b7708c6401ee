"""Memory that is taken early changes nothing of what is trained."""

import pytest
import torch
from torch import nn

from penchant.train.optimizer import make_optimizer, take_memory
from penchant.train.settings import AdamW, RMSprop


def trained(settings: AdamW | RMSprop, *, early: bool) -> tuple[torch.optim.Optimizer, nn.Linear]:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    optimizer = make_optimizer(settings, [layer.weight], [layer.bias], 0.05)
    if early:
        take_memory(optimizer)
    for _ in range(3):
        layer(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer, layer


@pytest.mark.parametrize("settings", [AdamW(learning_rate=0.01, weight_decay=0.1), RMSprop(learning_rate=0.01)])
def test_taking_memory_early_leaves_training_bit_for_bit_as_it_was(settings):
    (_, late), (_, early) = trained(settings, early=False), trained(settings, early=True)
    assert torch.equal(late.weight, early.weight)
    assert torch.equal(late.bias, early.bias)


@pytest.mark.parametrize("settings", [AdamW(learning_rate=0.01, weight_decay=0.1), RMSprop(weight_decay=0.1)])
def test_memory_is_there_before_the_first_step_and_all_zeros(settings):
    weight = nn.Parameter(torch.randn(4, 4))
    before = weight.detach().clone()
    optimizer = make_optimizer(settings, [weight])
    take_memory(optimizer)
    assert torch.equal(weight, before)
    assert weight.grad is None
    assert optimizer.state[weight]
    assert all((value == 0).all() for value in optimizer.state[weight].values())
    assert optimizer.param_groups[0]["lr"] == settings.learning_rate
