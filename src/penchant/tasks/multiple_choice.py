"""Tasks whose rows are questions with answers, each answer right or wrong.

Of a question with one right answer two examples are made: with that answer, and with one of the others. A task is one
function below, as in `penchant.tasks.classification`. To add a task, write another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, lettered, numbered, one_of_each, task
from penchant.types import LabeledExample


@task(
    title="CosmosQA",
    hub="allenai/cosmos_qa",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def cosmos_qa(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read CosmosQA: commonsense reading comprehension (Huang et al. 2019)."""
    question = f"{row['context']}\nQuestion: {row['question']}"
    answers = [row[f"answer{number}"] for number in range(4)]
    yield from numbered(answers, int(row["label"]), question, row["context"])


@task(
    title="DREAM",
    hub="dataset-org/dream",
    splits=("train", "test"),
    classes=RIGHT_WRONG,
)
def dream(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read DREAM: questions on a dialogue (Sun et al. 2019)."""
    dialogue = "\n".join(row["dialogue"])
    right = row["choice"].index(row["answer"])
    yield from numbered(row["choice"], right, f"{dialogue}\nQuestion: {row['question']}", dialogue)


@task(
    title="HellaSwag",
    hub="Rowan/hellaswag",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def hellaswag(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read HellaSwag: which ending follows (Zellers et al. 2019)."""
    yield from numbered(row["endings"], int(row["label"]), f"What happens next? {row['ctx']}")


@task(
    title="MC-TACO",
    hub="CogComp/mc_taco",
    splits=("validation", "test"),
    classes=RIGHT_WRONG,
)
def mc_taco(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read MC-TACO: temporal common sense (Zhou et al. 2019)."""
    text = f"{row['sentence']}\nQuestion: {row['question']}\nAnswer: {row['answer']}"
    yield LabeledExample(text, int(row["label"]), row["sentence"])


@task(
    title="MultiRC",
    hub="aps/super_glue:multirc",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def multirc(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read MultiRC: answers to questions on a paragraph, any number of them right (Khashabi et al. 2018)."""
    text = f"{row['paragraph']}\nQuestion: {row['question']}\nAnswer: {row['answer']}"
    yield LabeledExample(text, int(row["label"]), row["paragraph"])


@task(
    title="OpenBookQA",
    hub="allenai/openbookqa:main",
    splits=("train", "test"),
    classes=RIGHT_WRONG,
)
def openbookqa(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read OpenBookQA: elementary science questions (Mihaylov et al. 2018)."""
    yield from lettered(row, f"Question: {row['question_stem']}")


@task(
    title="PIQA",
    hub="ybisk/piqa",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def piqa(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read PIQA: which of two ways reaches a goal (Bisk et al. 2020)."""
    yield from numbered([row["sol1"], row["sol2"]], int(row["label"]), f"Goal: {row['goal']}")


@task(
    title="QuAIL",
    hub="textmachinelab/quail",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def quail(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read QuAIL: reading comprehension of several kinds (Rogers et al. 2020)."""
    question = f"{row['context']}\nQuestion: {row['question']}"
    yield from numbered(row["answers"], int(row["correct_answer_id"]), question, row["context"])


@task(
    title="QuaRTz",
    hub="allenai/quartz",
    splits=("train", "test"),
    classes=RIGHT_WRONG,
)
def quartz(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read QuaRTz: qualitative relations (Tafjord et al. 2019)."""
    yield from lettered(row, f"{row['para']}\nQuestion: {row['question']}", row["para"])


@task(
    title="SciQ",
    hub="allenai/sciq",
    splits=("train", "test"),
    local=("sciq/train.jsonl.gz", "sciq/test.jsonl.gz"),
    classes=RIGHT_WRONG,
)
def sciq(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read SciQ: whether the answer to a science question is right (Welbl et al. 2017)."""
    yield from one_of_each(
        f"Question: {row['question']}", row["correct_answer"], [row[f"distractor{number}"] for number in (1, 2, 3)]
    )


@task(
    title="SocialIQA",
    hub="allenai/social_i_qa",
    splits=("train", "validation"),
    classes=RIGHT_WRONG,
)
def social_i_qa(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    """Read SocialIQA: social situations (Sap et al. 2019)."""
    question = f"{row['context']}\nQuestion: {row['question']}"
    answers = [row[f"answer{letter}"] for letter in "ABC"]
    yield from numbered(answers, int(row["label"]) - 1, question, row["context"])
