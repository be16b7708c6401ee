"""How far training took a model's weights: how little it takes to draw out what a model knows already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def weight_distance(trained: Policy, start: str, *, trust_remote_code: bool = False) -> float:
    """Return the Euclidean distance of the weights from where training started, relative to their length there.

    Adapters count as the weights that they make when merged.

    Args:
        start: the model, as `load_policy` takes it. trust_remote_code: whether its own code may run.
    """
    settings = ModelConfig(name=start, device="cpu", trust_remote_code=trust_remote_code)
    # on the CPU: beside a trained model on a GPU there may be no room for a second one
    before = dict(load_policy(settings).model.named_parameters())
    network: PreTrainedModel = trained.model
    adapted = hasattr(network, "merge_adapter")
    if adapted:
        network.merge_adapter()
    try:
        squared_distance, length = 0.0, 0.0
        for name, weight in network.named_parameters():
            # adapters rename the weights around which they are put
            base_name = name.removeprefix("base_model.model.").replace(".base_layer", "")
            if base_name in before:
                # rounded as the trained weights are: half precision is no movement
                start_weight = before[base_name].detach().to(weight.dtype).float()
                # in float64: a float32 sum of millions of small squares loses them
                squared_distance += _squares(weight.detach().cpu().float() - start_weight)
                length += _squares(start_weight)
    finally:
        if adapted:
            network.unmerge_adapter()
    return (squared_distance / length) ** 0.5


def _squares(weight: Tensor) -> float:
    return float(torch.square(weight).sum(dtype=torch.float64))
