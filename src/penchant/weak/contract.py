"""What every classifier does: `fit`, `predict_proba`, `save`; and how targets are checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penchant.arguments import excerpt
from penchant.digests import DamagedFile, check_files, read_sums, write_sums
from penchant.errors import InputError
from penchant.files import atomic_write, read_json, remove
from penchant.image import Image
from penchant.models.builtin import BUILT_IN, ENCODERS
from penchant.tasks.spec import normalized
from penchant.text_alone import refuse_media
from penchant.types import PromptGroup, prompt_text

Probabilities = NDArray[np.float64]
Example = str | PromptGroup | Image
"""A text, a prompt whose responses are the options, or a picture."""
Validation = tuple[Sequence[Example], ArrayLike]
KIND, LEARNED_MARKS = "classifier.json", "learned.json"
TARGETS = "targets must be classes, integers of shape (examples,), or probabilities (examples, classes)"
FITTED_FIRST = "a classifier has to be fitted first: call fit"


class Classifier(Protocol):
    """A classifier of texts or pictures, which gives probabilities of classes; or of a prompt's options: theirs.

    Options are a group's responses, and their probabilities have as many columns as the longest list of options: a row
    with fewer has zeros there.

    `targets` are either classes, integers of shape (examples,), or probabilities of shape (examples, classes). What
    is fitted with the latter one-hot is what is fitted with the former. A seed, where there is something to draw, is
    the constructor's; so are the names of the classes, where they have some. `learned_marks` are the marks of all
    examples that it learned from, see `marks_of`: of these it knows too much to supervise.
    """

    names: tuple[str, ...] | None
    learned_marks: frozenset[str]

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """Learn from examples.

        Args:
            weights: how much each example counts against the others, at least 0, shape (examples,); all alike if not
                given. An example of weight 0 is left out. Only ratios matter.
            unlabeled: others without a label, for what learns from these too; all else refuses them.
            validation: others with their targets, for what stops early; nothing is learned from them.
            classes: how many there are, where `targets` are integers that may lack some; the largest plus one if not
                given.

        Raises:
            InputError: no examples, other lengths, labels outside the classes, one class, or no probabilities; weights
                below 0 or all 0; unlabelled examples that it cannot learn from; texts among prompts with options; what
                this classifier cannot read.
        """

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Return probabilities, shape (examples, classes); rows sum to 1. Raises InputError before `fit`."""

    def save(self, folder: str | Path) -> None:
        """Write it into a folder, for `load_classifier`. Raises InputError before `fit`."""


def as_probabilities(targets: ArrayLike, examples: int, classes: int | None = None) -> Probabilities:
    """Return classes or probabilities as probabilities of shape (examples, classes).

    Raises:
        InputError: no examples, other lengths, labels outside the classes, or no probabilities.
    """
    try:
        array = np.asarray(targets)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"{TARGETS}: {error}") from error
    # labels as texts, or ragged lists, which numpy reads as objects
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise InputError(f"{TARGETS}, got {array.dtype} of shape {array.shape}")
    if not examples or len(array) != examples:
        raise InputError(f"there must be a target for each example, got {len(array)} for {examples}")
    if array.ndim == 2:
        soft = array.astype(np.float64)
        check_probabilities(soft)
        if classes is not None and soft.shape[1] != classes:
            raise InputError(f"the labels are of {soft.shape[1]} classes, expected {classes}")
        return soft
    # 1.0 is a class, 0.5 is a probability that somebody forgot to give in two columns
    if not np.isfinite(array).all() or not (array == array.astype(np.int64)).all():
        raise InputError(f"{TARGETS}, got numbers between classes")
    labels = array.astype(np.int64)
    # a part of the rows may lack the last class: `classes` says so, the labels cannot
    classes = classes or max(2, int(labels.max()) + 1)
    if negative := np.unique(labels[labels < 0]).tolist():
        # Snorkel writes -1 where it abstains, and numpy would read that as the last class
        where = int((labels < 0).argmax())
        raise InputError(
            f"{int((labels < 0).sum())} of {len(labels)} labels are {', '.join(map(str, negative))} (the first is that "
            f"of example {where}), and no class has a negative number: where that stands for no label, as in Snorkel's "
            "output, leave these examples out; where it is a class, count classes from 0"
        )
    if labels.max() >= classes:
        raise InputError(f"labels must lie between 0 and {classes - 1}, got {labels.max()}")
    return np.eye(classes)[labels]


def check_probabilities(targets: Probabilities) -> None:
    """Refuse targets of shape (rows, classes) that are no distributions, and name the first row."""
    if targets.shape[-1] < 2:
        raise InputError("there must be at least two classes")
    if (bad := no_distributions(targets)).any():
        row = int(bad.argmax())
        raise InputError(
            f"labels must be probabilities that sum to 1 over the classes; {int(bad.sum())} of {len(targets)} rows are "
            f"not, the first is row {row}: {targets[row].tolist()}"
        )


