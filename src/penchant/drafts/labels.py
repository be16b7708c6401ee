"""Look at a file for labels of classes, or for votes of several sources, and draft what they are for. Imports no torch.

Such files are no preferences: `penchant weak train` learns from labels, and `penchant weak sources` joins votes.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from penchant.data.options import Columns
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.drafts.yaml_parts import comment, new_folder, stem_of, yaml_text
from penchant.errors import InputError
from penchant.reports.kit.text import count, listing, rough_duration
from penchant.weak.label_models.read import MOST_CLASSES, ROW_NUMBERS
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.rows import LABEL_FIELDS, TEXT_FIELDS, read_labelled

LOOKED_AT = 5000  # rows by which columns are told apart
TEXT_WORDS = 3  # words on average from which a column is text
TEXT_LENGTH = 25  # characters on average from which a column of ever new values is text
STARTING_S, ROW_S, VOTE_S = 7.0, 2e-4, 5e-5
"""Seconds of the program, per row of 60 words for TF-IDF, and per vote; measured with 20,000 rows, one thread."""
BUSY = 4.0  # by how much a busy machine is slower
MEMORY = {"labels": "0.5 GB", "votes": "0.4 GB"}


@dataclass(frozen=True)
class LabelsLook:
    """Columns of a file that hold texts with classes.

    Attributes:
        rows: all of them.
        text: the column of the texts; None for votes without any.
        label: the column of the classes, or the truth beside votes.
        sources: columns of votes; none for plain labels.
        ignored: columns that are none of these.
        votes: how often each class is named by the sources.
    """

    path: str
    rows: int
    text: str | None
    label: str | None
    sources: tuple[str, ...]
    ignored: tuple[str, ...]
    votes: Mapping[str, int] = field(default_factory=dict)

    @property
    def time(self) -> str:
        """How long labels are learned from, or votes joined, in words."""
        seconds = STARTING_S + self.rows * (len(self.sources) * VOTE_S if self.sources else ROW_S)
        return f"{rough_duration(seconds)} to {rough_duration(BUSY * seconds)}"


def look_for_labels(path: str, *, split: str = "train", columns: Columns | None = None) -> LabelsLook | None:
    """Return which columns hold texts, classes or votes; None where a file is no such table.

    Args:
        columns: by field, the column that holds it: `text`, `label` or `probabilities`.
    """
    try:
        rows = [row.values for row in read_rows(path, split) if not isinstance(row, RowProblem)]
    except InputError:
        # the readers of preferences have refused it in words of their own
        return None
    names = dict.fromkeys(name for row in rows for name in row)
    field_of = {column: field for field, column in (columns or {}).items() if column is not None}
    # `columns={label: null}` says that the labels are not meant
    left_out = {field for field, column in (columns or {}).items() if column is None}
    cells = {name: _cells(rows[:LOOKED_AT], name) for name in names if name not in left_out}
    texts = [name for name in cells if field_of.get(name) in TEXT_FIELDS] or [
        name for name in TEXT_FIELDS if name in cells
    ][:1] or [name for name in cells if _is_text(cells[name])]  # fmt: skip
    if len(texts) > 1:  # a prompt with its response, or two texts to compare: not one text with its class
        return None
    labels = [
        name for name in cells
        if (field := field_of.get(name, name)) in LABEL_FIELDS and (field == "probabilities" or _repeats(cells[name]))
    ]  # fmt: skip
    candidates = [name for name in cells if name not in (*texts, *labels) and _holds_classes(name, cells[name])]
    sources = _sharing(candidates, cells)
    # two columns of classes that share none are of different questions, and nobody says which is meant
    if not labels and not sources and len(candidates) == 1:
        labels = candidates
    if (not labels and not sources) or (not sources and not texts):
        return None
    label = labels[0] if labels else None
    used = (*texts, *labels, *sources)
    votes = Counter(cell for name in sources for cell in _cells(rows, name) if cell)
    return LabelsLook(
        path, len(rows), texts[0] if texts else None, label, tuple(sources),
        tuple(name for name in cells if name not in used), dict(votes),
    )  # fmt: skip


def labels_yaml(look: LabelsLook, split: str, out: str) -> str:
    """Return settings of `penchant weak train` for a file of labels, with a comment on each.

    Args:
        split: of a hub data set or folder.
        out: the file's own name, for the command that runs it.

    Raises:
        InputError: rows that `penchant weak train` would refuse.
    """
    # a column that has the name of its field needs no word
    columns = {
        name: column
        for name, column in (("text", look.text), ("label", look.label))
        if column is not None and column not in (*TEXT_FIELDS, *LABEL_FIELDS)
    }
    rows = read_labelled(look.path, columns=columns, split=split)
    # by the reader of `penchant weak train`, so that what it would refuse is refused here
    assert rows.targets is not None
    shares = Counter(rows.names[int(row.argmax())] for row in rows.targets)
    return "\n".join([*_labels_lines(look, columns, shares, out), ""])


def _labels_lines(look: LabelsLook, columns: Mapping[str, str], shares: Mapping[str, int], out: str) -> Iterator[str]:
    yield from comment(f"Run it:  penchant weak train {out}")
    classes = listing(f"{name} {number}" for name, number in sorted(shares.items(), key=lambda item: -item[1])[:10])
    ending = f" and {len(shares) - 10} more classes" if len(shares) > 10 else ""
    yield from comment(f"{look.path}: {count(look.rows, 'row')} with a class: {classes}{ending}")
    yield from comment(f"Estimate with word counts: {look.time}, about {MEMORY['labels']} of memory.")
    # a held-out fifth would have one of them, or none
    rare = [name for name, number in shares.items() if number < 5]
    if look.ignored:
        yield from comment(f"Not read: {listing(look.ignored[:10])}")
    if rare:
        yield from comment(f"Worth a look: fewer than 5 rows of {listing(rare[:5])}")
    yield ""
    yield f"data: {yaml_text(look.path)}"
    if columns:
        yield "columns:"
        yield from (f"  {name}: {yaml_text(column)}" for name, column in columns.items())
    yield from comment(
        "word counts first: seconds, and hard to beat with few rows. A probe of an encoder is "
        "`{name: probe, model: minilm-l6}`; `penchant weak train --help` has others"
    )
    yield "student: {name: tfidf}"
    yield from comment("the share of rows that the student does not learn from, on which it is measured")
    yield "held_out: 0.2"
    yield from comment("a file with labels that are right measures student and labels against the truth; none is known")
    yield "test: null"
    yield ""
    yield from comment("a new folder; a second run needs another one")
    yield f"out: {yaml_text(new_folder('runs/' + stem_of(look.path)))}"


def votes_commands(look: LabelsLook) -> list[str]:
    """Return the commands that join the votes of a file, and train on the labels that this makes."""
    folder = new_folder("runs/" + stem_of(look.path))
    # only what the command would not find out by itself
    settings = [f"out={folder}"]
    if look.label is not None:
        settings.insert(0, f"truth={look.label}")
    if look.text is not None and look.text not in TEXT_FIELDS:
        settings.insert(0, f"text={look.text}")
    if look.ignored:
        settings.append(f"ignore=[{', '.join(map(yaml_text, look.ignored))}]")
    commands = [["penchant", "weak", "sources", look.path, *settings]]
    # votes without texts give labels that nothing can learn from
    if look.text is not None:
        commands.append(["penchant", "weak", "train", f"data={folder}/labels.jsonl", "student=tfidf"])
    return [shlex.join(command) for command in commands]


def votes_words(look: LabelsLook) -> list[str]:
    """Return what a file of votes holds, and what joining them takes."""
    classes = listing(f"{name} {number:,}" for name, number in sorted(look.votes.items(), key=lambda item: -item[1]))
    truth = f", the truth in `{look.label}`" if look.label else ""
    return [
        f"{look.path}: {count(look.rows, 'row')}, votes of {count(len(look.sources), 'source')} "
        f"({listing(look.sources[:10])}){truth}: for weak sources",
        f"votes: {classes}",
        f"estimate: {look.time}, about {MEMORY['votes']} of memory",
    ]


def check_votes(look: LabelsLook) -> None:
    """Read the votes as `penchant weak sources` would.

    Raises:
        InputError: they would be refused.
    """
    from penchant.weak.label_models.read import read_votes

    read_votes(WeakSources(votes=look.path, text=look.text, truth=look.label, ignore=look.ignored))


def _cells(rows: Sequence[Mapping[str, object]], name: str) -> list[str]:
    """Return a column as text; an empty text where a row has nothing there."""
    return ["" if row.get(name) is None else str(row[name]).strip() for row in rows]


def _is_text(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if cell]
    if not present:
        return False
    # a script without spaces has long cells in place of several words
    is_long = mean(map(len, present)) >= TEXT_LENGTH and 2 * len(set(present)) > len(present)
    return is_long or mean(len(cell.split()) for cell in present) >= TEXT_WORDS


def _holds_classes(name: str, cells: Sequence[str]) -> bool:
    """Return whether a column has few values that come again and again."""
    # an empty cell abstains
    present = [cell for cell in cells if cell]
    values = set(present)
    return (
        name.strip().lower() not in ROW_NUMBERS
        and not _is_text(cells)
        and 0 < len(values) <= MOST_CLASSES
        and 4 * len(values) <= len(present)
    )


def _repeats(cells: Sequence[str]) -> bool:
    """Return whether a column called `label` has classes: of names that differ in each row nobody learns."""
    return 2 * len(set(cells) - {""}) <= len(cells)


def _sharing(names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the columns that name classes of each other's: those of several sources. Metadata shares no values."""
    values = {name: set(cells[name]) - {"", "-1"} for name in names}
    # one shared class is enough: rules often vote for one class alone
    sources = [name for name in names if any(values[name] & values[other] for other in names if other != name)]
    classes = set().union(*(values[name] for name in sources)) if sources else set()
    return sources if len(sources) > 1 and 2 <= len(classes) <= MOST_CLASSES else []
