"""Train the recogniser and the diffusion model of small pictures that come with the package.

Both learn Fashion-MNIST (Debian's package `dataset-fashion-mnist`) at 14 x 14 pixels, the mean of four pixels each.
They learn from its 60,000 pictures to train on; what is stated of them is measured on its 10,000 to test on. The
diffusion model can be stopped and goes on where it was. Then each writes its folder with its card and record.

    python scripts/pretrain_diffusion.py recogniser
    python scripts/pretrain_diffusion.py diffusion --minutes 11 [--state FILE]
    python scripts/pretrain_diffusion.py measure [--state FILE]
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from penchant.engine.diffusion import Noise, draw_pictures, noise_errors
from penchant.models.diffusion.network import PictureNetwork, PictureShape
from penchant.models.recogniser import (
    EMBEDDED_RECOGNISER,
    Recogniser,
    RecogniserShape,
    class_probabilities,
    load_recogniser,
)
from penchant.tasks.idx import find_fashion_mnist, read_idx_pair

CLASSES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SIDE, SEED = 14, 0
SHAPE = PictureShape(SIDE, 24, 64, 2, 3, CLASSES)
RECOGNISER = RecogniserShape(SIDE, 24, CLASSES)
TARGET = EMBEDDED_RECOGNISER.with_name("penchant-diffusion")
BATCH, RATE, WARMUP, AVERAGE, ANY_SHARE = 64, 2e-3, 200, 0.999, 0.1
STEPS = 4_500
SAMPLES = 30  # of each class, for the card


def read_pictures(part: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures of 14 x 14 grey levels and their classes, to train on (0) or to test on (1)."""
    pixels, classes = read_idx_pair(*find_fashion_mnist()[part])
    quarters = pixels.reshape(len(pixels), SIDE, 2, SIDE, 2).mean((2, 4))
    return quarters.round().astype(np.uint8), classes.astype(np.int64)


def scaled(pictures: NDArray[np.uint8]) -> Tensor:
    """Return pictures from -1 to 1."""
    return torch.from_numpy(pictures.astype(np.float32)) / 127.5 - 1


