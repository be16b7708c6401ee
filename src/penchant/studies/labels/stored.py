"""What the stage of a task's rows left, and a linear classifier on numbers of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.studies.core.job import STAGE
from penchant.studies.core.records import read_object
from penchant.studies.labels.stage_settings import TRAIN_GROUPS
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.shrinkage import settle_l2

TEXTS, PIXELS, LABELS = "texts.json", "pixels.npy", "labels.npy"
PLAIN, WEAK, STRONG = "plain.npy", "weak.npy", "strong.npy"
LEARNED = "learned.npy"
Labels = NDArray[np.int64]
Groups = NDArray[np.intp]
"""A number for each row, the same for related ones."""


@dataclass(frozen=True)
class StoredRows:
    """What the stage of a task's rows left.

    Attributes:
        labels: of all rows, shape (rows,). train: how many of them, the first, are to learn from. classes: how many.
    """

    folder: Path
    labels: Labels
    train: int
    classes: int

    @classmethod
    def read(cls, folder: Path) -> StoredRows:
        """Read the labels from the stage's folder."""
        facts = read_object(folder / STAGE)
        labels = np.load(folder / LABELS, allow_pickle=False)
        return cls(folder, labels, int(facts["train"]), len(facts["classes"]))

    @property
    def train_labels(self) -> Labels:
        """True labels of the rows to learn from."""
        return self.labels[: self.train]

    @property
    def test_labels(self) -> Labels:
        """True labels of the rows to test on."""
        return self.labels[self.train :]

    def train_groups(self) -> Groups | None:
        """Return a number for each row to learn from, the same for related ones; None where no rows are related."""
        file = self.folder / TRAIN_GROUPS
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.intp) if file.is_file() else None

    def texts(self) -> tuple[list[str], list[list[str]]]:
        """Return the texts of all rows, and other wordings of those to learn from."""
        content = json.loads((self.folder / TEXTS).read_text(encoding="utf-8", errors="surrogatepass"))
        return content["texts"], content["copies"]

    @property
    def has_pictures(self) -> bool:
        """Whether the rows are pictures."""
        return (self.folder / PIXELS).is_file()

    def pixels(self) -> torch.Tensor:
        """Return the pixels of all rows as bytes, shape (rows, channels, height, width)."""
        return torch.from_numpy(np.load(self.folder / PIXELS, allow_pickle=False))


def linear_predictions(
    features: torch.Tensor,
    rows: NDArray[np.intp],
    targets: NDArray[np.float64],
    asked_features: torch.Tensor,
    seed: int,
    groups: Groups | None = None,
) -> Labels:
    """Return the classes that a linear classifier gives, whose shrinkage its own labels chose.

    Args:
        features: shape (rows, features). rows: those to learn from. targets: their probabilities, (rows, classes).
        asked_features: features to predict for.
        groups: of all rows of `features` that may be learned from, the same for related ones; None where none are.
    """
    learned_features = features[torch.as_tensor(rows)]
    names = None if groups is None else list(map(str, groups[rows].tolist()))
    # by its own labels, which may be wrong: nobody has others to choose by
    l2 = settle_l2("auto", learned_features, targets, seed=seed, groups=names)
    probes = fit_probes(learned_features, torch.as_tensor(targets, dtype=torch.float32)[None], l2=l2)
    return np.asarray(probes.predict_proba(asked_features)[0].argmax(-1).numpy())
