"""Settings that several studies share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import Field, JsonValue, field_validator, model_validator

from penchant.config import Config
from penchant.config.limits import Seed
from penchant.data.in_memory import DataPath
from penchant.data.rendering.template_source import TemplateName
from penchant.data.settings import RowsConfig, refuse_mixture
from penchant.models.settings import ModelConfig
from penchant.session.objects import CodeName

LearningRate = Annotated[float, Field(gt=0, description="Peak learning rate.")]
Sweep = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
Rates = LearningRate | Annotated[tuple[LearningRate, ...], Field(min_length=1)]
"""A learning rate, or several to sweep over: every setting of a method is then run with each of them."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Nats = Annotated[float, Field(gt=0, le=1000)]
MINIBATCHES = 4  # of a pass of PPO over a round's samples, its default


class Prompts(Config):
    """Texts to continue."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[DataPath, Field(min_length=1)]
    """A set that comes with Penchant (`film_openings`, `story_openings`), a file (text, one a line; rated texts,
    `id<TAB>mean<TAB>text`; or any data file), `data:NAME` for a file in the folder `data` (or what
    PENCHANT_DATA names), or a hub id."""
    split: str = "train"
    """Which split of a hub data set."""
    skip: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    """Leave out the first so many."""
    limit: Count | None = None
    """Take at most so many."""
    prefix_tokens: tuple[Count, Count] | None = None
    """Cut every text to its first tokens, a number between these two that is drawn for each; null takes texts whole.
    The texts are shuffled (always alike) before `skip` and `limit`, since data sets may be sorted by label."""


class SFTStage(Config):
    """Fine-tuning on demonstrations before anything else; the result is the reference and every method's start."""

    data: RowsConfig
    """Demonstrations: a path or hub id, or its settings."""
    learning_rate: LearningRate = 1e-5
    epochs: Count = 1
    """How often to go over the demonstrations."""
    max_steps: Count | None = None
    """Stop after so many steps, if sooner."""
    batch_size: Count = 64
    """Demonstrations of a step."""

    @model_validator(mode="after")
    def _has_one_file(self) -> Self:
        refuse_mixture(self.data, "studies")
        return self


class Comparisons(Config):
    """The preference data: samples of the reference, every pair of a group compared by the true reward."""

    # the paper's sentiment experiment: four completions of a prefix, ranked by the true reward
    samples: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Samples of a group: 4 give 6 comparisons."""
    groups: Count = 1
    """Groups per prompt, each with samples of its own."""


class Evaluation(Config):
    """What every method is measured by: the same prompts and seeds for all."""

    times: Count = 5
    """Evaluations of a run: at its end, and so often earlier, by `spacing`. One before the first step comes on top."""
    spacing: Annotated[float, Field(gt=1, le=1e6)] = 2.0
    """How far evaluations are apart: at 2 after all, a half, a quarter of the steps and so on, since most happens
    early."""
    samples: Count = 8
    """Samples per prompt and evaluation."""
    reference_samples: Annotated[int, Field(ge=16, le=100_000)] = 256
    """Samples of the reference per prompt, for Best-of-N and the limit line; with more it is trusted farther."""
    seed: Seed = 10_000
    """Fixes the draws of evaluations; those of the reference are drawn with the next number."""


class DPOSweep(Config):
    """DPO: how strongly the policy is held to the reference."""

    # the paper's values, as are alpha of unlikelihood and the target KLs of PPO below
    beta: Sweep = (0.05, 0.1, 1.0, 5.0)
    """Values of beta."""
    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""


class KTOSweep(Config):
    """KTO on the winners as good responses and the losers as bad ones: how strongly the policy is held."""

    beta: Sweep = (0.1, 1.0)
    """Values of beta."""
    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""


class PreferredFTSweep(Config):
    """Preferred-FT: nothing to sweep but the seed and the learning rate."""

    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """Runs with other seeds of their own, on the same comparisons."""


class UnlikelihoodSweep(Config):
    """Unlikelihood: how much a loser counts beside a winner."""

    alpha: Sweep = (0.05, 0.1, 0.5, 1.0)
    """Values of alpha."""
    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""


class RewardModelStage(Config):
    """The reward model that PPO maximises, fitted to the same comparisons that DPO learns from."""

    learning_rate: LearningRate = 1e-5
    epochs: Count = 1
    """How often to go over the comparisons."""
    batch_size: Count = 64
    """Comparisons of a step."""
    held_out: Annotated[float, Field(ge=0)] = 0.0
    """Prompts that it does not learn from: a share below 1, a number from 1 up. By default it learns from all that the
    other methods learn from."""


class PPOSweep(Config):
    """PPO: the KL that its controller aims at."""

    target_nats: Sweep = (3.0, 6.0, 9.0, 12.0)
    """Target KLs in nats."""
    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""
    steps: Count = 30
    """Updates: rounds of sampling and learning."""
    prompts_per_step: Count = 64
    """Prompts of a round."""
    samples_per_prompt: Count = 4
    """Samples per prompt and round."""
    updates: Count = 2
    """How often a round learns from its samples."""
    kl_start: Annotated[float, Field(gt=0)] | None = None
    """Coefficient of the KL at the start, from which the controller steers to the target; by the target and the spread
    of rewards if not given."""

    @property
    def steps_per_round(self) -> int:
        """The number of optimizer steps that a round of samples makes."""
        return self.updates * min(MINIBATCHES, self.prompts_per_step)


class GroupSweep(Config):
    """RLOO or GRPO on the true reward: how strongly the policy is held to the reference."""

    coefficient: Sweep = (0.05,)
    """Values of the KL's coefficient."""
    learning_rate: Rates = 1e-5
    """Peak learning rate, or several: every setting is then run with each."""
    steps: Count = 60
    """Updates: rounds of sampling and learning."""
    prompts_per_step: Count = 64
    """Prompts of a round."""
    samples_per_prompt: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Samples per prompt and round, which are each other's baseline."""


