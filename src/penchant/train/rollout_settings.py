"""What the methods of the rollout loop may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Draws, Rows, Steps, Tokens
from penchant.models.settings import FrozenModel
from penchant.session.objects import CodeName
from penchant.train.settings import Evaluate, RunConfig, Samples

Coefficient = Annotated[float, Field(ge=0)]


class AdaptiveKL(Config):
    """A penalty whose coefficient is steered so that the KL comes to a target (Ziegler et al. 2019)."""

    name: Literal["adaptive"] = "adaptive"
    target_nats: Annotated[float, Field(gt=0)] = 6.0
    """The KL of a whole response from the reference to steer to, in nats."""
    start: Annotated[float, Field(gt=0)] | None = None
    """The coefficient of the first step. If not given, the one with which the best policy lies at the target, by the
    spread of the first step's rewards for a prompt: standard deviation / sqrt(2 target_nats)."""
    # for a hundred steps, where the paper has thousands (decision 0009)
    gain: Annotated[float, Field(gt=0, le=2.5)] = 0.5
    """How fast it moves: by at most a fifth of this per step. (The paper's 0.1 is for thousands of steps.)"""


class FixedKL(Config):
    """A penalty with the same coefficient in every step: the beta of the objective reward - beta KL."""

    name: Literal["fixed"] = "fixed"
    coefficient: Coefficient = 0.1
    """The coefficient; 0 for no penalty."""


class RolloutConfig(RunConfig):
    """Settings that the methods share that sample, reward and update.

    Samples are drawn at temperature 1 from the whole vocabulary: anything else would not be the policy whose KL is
    measured.
    """

    # `evaluate.samples.prompts` has the name, but the prompts to train on are the data
    other_names: ClassVar[dict[str, str]] = {"prompts": "data", "prompt_file": "data"}

    # what rollouts will cost is not known before they are drawn: the number of prompts is that of recorded pipelines
    evaluate: Evaluate = Evaluate(samples=Samples(max_prompts=32))
    """Evaluation."""
    reward: Annotated[CodeName, Field(min_length=1)]
    """What is optimised: the folder of a reward model (several with commas between: their mean), `vader`, a
    verifier such as `exact_answer`, `module:function`, or a URL."""
    true_reward: CodeName | None = None
    """What the reward stands for; logged beside it in every step, never trained on. As `reward`."""
    reference: FrozenModel | None = None
    """The model that the policy is held to; the policy's own start if not given."""
    steps: Steps = 100
    """Rounds of sampling and updating."""
    prompts_per_step: Rows = 32
    """Prompts to sample for in a step, all different; over many steps every prompt comes about equally often."""
    samples_per_prompt: Draws = 2
    """Samples per prompt in a step; the prompt is computed once for all of them."""
    max_new_tokens: Tokens = 48
    """Length at which a sample is cut."""
    # steered by default: in nats a target means the same for every reward, and a coefficient does not
    kl: Annotated[AdaptiveKL | FixedKL, Field(discriminator="name")] = AdaptiveKL()
    """How the policy is held to the reference."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where the penalty goes: into each token's reward; or into the loss, where it stands beside advantages that are
    scaled to a variance of 1, so that a coefficient means another thing."""
    updates: Annotated[int, Field(ge=1, le=10_000)] = 2
    """How often a step goes over its samples."""
    minibatches: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Optimizer steps of each of these, by prompts."""
    clip_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """How far the probability of a token may move within a step before its gradient stops."""
    stop_kl_nats: Annotated[float, Field(gt=0)] | None = 100.0
    """Stop where the mean KL of a step's samples is beyond this; null never does."""

    @model_validator(mode="after")
    def _no_dropout(self) -> Self:
        # the ratio of the clipped surrogate would compare two draws of the dropout, and not two policies
        if self.model.lora is not None and self.model.lora.dropout:
            raise ValueError(
                "`model.lora.dropout` makes the updated policy another one than that which drew the samples: set it "
                "to 0"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _untruncated(cls, values: Any) -> Any:
        # refused by name: "unknown setting" would leave open why PPO lacks what every sampler has
        cut = sorted({"top_k", "top_p", "temperature"} & set(values)) if isinstance(values, dict) else []
        if cut:
            raise ValueError(
                f"`{cut[0]}` cannot be set for rollouts: samples of a cut or tempered distribution are not the "
                "policy's, and their KL to the reference would mean nothing; leave it out (evaluate.samples may cut)"
            )
        return values


class ActorCriticConfig(RolloutConfig):
    """Settings of PPO: a value head beside the policy says what a token's rewards are held against."""

    clip_value: Annotated[float, Field(gt=0)] | None = 0.2
    """How far a value may move within a step; null for no limit."""
    # small, since the head reads the policy's own trunk and its loss pulls at the policy (decision 0009)
    value_weight: Coefficient = 0.1
    """Weight of the value loss."""
    value_learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate of the value head: it starts from nothing, while the policy starts from a model."""
    entropy_weight: Coefficient = 0.0
    """Weight of a bonus for the entropy of each token's distribution."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Discount per token."""
    lam: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Of the generalized advantage estimate: 1 has no bias, less has less variance."""
    whiten_rewards: bool = False
    """Scale each step's rewards, the KL penalty included, to a variance of 1."""
