"""How strongly a probe is shrunk, chosen by the labels that it learns from and by nothing else.

A fifth of the rows is held out, and a naive probe is fitted to the others with each value of `L2_CANDIDATES`. The value
whose probe has the lowest cross-entropy to the held-out labels is kept. The labels are the weak ones where the probe is
a student, so no truth and no test row has a say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.losses.weak import cross_entropy
from penchant.weak.classifiers.probe_fit import STEPS, fit_probes
from penchant.weak.settings import L2, L2_CANDIDATES, Shrinkage

HELD_SHARE = 0.2
FEWEST = 100  # groups of rows; of fewer, a fifth is too few to choose by


def settle_l2(
    l2: Shrinkage,
    features: Tensor,
    labels: NDArray[np.float64],
    *,
    steps: int = STEPS,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the shrinkage of a probe: the number that is given, or for `auto` the choice among `L2_CANDIDATES`.

    Args:
        features: shape (rows, features). labels: probabilities, shape (rows, classes).
        steps: of each probe's training.
        seed: fixes which rows are held out.
        groups: what related rows share: they are held out together. Every row stands alone if not given.
        weights: how much each row counts, from 0 to 1, shape (rows,); all alike if not given.

    Returns:
        The l2; with fewer than 100 groups of rows it is `L2`.
    """
    if l2 != "auto":
        return l2
    # all values see the same rows, so that only the shrinkage differs
    is_held_out = _held_out(len(features), seed, groups)
    if not is_held_out.any():
        return L2
    misfits = misfits_of(features, labels, is_held_out, steps=steps, weights=weights)
    return min(misfits, key=lambda value: misfits[value])


def fits_to_settle(l2: Shrinkage, rows: int, groups: Sequence[str] | None = None) -> int:
    """Return how many probes `settle_l2` fits to choose: none for a given number, and none where rows are too few."""
    return len(L2_CANDIDATES) if l2 == "auto" and _held_out(rows, 0, groups).any() else 0


def misfits_of(
    features: Tensor,
    labels: NDArray[np.float64],
    is_held_out: NDArray[np.bool_],
    *,
    steps: int,
    weights: NDArray[np.float64] | None = None,
) -> dict[float, float]:
    """Return the mean cross-entropy to the held-out labels, in nats, by l2.

    Args:
        features: shape (rows, features). labels: probabilities, shape (rows, classes).
        is_held_out: which rows no probe learns from, shape (rows,).
        weights: how much each row counts, shape (rows,); all alike if not given.
    """
    targets, out = torch.as_tensor(labels), torch.as_tensor(is_held_out)
    counts = torch.ones(len(labels), dtype=torch.float64) if weights is None else torch.as_tensor(weights)
    misfits = {}
    for l2 in L2_CANDIDATES:
        # the naive loss, whatever the probe's own: a confidence loss departs from weak labels on purpose
        probes = fit_probes(features[~out], targets[~out][None], weights=counts[~out][None], l2=l2, steps=steps)
        logits = probes.predict_proba(features[out])[0].double().log()
        misfit = cross_entropy(logits, targets[out].double())
        misfits[l2] = float((misfit * counts[out]).sum() / counts[out].sum())
    return misfits


def _held_out(rows: int, seed: int, groups: Sequence[str] | None) -> NDArray[np.bool_]:
    """Return which rows are held out, shape (rows,): whole groups, a fifth of these; none where there are few."""
    # whole groups are held out: a related row on the other side would choose too little shrinkage
    names = np.arange(rows) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    keys = np.unique(names)
    if len(keys) < FEWEST:
        return np.zeros(rows, dtype=bool)
    # a stream of its own: the same seed draws other things too
    shuffled = np.random.default_rng([seed, 5]).permutation(keys)
    return np.isin(names, shuffled[: round(HELD_SHARE * len(keys))])
