"""Read the sources of a run's data, and say which of their prompts are trained on and which are held out.

Plain data is a mixture of one source, and goes the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.data.options import RenderOptions
from penchant.data.rendering.renderer import Renderer
from penchant.data.settings import Proportions, RowsConfig
from penchant.errors import InputError
from penchant.models.load import reads_pictures
from penchant.models.locate import is_picture_model
from penchant.runs.provenance import digest_data
from penchant.train.inputs.kept_source import keep_source
from penchant.train.plan import Mixing, split_by_digest
from penchant.train.recipe import Counts, Mixture, MixturePart, Recipe
from penchant.train.settings import GradientConfig, PolicyConfig


def read_source(config: GradientConfig, recipe: Recipe) -> Mixture:
    """Read the data of a run.

    Raises:
        InputError: it cannot be read, holds nothing that the method learns from, or one source stands there twice.
    """
    data = _with_media(config)
    # a loss may take rankings alone, so what is read depends on it too
    reading = f"{config.method} {getattr(config, 'loss', None)!r}"
    parts = tuple(
        _read_part(recipe, part, name, reading) for part, name in zip(data.parts, _names(config), strict=True)
    )
    if config.data.sources:
        parts = tuple(
            replace(
                part,
                weight=source.weight,
                evaluation=source.evaluation,
                digest=digest_data(part.data.path, part.data.split),
            )
            for part, source in zip(parts, config.data.sources, strict=True)
        )
        _refuse_equal(parts)
    counts = _sum([part.source.counts for part in parts])
    warnings = [warning for part in parts for warning in part.source.warnings]
    if recipe.check is not None:
        warnings += recipe.check(counts)
    return Mixture(parts, counts, tuple(warnings))


def _with_media(config: GradientConfig) -> RowsConfig:
    """Return the settings of the data, which read pictures where the model does."""
    media = config.data.media
    # a reward model has a head that models of pictures lack, and reads text alone
    if media is None and isinstance(config, PolicyConfig):
        # a diffusion model learns from pictures as responses, others from pictures in prompts
        name = config.model.name
        media = is_picture_model(name) or reads_pictures(name, trust_remote_code=config.model.trust_remote_code)
    if config.data.media_folder is not None and not media:
        raise InputError(
            f"data.media_folder={config.data.media_folder}: {config.model.name} has no tower for pictures, so none are "
            "read: take a model that sees them, or leave the folder out"
        )
    return config.data.replace(media=bool(media))


def _read_part(recipe: Recipe, data: RowsConfig, name: str, reading: str) -> MixturePart:
    source = keep_source(data, reading, lambda: recipe.read(data))
    # a file of demonstrations given to DPO has rows, and none of them compares anything
    if not any(recipe.units(group) for group in source.groups):
        raise InputError(f"{data.path} holds no {recipe.objective.learns_from} to train on")
    return MixturePart(name, data, source)


def _names(config: GradientConfig) -> list[str]:
    """Return what results call the sources: the file's name, or the path where two files have the same name."""
    paths = [data.path for data in config.data.parts]
    repeats = Counter(Path(path).name for path in paths)
    names = [path if repeats[Path(path).name] > 1 else Path(path).name for path in paths]
    repeats = Counter(names)
    # one path, two splits: the name of the file says nothing of which it is
    return [
        f"{name}[{data.split}]" if repeats[name] > 1 else name
        for name, data in zip(names, config.data.parts, strict=True)
    ]


def _refuse_equal(parts: Sequence[MixturePart]) -> None:
    """Refuse two sources with the same content under two names."""
    first: dict[str, str] = {}
    for part in parts:
        if part.digest is None:
            continue
        # two sheets or two layouts of one file are other rows
        key = f"{part.digest} {part.data.split} {part.data.layout} {part.data.columns}"
        if key in first:
            raise InputError(
                f"data.sources: {first[key]} and {part.data.path} have the same content; leave one of them out, and "
                "give the other a larger weight if it shall count more"
            )
        first[key] = part.data.path


def _sum(counts: Sequence[Counts]) -> Counts:
    """Return the counts of all sources together: numbers added, names of layouts listed."""
    # plain data keeps its counts as they are, whatever their types
    if len(counts) == 1:
        return counts[0]
    total: Counts = {}
    for part_counts in counts:
        for name, value in part_counts.items():
            present = total.get(name)
            if isinstance(value, int | float) and isinstance(present, int | float):
                total[name] = present + value
            elif isinstance(value, dict) and isinstance(present, dict):
                total[name] = {key: _rows(value, key) + _rows(present, key) for key in present | value}
            elif isinstance(value, str) and isinstance(present, str):
                total[name] = present if value in present.split(" + ") else f"{present} + {value}"
            else:
                total[name] = value
    return total


def source_renderer(renderer: Renderer, part: MixturePart, data: RowsConfig) -> Renderer:
    """Return the renderer of a source: the run's, with the source's own template where it has one."""
    options: RenderOptions = part.data.rendering
    if (options.template, options.template_args) == (data.template, data.template_args):
        return renderer
    return replace(renderer, template=options.template, template_args=options.template_args)


@dataclass(frozen=True)
class Sides:
    """Groups that are trained on and groups that are held out, by their number over all sources.

    Attributes:
        overlapping: groups that neither side has, since a source for evaluation holds their prompts.
        shared: prompts that stand in several sources.
    """

    train: list[int]
    held: list[int]
    overlapping: int = 0
    shared: int = 0


