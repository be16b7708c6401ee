"""How a probe's shrinkage is chosen: by held-out labels, by nothing else, and in whole groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.shrinkage import _held_out, fits_to_settle, misfits_of, settle_l2
from penchant.weak.settings import L2, L2_CANDIDATES


def _noisy(rows: int = 300, width: int = 40, signal: float = 1.0) -> tuple[Tensor, np.ndarray]:
    """Features of which one says the class, and labels that follow it so strongly."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, width, generator=generator)
    positive = (signal * x[:, 0] > torch.randn(rows, generator=generator)).long()
    return x, torch.eye(2)[positive].numpy()


def test_misfits_are_the_cross_entropy_of_rows_that_were_held_out() -> None:
    x, labels = _noisy()
    held = np.arange(300) % 5 == 0
    found = misfits_of(x, labels, held, steps=100)
    assert list(found) == list(L2_CANDIDATES)
    probes = fit_probes(x[~torch.as_tensor(held)], torch.as_tensor(labels[~held])[None], l2=0.1)
    logps = probes.predict_proba(x[torch.as_tensor(held)])[0].log().numpy()
    assert found[0.1] == pytest.approx(-(labels[held] * logps).sum(-1).mean(), abs=1e-5)


def test_the_choice_has_the_lowest_misfit_and_hangs_on_the_labels() -> None:
    """Labels that say nothing ask for more shrinkage than labels that follow a feature."""
    x, labels = _noisy(signal=5.0)
    chosen = settle_l2("auto", x, labels)
    misfits = misfits_of(x, labels, _held_out(300, 0, None), steps=100)
    assert misfits[chosen] == min(misfits.values())
    blind = np.eye(2)[np.random.default_rng(1).integers(0, 2, 300)]
    assert settle_l2("auto", x, blind) > chosen
    assert settle_l2(0.07, x, labels) == 0.07


def test_related_rows_are_held_out_together() -> None:
    groups = [f"question {place // 3}" for place in range(300)]
    held = _held_out(300, 0, groups)
    assert held.sum() == 60
    assert all(len(set(held[first : first + 3])) == 1 for first in range(0, 300, 3))
    assert not np.array_equal(held, _held_out(300, 1, groups))


def test_few_rows_choose_nothing() -> None:
    blind = np.eye(2)[np.random.default_rng(1).integers(0, 2, 300)]  # asks for the strongest, see above
    x, _ = _noisy()
    assert settle_l2("auto", x, blind) > L2
    assert settle_l2("auto", x[:99], blind[:99]) == L2
    assert settle_l2("auto", x, blind, groups=["a", "b"] * 150) == L2


def test_fits_are_counted_only_where_something_is_chosen() -> None:
    assert fits_to_settle("auto", 300) == len(L2_CANDIDATES)
    assert fits_to_settle("auto", 99) == 0
    assert fits_to_settle("auto", 300, ["a", "b"] * 150) == 0
    assert fits_to_settle(0.3, 300) == 0


def test_a_probe_classifier_chooses_and_says_what_it_chose() -> None:
    x, labels = _noisy()
    rows = [str(place) for place in range(len(x))]
    probe = ProbeClassifier(lambda texts: torch.stack([x[int(str(text))] for text in texts])).fit(rows, labels)
    assert probe.chosen_l2 == settle_l2("auto", x, labels)
    fixed = ProbeClassifier(lambda texts: x[: len(texts)], l2=probe.chosen_l2 or 0).fit(rows, labels)
    np.testing.assert_array_equal(fixed.predict_proba(rows), probe.predict_proba(rows))


def test_a_probe_classifier_holds_related_texts_out_together() -> None:
    """Copies of a text under the same label are no evidence about new texts: they choose less shrinkage by rote."""
    x, _ = _noisy(rows=150)
    blind = np.repeat(np.eye(2)[np.random.default_rng(1).integers(0, 2, 150)], 2, axis=0)
    rows, twice = [str(place) for place in range(300)], x.repeat_interleave(2, 0)
    groups = [f"text {place // 2}" for place in range(300)]

    def chosen(groups: list[str] | None = None) -> float | None:
        probe = ProbeClassifier(lambda texts: torch.stack([twice[int(str(text))] for text in texts]))
        return probe.fit(rows, blind, groups=groups).chosen_l2

    assert chosen(groups) == settle_l2("auto", twice, blind, groups=groups)
    assert (chosen(groups) or 0) > (chosen() or 0)
    with pytest.raises(InputError, match="a group for each example, got 2 for 300"):
        chosen(["a", "b"])
