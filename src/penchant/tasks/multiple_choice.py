"""Tasks whose rows are questions with answers, each answer right or wrong.

Of a question with one right answer two examples are made: with that answer, and with one of the others. A task is one
function below, as in `penchant.tasks.classification`. To add a task, write another.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from penchant.tasks.spec import RIGHT_WRONG, TaskRow, labelled, lettered, numbered, on_passage, one_of_each, task
from penchant.types import LabeledExample

answer_task = partial(task, classes=RIGHT_WRONG)
"""Makes a task of answers, each right or wrong."""


@answer_task(
    title="CosmosQA",
    hub="allenai/cosmos_qa",
    splits=("train", "validation"),
)
def cosmos_qa(row: TaskRow) -> Iterator[LabeledExample]:
    """Read CosmosQA: commonsense reading comprehension (Huang et al. 2019)."""
    options = [row[f"answer{number}"] for number in range(4)]
    yield from numbered(options, int(row["label"]), on_passage(row, row["context"]), row["context"])


@answer_task(
    title="DREAM",
    hub="dataset-org/dream",
)
def dream(row: TaskRow) -> Iterator[LabeledExample]:
    """Read DREAM: questions on a dialogue (Sun et al. 2019)."""
    dialogue = "\n".join(row["dialogue"])
    # the answer is given as text, not by its number
    right = row["choice"].index(row["answer"])
    yield from numbered(row["choice"], right, on_passage(row, dialogue), dialogue)


@answer_task(
    title="HellaSwag",
    hub="Rowan/hellaswag",
    splits=("train", "validation"),
)
def hellaswag(row: TaskRow) -> Iterator[LabeledExample]:
    """Read HellaSwag: which ending follows (Zellers et al. 2019)."""
    yield from numbered(row["endings"], int(row["label"]), f"What happens next? {row['ctx']}")


@answer_task(
    title="MC-TACO",
    hub="CogComp/mc_taco",
    splits=("validation", "test"),
)
def mc_taco(row: TaskRow) -> Iterator[LabeledExample]:
    """Read MC-TACO: temporal common sense (Zhou et al. 2019)."""
    yield labelled(row, f"{on_passage(row, row['sentence'])}\nAnswer: {row['answer']}", row["sentence"])


@answer_task(
    title="MultiRC",
    hub="aps/super_glue:multirc",
    splits=("train", "validation"),
)
def multirc(row: TaskRow) -> Iterator[LabeledExample]:
    """Read MultiRC: answers to questions on a paragraph, any number of them right (Khashabi et al. 2018)."""
    yield labelled(row, f"{on_passage(row, row['paragraph'])}\nAnswer: {row['answer']}", row["paragraph"])


@answer_task(
    title="OpenBookQA",
    hub="allenai/openbookqa:main",
)
def openbookqa(row: TaskRow) -> Iterator[LabeledExample]:
    """Read OpenBookQA: elementary science questions (Mihaylov et al. 2018)."""
    yield from lettered(row, f"Question: {row['question_stem']}")


@answer_task(
    title="PIQA",
    hub="ybisk/piqa",
    splits=("train", "validation"),
)
def piqa(row: TaskRow) -> Iterator[LabeledExample]:
    """Read PIQA: which of two ways reaches a goal (Bisk et al. 2020)."""
    yield from numbered([row["sol1"], row["sol2"]], int(row["label"]), f"Goal: {row['goal']}")


@answer_task(
    title="QuAIL",
    hub="textmachinelab/quail",
    splits=("train", "validation"),
)
def quail(row: TaskRow) -> Iterator[LabeledExample]:
    """Read QuAIL: reading comprehension of several kinds (Rogers et al. 2020)."""
    right = int(row["correct_answer_id"])
    yield from numbered(row["answers"], right, on_passage(row, row["context"]), row["context"])


@answer_task(
    title="QuaRTz",
    hub="allenai/quartz",
)
def quartz(row: TaskRow) -> Iterator[LabeledExample]:
    """Read QuaRTz: qualitative relations (Tafjord et al. 2019)."""
    yield from lettered(row, on_passage(row, row["para"]), row["para"])


@answer_task(
    title="SciQ",
    hub="allenai/sciq",
    local=("sciq/train.jsonl.gz", "sciq/test.jsonl.gz"),
)
def sciq(row: TaskRow) -> Iterator[LabeledExample]:
    """Read SciQ: whether the answer to a science question is right (Welbl et al. 2017)."""
    yield from one_of_each(
        f"Question: {row['question']}", row["correct_answer"], [row[f"distractor{number}"] for number in (1, 2, 3)]
    )


@answer_task(
    title="SocialIQA",
    hub="allenai/social_i_qa",
    splits=("train", "validation"),
)
def social_i_qa(row: TaskRow) -> Iterator[LabeledExample]:
    """Read SocialIQA: social situations (Sap et al. 2019)."""
    options = [row[f"answer{letter}"] for letter in "ABC"]
    yield from numbered(options, int(row["label"]) - 1, on_passage(row, row["context"]), row["context"])
