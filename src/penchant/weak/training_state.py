"""What training changes of an algorithm beside the weights: random streams, orders, averages, divisions of labels.

A class names these attributes in `changing`; those that have a `changing` of their own are gone into. So a checkpoint
holds what an interrupted training needs to go on to the same bits, as tensors and plain numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Changing(Protocol):
    """Anything that training changes.

    Attributes:
        changing: names of the attributes that do not follow from settings, rows and seeds alone.
    """

    changing: ClassVar[tuple[str, ...]]


TrainingState = dict[str, Any]
"""Attributes by their names: tensors, numbers, texts, and lists and mappings of these."""


def training_state(part: Changing) -> TrainingState:
    """Return what training has changed of an object, in copies."""
    # named and not all of them: models, rows and settings are there again before anything is put back
    return {name: _copied(getattr(part, name)) for name in part.changing}


def restore_training_state(part: Changing, state: TrainingState) -> None:
    """Put back what `training_state` returned, into an object that was made from the same settings and rows.

    Raises:
        KeyError: the state is of another object.
    """
    for name in part.changing:
        current = getattr(part, name)
        # in place: others may hold the same stream
        if isinstance(current, Changing):
            restore_training_state(current, state[name])
        else:
            setattr(part, name, _on_devices_of(current, _copied(state[name])))


def _on_devices_of(current: Any, saved: Any) -> Any:
    """Return saved tensors where those are that they replace: a checkpoint is read on the CPU."""
    if isinstance(current, Tensor) and isinstance(saved, Tensor):
        return saved.to(current.device)
    if isinstance(current, list) and isinstance(saved, list) and len(current) == len(saved):
        return [_on_devices_of(*pair) for pair in zip(current, saved, strict=True)]
    return saved


def _copied(attribute: Any) -> Any:
    if isinstance(attribute, Changing):
        return training_state(attribute)
    if isinstance(attribute, Tensor):
        # the tensors of a running training go on to change
        return attribute.detach().clone()
    if isinstance(attribute, list | tuple):
        # a checkpoint is read without running code, and has lists and tuples as they are
        return type(attribute)(_copied(part) for part in attribute)
    if isinstance(attribute, dict):
        return {key: _copied(part) for key, part in attribute.items()}
    return attribute
