"""How a self-rewarding policy gets its prompts, and how it scores its answers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Draws, Rows, Text, Tokens
from penchant.data.in_memory import DataPath
from penchant.data.options import BadRows
from penchant.judges.settings import Endpoint, JudgeSpec
from penchant.models.in_memory import ModelName
from penchant.session.objects import CodeName

Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0)]
TopP = Annotated[float, Field(gt=0, le=1)]


Points = Literal["outcome", "probability"]


class RowsFile(Config):
    """A file of rows, and how it is read."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[DataPath, Field(min_length=1)]
    """A file, folder, pattern or hub id, as `data.path`."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of the layout, the column that holds it."""
    split: str = "train"
    """Which split of a hub data set or folder."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: name them all and stop, or skip them with a count."""
    limit: Rows | None = None
    """Use only the first so many prompts."""


class SelfInstruct(Config):
    """New prompts by the policy itself, which is shown seed prompts (Wang et al. 2022, arXiv:2212.10560)."""

    name: Literal["self_instruct"] = "self_instruct"
    count: Rows = 64
    """New prompts per round."""
    shots: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Seed prompts that are shown, others each time; all of them where there are fewer."""
    template: Text = "tasks"
    """How they are shown: `tasks` asks for another task, `lines` shows one per line to a model that only continues
    text, or a file with `{{ examples }}` and `{{ number }}`."""
    temperature: Temperature = 0.7
    """Sampling temperature of new prompts."""
    top_p: TopP = 0.9
    """Draw among the smallest set of tokens with this probability."""
    # room for a paragraph: with less, most prompts of an instruction model are cut and thrown away
    max_new_tokens: Tokens = 96
    """Length at which a new prompt is cut; a cut prompt is not used."""
    # the threshold of the self-instruct paper
    similarity: Share = 0.7
    """A prompt whose ROUGE-L with a known one is above this is a near duplicate, and not used."""
    # a small model repeats itself: without an end to its tries it would write for ever
    draws: Draws = 4
    """Tries per prompt that is wanted, at most."""


class PromptFile(RowsFile):
    """Prompts of a file."""

    name: Literal["file"] = "file"
    # all in every round, as `iterative` takes them, so that the two can be compared
    count: Rows | None = None
    """Prompts per round, in the order of the file; all of them in every round if not given."""


NewPrompts = Annotated[SelfInstruct | PromptFile, Field(discriminator="name")]


class RubricScorer(Config):
    """The policy itself, prompted with a rubric: it writes, and the score is read from its words.

    Another model in its place (`model`, `endpoint`) is a control.
    """

    name: Literal["rubric"] = "rubric"
    template: Text = "additive"
    """The rubric: `additive`, five points one by one, or a file with `{{ prompt }}` and `{{ response }}`."""
    # as published; one draw of a small model is mostly noise
    draws: Draws = 3
    """Judgements per answer; their scores are averaged."""
    temperature: Temperature = 0.7
    """Sampling temperature of judgements."""
    top_p: TopP = 0.9
    """Draw among the smallest set of tokens with this probability."""
    # Oxen's 100 tokens cut most judgements before their score, which read as the worst one
    max_new_tokens: Tokens = 256
    """Length at which a judgement is cut. The score mostly stands at its end."""
    lowest: float = 0
    """The lowest score of the rubric."""
    highest: float = 5
    """The highest score of the rubric."""
    model: ModelName | None = None
    """Another model that judges, by a built-in name, folder or hub id; the policy itself if not given."""
    endpoint: Endpoint | None = None
    """Another model that judges, behind an OpenAI-compatible address: `{model: NAME, base_url: ADDRESS}`. Temperature
    and length are those above."""

    @model_validator(mode="after")
    def _ends_ascend(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"`lowest` must be below `highest`, got {self.lowest:g} and {self.highest:g}")
        if self.model is not None and self.endpoint is not None:
            raise ValueError("both `model` and `endpoint` are given: leave one of them out")
        return self

    @property
    def judges_itself(self) -> bool:
        """Return whether the policy is its own judge."""
        return self.model is None and self.endpoint is None


class LikelihoodScorer(Config):
    """The policy itself: how much likelier it finds "Yes" than "No" after a question about an answer."""

    name: Literal["likelihood"] = "likelihood"
    template: Text = "yes_no"
    """The question: `yes_no`, or a file with `{{ prompt }}` and `{{ response }}`."""
    # two words of one token each are compared most fairly, but any texts will do
    words: tuple[Text, Text] = ("Yes", "No")
    """The word that speaks for the answer, and the one against it. Words that begin with a space go on with the last
    line of the question, for a model that only continues text."""


class VerdictsScorer(Config):
    """The policy itself compares each two answers, in both orders, by the likelihood of the verdict's words."""

    name: Literal["verdicts"] = "verdicts"
    template: Text = "instruction"
    """What it is asked: `instruction`, `summary`, `summary_concise`, `helpfulness`, `harmlessness`, or a file."""
    # not the default: with it, a judge that names one place whatever it reads would go on unnoticed
    points: Points = "outcome"
    """What a verdict counts: `outcome`: a winner that changes with the order is a tie; `probability`: how probable
    each verdict was, over both orders, in which a small model's preference for a place cancels."""


class RewardScorer(Config):
    """A reward from outside, for comparison with the policy's own scores."""

    name: Literal["reward"] = "reward"
    reward: Annotated[CodeName, Field(min_length=1)] = "vader"
    """A name such as `vader`, `classifier:MODEL`, `module:function`, an address, or the folder of a reward model."""


class JudgeScorer(Config):
    """A judge from outside, which compares each two answers, in both orders."""

    name: Literal["judge"] = "judge"
    judge: JudgeSpec
    """The judge, as `penchant judge` takes it."""


Scorer = Annotated[
    RubricScorer | LikelihoodScorer | VerdictsScorer | RewardScorer | JudgeScorer, Field(discriminator="name")
]


class MetaRewarding(Config):
    """The policy also judges its judgements, and learns from the best and the worst (Wu et al. 2024, arXiv:2407.19594).

    Of each prompt, the judgements of the answer whose draws differ most are compared, each two in both orders.
    """

    template: Text = "judgements"
    """What it is asked: `judgements`, or a file with `{{ prompt }}`, `{{ a }}` and `{{ b }}`."""
