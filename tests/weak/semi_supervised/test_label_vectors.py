"""Agreement over label vectors: FixMatch at its limit, its controls, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.weak.semi_supervised.conftest import FEATURES, Bench
from torch import Tensor

from penchant.errors import InputError
from penchant.weak.classifiers.registry import load_vectors
from penchant.weak.networks.heads import AttributeHead, FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.loop import Steps, TrainedArms, train_arms
from penchant.weak.semi_supervised.settings import FixedThreshold, FixMatch, LabelVectors, Supervised
from penchant.weak.vector_content import as_content, from_content, names_by_content

WeightsOf = Callable[[Network], Tensor]
STEPS = Steps(40, 16, 5e-3, 0.01)


def _attribute(bench: Bench, columns: slice = slice(0, 3)) -> Tensor:
    """An attribute that three features decide, as a classifier that knows it would put it."""
    score = bench.features[:, columns].sum(-1)
    return torch.stack([-score, score], -1).softmax(-1)


def _train(bench: Bench, settings: LabelVectors, vectors: Sequence[Tensor], seeds: Sequence[int] = (0,)) -> TrainedArms:
    arms = [replace(bench.arm(seed), vectors=tuple(vectors)) for seed in seeds]
    widths = tuple(vector.shape[1] for vector in vectors)
    return train_arms(_heads(bench, seeds, widths), settings, arms, STEPS)


def _heads(bench: Bench, seeds: Sequence[int], widths: Sequence[int]) -> Heads:
    """The heads of `Bench.heads`, with further ones for attributes."""
    weights = HeadWeights.initial(seeds, features=FEATURES, width=16, classes=2)
    attributes = AttributeHead.initial(seeds, 16, widths)
    return Heads(FeatureViews.standardized(bench.features), weights, dropout=0.5, attributes=attributes)


def test_without_vectors_it_is_fixmatch_to_the_bit(bench: Bench, weights_of: WeightsOf) -> None:
    fixmatch = FixMatch(threshold=FixedThreshold(threshold=0.8))
    reference = train_arms(bench.heads((0,)), fixmatch, [bench.arm(0)], STEPS)
    trained = _train(bench, LabelVectors(threshold=0.8), [])
    assert torch.equal(weights_of(trained.network), weights_of(reference.network))
    assert trained.reports == reference.reports


def test_vectors_change_what_is_learned_and_their_controls_differ(bench: Bench, weights_of: WeightsOf) -> None:
    vectors = [_attribute(bench), _attribute(bench, slice(6, 9))]
    cases = {
        "vectors": LabelVectors(),
        "shuffled": LabelVectors(shuffle=True),
        "no classifiers": LabelVectors(supervisor_weight=0.0),
        "nothing": LabelVectors(weight=0.0, supervisor_weight=0.0),
    }
    found = {name: weights_of(_train(bench, settings, vectors).network) for name, settings in cases.items()}
    names = list(found)
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            assert not torch.allclose(found[name], found[other], atol=1e-4), (name, other)


def test_at_weight_zero_it_is_fixmatch_at_weight_zero_to_the_bit(bench: Bench) -> None:
    """The attributes' heads start from a stream of their own, and their losses have no gradient."""
    vectors = [_attribute(bench), _attribute(bench, slice(6, 9))]
    trained = _train(bench, LabelVectors(weight=0.0, supervisor_weight=0.0), vectors, (0, 1)).network
    for control in (FixMatch(weight=0.0), Supervised()):
        arms = [bench.arm(0), bench.arm(1)]
        reference = train_arms(bench.heads((0, 1)), control, arms, STEPS).network
        # the hidden layer and the task's head stand first
        for one, other in zip(trained.trained(), reference.trained(), strict=False):
            assert torch.equal(one, other)


def test_an_attributes_head_learns_its_classifier(bench: Bench) -> None:
    vector = _attribute(bench)
    heads = _heads(bench, (0,), (2,))
    train_arms(heads, LabelVectors(), [replace(bench.arm(0), vectors=(vector,))], Steps(200, 16, 1e-2, 0.01))
    tests = torch.arange(120, 240)[None]
    with torch.no_grad():
        _, attribute = heads.every_head(heads.inputs(tests, "weak", None), None)
    assert float((attribute[0].argmax(-1) == vector[120:].argmax(-1)).float().mean()) > 0.85


