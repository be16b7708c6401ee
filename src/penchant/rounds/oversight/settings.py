"""Settings of protocols of oversight: who argues, who reads, and what the reader is shown. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config
from penchant.judges.settings import Address, Endpoint, JudgeSpec, Seconds
from penchant.models.in_memory import ModelName
from penchant.weak.semi_supervised.settings import add_name
from penchant.weak.settings import StudentSpec, short_name

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Rounds = Annotated[int, Field(ge=1, le=20)]
Text = Annotated[str, Field(min_length=1)]
LabelledRows = Annotated[int, Field(ge=10, le=1_000_000)]


# -- who argues --------------------------------------------------------------------------------------------------------


# A new advisor is a class here, a member of `AdvisorSpec`, and a branch of `load.make_advisor`.
class Silent(Config):
    """An advisor that says nothing: a control, with which a debate is what the reader says alone."""

    name: Literal["silent"] = "silent"

    @property
    def label(self) -> str:
        return "silent"


class Scripted(Config):
    """An advisor without a model: it holds its answer, and quotes what speaks for it best in the passage."""

    name: Literal["scripted"] = "scripted"
    quotes: Annotated[int, Field(ge=1, le=100)] = 1
    """Sentences that it quotes per statement; in each round other ones."""

    @property
    def label(self) -> str:
        return "scripted"


class PolicyAdvisor(Config):
    """A language model on this machine, which writes an argument for the answer that it is given."""

    name: Literal["policy"] = "policy"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id."""
    # of the reference code of Khan et al. (2024), as is the endpoint's
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.4
    """Sampling temperature of the arguments."""
    max_tokens: Count = 120
    """Length at which a statement is cut."""
    device: str = "auto"
    """Where it runs."""

    @property
    def label(self) -> str:
        return short_name(self.model)


class EndpointAdvisor(Config):
    """A model behind an OpenAI-compatible address, which writes an argument for the answer that it is given."""

    name: Literal["endpoint"] = "endpoint"
    model: Text
    """The model's name at the endpoint."""
    base_url: Address | None = None
    """The address, which mostly ends in /v1; that of OpenAI if not given."""
    key_from: Text = "OPENAI_API_KEY"
    """The environment variable that holds the key. It is sent to the endpoint and written nowhere."""
    temperature: Annotated[float | None, Field(ge=0, le=2)] = 0.4
    """Sampling temperature of the arguments; null leaves it to the endpoint."""
    max_tokens: Count | None = 250
    """Length of a statement at most, in tokens; null leaves it to the endpoint."""
    concurrency: Count = 4
    """How many calls run at once."""
    timeout_s: Seconds = 60.0
    """Seconds until a statement has to be complete."""
    attempts: Count = 5
    """How often a call is made before it counts as failed."""
    first_wait_s: Seconds = 0.5
    """Seconds before the second attempt; each further wait is twice as long, or what the endpoint asks for."""

    @property
    def label(self) -> str:
        return self.model

    @property
    def client(self) -> Endpoint:
        """The settings of the client that asks it, which judges have too."""
        # one client for both: attempts, waits, errors and the care for keys are the same
        settings = {name: getattr(self, name) for name in type(self).model_fields if name != "name"}
        return Endpoint(**settings)


AdvisorSpec = Annotated[
    Annotated[Silent | Scripted | PolicyAdvisor | EndpointAdvisor, Field(discriminator="name")],
    BeforeValidator(add_name),
]
"""Who argues."""


# -- who reads ---------------------------------------------------------------------------------------------------------


# Readers have `rows` and `tokens` alike, so that a study need not ask which kind reads.
class OverlapReader(Config):
    """A reader that knows no word: a logistic regression on how question, answers and text overlap."""

    name: Literal["overlap"] = "overlap"
    rows: LabelledRows = 100
    """Questions with their true answer from which it learns what an overlap is worth, shown as the protocol does."""
    tokens: Count = 512
    """Words that it reads at once; a longer text is cut."""

    @property
    def label(self) -> str:
        return f"overlap of words on {self.rows} rows"