def split_sources(keys_by_part: Sequence[Sequence[bytes]], evaluation: Sequence[bool], held_out: float) -> Sides:
    """Split the groups of all sources; a prompt is never on both sides, whichever sources it stands in.

    Args:
        keys_by_part: of each source's groups, what `digest_key` says of their prompts.
        evaluation: which sources are held out as a whole.
        held_out: of the other ones, as `split_by_prompt` takes it.
    """
    repeats = Counter(key for keys in keys_by_part for key in set(keys)) if len(keys_by_part) > 1 else Counter()
    keys = [key for part_keys in keys_by_part for key in part_keys]
    owned = [evaluates for part_keys, evaluates in zip(keys_by_part, evaluation, strict=True) for _ in part_keys]
    reserved = {key for key, is_held in zip(keys, owned, strict=True) if is_held}
    open_groups = [number for number, is_held in enumerate(owned) if not is_held]
    # the share is one of the prompts that may be trained on: a source for evaluation comes on top
    train, held_out_indices = split_by_digest([keys[number] for number in open_groups], held_out)
    train_groups = [open_groups[index] for index in train]
    held_groups = {open_groups[index] for index in held_out_indices} | {
        number for number, is_held in enumerate(owned) if is_held
    }
    # dropped and not held out: a number on the evaluation's prompts must be of the evaluation's own responses
    trained = [number for number in train_groups if keys[number] not in reserved]
    return Sides(
        train=trained,
        held=sorted(held_groups),
        overlapping=len(train_groups) - len(trained),
        shared=sum(count > 1 for count in repeats.values()),
    )


def owners_of(sizes: Sequence[int]) -> NDArray[np.int32]:
    """Return (groups,) the number of each group's source, from the number of each source's groups."""
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def _rows(table: Mapping[str, object], key: str) -> int:
    # a rule that one source alone has
    rows = table.get(key)
    return rows if isinstance(rows, int) else 0


def train_sources(mixture: Mixture, sizes: Sequence[int], sides: Sides) -> list[int]:
    """Return the number of each training group's source; nothing for plain data."""
    return owners_of(sizes)[sides.train].tolist() if len(mixture.parts) > 1 else []


def held_by_source(mixture: Mixture, sizes: Sequence[int], sides: Sides) -> dict[str, list[int]]:
    """Return by source which of the held-out groups are of it, counted among these; nothing for plain data."""
    owners = owners_of(sizes)
    if len(mixture.parts) == 1:
        return {}
    indices: dict[str, list[int]] = {}
    for index, group in enumerate(sides.held):
        indices.setdefault(mixture.parts[owners[group]].name, []).append(index)
    return indices


def proportional_weights(sizes: Sequence[int], mixing: Proportions) -> list[float]:
    """Return a weight per source, min(size, cap) ** (1 / temperature); 0 for a source with nothing to draw.

    Args:
        sizes: groups of each source that are trained on.
    """
    counts = np.minimum(sizes, mixing.cap or np.inf)
    # as shares of the largest: the root of a large number loses digits, and 0 ** (1 / temperature) is 0
    return ((counts / max(1, counts.max())) ** (1 / mixing.temperature)).tolist()


def describe_mixture(
    mixture: Mixture,
    sizes: Sequence[int],
    sides: Sides,
    proportions: Proportions | None = None,
    *,
    one_source: bool = False,
) -> tuple[Mixing | None, Counts, list[str]]:
    """Return how often groups are drawn, the counts of each source for result.json, and warnings.

    Args:
        sizes: groups of each source that were rendered.
        proportions: how weights follow from sizes; None where sources have weights of their own, or none.
        one_source: whether each step is of one source.

    Raises:
        InputError: nothing of a source is left to train on.
    """
    if len(mixture.parts) == 1:
        return None, {}, []
    owners = owners_of(sizes)
    trained = np.bincount(owners[sides.train], minlength=len(sizes)).tolist()
    held_counts = np.bincount(owners[sides.held], minlength=len(sizes)).tolist()
    for part, count in zip(mixture.parts, trained, strict=True):
        if not count and not part.evaluation:
            raise InputError(
                f"data.sources: nothing of {part.data.path} is left to train on: its prompts are held out, or stand in "
                "a source for evaluation"
            )
    # a source for evaluation has no group to draw, and so the weight 0
    weights = [part.weight or 0.0 for part in mixture.parts]
    if proportions is not None:
        # of what is trained on: held-out prompts are never drawn, and a source for evaluation has none left
        weights = proportional_weights(trained, proportions)
    if one_source and not any(weights):
        # weighted by its own size, each prompt of each source is drawn once, as it is without weights
        weights = [float(count) for count in trained]
    mixing = Mixing(owners[sides.train], tuple(weights), one_source) if any(weights) else None
    passes = mixing.passes if mixing else tuple(float(not part.evaluation) for part in mixture.parts)
    sources = {
        part.name: {"groups": float(size), "held_out_groups": float(held_count), "passes_per_epoch": share}
        for part, size, held_count, share in zip(mixture.parts, sizes, held_counts, passes, strict=True)
    }
    warnings = []
    if sides.shared:
        warnings.append(
            f"{sides.shared} prompts stand in several sources; each is either trained on or held out in all of them"
        )
    if sides.overlapping:
        warnings.append(
            f"{sides.overlapping} groups were left out of training: a source for evaluation has their prompts"
        )
    # draws are the same in every epoch: a share below half a group is never made up for
    warnings += [
        f"nothing of {part.data.path} is trained on: beside the other weights, {weight:g} is too small for one "
        "of its prompts per epoch"
        for part, share, weight in zip(mixture.parts, passes, weights, strict=True)
        if not part.evaluation and not share
    ]
    return mixing, {"sources": sources}, warnings
