"""Trains `penchant-kinds`: one small model that writes film reviews, pictures of clothes and spoken words.

    python scripts/pretrain_kinds.py                  # about a quarter of an hour on one core

Its pictures are Fashion-MNIST as 49 tokens each (Debian's `dataset-fashion-mnist`), its sounds words that espeak-ng
says, a token per 20 ms. It starts from the weights of `penchant-0.5m`, so the film reviews are read again and not
learned anew. A stopped training continues from what lies in `--out`. The finished model replaces the one in the
package, with the codebooks, decoder and recognisers, its record and its card.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pretraining import command
from pretraining import corpus as corpora

from penchant.errors import PenchantError
from penchant.files import atomic_path

Made = TypeVar("Made")


def main() -> int:
    """Make the codecs, train, write; 2 where something that it needs is missing."""
    options = _options()
    if not command.has_corpora(options.data):
        return 2
    command.set_up_torch(options.threads)
    try:
        _make(options)
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _make(options: argparse.Namespace) -> None:
    from pretraining.kinds_export import export_kinds
    from pretraining.kinds_pictures import fit_picture_codec
    from pretraining.kinds_sounds import fit_sound_codec, speak
    from pretraining.kinds_training import kinds_documents, train_kinds

    # each part takes minutes, and is kept: what was stopped goes on behind the last whole part
    utterances = _kept(options.out / "utterances.pickle", lambda: speak(options.utterances, options.seed))
    sounds = _kept(options.out / "sounds.pickle", lambda: fit_sound_codec(utterances, options.seed))
    print(f"sounds: {sounds.facts}", flush=True)
    pictures = _kept(options.out / "pictures.pickle", lambda: fit_picture_codec(options.seed))
    print(f"pictures: {pictures.facts}", flush=True)
    corpus = _kept(options.out / "corpus.pickle", lambda: corpora.build(options.data))
    documents = kinds_documents(pictures, sounds, corpus, options.pictures, options.reviews)
    model, tokenizer, run, settings = train_kinds(documents, options.out / "training", options.epochs, options.seed)
    folder = export_kinds(model, tokenizer, pictures, sounds, documents, run, settings, options.to)
    print(f"{run.seconds / 60:.1f} minutes; wrote {folder}", flush=True)


def _kept(file: Path, make: Callable[[], Made]) -> Made:
    """Return what a file of ours holds, or make it and write the file."""
    if file.exists():
        return pickle.loads(file.read_bytes())  # type: ignore[no-any-return]
    started = time.monotonic()
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as building:
        building.write_bytes(pickle.dumps(made))
    print(f"{file.name}: {time.monotonic() - started:.0f} s", flush=True)
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_data_option(parser)
    root = command.REPOSITORY
    parser.add_argument("--out", type=Path, default=root / "runs/pretrain-kinds", help="what is made on the way")
    parser.add_argument("--to", type=Path, default=root / "src/penchant/models/embedded", help="where it is written")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--utterances", type=int, default=3000, help="words that espeak-ng says")
    parser.add_argument("--pictures", type=int, default=16_000, help="pictures to train on")
    parser.add_argument("--reviews", type=int, default=300, help="film reviews to train on")
    parser.add_argument("--epochs", type=float, default=1.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
