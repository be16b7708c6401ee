"""Which weights of a model of pictures are its language model, its projector and its tower, by family."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.models.parts import linear_layers, part_of, train_only_parts
from tiny_vision import FAMILIES, family

# what each family calls what stands between its tower and its language model
PROJECTORS = {
    "idefics3": "model.connector.",
    "smolvlm": "model.connector.",
    "qwen2_vl": "model.visual.merger.",
    "qwen2_5_vl": "model.visual.merger.",
    "qwen3_vl": ("model.visual.merger.", "model.visual.deepstack_merger_list."),
}
# a weight for each picture's end that is learned beside the projector
BESIDE = {"llava_next": "model.image_newline"}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_is_of_the_part_that_its_family_has(name: str) -> None:
    model, *_ = family(name)
    projector = PROJECTORS.get(name, "model.multi_modal_projector.")
    text = ("model.language_model.", "model.text_model.", "lm_head.")
    weights = dict(model.named_parameters())
    for weight in weights:
        expected = "language" if weight.startswith(text) else "projector" if weight.startswith(projector) else "tower"
        if weight != BESIDE.get(name):
            assert part_of(model, weight) == expected, weight
    assert {part_of(model, weight) for weight in weights} == {"language", "projector", "tower"}
    train_only_parts(model, "projector")
    learned = {weight for weight, value in weights.items() if value.requires_grad}
    assert learned == {weight for weight in weights if weight.startswith(projector)}


def test_adapters_lie_on_linear_layers_of_the_parts_alone() -> None:
    model, *_ = family("llava")
    assert set(linear_layers(model, "projector", "all-linear")) == {
        "model.multi_modal_projector.linear_1",
        "model.multi_modal_projector.linear_2",
    }
    both = linear_layers(model, "both", "all-linear")
    assert not any("vision_tower" in layer for layer in both)
    assert "lm_head" not in both
    # the projector of Gemma 3 is one matrix that is no layer
    gemma, *_ = family("gemma3")
    with pytest.raises(InputError, match=r"model\.parts=projector: Gemma3\w+ has no linear layer there"):
        linear_layers(gemma, "projector", "all-linear")
