"""Makes a classifier from its settings, or from the folder that it was saved in: the only list of the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from penchant.digests import DamagedFile
from penchant.errors import InputError, RunError
from penchant.losses.weak_settings import WeakLoss
from penchant.weak.classifiers.chess_engine import ChessEngineClassifier
from penchant.weak.classifiers.custom import CustomClassifier
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.probe_fit import STEPS
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import KIND, Classifier, read_kind
from penchant.weak.semi_supervised.settings import LabelVectors
from penchant.weak.settings import ChessEngine, ClassifierSpec, LanguageModel, Mlp, OwnClassifier, Shrinkage, Tfidf


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
    if isinstance(settings, OwnClassifier):
        return CustomClassifier(settings, names=names, loss=loss, seed=seed)
    if isinstance(settings, Mlp):
        algorithm = settings.algorithm
        folders = algorithm.vectors if isinstance(algorithm, LabelVectors) else ()
        vectors = [load_classifier(folder) for folder in folders]
        return MlpClassifier(settings, names=names, loss=loss, seed=seed, vectors=vectors)
    # without a folder: activations of one command go with its process
    features = ModelFeatures(settings.model, settings.layer, dtype=settings.dtype)
    return ProbeClassifier(features, names=names, loss=loss, l2=l2, steps=steps, seed=seed)


def load_classifier(folder: str | Path, *, code: str | None = None) -> Classifier:
    """Load a classifier that was saved. Nothing in the folder is run.

    Args:
        code: `module:attribute` of the user's own classifier that was saved; its `load(folder)` is called.

    Raises:
        InputError: the folder holds none, or a damaged one; a user's classifier without `code`, or `code` for another.
    """
    file = Path(folder).expanduser() / KIND
    if not file.is_file():
        raise InputError(f"{folder} holds no classifier (no {KIND}): make one with `penchant weak train`")
    # digests are checked here, before anything of the folder is read
    kind = read_kind(file.parent)["kind"]
    # by the kind that `save` wrote: a name in a folder chooses among our classes, never among modules
    loaders: dict[str, Callable[[Path], Classifier]] = {
        "sklearn": SklearnClassifier.load,
        "probe": ProbeClassifier.load,
        "mlp": MlpClassifier.load,
        "lm": LanguageModelClassifier.load,
        "engine": ChessEngineClassifier.load,
        "custom": partial(CustomClassifier.load, code=code),
    }
    if kind not in loaders:
        raise InputError(f"{file} says {kind!r}; there are classifiers of the kinds {', '.join(loaders)}")
    if code is not None and kind != "custom":
        raise InputError(
            f"{folder} holds a classifier of the kind {kind!r}, which needs no code of yours: leave out {code}"
        )
    try:
        return loaders[kind](file.parent)
    except (InputError, RunError):
        raise
    except Exception as error:  # a damaged folder without digests makes the readers raise many kinds
        raise DamagedFile(f"{folder} cannot be read as a classifier ({error}): put back a good copy") from error