def test_arms_train_among_others_as_alone(bench: Bench, weights_of: WeightsOf) -> None:
    vectors, settings = [_attribute(bench)], LabelVectors(shuffle=True)
    together = weights_of(_train(bench, settings, vectors, (3, 4)).network)
    for number, seed in enumerate((3, 4)):
        alone = weights_of(_train(bench, settings, vectors, (seed,)).network)[0]
        torch.testing.assert_close(together[number], alone, atol=2e-5, rtol=1e-4)


def test_a_network_without_heads_for_them_is_refused(bench: Bench) -> None:
    arm = replace(bench.arm(0), vectors=(_attribute(bench),))
    with pytest.raises(InputError, match="a head for each of them"):
        train_arms(bench.heads((0,)), LabelVectors(), [arm], STEPS)


OWN = """
import torch

def unsure(weak, strong):
    return -(strong * strong.log()).sum(-1)

def one_number(weak, strong):
    return strong.mean()

def nothing(weak, strong):
    return None

def not_a_number(weak, strong):
    return strong.log()[:, 0] * float("nan")

def length(texts):
    return [[0.9, 0.1] if len(text) < 10 else [0.1, 0.9] for text in texts]

def one_column(texts):
    return [[1.0] for _ in texts]

def scores(texts):
    return [[0.5, 0.9] for _ in texts]
"""


def test_a_property_of_ones_own_is_a_loss_of_the_strong_view(
    bench: Bench, weights_of: WeightsOf, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    settings = LabelVectors(properties=[f"{file}:unsure"])
    plain, trained = _train(bench, LabelVectors(), []), _train(bench, settings, [])
    assert not torch.allclose(weights_of(plain.network), weights_of(trained.network), atol=1e-4)
    # at weight 0 nothing is left of it
    at_zero = _train(bench, settings.replace(property_weight=0.0), [])
    assert torch.equal(weights_of(at_zero.network), weights_of(plain.network))
    # and it sharpens what the student says of rows without labels
    rows = torch.arange(6, 120)[None]

    def sureness(network: Network) -> float:
        with torch.no_grad():
            logits = network.classify(network.inputs(rows, "weak", None), None)
        return float(logits.softmax(-1).amax(-1).mean())

    assert sureness(_train(bench, settings.replace(property_weight=5.0), []).network) > sureness(plain.network)
    assert settings.label == "0 label vectors, mine.py:unsure"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one_number", r"it returned the shape \(\), expected a tensor of shape \(48,\): a loss for each row"),
        ("nothing", "it returned a NoneType, expected a tensor"),
        ("not_a_number", "a loss that is not finite"),
        ("absent", "has no `absent`"),
    ],
)
def test_a_property_that_breaks_its_contract_is_named(name: str, words: str, bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    with pytest.raises(InputError, match=f"the property `{file}:{name}`: .*{words}"):
        _train(bench, LabelVectors(properties=[f"{file}:{name}"]), [])


def test_a_vector_may_be_a_function_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    (vector,) = load_vectors([f"{file}:length"])
    np.testing.assert_allclose(vector.predict_proba(["short", "a longer text"]), [[0.9, 0.1], [0.1, 0.9]])
    assert vector.learned_marks == frozenset()
    with pytest.raises(InputError, match=r"one_column`: it returned the shape \(1, 1\), expected \(1, classes\)"):
        load_vectors([f"{file}:one_column"])[0].predict_proba(["text"])
    with pytest.raises(InputError, match=r"scores`: it must return probabilities that sum to 1, got \[0.5, 0.9\]"):
        load_vectors([f"{file}:scores"])[0].predict_proba(["text"])


def test_content_stands_for_the_names_of_vectors(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    settings = LabelVectors(vectors=[f"{file}:length"], properties=[f"{file}:unsure"])
    content = as_content(settings)
    assert content.vectors[0].endswith(":length")
    assert str(tmp_path) not in str(content)
    assert from_content(content, names_by_content(settings)) == settings
    # the same code elsewhere is the same content, other code is not
    other = tmp_path / "there" / "mine.py"
    other.parent.mkdir()
    other.write_text(OWN)
    assert as_content(LabelVectors(vectors=[f"{other}:length"])).vectors == content.vectors
    other.write_text(OWN.replace("0.9, 0.1", "0.8, 0.2"))
    assert as_content(LabelVectors(vectors=[f"{other}:length"])).vectors != content.vectors
    with pytest.raises(InputError, match="holds no classifier"):
        as_content(LabelVectors(vectors=[str(tmp_path)]))