def train_recogniser() -> None:
    """Train, measure and write the recogniser."""
    torch.manual_seed(SEED)
    pictures, classes = read_pictures(0)
    inputs, labels = scaled(pictures), torch.from_numpy(classes)
    network, started = Recogniser(RECOGNISER), time.perf_counter()
    epochs, batch = 6, 100
    steps = epochs * len(inputs) // batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for epoch in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch):
            part = inputs[rows]
            # mirrored pictures, and some shifted by a pixel: samples of a model are not centred as the data is
            part = torch.where(torch.rand(len(part), 1, 1) < 0.5, part.flip(2), part)
            shift = torch.randint(-1, 2, (2,)).tolist()
            part = torch.roll(part, shift, (1, 2))
            loss = functional.cross_entropy(network(part), labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
        print(f"epoch {epoch + 1}: loss {float(loss):.3f}, {time.perf_counter() - started:.0f} s", flush=True)
    test, test_classes = read_pictures(1)
    right = class_probabilities(network.eval(), test).argmax(1) == test_classes
    minutes = (time.perf_counter() - started) / 60
    write_recogniser(network, float(right.mean()), len(right), minutes, epochs)


def write_recogniser(network: Recogniser, accuracy: float, count: int, minutes: float, epochs: int) -> None:
    """Write the recogniser with what was measured of it."""
    shape = RecogniserShape(SIDE, RECOGNISER.width, CLASSES, round(accuracy, 4), count)
    EMBEDDED_RECOGNISER.mkdir(exist_ok=True)
    half = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    save_file(half, EMBEDDED_RECOGNISER / "model.safetensors", {"format": "pt"})
    write_json(EMBEDDED_RECOGNISER / "config.json", shape.to_dict())
    parameters = sum(weight.numel() for weight in network.parameters())
    (EMBEDDED_RECOGNISER / "README.md").write_text(
        f"""---
license: apache-2.0
---
# penchant-recogniser

Names the class of a grey picture of {SIDE} x {SIDE} pixels ({", ".join(CLASSES)}). {parameters:,} parameters, float16.

It was trained on the 60,000 pictures of Fashion-MNIST (Xiao et al. 2017, MIT licence) at half their size, for {epochs}
epochs, seed {SEED}, in {minutes:.1f} minutes on one core of an AMD EPYC that other work kept busy
(`python scripts/pretrain_diffusion.py recogniser`). Of the {count:,} pictures to test on it names
{accuracy:.2%} rightly.

**Limits.** It knows these ten classes, and names one of them for any picture.
"""
    )
    print(f"accuracy {accuracy:.4f} of {count}, {minutes:.1f} minutes", flush=True)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a file of JSON."""
    file.write_text(json.dumps(content, indent=1) + "\n")


def train_diffusion(minutes: float, state_file: Path) -> None:
    """Train the diffusion model for some minutes, from where an earlier call stopped, and keep its state."""
    torch.manual_seed(SEED)
    pictures, classes = read_pictures(0)
    inputs, labels = scaled(pictures), torch.from_numpy(classes)
    network = PictureNetwork(SHAPE).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.99))
    step, seconds, curve = 0, 0.0, []
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, curve = state["step"], state["seconds"], state["curve"]
    started, total, count = time.perf_counter(), 0.0, 0
    while step < STEPS and time.perf_counter() - started < 60 * minutes:
        # all draws of a step from its number, so that a call that goes on takes the same steps
        draws = torch.Generator().manual_seed(SEED + 1_000_003 * (step + 1))
        rows = torch.randint(len(inputs), (BATCH,), generator=draws)
        conditions = torch.where(torch.rand(BATCH, generator=draws) < ANY_SHARE, len(CLASSES), labels[rows])
        times = (torch.arange(BATCH) + torch.rand(BATCH, generator=draws)) / BATCH
        noise = Noise(times, torch.randn(BATCH, SIDE, SIDE, generator=draws))
        mirrored = torch.where(torch.rand(BATCH, 1, 1, generator=draws) < 0.5, inputs[rows].flip(2), inputs[rows])
        part = torch.where(torch.isin(labels[rows], MIRRORED)[:, None, None], mirrored, inputs[rows])
        loss = noise_errors(network, part, conditions, noise).mean() / SIDE**2
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, weight in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(weight, 1 - decay)
        total, count = total + float(loss.detach()), count + 1
        if step % 250 == 0:
            curve.append([step, total / count])
            print(
                f"step {step}: error per pixel {total / count:.4f}, {time.perf_counter() - started:.0f} s", flush=True
            )
            total, count = 0.0, 0
            if step % 1000 == 0 or step == STEPS:
                now = seconds + time.perf_counter() - started
                save_state(state_file, network, average, optimizer, step, now, curve)
    save_state(state_file, network, average, optimizer, step, seconds + time.perf_counter() - started, curve)


MIRRORED = torch.tensor([0, 1, 2, 3, 4, 6, 8])
"""Classes that are the same in a mirror: shoes all point to one side in this data."""


def save_state(file: Path, network: Any, average: Any, optimizer: Any, step: int, seconds: float, curve: Any) -> None:
    """Keep all that going on needs, for a call that is killed."""
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step, "seconds": seconds, "curve": curve}, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def measure(state_file: Path) -> None:
    """Measure the mean weights, as float16, on the pictures to test on, and write the folder."""
    state = torch.load(state_file, weights_only=True)
    half = {name: value.half().contiguous() for name, value in state["average"].items()}
    network = PictureNetwork(SHAPE)
    network.load_state_dict({name: value.float() for name, value in half.items()})
    network.eval()
    test, classes = read_pictures(1)
    rows, draws = torch.arange(0, len(test), 5), torch.Generator().manual_seed(12)
    times = (torch.arange(len(rows)) + torch.rand(len(rows), generator=draws)) / len(rows)
    times = times[torch.randperm(len(rows), generator=draws)]
    noise = Noise(times, torch.randn(len(rows), SIDE, SIDE, generator=draws))
    with torch.no_grad():
        errors = noise_errors(network, scaled(test)[rows], torch.from_numpy(classes)[rows], noise) / SIDE**2
    conditions = torch.arange(len(CLASSES)).repeat(SAMPLES)
    started = time.perf_counter()
    with torch.no_grad():
        parts = [
            draw_pictures(network, part, size=(SIDE, SIDE), steps=50, seeds=[f"card {n}" for n in part_rows.tolist()])
            for part, part_rows in zip(conditions.split(100), torch.arange(len(conditions)).split(100), strict=True)
        ]
    drawn = torch.cat([part.pictures for part in parts])
    seconds = (time.perf_counter() - started) / len(drawn)
    pixels = ((drawn + 1) * 127.5).round().to(torch.uint8).numpy()
    recogniser = load_recogniser()
    probabilities = class_probabilities(recogniser, pixels)
    right = probabilities.argmax(1) == conditions.numpy()
    record = {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "steps": state["step"],
        "batch": BATCH,
        "learning_rate": RATE,
        "seed": SEED,
        "minutes": round(state["seconds"] / 60, 1),
        "held_out_error_per_pixel": float(errors.mean()),
        "held_out_error_standard_error": float(errors.std() / math.sqrt(len(errors))),
        "held_out_draws": len(errors),
        "samples": len(drawn),
        "sample_steps": 50,
        "samples_recognised": float(right.mean()),
        "recognised_by_class": {name: float(right[conditions.numpy() == i].mean()) for i, name in enumerate(CLASSES)},
        "recogniser_accuracy": recogniser.config.accuracy,
        "mean_brightness": float(pixels.mean() / 255),
        "mean_brightness_of_test": float(test.mean() / 255),
        "seconds_per_sample": seconds,
        "curve": state["curve"],
    }
    TARGET.mkdir(exist_ok=True)
    save_file(half, TARGET / "model.safetensors", {"format": "pt"})
    write_json(TARGET / "config.json", SHAPE.to_dict())
    write_json(TARGET / "record.json", record)
    (TARGET / "README.md").write_text(diffusion_card(record))
    print(json.dumps(record, indent=1), flush=True)


def diffusion_card(record: dict[str, Any]) -> str:
    """Return the card of the diffusion model."""
    recognised, accuracy = record["samples_recognised"], record["recogniser_accuracy"]
    error, spread = record["held_out_error_per_pixel"], record["held_out_error_standard_error"]
    by_class = ", ".join(f"{name} {share:.0%}" for name, share in record["recognised_by_class"].items())
    return f"""---
license: apache-2.0
---
# penchant-diffusion

Draws grey pictures of {SIDE} x {SIDE} pixels of a class: {", ".join(CLASSES)}; an empty prompt stands for any.
{record["parameters"]:,} parameters, float16.

**Architecture.** A U-Net of our own: {SHAPE.width} channels at 14 x 14 and {SHAPE.inner_width} at 7 x 7, one layer of
attention; it names the noise (levels by a cosine). No guidance.

**Training.** The 60,000 pictures of Fashion-MNIST (Xiao et al. 2017, MIT licence) at half their size, in
{record["steps"]:,} of {STEPS:,} planned steps of {BATCH}, AdamW {RATE}, cosine to 0, seed {SEED}; the mean over steps
is kept. A tenth of the pictures was shown without their class. {record["minutes"]:.0f} minutes on one core of an AMD
EPYC that other work kept busy (`python scripts/pretrain_diffusion.py diffusion`).

**Measured** with these weights: squared error of the noise per pixel is {error:.4f} (standard error {spread:.4f}), on
{record["held_out_draws"]:,} pictures to test on, a draw of noise each (1 for a network that names none). Of
{record["samples"]:,} samples of {record["sample_steps"]} steps the recogniser names the class that was asked for
in {recognised:.1%}: {by_class}. On the pictures to test on it is right in
{accuracy:.1%}.

**Limits.** It draws small grey clothes and nothing else. A class has 30 samples above, so its share is rough.

**Licence.** The weights: Apache-2.0, as Penchant.
"""


def main() -> None:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("recogniser", "diffusion", "measure"))
    parser.add_argument("--minutes", type=float, default=11.0)
    parser.add_argument("--state", type=Path, default=Path("diffusion-state.pt"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "recogniser":
        train_recogniser()
    elif arguments.command == "diffusion":
        train_diffusion(arguments.minutes, arguments.state)
    else:
        measure(arguments.state)


if __name__ == "__main__":
    main()
