"""Students on the labels of rules, beside one on 100 labels of people: YouTube comments, paired by seed and comment.

    PENCHANT_DATA=../shared/data python benchmarks/weak_students.py --seeds 20 --out weak-students.json

Ten rules (`examples/youtube_spam.py`) vote on the comments of videos 1 to 4; majority, Dawid-Skene and moment matching
make labels of the votes. Each seed draws four fifths of the voted comments, the same for all models, and 100 labels of
people as the control. Students are word counts and a probe of MiniLM; they are measured on the comments of Shakira
whose text is not among the others. Features are computed once. One process, minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.metrics.estimates import Estimate
from penchant.metrics.two_way import two_way_mean
from penchant.tasks.load import data_folder
from penchant.tasks.spec import normalized
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.contract import Classifier, Example
from penchant.weak.label_models.run import label_votes
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.label_models.sources import collect_votes

RULES = Path(__file__).resolve().parent.parent / "examples" / "youtube_spam.py"
MODELS = ("majority", "dawid_skene", "moments")
PEOPLE, ALL_PEOPLE, CONTROL = "people, the same rows", "people, all rows", "100 labels of people"
SHARE = 0.8  # of the voted rows, of each seed
CLEAN = 100
Numbers = NDArray[np.float64]
Right = dict[str, Numbers]
"""By whose labels a student learned from, where it is right, shape (seeds, test rows)."""


@dataclass
class Comments:
    """Comments with the labels that models give them.

    Attributes:
        texts: to learn from. truth: the class that people gave them. voted: rows with a vote.
        labels: by model, probabilities of ham and spam, shape (texts, 2).
        test_texts, test_truth: of another video, without texts to learn from.
    """

    texts: list[Example]
    truth: NDArray[np.int64]
    voted: NDArray[np.intp]
    labels: dict[str, Numbers]
    test_texts: list[Example]
    test_truth: NDArray[np.int64]


def read(folder: Path) -> Comments:
    """Read the comments, let the rules vote on them, and fit the label models to the votes."""

    def settings(files: str, model: str) -> WeakSources:
        return WeakSources(
            data=f"{folder}/youtube_spam/{files}",
            functions=(str(RULES),),
            text="CONTENT",
            truth="CLASS",
            classes=("ham", "spam"),
            model=model,  # type: ignore[arg-type]  # a name stands for its settings
            resamples=0,
        )

    table = collect_votes(settings("Youtube0[1-4]*.csv.gz", "majority"))
    test = collect_votes(settings("Youtube05*.csv.gz", "majority")).votes
    votes = table.votes
    assert votes.texts is not None
    assert votes.truth is not None
    assert test.texts is not None
    assert test.truth is not None
    labels = {name: label_votes(settings("Youtube0[1-4]*.csv.gz", name), table, None)[1] for name in MODELS}
    known = {normalized(text) for text in votes.texts}
    # a comment that was pasted below both videos would be known by heart
    kept = [row for row, text in enumerate(test.texts) if normalized(text) not in known]
    voted = np.flatnonzero((votes.answers >= 0).any(1))
    test_texts: list[Example] = [test.texts[row] for row in kept]
    return Comments(list(votes.texts), votes.truth, voted, labels, test_texts, test.truth[kept])


def students(comments: Comments, make: Callable[[int], Classifier], seeds: Sequence[int]) -> Right:
    """Train a student per seed and kind of labels, and say on which test rows it is right."""
    right: dict[str, list[Numbers]] = {}
    people = np.eye(2)[comments.truth]
    for seed in seeds:
        random = np.random.default_rng(seed)
        drawn = random.permutation(comments.voted)[: round(SHARE * len(comments.voted))]
        clean = random.permutation(len(comments.texts))[:CLEAN]
        parts = {name: (drawn, labels) for name, labels in comments.labels.items()}
        parts |= {PEOPLE: (drawn, people), CONTROL: (clean, people)}
        parts[ALL_PEOPLE] = (np.arange(len(comments.texts)), people)
        for name, (rows, labels) in parts.items():
            student = make(seed)
            student.fit([comments.texts[row] for row in rows.tolist()], labels[rows], classes=2)
            answers = student.predict_proba(comments.test_texts).argmax(1)
            right.setdefault(name, []).append((answers == comments.test_truth).astype(float))
    return {name: np.array(tables) for name, tables in right.items()}


def kept_features(comments: Comments, model: str) -> Callable[[Sequence[Example]], torch.Tensor]:
    """Return features of the comments, which are computed once for all students."""
    every = [*comments.texts, *comments.test_texts]
    features = ModelFeatures(model, -1)(every)
    place = {text: row for row, text in enumerate(every)}
    return lambda texts: features[[place[text] for text in texts]]


def said(estimate: Estimate, *, sign: bool = False) -> str:
    """Return a share as percent with its interval."""
    form = "+.1f" if sign else ".1f"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:{form}}%"
    return f"{100 * estimate.value:{form}}% [{100 * estimate.low:{form}}%, {100 * estimate.high:{form}}%]"


def main() -> None:
    """Measure, print a table per student, and write the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--out", type=Path, default=Path("weak-students.json"), metavar="FILE")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        parser.error("name the folder of the data by PENCHANT_DATA")
    started = time.monotonic()
    comments = read(folder)
    print(f"{len(comments.voted)} of {len(comments.texts)} comments have a vote, {len(comments.test_texts)} test")
    features = kept_features(comments, options.model)
    content: dict[str, dict[str, dict[str, str]]] = {}
    makers: dict[str, Callable[[int], Classifier]] = {
        "word counts": lambda seed: SklearnClassifier(),
        f"probe of {options.model}": lambda seed: ProbeClassifier(features, seed=seed),
    }
    for student, make in makers.items():
        right = students(comments, make, range(options.seeds))
        content[student] = {
            name: {
                "accuracy": said(two_way_mean(table, share=True)),
                **{
                    f"against {other}": said(two_way_mean(table - right[other]), sign=True)
                    for other in (CONTROL, "majority")
                    if other != name
                },
            }
            for name, table in right.items()
        }
        for name, cells in content[student].items():
            print(f"{student} | {name} | " + " | ".join(f"{key}: {text}" for key, text in cells.items()), flush=True)
    print(f"{time.monotonic() - started:.0f} s")
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
