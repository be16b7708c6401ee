"""Makes a classifier from its settings, or from the folder that it was saved in: the only list of the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from penchant.digests import DamagedFile
from penchant.errors import InputError, RunError
from penchant.losses.weak_settings import WeakLoss
from penchant.weak.classifiers.chess_engine import ChessEngineClassifier
from penchant.weak.classifiers.cnn import CnnClassifier
from penchant.weak.classifiers.custom import CustomClassifier
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.probe_fit import STEPS
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.classifiers.vectors import FunctionVector, Vector
from penchant.weak.contract import KIND, Classifier, read_kind
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.self_training import SelfTrainedClassifier
from penchant.weak.semi_supervised.settings import (
    ConfidentLearning,
    LabelVectors,
    SelfTraining,
    Supervised,
    is_own_vector,
)
from penchant.weak.settings import (
    ChessEngine,
    ClassifierSpec,
    Cnn,
    LanguageModel,
    Mlp,
    OwnClassifier,
    Probe,
    Shrinkage,
    Tfidf,
)


def make_classifier(
    settings: ClassifierSpec,
    *,
    names: Sequence[str] | None = None,
    loss: WeakLoss | None = None,
    seed: int = 0,
    l2: Shrinkage = "auto",
    steps: int = STEPS,
    folder: Path | None = None,
    activations: Sequence[Path] = (),
) -> Classifier:
    """Make the classifier that settings describe, to be fitted.

    Args:
        names: of the classes; label words default to them. loss: on its targets. seed: of what is drawn.
        l2, steps: of a probe.
        folder: where a fine-tuned language model keeps its checkpoints, and resumes from them; the caller removes it.
        activations: folders where activations of the model may lie already.
    """
    stores: dict[tuple[str, int, str], ModelFeatures] = {}

    def features_of(spec: Probe | Mlp) -> ModelFeatures:
        # what is trained several times reads its rows once; without a folder activations go with the process
        key = spec.model, spec.layer, spec.dtype
        if key not in stores:
            stores[key] = ModelFeatures(spec.model, spec.layer, dtype=spec.dtype, folders=activations)
        return stores[key]

    def make(spec: ClassifierSpec, part: str | None = None) -> Classifier:
        if isinstance(spec, Tfidf):
            return SklearnClassifier(names=names, loss=loss)
        if isinstance(spec, ChessEngine):
            return ChessEngineClassifier(spec, names=names)
        if isinstance(spec, LanguageModel):
            # a part of the training must not resume from another's checkpoint
            part_folder = folder / part if folder and part else folder
            vectors = vectors_of(spec)
            return LanguageModelClassifier(spec, names=names, loss=loss, seed=seed, folder=part_folder, vectors=vectors)
        if isinstance(spec, OwnClassifier):
            return CustomClassifier(spec, names=names, loss=loss, seed=seed)
        if isinstance(spec, Mlp):
            vectors = vectors_of(spec)
            return MlpClassifier(spec, features=features_of(spec), names=names, loss=loss, seed=seed, vectors=vectors)
        if isinstance(spec, Cnn):
            return CnnClassifier(spec, names=names, loss=loss, seed=seed)
        return ProbeClassifier(features_of(spec), names=names, loss=loss, l2=l2, steps=steps, seed=seed)

    if isinstance(settings, OwnClassifier | ChessEngine):
        return make(settings)
    inner: ClassifierSpec = settings.replace(algorithm=Supervised())
    confident_share = None
    if isinstance(settings, Mlp | LanguageModel) and isinstance(settings.algorithm, SelfTraining):
        # of the first teacher's labels: those that pseudo-labels add have a share of their own
        inner, confident_share = inner.replace(confident_share=None), settings.confident_share
    match settings.algorithm:
        case SelfTraining() as algorithm:
            # made here, so that settings that it cannot have are refused before the first teacher has learned
            # one for each round, for each may be larger than its teacher
            students = [inner.replace(**algorithm.student_of(number)) for number in range(1, algorithm.rounds + 1)]
            if confident_share is not None:
                algorithm = algorithm.replace(confident_share=confident_share)
            return SelfTrainedClassifier(
                algorithm,
                lambda number: make(students[number - 1] if number else inner, f"round-{number}"),
                names=names,
                seed=seed,
            )
        case ConfidentLearning() as algorithm:
            return ConfidentClassifier(algorithm, lambda part: make(inner, part), names=names, seed=seed)
    return make(settings)


def vectors_of(spec: Mlp | LanguageModel) -> list[Vector]:
    """Load the label vectors that a student learns from; none for another algorithm than `label_vectors`."""
    return load_vectors(spec.algorithm.vectors) if isinstance(spec.algorithm, LabelVectors) else []


def load_vectors(names: Sequence[str]) -> list[Vector]:
    """Load label vectors: classifiers from their folders, functions of the user's by `module:function`.

    Raises:
        InputError: a folder that holds no classifier, or no such function.
    """
    return [FunctionVector(name) if is_own_vector(name) else load_classifier(name) for name in names]


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
        "cnn": CnnClassifier.load,
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
