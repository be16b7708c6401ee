"""Trains the embedded models from scratch: `penchant-0.5m`, `penchant-1.5m`, `penchant-5m`.

    python scripts/pretrain.py corpus                     # what is read, dropped and held out
    python scripts/pretrain.py train                      # all three, smallest first; or name some

Reads the shared data (`--data`, `PENCHANT_DATA`, or `../shared/data` beside the repository). A stopped training
continues from its checkpoint under `--out`. A finished model replaces the one in the package, with its card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "penchant"
sys.path.insert(0, str(Path(__file__).resolve().parent))

from pretraining import corpus as corpora  # noqa: E402
from pretraining.shapes import CONTEXT, SHAPES, Shape  # noqa: E402

LOOK_AT = 50
"""Held-out documents that are looked at while training."""


def main() -> int:
    """Do what is asked for; 2 if the data is not there."""
    options = _options()
    if not (options.data / "imdb5000").is_dir():
        print(f"no shared data in {options.data}: give its folder with --data or PENCHANT_DATA", file=sys.stderr)
        return 2
    began = time.monotonic()
    corpus = corpora.build(options.data)
    print(f"corpus {corpus.fingerprint()}, {time.monotonic() - began:.0f} s", flush=True)
    for name, counts in corpus.counts.items():
        print(f"  {name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()), flush=True)
    if options.command == "train":
        _train(corpus, options)
    return 0


def _train(corpus: corpora.Corpus, options: argparse.Namespace) -> None:
    import torch
    from pretraining.tokens import encode, train_tokenizer

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # of the whole process, hence here
    tokenizer = train_tokenizer((document.text for document in corpus.train), context=CONTEXT)
    ids = encode(tokenizer, [document.text for document in corpus.train])
    count, size = sum(map(len, ids)), sum(len(document.text.encode()) for document in corpus.train)
    print(f"{count:,} training tokens of {size:,} bytes ({size / count:.2f} a token)", flush=True)
    for name in options.names:
        _train_one(SHAPES[name], corpus, tokenizer, ids, options)


def _train_one(
    shape: Shape, corpus: corpora.Corpus, tokenizer: Any, ids: list[Any], options: argparse.Namespace
) -> None:
    from pretraining.evaluation import perplexity
    from pretraining.export import export
    from pretraining.tokens import Rows
    from pretraining.training import new_model, train

    settings = shape.training
    model = new_model(shape, vocabulary=len(tokenizer), end=tokenizer.eos_token_id)
    rows = Rows(ids, end=tokenizer.eos_token_id, context=settings.context, batch=settings.batch, seed=settings.seed)
    looked_at = [document.text for document in corpus.held_out if document.source == "imdb5000"][:LOOK_AT]

    def look(model: Any) -> float:
        found = perplexity(model, tokenizer, looked_at, context=settings.context)
        return found.nats / found.tokens

    described = json.dumps([shape.described(), corpus.fingerprint()], sort_keys=True)
    identity = hashlib.sha256(described.encode()).hexdigest()[:16]
    run = train(model, rows, settings, options.out / shape.name, identity, look)
    folder = export(shape, model, tokenizer, corpus, run, options.to)
    found = json.loads((folder / "record.json").read_text())["held_out"]["all"]
    print(f"{shape.name}: {run['seconds'] / 60:.1f} minutes, held out {found}; wrote {folder}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("corpus", help="build the corpus and say what became of each source")
    train = commands.add_parser("train", help="train models, smallest first")
    train.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHAPES)}; default: all")
    train.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "pretrain", help="checkpoints and logs")
    train.add_argument("--to", type=Path, default=PACKAGE / "models" / "embedded", help="where models are shipped from")
    train.add_argument("--threads", type=int, default=2)
    beside = REPOSITORY.parent / "shared" / "data"
    for each in (shown, train):
        each.add_argument("--data", type=Path, default=Path(os.environ.get("PENCHANT_DATA", beside)))
    options = parser.parse_args()
    if options.command == "train":
        unknown = [name for name in options.names if name not in SHAPES]
        if unknown:
            parser.error(f"no model {unknown[0]!r}; there are {', '.join(SHAPES)}")
        options.names = [name for name in SHAPES if not options.names or name in options.names]
    return options


if __name__ == "__main__":
    sys.exit(main())