class ClassifierReader(Config):
    """A reader that is a classifier: a prompted language model that finds one answer likelier, or a trained probe."""

    name: Literal["classifier"] = "classifier"
    classifier: StudentSpec
    """What reads: `{name: lm, model: ..., reading: {name: words}, training: null}` compares the answers' likelihoods
    after the text, and learns nothing; a probe or a fine-tuned model learns from `rows`."""
    rows: LabelledRows = 100
    """Questions with their true answer, shown as the protocol does: it learns from three quarters of them, if it learns
    at all, and the rest settle how sure it may be."""
    tokens: Count = 512
    """Tokens that it reads at once, question and answers included; the text above them is cut to what has room."""

    @property
    def label(self) -> str:
        return self.classifier.label


class JudgeReader(Config):
    """A reader that is a judge: it is asked which of the two answers is right, in both orders."""

    name: Literal["judge"] = "judge"
    judge: JudgeSpec
    """Any judge of `penchant judge`, such as `{name: endpoint, model: ..., base_url: ...}`."""
    tokens: Count = 2000
    """Words that it reads at once, question and answers included; the text above them is cut to what has room."""

    rows: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Questions with their true answer: none that a judge learns from, but the members of an ensemble do."""

    @property
    def label(self) -> str:
        model = getattr(self.judge, "model", None)
        return f"judge {self.judge.name}" if model is None else short_name(model)


ReaderSpec = Annotated[
    Annotated[OverlapReader | ClassifierReader | JudgeReader, Field(discriminator="name")], BeforeValidator(add_name)
]
"""Who reads, and says which answer is right."""


# -- what the reader is shown ------------------------------------------------------------------------------------------


# Labels of protocols differ wherever their settings do: pages and stages tell them apart by these.
class Blind(Config):
    """The reader alone, with the question and the two answers: the floor."""

    name: Literal["blind"] = "blind"

    @property
    def label(self) -> str:
        return "blind reader"


class Informed(Config):
    """The reader with the passage."""

    name: Literal["informed"] = "informed"

    @property
    def label(self) -> str:
        return "informed reader"


class Consultancy(Config):
    """One advisor argues for an answer that a coin gives to it; whoever reads does not know whether it is right."""

    name: Literal["consultancy"] = "consultancy"
    rounds: Rounds = 1
    """Statements of the advisor."""

    @property
    def label(self) -> str:
        return f"consultancy{_rounds_suffix(self.rounds)}"


class Debate(Config):
    """Two advisors argue for opposite answers; the mean of both orders in which they may speak."""

    name: Literal["debate"] = "debate"
    rounds: Rounds = 1
    """Statements of each advisor. From the second on it knows what was said."""

    @property
    def label(self) -> str:
        return f"debate{_rounds_suffix(self.rounds)}"


class Ensemble(Config):
    """The mean of the calibrated probabilities of several blind readers."""

    name: Literal["ensemble"] = "ensemble"
    draws: Annotated[int, Field(ge=1, le=1000)] = 5
    """Copies of each reader, that learn from labelled questions drawn with replacement (bagging); 1 takes them all."""
    members: tuple[StudentSpec, ...] = ()
    """Other classifiers beside the study's reader, with as many labelled questions."""

    @property
    def label(self) -> str:
        other_members = f" and {len(self.members)} others" if self.members else ""
        return f"ensemble, {self.draws} draws of the reader{other_members}"


class Recursive(Config):
    """A chain of students, each trained on the labels of the one before; the first on those of the blind reader."""

    name: Literal["recursive"] = "recursive"
    chain: Annotated[tuple[StudentSpec, ...], Field(min_length=1)]
    """The students, from the weakest to the strongest. Each labels one half of the rows after it learned from the other
    half, so that none hands on labels that it knows by heart."""

    @property
    def label(self) -> str:
        return f"recursive, {' > '.join(student.label for student in self.chain)}"


ProtocolSpec = Annotated[
    Annotated[Blind | Informed | Consultancy | Debate | Ensemble | Recursive, Field(discriminator="name")],
    BeforeValidator(add_name),
]
"""How labels are made."""
ARGUED = (Consultancy, Debate)
"""Protocols that need an advisor."""


def _rounds_suffix(rounds: int) -> str:
    return "" if rounds == 1 else f", {rounds} rounds"
