"""Labels of classifiers and losses, for people and for tables. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.config import Config
from penchant.losses.weak_settings import (
    AdaptiveConfidence,
    Confidence,
    CrossEntropy,
    CustomWeakLoss,
    Filtered,
    Prior,
    Product,
    WeakLoss,
)
from penchant.weak.semi_supervised.settings import AnyAlgorithm
from penchant.weak.supervision import SupervisorSpec


def labels(classifiers: Sequence[SupervisorSpec]) -> list[str]:
    """Return labels for people and for tables; those that would read alike also say where they differ."""
    return _distinguish([classifier.label for classifier in classifiers], classifiers)


def loss_labels(losses: Sequence[WeakLoss]) -> list[str]:
    """Return labels of losses; those that would read alike also say where they differ."""
    return _distinguish([loss_label(loss) for loss in losses], losses)


def algorithm_labels(algorithms: Sequence[AnyAlgorithm]) -> list[str]:
    """Return labels of algorithms; those that would read alike also say where they differ."""
    return _distinguish([algorithm.label for algorithm in algorithms], algorithms)


def _distinguish(short: Sequence[str], settings: Sequence[Config]) -> list[str]:
    flat_settings = [_flat(each_settings.model_dump(mode="json")) for each_settings in settings]
    labels = []
    for label, flat in zip(short, flat_settings, strict=True):
        # only where labels would read alike: a label with every setting could not be read
        same_label = [other for name, other in zip(short, flat_settings, strict=True) if name == label]
        differ = [key for key in flat if any(other.get(key) != flat[key] for other in same_label)]
        labels.append(", ".join([label, *(f"{key.replace('_', ' ')} {flat[key]}" for key in differ)]))
    return labels


def _flat(settings: dict[str, object]) -> dict[str, object]:
    """Return settings by the last part of their path: `learning_rate` for `training.learning_rate`."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= _flat(value) if isinstance(value, dict) else {key: value}
    return flat


def loss_label(loss: WeakLoss) -> str:
    """Return the label of a loss, for people and for tables."""
    match loss:
        case CrossEntropy():
            return "naive" if loss.labels == "soft" else "naive, hard labels"
        case Confidence():
            return f"confidence {loss.alpha:g}{_keeps(loss.prior)}"
        case Product():
            return f"product p^{loss.student_power:g} w^{loss.weak_power:g}"
        case AdaptiveConfidence():
            return f"adaptive confidence {loss.alpha:g}{_keeps(loss.prior)}"
        case Filtered():
            return f"surest {100 * loss.share:g}%"
        case CustomWeakLoss():
            return loss.label


def _keeps(prior: Prior) -> str:
    if isinstance(prior, str):
        return "" if prior == "weak" else f", {prior} prior"
    return f", prior {' '.join(f'{share:g}' for share in prior)}"
