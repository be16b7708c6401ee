"""Compute features of a set of pictures once, for `wrong_labels.py --features` and `few_labels.py --features`.

    python benchmarks/picture_features.py fashion_mnist --side 96 --train 1500 --test 1000 --out fashion.npz

The network is EfficientNet-Lite0, frozen, on pictures that are enlarged to `--side` pixels. The built-in encoder takes
224; a side of 96 takes a sixth of the time.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image as Pillow

from penchant.models.builtin import IMAGE_ENCODERS, packaged
from penchant.models.efficientnet import MIDDLE, SPREAD, load_efficientnet
from penchant.tasks.pictures import load_images

NAME, PASS = "efficientnet-lite0", 50


def main() -> None:
    """Compute and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--train", type=int, default=1_500)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_images(options.task, train=options.train, test=options.test)
    images, side = [*task.train.images, *task.test.images], (options.side, options.side)
    pixels = np.stack([np.asarray(Pillow.fromarray(image.decode()).convert("RGB").resize(side)) for image in images])
    network, parts = load_efficientnet(packaged(NAME, *IMAGE_ENCODERS[NAME])), []
    for batch in torch.from_numpy(pixels).split(PASS):
        with torch.no_grad():
            parts.append(network((batch.permute(0, 3, 1, 2).float() - MIDDLE) / SPREAD))
    labels = np.array([*task.train.labels, *task.test.labels])
    np.savez(options.out, features=torch.cat(parts).numpy(), labels=labels, train=len(task.train))
    print(f"{task.title}: features of {len(task.train)} to learn from and {len(task.test)} to test on")


if __name__ == "__main__":
    main()
