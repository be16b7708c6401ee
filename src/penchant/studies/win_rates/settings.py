"""Settings of the studies of win rates: `tldr`, `dialogue`, and `transfer` with a judge. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Seed
from penchant.data.in_memory import DataPath
from penchant.data.options import BadRows
from penchant.judges.settings import AnyJudge
from penchant.studies.core.settings import (
    BestOfNSweep,
    Count,
    DPOSweep,
    LearnedMethods,
    LearningRate,
    PPOSweep,
    Temperatures,
    UnlikelihoodSweep,
    refuse_own_among_others,
)


class Rows(Config):
    """A part of a data file or hub data set. Its prompts are shuffled (always alike) before `skip` and `limit`."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[DataPath, Field(min_length=1)]
    """A file, `data:NAME` for one in the folder `data` (or what PENCHANT_DATA names), or a hub id."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    split: str = "train"
    """Which split of a hub data set."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used."""
    human_turns: Count | None = None
    """Take only prompts with so many turns of the human: 1 for dialogues of a single step. null takes all."""
    skip: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    """Leave out the first so many prompts."""
    limit: Count | None = None
    """Take at most so many prompts."""
    prompt_end: str = ""
    """Written after every prompt that does not end so, such as `"\\n\\nTL;DR:"`; not with a chat template."""
    answer_end: str = ""
    """A text that ends responses and is no part of them, such as `<|endoftext|>`."""


class Demonstrated(Config):
    """Fine-tuning on the preferred responses before anything else: the reference and every method's start."""

    learning_rate: LearningRate = 1e-5
    epochs: Count = 1
    """How often to go over them."""
    max_steps: Count | None = None
    """Stop after so many steps, if sooner."""
    batch_size: Count = 64
    """Responses per step."""


class TrainedJudge(Config):
    """A reward model fitted to comparisons of its own, none of whose prompts anybody trains on."""

    name: Literal["trained"] = "trained"
    data: Rows
    """Comparisons held apart for it."""
    learning_rate: LearningRate = 1e-5
    epochs: Count = 1
    """How often to go over them."""
    batch_size: Count = 64
    """Comparisons per step."""
    # Not 0: such a judge is often wrong, and the page has to say how often (decision 16).
    held_out: Annotated[float, Field(ge=0)] = 0.1
    """Prompts kept to measure its accuracy: a share below 1, a number from 1 up."""


# Any judge of `penchant judge`, and one more that only a study can have.
StudyJudge = Annotated[TrainedJudge | AnyJudge, Field(discriminator="name")]


class WinRatesConfig(LearnedMethods):
    """Methods trained on comparisons, and how often a judge prefers their responses to those of the data."""

    kind: ClassVar[str]
    """What its `study.json` and its page call it."""

    preferences: Rows
    """Comparisons to train on."""
    own: Annotated[str, Field(min_length=1)] = "own"
    """What the domain of `measured` is called."""
    measured: Rows
    """Prompts to measure on, with the responses to compare with: the preferred or demonstrated ones. Prompts that
    somebody trains on, the judge included, are left out."""
    domains: dict[str, Rows] = Field(default_factory=dict)
    """Other domains by name, to measure on as well."""
    judge: StudyJudge
    """Who judges."""
    sft: Demonstrated | None = None
    """Fine-tune on the preferred responses first; null starts from the model as it is."""
    few_shot: Count | None = None
    """Judge the model before any training, too, with so many preferred responses before each prompt as its examples.
    They are the first of `preferences` that leave room. null leaves it out."""
    temperatures: Temperatures = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Temperatures of the responses that are judged."""
    samples: Count = 1
    """Responses per prompt and temperature that are judged; at temperature 0 there is one."""
    sampling_seed: Seed = 10_000
    """Fixes the draws."""
    max_new_tokens: Count = 64
    """Length at which a response is cut."""
    prompt_tokens: Count | None = None
    """Cut prompts from the left to so many tokens, for everyone, the judge included; with a chat template longer ones
    are left out instead. null leaves them whole."""
    response_tokens: Count | None = None
    """Leave out responses of the data that are longer, and comparisons with them; null keeps all."""
    # A judge may prefer a place, and in one order alone that counts as a win.
    orders: Literal["both", "one"] = "both"
    """Each pair is judged in both orders, and a verdict that flips is a tie."""
    missing: Literal["again", "count"] = "again"
    """Calls of the judge that failed: `again` has the next call of the study make them, `count` has them stand as pairs
    that cannot be decided."""
    dpo: DPOSweep | None = DPOSweep(beta=(0.1,))
    """DPO; each beta is a method of its own. null leaves the method out, here and below."""
    unlikelihood: UnlikelihoodSweep | None = None
    """Unlikelihood."""
    ppo: PPOSweep | None = PPOSweep(target_nats=(6.0,))
    """PPO, on the learned reward."""
    best_of_n: BestOfNSweep | None = BestOfNSweep(n=(16,))
    """Best-of-N: of the reference's samples at the same temperature, by the learned reward."""

    _own_is_none_of_the_others = model_validator(mode="after")(refuse_own_among_others)


class TldrConfig(WinRatesConfig):
    """Summaries: how often a judge prefers a method's summary of a post to that of the data."""

    method: ClassVar[str] = "tldr"
    kind: ClassVar[str] = "tldr"


class DialogueConfig(WinRatesConfig):
    """Dialogue: how often a judge prefers a method's answer to the one that people chose."""

    method: ClassVar[str] = "dialogue"
    kind: ClassVar[str] = "dialogue"


# Not named in `StudyDefinition.configs`, as its command is that of the study of transfer by a reward.
class JudgedTransferConfig(WinRatesConfig):
    """Win rates on the domain that was trained on, and on others."""

    method: ClassVar[str] = "transfer"
    kind: ClassVar[str] = "judged-transfer"
    domains: Annotated[dict[str, Rows], Field(min_length=1)]
    """Other domains by name, to measure on."""
