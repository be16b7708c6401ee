"""A diffusion model as a policy: opened from a folder, scored, sampled and written again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.arguments import each_group
from penchant.data.rendering.picture_rows import PictureRenderer
from penchant.data.rendering.renderer import Renderer
from penchant.digests import check_files, has_own_sums, read_sums
from penchant.engine.attention import evaluating
from penchant.engine.diffusion import draw_pictures
from penchant.engine.picture_scores import PictureScorer
from penchant.engine.score import DEFAULT_BUDGET, Progress, score
from penchant.errors import InputError
from penchant.files import atomic_write, read_json
from penchant.models.device import choose_device
from penchant.models.diffusion.network import PictureNetwork, PictureShape
from penchant.models.locate import picture_folder
from penchant.models.policy import repr_network
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.types import Prompt, PromptGroup

WEIGHTS = "model.safetensors"
PASS = 128  # pictures that are drawn together
DTYPES = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class DiffusionPolicy:
    """A diffusion model that scores and draws pictures. Made by `load_diffusion`.

    Attributes:
        model: the network. renderer: turns prompts and pictures into rows of numbers.
        name: what it was loaded from.
    """

    model: nn.Module
    renderer: Renderer
    name: str

    def __repr__(self) -> str:
        """Return what it is in one line; a dataclass would print every layer of the network."""
        return repr_network(type(self).__name__, self.name, self.model)

    @property
    def shape(self) -> PictureShape:
        """The sizes of the network."""
        shape: PictureShape = self.model.config  # type: ignore[assignment]
        return shape

    @cached_property
    def scorer(self) -> PictureScorer:
        """The engine on this model."""
        return PictureScorer(self.model, self.shape.side)

    def score(self, groups: Sequence[PromptGroup], *, progress: Progress | None = None) -> list[Tensor]:
        """Return minus half the squared error of the noise of every picture, summed over pixels.

        It is the mean over draws that are the same for all pictures.

        Args:
            groups: prompts that name a class, with pictures as responses.
            progress: called with the number of pixels done since the last call.

        Raises:
            InputError: a row that is no picture of the model's size, or a prompt that names none of its classes.
        """
        rendered = [self.renderer.render(group) for group in each_group(groups)]
        return score(self.scorer, rendered, budget=self.scorer.usual_budget or DEFAULT_BUDGET, progress=progress)

    def draw(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        steps: int = 50,
        seed: int = 0,
        reference: DiffusionPolicy | None = None,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Draw n pictures per prompt.

        Args:
            prompts: each names a class; an empty one stands for any.
            steps: of the sampler.
            seed: fixes the noise, with the prompt's class and the picture's number.
            reference: another diffusion model, for the KL.
            progress: called with the number of pictures done since the last call.

        Returns:
            Grey levels, shape (prompts * n, height, width), those of a prompt together; and the KL of each path from
            the reference's, in nats, 0 without one (see `penchant.engine.diffusion.draw_pictures`).

        Raises:
            InputError: a prompt that names no class.
        """
        conditions = [self.renderer.prompt_ids(prompt)[0] for prompt in prompts]
        # prompts that are repeated get other pictures: they are numbered on
        counts: dict[int, int] = {}
        rows: list[tuple[int, str]] = []
        for condition in conditions:
            first = counts.get(condition, 0)
            rows += [(condition, f"{seed} {condition} {number}") for number in range(first, first + n)]
            counts[condition] = first + n
        parts: list[NDArray[np.uint8]] = []
        kls: list[NDArray[np.float64]] = []
        networks = [self.model, *([reference.model] if reference is not None else [])]
        with evaluating(*networks):
            for start in range(0, len(rows), PASS):
                part = rows[start : start + PASS]
                pictures = draw_pictures(
                    self.model,
                    torch.tensor([condition for condition, _ in part], device=self.scorer.device),
                    size=(self.shape.side, self.shape.side),
                    steps=steps,
                    seeds=[text for _, text in part],
                    reference=reference.model if reference is not None else None,
                )
                parts.append(((pictures.pictures + 1) * 127.5).round().to(torch.uint8).cpu().numpy())
                kls.append(pictures.kl.double().cpu().numpy())
                if progress:
                    progress(len(part))
        return np.concatenate(parts), np.concatenate(kls)

    def save(self, folder: str | Path) -> None:
        """Write weights (safetensors) and sizes, for `load_diffusion`."""
        from safetensors.torch import save_file

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        # a memory format is no part of a file
        weights = {name: weight.contiguous() for name, weight in self.model.state_dict().items()}
        save_file(weights, target / WEIGHTS, {"format": "pt"})
        atomic_write(target / "config.json", (json.dumps(self.shape.to_dict(), indent=1) + "\n").encode(), shared=True)


def load_diffusion(model: str | Path | ModelConfig | FrozenModel, *, device: str = "auto") -> DiffusionPolicy:
    """Open a diffusion model, ready to score, draw and train.

    Args:
        model: `penchant-diffusion`, a folder, a run directory, or settings with one of these as their name.
        device: `auto` takes a GPU if there is one; of settings that have a device, theirs.

    Raises:
        InputError: no such model, a damaged one, or settings that it has no use for.
    """
    settings = model if isinstance(model, FrozenModel | ModelConfig) else ModelConfig(name=str(model))
    if isinstance(settings, ModelConfig):
        _refuse_settings(settings)
        device = settings.device if device == "auto" else device
    folder = picture_folder(str(settings.name))
    shape, weights = _read_shape(folder), _read_weights(folder)
    network = PictureNetwork(shape)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{folder} holds weights of another network than its config.json says: {error}") from error
    torch_device = choose_device(device)
    network = network.to(device=torch_device, dtype=DTYPES[settings.dtype])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    return DiffusionPolicy(network, PictureRenderer.make(shape.conditions, shape.side), str(settings.name))


def _refuse_settings(settings: ModelConfig) -> None:
    """Refuse what means something for a language model alone."""
    for name, default in (("lora", None), ("train_top", None), ("attention", "auto"), ("device_map", None)):
        if getattr(settings, name) != default:
            raise InputError(f"model.{name} is for language models, and {settings.name!r} draws pictures: leave it out")
    if settings.sampler != "penchant":
        raise InputError(f"model.sampler={settings.sampler} draws text, and {settings.name!r} draws pictures")


def _read_shape(folder: Path) -> PictureShape:
    try:
        values: Mapping[str, object] = read_json(folder / "config.json")
        sizes = {name: int(str(values[name])) for name in ("side", "width", "inner_width", "outer", "inner")}
        conditions = values["conditions"]
        if not isinstance(conditions, list) or not all(isinstance(name, str) for name in conditions):
            raise ValueError("its conditions are no list of names")
        if sizes["side"] % 2 or min(sizes.values()) < 1 or sizes["width"] % 8 or sizes["inner_width"] % 8:
            raise ValueError(f"sizes that fit no network: {sizes}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: the settings of its diffusion model cannot be read ({error}): it is damaged"
        ) from error
    return PictureShape(**sizes, conditions=tuple(conditions))


def _read_weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    # safetensors alone: a pickle that somebody else packed would run code
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder} holds no {WEIGHTS}: only safetensors are opened")
    if has_own_sums(folder):
        check_files(folder, [name for name in read_sums(folder) or () if name == WEIGHTS])
    try:
        return {name: weight.float() for name, weight in load_file(folder / WEIGHTS).items()}
    except Exception as error:  # a damaged file makes the reader raise many kinds
        raise InputError(f"{folder / WEIGHTS} cannot be read ({error}): put back a whole file") from error