def as_weights(weights: ArrayLike | None, examples: int) -> Probabilities:
    """Return how much each example counts, the largest weight as 1; all 1 where none are given.

    Returns:
        Shape (examples,).

    Raises:
        InputError: other lengths, weights that are no numbers, below 0, not finite, or all 0.
    """
    if weights is None:
        return np.ones(examples)
    array = np.asarray(weights)
    # counts and booleans are weights too
    if array.dtype.kind not in "biuf" or array.shape != (examples,):
        raise InputError(
            f"weights must be numbers of shape ({examples},), one for each example, got {array.dtype} of shape "
            f"{array.shape}"
        )
    numbers = array.astype(np.float64)
    if (bad := ~np.isfinite(numbers) | (numbers < 0)).any():
        row = int(bad.argmax())
        raise InputError(f"weights must be finite and at least 0, got {numbers[row]:g} for example {row}")
    if not numbers.any():
        raise InputError(f"all {examples} weights are 0: there is nothing to learn from")
    # only ratios matter: with 1 as the largest a probe's bound on its curvature holds
    return np.asarray(numbers / numbers.max())


@dataclass(frozen=True)
class WeightedExamples:
    """Examples that count, with what is learned of them.

    Attributes:
        targets: probabilities, shape (examples, classes). weights: above 0, the largest 1, shape (examples,).
        indices: their places among all that were given.
    """

    examples: Sequence[Example]
    targets: Probabilities
    weights: Probabilities
    indices: NDArray[np.intp]

    def pick(self, rows: NDArray[np.intp]) -> WeightedExamples:
        """Return some of the examples, by their places among these."""
        examples = [self.examples[row] for row in rows.tolist()]
        return WeightedExamples(examples, self.targets[rows], self.weights[rows], self.indices[rows])


def drop_weightless(examples: Sequence[Example], targets: Probabilities, weights: ArrayLike | None) -> WeightedExamples:
    """Return the examples whose weight is above 0; see `as_weights`."""
    checked_weights = as_weights(weights, len(examples))
    weighted = WeightedExamples(examples, targets, checked_weights, np.arange(len(examples)))
    return weighted if checked_weights.all() else weighted.pick(np.flatnonzero(checked_weights))


def refuse_unlabeled(unlabeled: Sequence[Example] | None, reader: str) -> None:
    """Refuse examples without a label where a classifier has no use for them."""
    if unlabeled is not None:
        raise InputError(
            f"{reader} learns from labelled examples alone, and {len(unlabeled)} without a label are given: leave them "
            "out, or choose an algorithm that learns from them"
        )


def no_distributions(probabilities: Probabilities) -> NDArray[np.bool_]:
    """Return which rows are no distribution: not finite, negative, or a sum off 1 by over a thousandth."""
    bad = ~np.isfinite(probabilities).all(-1) | (probabilities < 0).any(-1)
    return np.asarray(bad | (np.abs(probabilities.sum(-1) - 1) > 1e-3))


def refuse_one_class(targets: Probabilities) -> None:
    """Refuse targets of texts that are all of one class: nothing can be learned of what tells classes apart."""
    # soft labels with two classes in one row can be learned from, too
    columns = np.flatnonzero((targets > 0).any(0))
    if len(columns) < 2:
        raise InputError(f"all {len(targets)} examples have the class {columns[0]}: nothing can be told apart")


def width_of(examples: Sequence[Example]) -> int:
    """Count the options of the longest list of them; 0 for texts and for pictures.

    Raises:
        InputError: examples of several kinds, or fewer than two options; a bare text.
    """
    refuse_bare_example(examples)
    if (pictures := _count_images(examples)) and pictures < len(examples):
        raise InputError(f"{pictures} of {len(examples)} examples are pictures, the others are not: keep them apart")
    groups = [example for example in examples if isinstance(example, PromptGroup)]
    refuse_media(groups, "classifiers read prompts of text, or pictures by themselves (`pt.Image`)")
    counts = [len(group.responses) for group in groups]
    if counts and len(counts) < len(examples):
        raise InputError(f"{len(examples) - len(counts)} of {len(examples)} examples have no options, the others do")
    # a single option would always have a probability of 1
    if counts and min(counts) < 2:
        raise InputError(f"example {counts.index(min(counts))} has {min(counts)} options; there must be at least two")
    return max(counts, default=0)


def in_other_words(example: Example, template: str) -> Example:
    """Return the example with a template around its text or prompt, which takes the place of {text}.

    Raises:
        InputError: a picture.
    """
    if isinstance(example, Image):
        raise InputError(f"{example.name} is a picture, and a template is for texts: leave the templates out")
    if isinstance(example, str):
        return template.replace("{text}", example)
    return PromptGroup(template.replace("{text}", prompt_text(example.prompt)), example.responses)