class BestOfNSweep(Config):
    """Best-of-N: by the true reward, from the reference's samples, in exact expectation. Costs nothing more."""

    n: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Values of N, none above `evaluation.reference_samples`."""


class Study(Config):
    """The settings that all studies share: where they lie, and their seeds."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Each fixes training data (comparisons, reward model; who labels which rows) and training of its own; what is
    measured on is shared."""
    out: str | None = None
    """The study's folder; `runs/STUDY` if not given."""

    # the same seed gives the same runs, whose equal numbers would be taken for agreement between seeds
    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if repeated:
            raise ValueError(
                f"{', '.join(map(str, repeated))} stands in it more than once: the same seed gives the same runs, and "
                "would count as if there were more; give each seed once"
            )
        return seeds


class LimitedStudy(Study):
    """The settings of studies that can be tried with little of everything."""

    fewest: ClassVar[Mapping[str, int]] = {}
    """Settings of which a trial takes no fewer, beside those that hold for every study."""

    limit: Annotated[int, Field(ge=2, le=10_000_000)] | None = None
    """Try every stage first: at most so many rows of every source, steps of every run and samples of every prompt, one
    pass over the data, and the first seed. The numbers of such a trial mean nothing."""


class StudyConfig(LimitedStudy):
    """The settings of studies that start from one model."""

    model: ModelConfig
    """The model to start from: a name, or its settings."""
    template: TemplateName = "plain"
    """How prompts are rendered: `plain` joins texts as they are, `chat` takes the model's chat template. Or `chatml`
    and others that come with this package, or a `.jinja` file."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`."""
    # the paper's; presets take AdamW, as RMSprop without a long warm-up costs nats of KL for no reward (decision 8)
    optimizer: Literal["rmsprop", "adamw"] = "rmsprop"
    """Of every method; PPO's included."""
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Steps over which learning rates rise, in every run."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient, in every run."""
    # the paper's batch size
    batch_size: Count = 64
    """Comparisons (KTO, Preferred-FT, unlikelihood: responses) of a step."""
    epochs: Count = 1
    """How often DPO, KTO, Preferred-FT and unlikelihood go over the comparisons."""


class SampledConfig(StudyConfig):
    """The settings of studies whose comparisons are samples that the true reward ranks."""

    prompts: Prompts
    """Texts to train on."""
    eval_prompts: Prompts
    """Texts to measure on. Those that are among the prompts to train on are left out."""
    reward: CodeName = "vader"
    """The true reward, which ranks samples and measures methods: `vader`, `classifier:MODEL`, `module:function`."""
    max_new_tokens: Count = 40
    """Length at which a response is cut, everywhere."""
    sft: SFTStage | None = None
    """Fine-tune first; null starts from the model as it is."""
    comparisons: Comparisons = Comparisons()
    """The preference data."""
    evaluation: Evaluation = Evaluation()
    """How methods are measured."""


