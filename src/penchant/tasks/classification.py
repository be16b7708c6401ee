"""Tasks whose rows are texts of a class: a sentiment, a yes or no, an emotion.

A task is one function below: it yields the examples of a row, and its decorator says where the rows come from. To add a
task, write another.
"""

from __future__ import annotations

from collections.abc import Iterator

from penchant.tasks.archives import read_zip
from penchant.tasks.siblings import sibling_groups
from penchant.tasks.spec import SENTIMENT, YES_NO, TaskRow, labelled, task
from penchant.types import LabeledExample

EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")


@task(
    title="Amazon polarity",
    hub="fancyzhx/amazon_polarity",
    classes=SENTIMENT,
)
def amazon_polarity(row: TaskRow) -> Iterator[LabeledExample]:
    """Read Amazon polarity: the sentiment of product reviews (Zhang et al. 2015)."""
    yield labelled(row, f"{row['title']}\n{row['content']}")


@task(
    title="ANLI-R2",
    hub="facebook/anli",
    splits=("train_r2", "test_r2"),
    classes=YES_NO,
)
def anli_r2(row: TaskRow) -> Iterator[LabeledExample]:
    """Read ANLI, round 2: whether a hypothesis follows from a text (Nie et al. 2020)."""
    text = f"{row['premise']}\nDoes it follow that {row['hypothesis']}"
    yield LabeledExample(text, int(int(row["label"]) == 0), row["premise"])  # 0 is entailment


@task(
    title="BoolQ",
    hub="google/boolq",
    splits=("train", "validation"),
    classes=YES_NO,
)
def boolq(row: TaskRow) -> Iterator[LabeledExample]:
    """Read BoolQ: yes-no questions on a passage (Clark et al. 2019)."""
    yield LabeledExample(f"{row['passage']}\nQuestion: {row['question']}?", int(row["answer"]), row["passage"])


@task(
    title="CoLA",
    hub="nyu-mll/glue:cola",
    splits=("train", "validation"),
    classes=YES_NO,
)
def cola(row: TaskRow) -> Iterator[LabeledExample]:
    """Read CoLA: whether a sentence is grammatical (Warstadt et al. 2019)."""
    yield labelled(row, f"{row['sentence']}\nIs this sentence grammatical?")


@task(
    title="Emotion",
    hub="dair-ai/emotion:split",
    local=("emotion/train.txt.gz", "emotion/test.txt.gz"),
    classes=EMOTIONS,
)
def emotion(row: TaskRow) -> Iterator[LabeledExample]:
    """Read Emotion: which of six emotions an English tweet has (Saravia et al. 2018)."""
    if "label" in row:
        yield labelled(row, row["text"])
        return
    # from the right: a tweet may have a semicolon of its own
    text, _, label = row["prompt"].rpartition(";")
    if label in EMOTIONS:  # the first line is a header
        yield LabeledExample(text, EMOTIONS.index(label))


@task(
    title="ETHICS deontology",
    hub="hendrycks/ethics:deontology",
    splits=("train", "validation"),  # the hub's `test` is the adversarially filtered one, see docs/decisions/0015
    local=("ethics/deontology/train.csv.gz", "ethics/deontology/test.csv.gz"),
    classes=YES_NO,
)
def ethics_deontology(row: TaskRow) -> Iterator[LabeledExample]:
    """Read ETHICS, deontology: whether an excuse is reasonable (Hendrycks et al. 2021)."""
    yield labelled(row, f"{row['scenario']} {row['excuse']}", row["scenario"])


@task(
    title="ETHICS justice",
    hub="hendrycks/ethics:justice",
    splits=("train", "validation"),  # the hub's `test` is the adversarially filtered one, see docs/decisions/0015
    local=("ethics/justice/train.csv.gz", "ethics/justice/test.csv.gz"),
    classes=YES_NO,
    relate=sibling_groups,  # variants of one scenario stand together, and no field says so
)
def ethics_justice(row: TaskRow) -> Iterator[LabeledExample]:
    """Read ETHICS, justice: whether a reason is a fair one (Hendrycks et al. 2021)."""
    yield labelled(row, row["scenario"])


@task(
    title="IMDb",
    hub="stanfordnlp/imdb",
    local=("imdb5000/movie_review.jsonl.gz",),
    classes=SENTIMENT,
)
def imdb(row: TaskRow) -> Iterator[LabeledExample]:
    """Read IMDb: the sentiment of film reviews (Maas et al. 2011)."""
    text = row["text"] if "text" in row else row["review"]
    yield LabeledExample(text.replace("<br />", " "), int(row["label"] if "label" in row else row["sentiment"]))


@task(
    title="PAWS",
    hub="google-research-datasets/paws:labeled_final",
    classes=YES_NO,
)
def paws(row: TaskRow) -> Iterator[LabeledExample]:
    """Read PAWS: whether two sentences with the same words mean the same (Zhang et al. 2019)."""
    text = f"First: {row['sentence1']}\nSecond: {row['sentence2']}\nDo they mean the same?"
    yield labelled(row, text, " ".join(sorted(row["sentence1"].lower().split())))


@task(
    title="SST-2",
    hub="stanfordnlp/sst2",
    splits=("train", "validation"),
    local=("sst2/train.txt.gz", "sst2/test.txt.gz"),
    classes=SENTIMENT,
)
def sst2(row: TaskRow) -> Iterator[LabeledExample]:
    """Read SST-2: the sentiment of sentences from film reviews (Socher et al. 2013)."""
    if "sentence" in row:
        yield labelled(row, row["sentence"].strip())
    else:  # the file: `label text`
        label, _, text = row["prompt"].partition(" ")
        yield LabeledExample(text, int(label))


@task(
    title="Subjectivity",
    hub="SetFit/subj",
    local=("nltk/subjectivity.zip",),
    classes=("objective", "subjective"),
    open_rows=read_zip,
)
def subjectivity(row: TaskRow) -> Iterator[LabeledExample]:
    """Read Subjectivity: whether a sentence on a film is of a review or of its plot (Pang and Lee 2004)."""
    if "label_text" in row:
        yield LabeledExample(row["text"].strip(), int(row["label_text"] == "subjective"))
    else:  # the archive has a file for each class, and one that describes them
        label = {"plot.tok.gt9.5000": 0, "quote.tok.gt9.5000": 1}.get(row["file"])
        if label is not None:
            yield LabeledExample(row["text"], label)


@task(
    title="Twitter sentiment",
    hub="cardiffnlp/tweet_eval:sentiment",
    classes=SENTIMENT,
)
def twitter_sentiment(row: TaskRow) -> Iterator[LabeledExample]:
    """Read Twitter sentiment: tweets that are clearly negative or positive (Rosenthal et al. 2017)."""
    # the paper's tasks have two classes: neutral tweets are left out, 0 and 2 become 0 and 1
    if int(row["label"]) != 1:  # neutral
        yield LabeledExample(row["text"], int(row["label"]) // 2)


@task(
    title="WiC",
    hub="aps/super_glue:wic",
    splits=("train", "validation"),
    classes=YES_NO,
)
def wic(row: TaskRow) -> Iterator[LabeledExample]:
    """Read WiC: whether a word has the same sense in two sentences (Pilehvar and Camacho-Collados 2019)."""
    text = f"{row['sentence1']}\n{row['sentence2']}\nDoes '{row['word']}' mean the same in both?"
    yield labelled(row, text, row["word"])
