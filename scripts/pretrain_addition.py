"""Train the two models of an embedded generative task, as `penchant study weak-to-strong-generation` trains them.

    python scripts/pretrain_addition.py --to runs/addition                        # some minutes on one core
    python scripts/pretrain_addition.py --to runs/rules --ground string_rules

`strong` knows the right answers (behind the tag `A`) and shows a crowd's (behind `?`), `weak` has half of them right.
Both are folders that every command takes as a model: `penchant sample runs/addition/strong prompts.txt template=plain`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from penchant.errors import PenchantError
from penchant.studies.weak_to_strong_generation.grid import models_settings
from penchant.studies.weak_to_strong_generation.pretraining import train_models
from penchant.studies.weak_to_strong_generation.settings import Pretraining
from penchant.tasks.generative import GROUNDS


def main() -> int:
    """Train both models and say what each has right; 2 where the folder is there already."""
    options = _options()
    if options.to.exists():
        print(f"{options.to} is there already: give another folder, or remove it", file=sys.stderr)
        return 2
    try:
        # the settings of the study, so that its results hold for these models too
        settings = models_settings(options.ground, Pretraining(seed=options.seed))
        facts = train_models(settings, options.to)
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2
    (options.to / "models.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the two models of an embedded generative task.")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")
    parser.add_argument("--ground", choices=sorted(GROUNDS), default="addition")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