class LearnedMethods(StudyConfig):
    """Methods that learn from comparisons."""

    dpo: DPOSweep | None = DPOSweep()
    """DPO's sweep; null leaves the method out, here and below."""
    kto: KTOSweep | None = None
    """KTO's sweep."""
    preferred_ft: PreferredFTSweep | None = PreferredFTSweep()
    """Preferred-FT."""
    unlikelihood: UnlikelihoodSweep | None = UnlikelihoodSweep()
    """Unlikelihood's sweep."""
    ppo: PPOSweep | None = PPOSweep()
    """PPO's sweep, on the learned reward."""
    reward_model: RewardModelStage = RewardModelStage()
    """The learned reward, where PPO takes part."""
    best_of_n: BestOfNSweep | None = BestOfNSweep()
    """Best-of-N's sweep."""


class MethodsConfig(SampledConfig, LearnedMethods):
    """The settings of studies that compare methods by the true reward."""

    ppo_gt: PPOSweep | None = PPOSweep()
    """PPO-GT's sweep, on the true reward."""
    rloo: GroupSweep | None = None
    """RLOO's sweep, on the true reward."""
    grpo: GroupSweep | None = None
    """GRPO's sweep, on the true reward."""

    @model_validator(mode="after")
    def _something_to_compare(self) -> Self:
        names = (*TRAINED, "best_of_n")
        if all(getattr(self, name) is None for name in names):
            raise ValueError(f"there is nothing to compare: {', '.join(names)} are all null")
        return self

    # the expectation of the best of N needs N different samples
    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        if self.best_of_n is not None and max(self.best_of_n.n) > self.evaluation.reference_samples:
            raise ValueError(
                f"`best_of_n.n` goes up to {max(self.best_of_n.n)}, but there are only "
                f"{self.evaluation.reference_samples} samples per prompt: raise `evaluation.reference_samples`"
            )
        return self


Temperatures = Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]


class OnDomains(Protocol):
    """Settings of a study that measures on the domain that it trains on, and on others."""

    @property
    def own(self) -> str: ...
    @property
    def domains(self) -> Mapping[str, Config]: ...


OnDomainsT = TypeVar("OnDomainsT", bound=OnDomains)


def refuse_own_among_others(config: OnDomainsT) -> OnDomainsT:
    """Refuse another domain with the name of the own one: their numbers would stand under one key."""
    if config.own in config.domains:
        raise ValueError(f"`domains` has {config.own!r}, which `own` already names: rename one of the two")
    return config


SWEPT = {
    "dpo": "beta",
    "kto": "beta",
    "preferred_ft": "repeat",
    "unlikelihood": "alpha",
    "ppo": "target_nats",
    "ppo_gt": "target_nats",
    "rloo": "coefficient",
    "grpo": "coefficient",
}
"""The setting that a method's sweep goes over, besides its learning rate."""
TRUE_REWARD_METHODS = ("ppo_gt", "rloo", "grpo")
"""The methods that learn from the true reward itself, and from no comparison."""
ROLLOUT_METHODS = ("ppo", *TRUE_REWARD_METHODS)
"""The methods that learn from samples of their own."""
TRAINED = tuple(SWEPT)
"""The methods that train, in their order on the page."""


def starting_settings(method: str, sweep: Config) -> list[tuple[float | None, float]]:
    """Return the (value, learning rate) of each run that a method's sweep asks for, every value with every rate."""
    rates = sweep.learning_rate  # type: ignore[attr-defined]
    values: tuple[float | None, ...]
    if isinstance(sweep, PreferredFTSweep):
        values = tuple(map(float, range(sweep.repeats))) if sweep.repeats > 1 else (None,)
    else:
        values = tuple(dict.fromkeys(getattr(sweep, SWEPT[method])))
    # a value that is given twice is one run
    distinct_rates = tuple(dict.fromkeys(rates)) if isinstance(rates, tuple) else (rates,)
    return [(value, rate) for value in values for rate in distinct_rates]
