"""The settings of judges, each of which names its implementation. Imports no torch and no client of an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, JsonValue

from penchant.config import Config
from penchant.config.addresses import split_http_address
from penchant.config.fields import tag_of
from penchant.config.limits import Arguments, Seed
from penchant.data.in_memory import DataPath
from penchant.extension.door import Door
from penchant.models.in_memory import ModelName
from penchant.session.objects import CodeName

OWN_JUDGES = Door("judge")
"""Judges of the user's, by `module:attribute`."""
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Difference = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(gt=0)]
ChatArgs = dict[str, JsonValue]


def _check_address(address: str) -> str:
    """Refuse what no client can connect to, before the first of many calls fails."""
    try:
        parts = split_http_address(address)
    except ValueError as error:
        raise ValueError(f"{error}; expected an address such as http://localhost:8000/v1") from None
    # addresses stand in recorded configurations and in keys of the store; a variable's name says nothing secret
    if "@" in parts.netloc:
        raise ValueError("it has credentials in it: put the key into the variable that `key_from` names")
    return address


Address = Annotated[str, AfterValidator(_check_address)]


class JudgeSettings(Config):
    """The settings of one kind of judge."""

    implementation: ClassVar[str]
    """`module:Class` of the judge, made by `Class.from_settings`. Named, not imported, because many bring torch."""


class Longest(JudgeSettings):
    """The longer response wins: a baseline."""

    implementation: ClassVar[str] = "penchant.judges.length:LongestJudge"

    name: Literal["longest"] = "longest"


class Random(JudgeSettings):
    """A coin: a baseline."""

    implementation: ClassVar[str] = "penchant.judges.chance:RandomJudge"

    name: Literal["random"] = "random"
    seed: Seed = 0
    """Fixes how the coin falls."""


class Reward(JudgeSettings):
    """The response with the higher reward wins."""

    implementation: ClassVar[str] = "penchant.judges.scored:RewardJudge"

    name: Literal["reward"] = "reward"
    reward: Annotated[CodeName, Field(min_length=1)] = "vader"
    """A name such as `vader`, `classifier:MODEL`, `module:function`, an address, or the folder of a reward model."""
    margin: Difference = 0.0
    """A smaller difference is a tie."""
    device: str = "auto"
    """Where a model runs."""


class LocalPolicy(JudgeSettings):
    """A language model on this machine, which scores both verdicts and generates nothing."""

    implementation: ClassVar[str] = "penchant.judges.local_model:PolicyJudge"
    added_fields: ClassVar[frozenset[str]] = frozenset({"template_args"})

    name: Literal["policy"] = "policy"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id."""
    template: Text = "instruction"
    """What it is asked: `instruction`, `summary`, `summary_concise`, `helpfulness`, `harmlessness`, or a file."""
    template_args: ChatArgs = Field(default_factory=dict)
    """What its chat template is told beside the question, such as `{enable_thinking: false}`; what it was trained with
    is the default."""
    margin: Difference = 0.0
    """A smaller difference between the verdicts, in nats, is a tie."""
    device: str = "auto"
    """Where it runs."""


class Endpoint(JudgeSettings):
    """A model behind an OpenAI-compatible address: vLLM, llama.cpp, Ollama, or a hosted one."""

    implementation: ClassVar[str] = "penchant.judges.endpoint:EndpointJudge"
    added_fields: ClassVar[frozenset[str]] = frozenset({"template_args"})

    name: Literal["endpoint"] = "endpoint"
    model: Text
    """The model's name at the endpoint."""
    base_url: Address | None = None
    """The address, which mostly ends in /v1; that of OpenAI if not given."""
    key_from: Text = "OPENAI_API_KEY"
    """The environment variable that holds the key. It is sent to the endpoint and written nowhere."""
    template: Text = "instruction"
    """What it is asked: `instruction`, `summary`, `summary_concise`, `helpfulness`, `harmlessness`, or a file."""
    template_args: ChatArgs = Field(default_factory=dict)
    """What the server tells the model's chat template, such as `{enable_thinking: false}`. It is sent as
    `chat_template_kwargs`, which vLLM, SGLang and llama.cpp take, and only where it is given."""
    temperature: Annotated[float | None, Field(ge=0, le=2)] = 0.0
    """Sampling temperature of the answers; null leaves it to the endpoint, as some models want."""
    max_tokens: Count | None = 400
    """Length of an answer at most, in tokens; null leaves it to the endpoint, as some models want."""
    structured: bool = True
    """Ask for JSON of a stated form, where the endpoint offers that; where it refuses, plain text is asked for."""
    concurrency: Count = 4
    """How many calls run at once."""
    timeout_s: Seconds = 60.0
    """Seconds until an answer has to be complete."""
    attempts: Count = 5
    """How often a call is made before it counts as failed."""
    first_wait_s: Seconds = 0.5
    """Seconds before the second attempt; each further wait is twice as long, or what the endpoint asks for."""


class People(JudgeSettings):
    """Votes of annotators on the same two responses."""

    implementation: ClassVar[str] = "penchant.judges.people:PeopleJudge"

    name: Literal["people"] = "people"
    paths: Annotated[tuple[DataPath, ...], Field(min_length=1)]
    """Preference files, or what `penchant collect` wrote."""


class Custom(JudgeSettings):
    """A judge of your own."""

    implementation: ClassVar[str] = "penchant.judges.custom:CustomJudge"
    extension: ClassVar[str] = "factory"

    name: Literal["custom"] = "custom"
    factory: Annotated[CodeName, Field(min_length=1)]
    """`module:attribute`, or `path/to/file.py:attribute`: a class or a function that makes the judge."""
    settings: Arguments = Field(default_factory=dict)
    """Its arguments, by name."""


# A new judge is a class above, a member of this union and a file of its own.
SingleJudge = Longest | Random | Reward | LocalPolicy | Endpoint | People | Custom
Single = Annotated[SingleJudge, Field(discriminator="name")]


class Panel(JudgeSettings):
    """The majority of several judges."""

    implementation: ClassVar[str] = "penchant.judges.panel:PanelJudge"

    name: Literal["panel"] = "panel"
    judges: Annotated[tuple[Single, ...], Field(min_length=2)]
    """The judges that vote."""


class Noisy(JudgeSettings):
    """A simulated annotator: a judge that errs at random."""

    implementation: ClassVar[str] = "penchant.judges.noisy:NoisyJudge"

    name: Literal["noisy"] = "noisy"
    judge: Single = Reward()
    """The judge whose verdicts are turned round."""
    rate: Share = 0.1
    """Share of verdicts that are turned round."""
    seed: Seed = 0
    """Fixes which verdicts are turned round."""


AnyJudge = SingleJudge | Panel | Noisy
JudgeSpec = Annotated[AnyJudge, Field(discriminator="name")]


def implementation_module(name: str) -> str:
    """Return the module of the judge that settings call by this name; empty where there is no such judge."""
    judges: tuple[type[JudgeSettings], ...] = get_args(AnyJudge)
    return next((judge.implementation.partition(":")[0] for judge in judges if tag_of(judge) == name), "")


def endpoints_of(judge: Config) -> Iterator[Endpoint]:
    """Yield the endpoints that a judge asks: itself, or those inside of it."""
    match judge:
        case Endpoint():
            yield judge
        case Panel():
            for member in judge.judges:
                yield from endpoints_of(member)
        case Noisy():
            yield from endpoints_of(judge.judge)
