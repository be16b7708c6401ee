"""Makes a classifier from its settings, or from the folder that it was saved in: the only list of the classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penchant.digests import DamagedFile
from penchant.errors import InputError, RunError
from penchant.losses.weak_settings import WeakLoss
from penchant.weak.classifiers.chess_engine import ChessEngineClassifier
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.probe_fit import STEPS
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import KIND, Classifier, read_kind
from penchant.weak.settings import ChessEngine, ClassifierSpec, LanguageModel, Shrinkage, Tfidf


def make_classifier(
    settings: ClassifierSpec,
    *,
    names: Sequence[str] | None = None,
    loss: WeakLoss | None = None,
    seed: int = 0,
    l2: Shrinkage = "auto",
    steps: int = STEPS,
    folder: Path | None = None,
) -> Classifier:
    """Make the classifier that settings describe, to be fitted.

    Args:
        names: of the classes; label words default to them. loss: on its targets. seed: of what is drawn.
        l2, steps: of a probe.
        folder: where a fine-tuned language model keeps its checkpoints, and resumes from them; the caller removes it.
    """
    if isinstance(settings, Tfidf):
        return SklearnClassifier(names=names, loss=loss)
    if isinstance(settings, ChessEngine):
        return ChessEngineClassifier(settings, names=names)
    if isinstance(settings, LanguageModel):
        return LanguageModelClassifier(settings, names=names, loss=loss, seed=seed, folder=folder)
    features = ModelFeatures(settings.model, settings.layer, dtype=settings.dtype)
    return ProbeClassifier(features, names=names, loss=loss, l2=l2, steps=steps, seed=seed)


def load_classifier(folder: str | Path) -> Classifier:
    """Load a classifier that was saved. Nothing in the folder is run.

    Raises:
        InputError: the folder holds none, or a damaged one.
    """
    file = Path(folder).expanduser() / KIND
    if not file.is_file():
        raise InputError(f"{folder} holds no classifier (no {KIND}): make one with `penchant weak train`")
    kind = read_kind(file.parent)["kind"]
    kinds: dict[str, Any] = {
        "sklearn": SklearnClassifier,
        "probe": ProbeClassifier,
        "lm": LanguageModelClassifier,
        "engine": ChessEngineClassifier,
    }
    if kind not in kinds:
        raise InputError(f"{file} says {kind!r}; there are classifiers of the kinds {', '.join(kinds)}")
    try:
        loaded: Classifier = kinds[kind].load(file.parent)
    except (InputError, RunError):
        raise
    except Exception as error:  # a damaged folder without digests makes the readers raise many kinds
        raise DamagedFile(f"{folder} cannot be read as a classifier ({error}): put back a good copy") from error
    return loaded