def only_texts(examples: Sequence[Example], reader: str) -> list[str]:
    """Return the examples; refuse them where they are prompts with options, or pictures."""
    refuse_bare_example(examples)
    refuse_images(examples, reader)
    texts = [example for example in examples if isinstance(example, str)]
    if len(texts) < len(examples):
        raise InputError(
            f"{reader} reads single texts, and here are prompts with options of their own: take a language model, or a "
            "probe for two options"
        )
    return texts


def only_images(examples: Sequence[Example], reader: str) -> list[Image]:
    """Return the examples; refuse them where they are texts or prompts."""
    refuse_bare_example(examples)
    images = [example for example in examples if isinstance(example, Image)]
    if len(images) < len(examples):
        raise InputError(
            f"{reader} reads pictures, and {len(examples) - len(images)} of {len(examples)} examples are texts or "
            "prompts: make pictures by `Image.make(file)`, or take a classifier of texts"
        )
    return images


def refuse_images(examples: Sequence[Example], reader: str) -> None:
    """Refuse pictures where a classifier reads texts."""
    if count := _count_images(examples):
        raise InputError(
            f"{reader} reads texts, and {count} of {len(examples)} examples are pictures: take `name: cnn`, or a probe "
            "of an image model"
        )


def _count_images(examples: Sequence[Example]) -> int:
    return sum(isinstance(example, Image) for example in examples)


def refuse_bare_example(examples: Sequence[Example]) -> None:
    """Refuse one text, prompt or picture in place of a list: of a text each letter would be an example."""
    if isinstance(examples, str | PromptGroup | Image):
        raise InputError(f"expected a list of examples, got {excerpt(examples)}: write [example]")


def marks_of(examples: Sequence[Example]) -> list[str]:
    """Return a digest per example, by which the same example is recognised later.

    It is that of the text, whatever its case, spaces and punctuation, or of the prompt with its options in any order;
    of a picture that of its pixels, whatever its file. Empty where there is no letter or digit.
    """
    marks = []
    for example in examples:
        if isinstance(example, Image):
            # pixels, not bytes: the same picture comes as a PNG here and as an array there
            marks.append(mark("image", example.pixel_digest()))
            continue
        # options in any order: whoever saw them the other way round has seen them
        parts = [example] if isinstance(example, str) else [prompt_text(example.prompt), *sorted(_options(example))]
        marks.append(mark("text", "\n".join(filter(None, map(normalized, parts)))))
    return marks


def _options(example: PromptGroup) -> list[str]:
    return [response.text for response in example.responses]


def mark(kind: str, key: str) -> str:
    """Return the digest of a key of some kind; empty for an empty one."""
    return hashlib.sha256(f"{kind}\0{key}".encode(errors="surrogatepass")).hexdigest()[:16] if key else ""


def read_learned(folder: Path) -> frozenset[str]:
    """Read the marks that `write_kind` left in a folder; none where nothing was learned."""
    file = folder / LEARNED_MARKS
    return frozenset(read_json(file)) if file.is_file() else frozenset()


def write_kind(
    folder: Path,
    kind: str,
    content: Mapping[str, object],
    marks: Collection[str] = (),
    parts: Mapping[str, bytes] | None = None,
) -> None:
    """Write a classifier's files with their digests; `classifier.json` last: a folder without it is not whole.

    Args:
        parts: other files, by name.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove(folder / KIND)  # of an earlier classifier, whose other files are about to be replaced
    texts = {LEARNED_MARKS: sorted(marks), KIND: {"kind": kind, **content}}
    # a dictionary keeps its order: `classifier.json` is written last
    files = dict(parts or {})
    files |= {name: (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8") for name, value in texts.items()}
    # digests before files: a kill between the two leaves a file missing, never one that nobody lists
    write_sums(folder, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    for name, data in files.items():
        atomic_write(folder / name, data)


def read_kind(folder: Path) -> dict[str, Any]:
    """Check the digests of all files of a classifier, and return the content of `classifier.json`.

    Raises:
        DamagedFile: a file is damaged or missing.
    """
    # folders of an earlier version have no digests: then only that the files are there is checked
    check_files(folder, {KIND, *(read_sums(folder) or ())})
    try:
        content: dict[str, Any] = read_json(folder / KIND)
        content["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{folder / KIND} cannot be read ({error}): put back a good copy") from error
    return content


def digest_of_classifier(folder: str) -> str:
    """Return a digest of a classifier that was saved: of its files' digests, which are checked here.

    Raises:
        DamagedFile: a file is damaged or missing.
    """
    path = Path(folder).expanduser()
    read_kind(path)
    return hashlib.sha256(json.dumps(sorted((read_sums(path) or {}).items())).encode()).hexdigest()[:32]


def from_anywhere(model: str) -> str:
    """Return a model's name in a form that holds from any folder: an absolute path where it is a path."""
    path = Path(model).expanduser()
    # a folder that happens to be called like a built-in model is not meant
    return str(path.resolve()) if model not in (*BUILT_IN, *ENCODERS) and path.exists() else model
