"""Trains the captioner that comes with Penchant, `penchant-scenes`, from scratch.

    python scripts/pretrain_scenes.py                       # some minutes on one core
    python scripts/pretrain_scenes.py --to runs/scenes --steps 500

It learns captions of rendered scenes and of collages of Fashion-MNIST, of which some name an object that is not there,
and questions with right answers. Needs the files of Fashion-MNIST (Debian's package `dataset-fashion-mnist`, or
PENCHANT_DATA). A stopped training continues from its checkpoint under `--out`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from pretraining import command
from pretraining.scene_evaluation import held_out, measure
from pretraining.scene_export import NAME, export_captioner
from pretraining.scene_model import SceneShape, new_captioner, scene_processor
from pretraining.scene_rows import PHASES
from pretraining.scene_training import train_captioner

from penchant.errors import PenchantError
from penchant.tasks.collages import read_clothes

LOOK_AT = 200
"""Pictures of each world that are looked at while training."""


def main() -> int:
    """Train, measure, write; 2 where the pictures of clothes are missing."""
    options = _options()
    phases = [replace(phase, seed=options.seed, steps=options.steps or phase.steps) for phase in PHASES]
    command.set_up_torch(options.threads)
    try:
        clothes = read_clothes("base")
        shape, processor = SceneShape(), scene_processor()
        model = new_captioner(shape, processor.tokenizer, options.seed)
        looked_at = held_out("choose", LOOK_AT)
        runs = []
        for number, phase in enumerate(phases):
            # a phase depends on those before it
            identity = command.identity_of(shape.described(), [before.described() for before in phases[: number + 1]])
            folder = options.out / f"{NAME}-{number + 1}"
            look = partial(measure, tokenizer=processor.tokenizer, worlds=looked_at)
            runs.append(train_captioner(model, processor.tokenizer, clothes, phase, folder, identity, look))
        written = export_captioner(shape, phases, model, processor, runs, options.to)
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{NAME}: {sum(run.seconds for run in runs) / 60:.1f} minutes; wrote {written}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=command.REPOSITORY / "runs/pretrain", help="checkpoints and logs")
    parser.add_argument(
        "--to", type=Path, default=command.REPOSITORY / "src/penchant/models/embedded", help="where it is written"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of each phase; the recorded numbers if not given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
