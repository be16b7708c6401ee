"""Which rows may share a forward pass, by their length.

A layer with rotary embeddings of type `longrope` or `dynamic` chooses its frequencies by the longest row of the pass.
A row would then score otherwise beside a longer one, so rows of another class of lengths never share a pass with it.
The frequencies of a row are those of its own length: what the model gives for the row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from penchant.engine.foreign_types import PreTrainedConfig

SELECTED_KEYS = ("index_topk", "indexer_budget")
"""Names under which configurations state to how many keys sparse attention looks."""
THRESHOLD_NAMES = ("window", "attention_chunk", "attn_chunk", "original_max_position_embeddings", *SELECTED_KEYS)
"""Parts of the names under which configurations state a length that changes the arithmetic."""


@dataclass(frozen=True)
class LengthClasses:
    """Classes of row lengths, in tokens; rows of one class may share a forward pass.

    Attributes:
        thresholds: rows up to a threshold and longer ones are of different classes.
        exact_above: above this length every length is a class of its own; None for no such length.
    """

    thresholds: tuple[int, ...] = ()
    exact_above: int | None = None

    def class_of(self, length: int) -> int:
        """Return the class of a row with so many tokens; classes are ordered by length."""
        passed = sum(length > threshold for threshold in self.thresholds)
        if self.exact_above is None or length <= self.exact_above:
            return passed
        return len(self.thresholds) + length  # beyond every number of passed thresholds

    def joined(self, other: LengthClasses) -> LengthClasses:
        """Return classes that lie within those of both."""
        exact = [length for length in (self.exact_above, other.exact_above) if length is not None]
        return LengthClasses(tuple(sorted({*self.thresholds, *other.thresholds})), min(exact, default=None))

    def grouped(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the places of rows with these lengths, those of one class together."""
        positions: dict[int, list[int]] = {}
        for position, length in enumerate(lengths):
            positions.setdefault(self.class_of(length), []).append(position)
        return list(positions.values())


ANY_LENGTH = LengthClasses()
EQUAL_LENGTHS = LengthClasses(exact_above=0)


def length_classes(config: PreTrainedConfig) -> LengthClasses:
    """Return the classes that a configuration's rotary embeddings make.

    `longrope` has two sets of frequencies, with a threshold between them. `dynamic` computes its frequencies from the
    length of the pass once that is above the threshold. Layers that attend to the best few keys (`index_topk`) resolve
    ties among more keys by the length of the pass.
    """
    # rotary settings lie in mappings of their own, in some models one per kind of layer
    settings = config.to_dict()
    thresholds, exact = set(), set()
    for part in _mappings(settings):
        exact |= {int(part[name]) for name in SELECTED_KEYS if part.get(name)}
        kind = str(part.get("rope_type", part.get("type", "")))
        if "dynamic" in kind:
            exact.add(int(settings.get("max_position_embeddings") or 0))
        elif kind in ("longrope", "su"):  # Phi-3's first name for it
            key = "original_max_position_embeddings"
            original_length = part.get(key) or settings.get(key)
            thresholds.add(int(original_length or settings.get("max_position_embeddings") or 0))
    return LengthClasses(tuple(sorted(thresholds)), min(exact, default=None))


def context_length(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a model takes at once; None where its configuration names no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return limit if limit and limit > 0 else None  # XLNet says -1


def named_lengths(config: PreTrainedConfig) -> list[int]:
    """Return the lengths (windows, chunks, thresholds) that a configuration names, in rising order."""
    classes = length_classes(config)
    lengths = {length for length in (*classes.thresholds, classes.exact_above) if length}
    for part in _mappings(config.to_dict()):
        for name, value in part.items():
            # a bool is an int, and configurations have many switches
            whole_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
            if whole_number and any(threshold_name in str(name) for threshold_name in THRESHOLD_NAMES):
                lengths.add(value)
    return sorted(lengths)


def forget_earlier_lengths(model: nn.Module) -> None:
    """Let each pass choose the frequencies of `dynamic` rotary embeddings by its own length.

    `transformers` keeps the frequencies of the longest pass so far, so that a row's scores would depend on what was
    scored before it. Called a second time it does nothing.
    """
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        if "dynamic" in str(kinds) and _restore_frequencies not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_restore_frequencies)


def _restore_frequencies(module: nn.Module, _: object) -> None:
    """Put the module back into its state before the first pass."""
    kinds = getattr(module, "rope_type", None)
    # models with several kinds of layers (Gemma 3) keep frequencies for each of them, under its name
    prefixes = [f"{name}_" for name in kinds] if isinstance(kinds, Mapping) else [""]
    for prefix in prefixes:
        frequencies = getattr(module, f"{prefix}inv_freq")
        original = getattr(module, f"{prefix}original_inv_freq").to(frequencies.device)
        module.register_buffer(f"{prefix}inv_freq", original, persistent=False)
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def _mappings(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the mapping and all mappings that lie in it."""
    yield settings
    for value in settings.values():
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(part, Mapping):
                yield from _mappings(part)
