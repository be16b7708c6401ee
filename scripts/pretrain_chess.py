"""Trains two small models from scratch to play chess: `chess-0.1m` and `chess-0.4m`, a weak and a strong student.

    python scripts/pretrain_chess.py --to runs/chess              # about a quarter of an hour on one core
    python scripts/pretrain_chess.py --to runs/chess --engine ''  # without Stockfish: captures instead of good moves

They learn positions of games that Stockfish plays against itself with some random moves, written as the task
`chess_puzzles` writes them, with the move that it prefers as the answer. Positions of the puzzles (`--data`,
`PENCHANT_DATA`, or `../shared/data` beside the repository) are left out. Positions of other games are held out. They
are measured on, and written to `self_play.csv` in `--to`: the task `chess_positions` reads it in `data/chess`.
A stopped training continues.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pretraining import command
from pretraining.chess_corpus import Corpus, build, puzzle_keys, write_rows
from pretraining.chess_games import Play
from pretraining.chess_shapes import SHAPES, new_chess_model
from pretraining.chess_tokens import MoveRows, chess_tokenizer, table_of
from pretraining.shapes import Shape

from penchant.errors import PenchantError
from penchant.weak.classifiers.chess_engine import running_engine

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROWS = "self_play.csv"
"""Rows of the task `chess_positions`."""
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
            sizes = options.positions, options.held_out
            corpus = build(engine, name, Play(), puzzle_keys(puzzles), options.out, *sizes, options.seed)
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2
    print(corpus.described(), flush=True)
    write_rows(corpus.held_out, options.to / ROWS)
    _train(corpus, options)
    return 0


def _train(corpus: Corpus, options: argparse.Namespace) -> None:
    command.set_up_torch(options.threads)
    tokenizer = chess_tokenizer()
    table = table_of(tokenizer, corpus.texts)
    for name in options.names:
        shape = SHAPES[name]
        if options.epochs is not None:
            shape = replace(shape, training=replace(shape.training, epochs=options.epochs))
        _train_one(shape, corpus, tokenizer, table, options)


def _train_one(
    shape: Shape, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, table: np.ndarray, options: argparse.Namespace
) -> None:
    from pretraining.chess_evaluation import accuracy, surprise_of
    from pretraining.training import train

    settings = shape.training
    model = new_chess_model(shape, vocabulary=len(tokenizer), end=tokenizer.eos_token_id)
    rows = MoveRows(table, batch=settings.batch, seed=settings.seed)
    held_out = table_of(tokenizer, [position.prompt + position.answer for position in corpus.held_out])
    identity = command.identity_of(shape.described(), corpus.fingerprint)
    run = train(
        model, rows, settings, options.out / shape.name, identity, lambda now: surprise_of(now, held_out[:LOOK_AT])
    )
    folder = options.to / shape.name
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    started = time.monotonic()
    right, chance = accuracy(str(folder), corpus.held_out)
    record = {
        "name": shape.name,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "shape": shape.described(),
        "corpus": corpus.described(),
        "training": run.described(),
        **command.environment("torch", "transformers", "chess"),
        "held_out": {
            "positions": len(corpus.held_out),
            "nats_per_token_of_answers": round(surprise_of(model, held_out), 4),
            "accuracy_among_legal_moves": right.as_dict(),
            "chance": round(chance, 4),
            "seconds": round(time.monotonic() - started, 1),
        },
    }
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{shape.name}: {run.seconds / 60:.1f} minutes; {record['held_out']}; wrote {folder}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_training_options(parser, SHAPES, out="runs/pretrain-chess", to="runs/chess", threads=1)
    parser.add_argument("--engine", default="stockfish", help="a program that speaks UCI; '' for none")
    parser.add_argument("--positions", type=int, default=30_000, help="to train on, each with its colours swapped too")
    parser.add_argument("--epochs", type=float, help="over the positions; each model's own if not given")
    parser.add_argument("--held-out", type=int, default=1000, help="positions of other games to measure on")
    parser.add_argument("--seed", type=int, default=0, help="of the games")
    options = parser.parse_args()
    options.names = command.select_names(parser, options.names, SHAPES)
    return options


if __name__ == "__main__":
    sys.exit(main())
