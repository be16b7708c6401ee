"""Trains two small models from scratch to play chess: `chess-0.1m` and `chess-0.4m`, a weak and a strong student.

    python scripts/pretrain_chess.py --to runs/chess              # about a quarter of an hour on one core
    python scripts/pretrain_chess.py --to runs/chess --engine ''  # without Stockfish: captures instead of good moves

They learn positions of games that Stockfish plays against itself with some random moves, written as the task
`chess_puzzles` writes them, with the move that it prefers as the answer. Positions of the puzzles (`--data`,
`PENCHANT_DATA`, or `../shared/data` beside the repository) are left out. A stopped training continues.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))

from pretraining.chess_corpus import Corpus, build, puzzle_keys  # noqa: E402
from pretraining.chess_games import Play  # noqa: E402
from pretraining.chess_shapes import SHAPES, new_chess_model  # noqa: E402
from pretraining.chess_tokens import MoveRows, chess_tokenizer, table_of  # noqa: E402
from pretraining.shapes import Shape  # noqa: E402

from penchant.errors import PenchantError  # noqa: E402
from penchant.weak.classifiers.chess_engine import running_engine  # noqa: E402

LOOK_AT = 400
"""Held-out positions that are looked at while training."""


def main() -> int:
    """Make positions, train, write; 2 where the puzzles or the engine are missing."""
    options = _options()
    puzzles = options.data / "chess" / "lichess_puzzles.csv"
    if not puzzles.is_file():
        print(f"no puzzles to leave out in {puzzles}: give the folder of data with --data", file=sys.stderr)
        return 2
    try:
        opened = running_engine(options.engine) if options.engine else nullcontext()
        with opened as engine:
            name = engine.id.get("name", options.engine) if engine else "no engine: captures are preferred"
            corpus = build(
                engine,
                name,
                Play(),
                puzzle_keys(puzzles),
                options.out,
                options.positions,
                options.held_out,
                options.seed,
            )
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{corpus.described()}", flush=True)
    _train(corpus, options)
    return 0


def _train(corpus: Corpus, options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # of the whole process, hence here
    tokenizer = chess_tokenizer()
    table = table_of(tokenizer, corpus.texts)
    for name in options.names:
        shape = SHAPES[name]
        if options.epochs is not None:
            shape = replace(shape, training=replace(shape.training, epochs=options.epochs))
        _train_one(shape, corpus, tokenizer, table, options)


def _train_one(shape: Shape, corpus: Corpus, tokenizer: Any, table: Any, options: argparse.Namespace) -> None:
    import torch
    from pretraining.chess_evaluation import accuracy, surprise_of
    from pretraining.training import train

    from penchant.runs.provenance import processor

    settings = shape.training
    model = new_chess_model(shape, vocabulary=len(tokenizer), end=tokenizer.eos_token_id)
    rows = MoveRows(table, batch=settings.batch, seed=settings.seed)
    held_out = table_of(tokenizer, [one.prompt + one.answer for one in corpus.held_out])
    described = json.dumps([shape.described(), corpus.fingerprint], sort_keys=True)
    identity = hashlib.sha256(described.encode()).hexdigest()[:16]
    run = train(
        model, rows, settings, options.out / shape.name, identity, lambda now: surprise_of(now, held_out[:LOOK_AT])
    )
    folder = options.to / shape.name
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    began = time.monotonic()
    right, chance = accuracy(str(folder), corpus.held_out)
    record = {
        "name": shape.name,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "shape": shape.described(),
        "corpus": corpus.described(),
        "training": run,
        "machine": {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "chess")},
        "held_out": {
            "positions": len(corpus.held_out),
            "nats_per_token_of_answers": round(surprise_of(model, held_out), 4),
            "accuracy_among_legal_moves": right.as_dict(),
            "chance": round(chance, 4),
            "seconds": round(time.monotonic() - began, 1),
        },
    }
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{shape.name}: {run['seconds'] / 60:.1f} minutes; {record['held_out']}; wrote {folder}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHAPES)}; default: both")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PENCHANT_DATA", REPOSITORY.parent / "shared" / "data"))
    )
    parser.add_argument("--engine", default="stockfish", help="a program that speaks UCI; '' for none")
    parser.add_argument("--positions", type=int, default=30_000, help="to train on, each with its colours swapped too")
    parser.add_argument("--epochs", type=float, help="over the positions; each model's own if not given")
    parser.add_argument("--held-out", type=int, default=1000, help="positions of other games to measure on")
    parser.add_argument("--seed", type=int, default=0, help="of the games")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "pretrain-chess", help="checkpoints and logs")
    parser.add_argument("--to", type=Path, default=REPOSITORY / "runs" / "chess", help="where models are written")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SHAPES]:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(SHAPES)}")
    options.names = [name for name in SHAPES if not options.names or name in options.names]
    return options


if __name__ == "__main__":
    sys.exit(main())
