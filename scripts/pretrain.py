"""Trains the embedded models from scratch: `penchant-0.5m`, `penchant-1.5m`, `penchant-5m`.

    python scripts/pretrain.py corpus                     # what is read, dropped and held out
    python scripts/pretrain.py train                      # all three, smallest first; or name some

Reads the shared data (`--data`, `PENCHANT_DATA`, or `../shared/data` beside the repository). A stopped training
continues from its checkpoint under `--out`. A finished model replaces the one in the package, with its card.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from pretraining import command
from pretraining import corpus as corpora
from pretraining.shapes import CONTEXT, SHAPES, Shape

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

LOOK_AT = 50
"""Held-out documents that are looked at while training."""


def main() -> int:
    """Do what is asked for; 2 if the data is not there."""
    options = _options()
    if not command.has_corpora(options.data):
        return 2
    started = time.monotonic()
    corpus = corpora.build(options.data)
    print(f"corpus {corpus.fingerprint()}, {time.monotonic() - started:.0f} s", flush=True)
    for name, counts in corpus.counts.items():
        print(f"  {name}: " + ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()), flush=True)
    if options.command == "train":
        _train(corpus, options)
    return 0


def _train(corpus: corpora.Corpus, options: argparse.Namespace) -> None:
    from pretraining.tokens import encode, train_tokenizer

    command.set_up_torch(options.threads)
    # on the training part alone, so that held-out perplexity is of words that nothing was fitted to
    tokenizer = train_tokenizer((document.text for document in corpus.train), context=CONTEXT)
    ids = encode(tokenizer, [document.text for document in corpus.train])
    count, size = sum(map(len, ids)), sum(len(document.text.encode()) for document in corpus.train)
    print(f"{count:,} training tokens of {size:,} bytes ({size / count:.2f} a token)", flush=True)
    for name in options.names:
        _train_one(SHAPES[name], corpus, tokenizer, ids, options)


def _train_one(
    shape: Shape,
    corpus: corpora.Corpus,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[np.ndarray],
    options: argparse.Namespace,
) -> None:
    from pretraining.evaluation import perplexity
    from pretraining.export import export
    from pretraining.tokens import Rows
    from pretraining.training import new_model, train

    settings = shape.training
    model = new_model(shape, vocabulary=len(tokenizer), end=tokenizer.eos_token_id)
    rows = Rows(ids, end=tokenizer.eos_token_id, context=settings.context, batch=settings.batch, seed=settings.seed)
    looked_at = [document.text for document in corpus.held_out if document.source == "imdb5000"][:LOOK_AT]

    def look(model: LlamaForCausalLM) -> float:
        return perplexity(model, tokenizer, looked_at, context=settings.context).nats_per_token

    identity = command.identity_of(shape.described(), corpus.fingerprint())
    run = train(model, rows, settings, options.out / shape.name, identity, look)
    folder = export(shape, model, tokenizer, corpus, run, options.to)
    held_out = json.loads((folder / "record.json").read_text())["held_out"]["all"]
    print(f"{shape.name}: {run.seconds / 60:.1f} minutes, held out {held_out}; wrote {folder}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command.add_data_option(commands.add_parser("corpus", help="build the corpus and say what became of each source"))
    train = commands.add_parser("train", help="train models, smallest first")
    # a finished model takes the place of the one that is shipped
    command.add_training_options(train, SHAPES, out="runs/pretrain", to="src/penchant/models/embedded", threads=2)
    options = parser.parse_args()
    if options.command == "train":
        options.names = command.select_names(parser, options.names, SHAPES)
    return options


if __name__ == "__main__":
    sys.exit(main())
