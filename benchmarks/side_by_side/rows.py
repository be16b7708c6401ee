"""The training rows: what is trained, how much of it, and what was promised of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

WARMUP = 2  # steps that the speed leaves out: memory is touched for the first time until the optimizer has its own
SMOLLM2 = "smollm2-135m"
NEOX = "neox-50304"  # made here: hidden 256, 6 layers, random weights, so many tokens


@dataclass(frozen=True)
class Words:
    """Random words of stated lengths in tokens, both ends included; every two responses of a prompt are compared.

    Attributes:
        responses: of a prompt.
        response_tokens: of a response, its end token included.
        prompt_tokens: of a prompt.
    """

    responses: int
    response_tokens: tuple[int, int]
    prompt_tokens: tuple[int, int]

    @property
    def pairs(self) -> int:
        """Comparisons of a prompt."""
        return self.responses * (self.responses - 1) // 2


@dataclass(frozen=True)
class Sample:
    """A seeded sample of prompts of a real data set, their texts uncut, ties left out.

    Attributes:
        path: below the folder of shared data.
        comparisons: a prompt is drawn if so many of its comparisons are no ties, so that a step is whole prompts.
        max_prompt_tokens: leaves out longer prompts; None for all.
        short_warmup: the warm-up steps, which only take time, have the shortest prompts of all.
    """

    path: str
    comparisons: int
    max_prompt_tokens: int | None = None
    short_warmup: bool = False

    @property
    def pairs(self) -> int:
        """Comparisons of a prompt."""
        return self.comparisons


@dataclass(frozen=True)
class Size:
    """How much of a row is run.

    Attributes:
        repeats: of all sides in turn.
        with_default: repeats that also run TRL with its default reference, the first ones.
        pairs_per_step: comparisons of an optimizer step.
        steps: of a run, the warm-up included.
        trl_batch: pairs of one forward pass of TRL, the rest being gradient accumulation; None tries some.
    """

    repeats: int
    with_default: int
    pairs_per_step: int
    steps: int
    trl_batch: int | None = None


@dataclass(frozen=True)
class Equality:
    """Small steps with a rate that moves the loss, run once on both sides.

    Attributes:
        data: shorter than the row's where that would take long; None for the row's.
    """

    steps: int
    pairs_per_step: int
    data: Sample | None = None
    learning_rate: float = 1e-5


@dataclass(frozen=True)
class Row:
    """A row of the benchmark.

    Attributes:
        name, title: on the command line and in the report.
        model: a built-in name of Penchant, `NEOX`, or `shared:FOLDER` of the shared data.
        speed, memory: targets: times TRL's pairs/s at least, times TRL's peak memory at most. None for none.
        trl_batches: what a trial tries for TRL.
        redraw: each repeat draws data of its own, where one prompt fills a step.
        quick_data: shorter than `data`, where a quick run has no time for that.
    """

    name: str
    title: str
    model: str
    data: Words | Sample
    speed: float | None
    memory: float | None
    trl_batches: tuple[int, ...]
    full: Size
    quick: Size
    equality: Equality
    quick_equality: Equality | None
    redraw: bool = False
    quick_data: Sample | None = None

    def compared(self, quick: bool) -> Words | Sample:
        """The data to train on."""
        return (quick and self.quick_data) or self.data

    def sized(self, quick: bool) -> tuple[Size, Equality | None]:
        """How much to run; a quick run leaves equality out where that takes long."""
        return (self.quick, self.quick_equality) if quick else (self.full, self.equality)

    def settings(self, quick: bool) -> dict[str, Any]:
        """All that changes what is measured, for the results and for finding runs again."""
        size, equality = self.sized(quick)
        return {
            "title": self.title,
            "model": self.model,
            "data": asdict(self.compared(quick)),
            "targets": {"speed": self.speed, "memory": self.memory},
            "trl_batches": list(self.trl_batches) if size.trl_batch is None else [],
            "size": asdict(size),
            "equality": equality and asdict(equality),
            "redraw": self.redraw,
        }


FOUR_SHORT = Words(responses=4, response_tokens=(24, 40), prompt_tokens=(4, 8))
TWO_LONG = Words(responses=2, response_tokens=(20, 60), prompt_tokens=(200, 400))
FINEGRAINED = "finegrained_rlhf/dev_feedback.json.gz"

ROWS = {
    row.name: row
    for row in (
        Row(
            "four-short",
            "4 responses of 24-40 tokens, all 6 pairs, prompts of 4-8 tokens, SmolLM2-135M-Instruct from Q4_1",
            SMOLLM2,
            FOUR_SHORT,
            speed=6.0,
            memory=0.4,
            trl_batches=(3, 6),
            full=Size(repeats=5, with_default=1, pairs_per_step=24, steps=3),
            quick=Size(repeats=1, with_default=0, pairs_per_step=6, steps=3, trl_batch=6),
            equality=Equality(steps=20, pairs_per_step=3),
            quick_equality=Equality(steps=3, pairs_per_step=3),
        ),
        Row(
            "two-long",
            "2 responses of 20-60 tokens, prompts of 200-400 tokens, SmolLM2-135M-Instruct from Q4_1",
            SMOLLM2,
            TWO_LONG,
            speed=3.0,
            memory=0.5,
            trl_batches=(1, 2),
            full=Size(repeats=5, with_default=0, pairs_per_step=4, steps=3),
            quick=Size(repeats=1, with_default=0, pairs_per_step=2, steps=3, trl_batch=2),
            equality=Equality(steps=20, pairs_per_step=1),
            quick_equality=None,
        ),
        Row(
            "two-long-neox",
            "2 responses of 20-60 tokens, prompts of 200-400 tokens, random GPT-NeoX (hidden 256, 6 layers, "
            "vocabulary 50,304)",
            NEOX,
            TWO_LONG,
            speed=15.0,
            memory=0.33,
            trl_batches=(1, 2),
            full=Size(repeats=5, with_default=1, pairs_per_step=12, steps=3),
            quick=Size(repeats=1, with_default=0, pairs_per_step=4, steps=3, trl_batch=2),
            equality=Equality(steps=20, pairs_per_step=2),
            quick_equality=Equality(steps=3, pairs_per_step=2),
        ),
        Row(
            "finegrained",
            "fine-grained RLHF as it is (4 responses, 5 comparisons that are no ties), SmolLM2-135M-Instruct from Q4_1",
            SMOLLM2,
            Sample(FINEGRAINED, comparisons=5, short_warmup=True),
            speed=5.0,
            memory=0.4,
            trl_batches=(1,),
            full=Size(repeats=5, with_default=0, pairs_per_step=5, steps=3, trl_batch=1),
            quick=Size(repeats=1, with_default=0, pairs_per_step=5, steps=3, trl_batch=1),
            equality=Equality(
                20, pairs_per_step=1, data=Sample(FINEGRAINED, 5, max_prompt_tokens=320, short_warmup=True)
            ),
            quick_equality=None,
            redraw=True,
            quick_data=Sample(FINEGRAINED, 5, max_prompt_tokens=320, short_warmup=True),
        ),
        Row(
            "smoke",
            "4 responses of 8-16 tokens, all 6 pairs, prompts of 4-8 tokens, a 260,032-parameter model (does it run?)",
            "shared:stories260K",
            Words(responses=4, response_tokens=(8, 16), prompt_tokens=(4, 8)),
            speed=None,
            memory=None,
            trl_batches=(12, 24),
            full=Size(repeats=2, with_default=1, pairs_per_step=24, steps=4),
            quick=Size(repeats=2, with_default=1, pairs_per_step=24, steps=3, trl_batch=12),
            equality=Equality(steps=20, pairs_per_step=6, learning_rate=1e-4),
            quick_equality=Equality(steps=5, pairs_per_step=6, learning_rate=1e-4),
        ),
    )
}
