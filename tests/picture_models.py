"""A tiny diffusion model of two classes, and files of picture pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from penchant.data.rendering.picture_rows import PictureRenderer
from penchant.image import Image
from penchant.models.diffusion.network import PictureNetwork, PictureShape
from penchant.models.diffusion.policy import DiffusionPolicy

SIDE, CLASSES = 4, ("bag", "coat")


def tiny_diffusion(seed: int = 0) -> DiffusionPolicy:
    """A network whose last layer is random, so that it names some noise."""
    torch.manual_seed(seed)
    shape = PictureShape(side=SIDE, width=8, inner_width=8, outer=1, inner=1, conditions=CLASSES)
    network = PictureNetwork(shape)
    torch.nn.init.normal_(network.leave[2].weight, 0, 0.3)
    return DiffusionPolicy(network, PictureRenderer.make(CLASSES, SIDE), "tiny")


def random_picture(level: int, seed: int, side: int = SIDE) -> Image:
    """A grey picture of about one level."""
    noise = np.random.default_rng(seed).normal(level, 30, (side, side))
    return Image.make(noise.clip(0, 255).astype(np.uint8))


def picture_turn(name: str) -> list[dict[str, object]]:
    """A response as TRL writes it."""
    return [{"role": "assistant", "content": [{"type": "image", "path": name}]}]


def write_pairs(folder: Path, count: int = 12) -> Path:
    """Rows whose chosen pictures are bright and whose rejected ones are dark, without any two alike."""
    rows = []
    for number in range(count):
        for side, level in (("light", 190), ("dark", 60)):
            content = random_picture(level, 2 * number + (side == "dark")).content
            (folder / f"{side}{number}.png").write_bytes(content)
        prompt = [{"role": "user", "content": CLASSES[number % 2]}]
        chosen, rejected = picture_turn(f"light{number}.png"), picture_turn(f"dark{number}.png")
        rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file
