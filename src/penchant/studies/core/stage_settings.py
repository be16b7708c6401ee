"""What each kind of stage depends on besides its inputs and the stages before: one frozen class for each kind.

They are written into the stage's address as JSON, so a field with a default of None is left out where it is None: a
new one leaves the addresses of the stages that do not use it as they are. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from penchant.data.options import RenderOptions, Template
from penchant.data.settings import RowsConfig
from penchant.models.settings import ModelConfig
from penchant.typed_json import INLINED, OMITTED, StoredAs


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """Settings of a stage.

    Attributes:
        extent: names of those that decide how much it computes and not what. With another extent it is another stage,
            but stages that need it stay the same.
    """

    # on the class, so that it is no field and no key of the JSON
    extent: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class PolicySettings(StageSettings):
    """The model that a stage loads, with the digest of its content in place of its name."""

    model: ModelConfig
    template: Template
    template_args: Annotated[Mapping[str, object] | None, OMITTED] = None

    @property
    def rendering(self) -> RenderOptions:
        """Return how texts become token ids."""
        return RenderOptions(self.template, self.template_args or {})

    @property
    def data(self) -> dict[str, object]:
        """Return the settings of a run's data that say the same."""
        settings: dict[str, object] = {"template": self.template}
        return settings | ({"template_args": dict(self.template_args)} if self.template_args else {})


@dataclass(frozen=True)
class DrawSettings:
    """How samples are drawn; `reward` is the content of the true reward, where there is one."""

    reward: str | None
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True)
class SampledSettings(StageSettings):
    """A number of samples of a policy per prompt; `reference` stages have no further settings."""

    policy: Annotated[PolicySettings, INLINED]
    draws: Annotated[DrawSettings, INLINED]
    samples: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class ComparisonsSettings(SampledSettings):
    """Groups of samples for each prompt, every pair of a group compared; `role` says for which prompts."""

    groups: int
    role: Annotated[Literal["eval"] | None, OMITTED, StoredAs("of")] = None


@dataclass(frozen=True, kw_only=True)
class MeasuredSettings(SampledSettings):
    """Samples of a policy on a domain's prompts at several temperatures.

    Attributes:
        best_of: of how many each sample is the best by a learned reward; None for one.
    """

    temperatures: tuple[float, ...]
    # left out where it is None, as whatever came after the first addresses: stages without it keep theirs
    best_of: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class MislabelledSettings(StageSettings):
    """The share of the comparisons that gets a wrong label, and what a wrong label is."""

    share: float
    labels: Literal["flipped", "random"]
    seed: int


# A copy of the configuration's fields and not the configuration itself: a stage that imported it would be stale with
# every change of a study's settings (see `core/source.py`). So are the others here that name a configuration.
@dataclass(frozen=True, kw_only=True)
class PromptSource:
    """Texts to continue, as `Prompts` has them, with the content of the file in place of its path."""

    path: str
    split: str
    skip: int
    limit: int | None
    prefix_tokens: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class PromptsSettings(StageSettings):
    """The prompts to train on and to measure on; the model where its tokenizer cuts them."""

    train: PromptSource
    eval: PromptSource
    model: Annotated[str | None, OMITTED] = None


# -- runs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearningSettings:
    """The settings that every run takes from the study."""

    optimizer: Literal["rmsprop", "adamw"]
    clip: float
    warmup_steps: int


@dataclass(frozen=True)
class EvaluationSettings:
    """How runs are measured while they learn, as `Evaluation` has it."""

    times: int
    spacing: float
    samples: int
    seed: int


@dataclass(frozen=True)
class PreferredResponses:
    """How the preferred responses of a study are read to fine-tune on."""

    template: Template
    held_out: int = 0
    template_args: Annotated[Mapping[str, object] | None, OMITTED] = None


