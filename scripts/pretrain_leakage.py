"""Pre-trains a family of small models twice, with and without a task's text, and writes the study that compares them.

    python scripts/pretrain_leakage.py train --to runs/leakage        # minutes on one core
    penchant study weak-to-strong runs/leakage/study.yaml -o runs/leakage/study
    python scripts/pretrain_leakage.py compare runs/leakage/study

All text comes from the shared data (`--data`, `PENCHANT_DATA`, or `../shared/data` beside the repository): film reviews
that hold no text of the task, and the task's own texts, those to test on too, without labels. A stopped training
continues from its checkpoint under `--out`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pretraining import command
from pretraining import corpus as corpora
from pretraining.leakage import FAMILY, arms, compared, pretrained, study_of
from pretraining.shapes import CONTEXT

from penchant.config import to_yaml
from penchant.errors import PenchantError
from penchant.studies.weak_to_strong.stages import texts_of
from penchant.tasks import load_task

LOOK_AT = 200
"""Texts of the task, and held-out documents, whose surprise is recorded."""


def main() -> int:
    """Do what is asked for; 2 where data, or a study's numbers, are missing."""
    options = _options()
    try:
        return _compare(options.study) if options.command == "compare" else _train(options)
    except PenchantError as error:
        print(error, file=sys.stderr)
        return 2


def _compare(study: Path) -> int:
    file = study / "study.json"
    if not file.is_file():
        print(f"no {file}: run the study first", file=sys.stderr)
        return 2
    print("\n".join(compared(json.loads(file.read_text()))))
    return 0


def _train(options: argparse.Namespace) -> int:
    from pretraining.tokens import train_tokenizer

    if not command.has_corpora(options.data):
        return 2
    command.set_up_torch(options.threads)
    task = load_task(options.task, train=options.train, test=options.test, folder=options.data)
    texts = [text for example in (*task.train, *task.test) for text in texts_of(example)]
    corpus = corpora.build(options.data)
    documents = [document.text for document in corpus.train]
    tokenizer = train_tokenizer(documents, context=CONTEXT)
    read = arms(tokenizer, documents, texts, tokens=options.tokens, copies=options.copies)
    print(
        f"{read.tokens:,} tokens for either copy, {read.leaked:,} of them {task.spec.title}'s in the one; "
        f"{read.overlapping} documents left out",
        flush=True,
    )
    held_out = [document.text for document in corpus.held_out][:LOOK_AT]
    looked_at = {"task": [text for example in task.test for text in texts_of(example)][:LOOK_AT], "held_out": held_out}
    for name in options.names:
        for record in pretrained(FAMILY[name], tokenizer, read, options.out, options.to, looked_at).values():
            print(f"{record['name']}: {record['seconds']:.0f} s, nats per token {record['nats_per_token']}", flush=True)
    settings = study_of(
        options.task, options.names, options.to, train=options.train, test=options.test, seeds=range(options.seeds)
    )
    file = options.to / "study.yaml"
    file.write_text(to_yaml(settings), encoding="utf-8")
    print(f"next: penchant study weak-to-strong {file} -o {options.to / 'study'}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train both copies, and write the study that compares them")
    command.add_training_options(train, FAMILY, out="runs/pretrain-leakage", to="runs/leakage", threads=1)
    train.add_argument("--task", default="sst2", help="whose text leaks")
    train.add_argument("--train", type=int, default=2000, help="rows to train on")
    train.add_argument("--test", type=int, default=None, help="rows to test on; all if not given")
    train.add_argument("--tokens", type=int, default=600_000, help="that either copy reads")
    train.add_argument("--copies", type=int, default=1, help="how often each text of the task comes")
    train.add_argument("--seeds", type=int, default=5, help="of the study")
    compare = commands.add_parser("compare", help="say what a study of the family found")
    compare.add_argument("study", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.command == "train":
        options.names = command.select_names(parser, options.names, FAMILY)
    return options


if __name__ == "__main__":
    sys.exit(main())