@dataclass(frozen=True)
class SweptLoss:
    """A loss on pairs by its name, with the settings that differ between runs; its others are the defaults."""

    name: Literal["sigmoid", "robust", "ipo"]
    # not `penchant.losses.settings`: a new field of a loss there would change the address of every run
    beta: Annotated[float | None, OMITTED] = None
    tau: Annotated[float | None, OMITTED] = None
    label_smoothing: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class RunSettings(StageSettings):
    """Settings of a stage that trains a method."""

    learning: Annotated[LearningSettings, INLINED]
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class SFTSettings(RunSettings):
    """Fine-tuning on demonstrations, or on the preferred responses of the comparisons."""

    model: ModelConfig
    data: RowsConfig | PreferredResponses
    epochs: int
    max_steps: int | None
    batch_size: int


@dataclass(frozen=True)
class Proportions:
    """Weights of sources by their sizes, as the configuration of that name has them."""

    cap: int | None
    temperature: float


@dataclass(frozen=True, kw_only=True)
class MixtureRunSettings(RunSettings):
    """Fine-tuning on the files of a stage of demonstrations, each of which is a source.

    Attributes:
        mixing: how often each is drawn.
        max_length: tokens of prompt and response; a longer prompt loses its beginning.
    """

    policy: Annotated[PolicySettings, INLINED]
    steps: int
    batch_size: int
    mixing: Proportions
    max_length: int | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class RewardModelSettings(RunSettings):
    """A reward model, fitted to comparisons."""

    policy: Annotated[PolicySettings, INLINED]
    epochs: int
    batch_size: int
    held_out: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class OfflineRunSettings(RunSettings):
    """A run of DPO, KTO, Preferred-FT or unlikelihood on comparisons.

    Attributes:
        epochs, steps: how long it learns; one of the two.
        loss: of DPO.
        prompts: how many of the comparisons' prompts it learns from; None for all.
    """

    policy: Annotated[PolicySettings, INLINED]
    batch_size: int
    seed: int
    epochs: Annotated[int | None, OMITTED] = None
    steps: Annotated[int | None, OMITTED] = None
    loss: Annotated[SweptLoss | None, OMITTED] = None
    prompts: Annotated[int | None, OMITTED] = None


# Three classes that build on each other, as addresses have the keys: runs of the study of annotators know no reward and
# no value, those of noise no value, and where there is nothing to sweep the value is null and still a key.
@dataclass(frozen=True, kw_only=True)
class SampledRunSettings(OfflineRunSettings):
    """A run on comparisons that is measured by samples; without `evaluation` other stages do it after its end."""

    draws: Annotated[DrawSettings, INLINED]
    evaluation: Annotated[EvaluationSettings | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class SweptRunSettings(SampledRunSettings):
    """A run on comparisons at one `value` of its method's sweep; None where there is nothing to sweep."""

    value: float | None


@dataclass(frozen=True, kw_only=True)
class PPORunSettings(RunSettings):
    """A run of PPO or PPO-GT; `value` is the KL in nats that it aims at."""

    policy: Annotated[PolicySettings, INLINED]
    draws: Annotated[DrawSettings, INLINED]
    steps: int
    prompts_per_step: int
    samples_per_prompt: int
    updates: int
    kl_start: float | None
    value: float
    seed: int
    evaluation: Annotated[EvaluationSettings | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class GroupRunSettings(RunSettings):
    """A run of RLOO or GRPO on the true reward; `value` is the KL's coefficient."""

    policy: Annotated[PolicySettings, INLINED]
    draws: Annotated[DrawSettings, INLINED]
    steps: int
    prompts_per_step: int
    samples_per_prompt: int
    value: float
    seed: int
    evaluation: Annotated[EvaluationSettings | None, OMITTED] = None


def is_evaluated(settings: StageSettings) -> bool:
    """Return whether a stage is a run that samples while it learns."""
    return (
        isinstance(settings, SampledRunSettings | PPORunSettings | GroupRunSettings) and settings.evaluation is not None
    )
