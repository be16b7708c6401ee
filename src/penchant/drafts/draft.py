"""Choose settings for a file: model, method, sizes, and what training will take."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

from penchant.data.options import Template
from penchant.drafts.look import FileLook, Method
from penchant.errors import InputError
from penchant.models.builtin import EMBEDDED
from penchant.train.step_counts import choose_batch_size, choose_epochs, few_steps_advice

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer
    from penchant.train.costs import Cost, ModelShape
    from penchant.types import PromptGroup

MEASURED = 1000  # prompts that are rendered, to know how long rows are
LORA_FROM = 50e6  # weights from which adapters are trained: full training of a larger model needs four times its size
LORA_RANK = 16
RATES: dict[tuple[str, bool], tuple[float, str]] = {
    ("dpo", False): (5.0e-6, "five times the DPO paper's, which trained on a hundred thousand comparisons and more"),
    ("kto", False): (5.0e-6, "as for comparisons"),
    ("sft", False): (2.0e-5, "what TRL takes for fine-tuning"),
    ("dpo", True): (1.0e-4, "adapters take higher rates; the example in examples/smollm2_lora.yaml was run with it"),
    ("kto", True): (1.0e-4, "as for comparisons"),
    ("sft", True): (2.0e-4, "adapters take ten times the rate of all weights"),
}
"""The learning rate of a method, by whether adapters are trained, and where it comes from."""
TINY_RATE = (1.5e-4, "what the study `frontier` found for the small film-review models")


@dataclass(frozen=True)
class TokenLengths:
    """Tokens of rows, prompt and response together.

    Attributes:
        median, p95, longest: of a prompt with one of its responses.
        per_prompt: the mean tokens that training forwards per prompt: it once, and each of its responses.
        prompt, longest_prompt: the mean prompt alone, and the longest.
        response, longest_response: the mean response alone, and the longest.
        measured: how many prompts were rendered.
        too_long: how many of these are longer than the model's context.
        context: what the model takes at once; None where it does not say.
        unrendered: prompts that cannot be rendered, with where and why.
    """

    median: int
    p95: int
    longest: int
    per_prompt: float
    prompt: float
    longest_prompt: int
    response: float
    longest_response: int
    measured: int
    too_long: int
    context: int | None
    unrendered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How a file is read, as the settings below `data` say it.

    Attributes:
        split: of a hub data set or folder.
        columns: by field of a layout, the column that holds it; None leaves it out.
        template: how prompts are rendered.
    """

    split: str = "train"
    columns: Mapping[str, str | None] = field(default_factory=dict)
    template: Template = "auto"


@dataclass(frozen=True)
class Draft:
    """Settings for a file, and the reasons for them.

    Attributes:
        model, shape: the model that is trained.
        lora: whether adapters are trained.
        optimizer: its name. rate: the learning rate, and where it comes from.
        held_out: prompts kept for evaluation.
        batch_size, epochs, steps: of training.
        cost: what it takes on this machine.
    """

    path: str
    reading: Reading
    look: FileLook
    model: str
    shape: ModelShape
    lora: bool
    lengths: TokenLengths
    optimizer: str
    rate: tuple[float, str]
    held_out: int
    batch_size: int
    epochs: int
    steps: int
    cost: Cost

    @property
    def method(self) -> Method:
        """The training method."""
        return self.look.method

    @property
    def advice(self) -> str:
        """A sentence where the file is too small for enough steps, whatever the settings; else nothing."""
        units = max(1, round(self.look.units * (1 - self.held_out / len(self.look.groups))))
        return few_steps_advice(units, batch_size=self.batch_size, epochs=self.epochs)


def default_model() -> tuple[str, str]:
    """Return the built-in model that a newcomer's file is most likely for, and why."""
    from penchant.models.catalogue import built_in_models

    installed = {model.name for model in built_in_models() if not model.install}
    if "smollm2-135m" in installed:
        return "smollm2-135m", "the smallest built-in model that follows instructions"
    return "penchant-0.5m", "it comes with Penchant; it writes film reviews and little else"


def make_draft(path: str, reading: Reading, look: FileLook, model: str) -> Draft:
    """Return settings for a file.

    Raises:
        InputError: no such model, or it cannot render a single row.
    """
    from penchant.models.device import choose_device
    from penchant.train.costs import Work, estimate_cost, measure_speed, model_shape

    # before the rows are rendered: a name that is no model is answered at once
    shape = model_shape(model)
    lora = shape.parameters > LORA_FROM
    # known only by its size: a small model has all its weights trained
    if lora:
        shape = model_shape(model, lora_rank=LORA_RANK)
    lengths = measure_lengths(look, model, reading.template)
    held_out = _held_out(len(look.groups))
    share = 1 - held_out / len(look.groups)
    units = max(1, round(look.units * share))
    batch_size = choose_batch_size(units)
    epochs = choose_epochs(units, batch_size)
    trained = lengths.per_prompt * len(look.groups) * share * epochs
    # the reference scores what is trained on, once; the start and the end are evaluated
    scored = lengths.per_prompt * (len(look.groups) * share * (look.method != "sft") + 2 * held_out)
    sampled = sampled_tokens(lengths, held_out, held_out or len(look.groups), trained)
    # a pass takes no more than a step has, and a long row as a whole
    step_tokens = round(lengths.per_prompt * batch_size * len(look.groups) / look.units)
    # RMSprop is the default of training; the rates of adapters were found with AdamW, whose state is small for them
    optimizer = "adamw" if lora else "rmsprop"
    work = Work(trained, scored, sampled, max(min(1024, step_tokens), min(lengths.longest, 4096)))
    return Draft(
        path=path,
        reading=reading,
        look=look,
        model=model,
        shape=shape,
        lora=lora,
        lengths=lengths,
        rate=TINY_RATE if _is_tiny(model, look.method) else RATES[look.method, lora],
        held_out=held_out,
        batch_size=batch_size,
        epochs=epochs,
        steps=math.ceil(units / batch_size) * epochs,
        optimizer=optimizer,
        cost=estimate_cost(shape, work, measure_speed(choose_device("auto")), optimizer=optimizer),
    )


def _is_tiny(model: str, method: Method) -> bool:
    # by the whole name: a hub id may begin with ours
    return model in EMBEDDED and method != "sft"


def _held_out(prompts: int) -> int:
    """Return how many prompts are kept for evaluation: a tenth, and none of a handful."""
    return 0 if prompts < 10 else min(500, max(2, prompts // 10))


def measure_lengths(look: FileLook, model: str, template: Template = "auto") -> TokenLengths:
    """Return how long rows are in a model's tokens, by some of them.

    Raises:
        InputError: the model cannot render any of them, or all are longer than its context.
    """
    from penchant.models.load import load_renderer, stated_context

    renderer = load_renderer(model, template=template)
    context = stated_context(model)
    # drawn over the whole file, which may be sorted by length or source
    groups = list(look.groups)
    chosen = groups if len(groups) <= MEASURED else random.Random(0).sample(groups, MEASURED)
    rendered, unrendered = _render(chosen, renderer)
    if not rendered:
        raise InputError(f"{model} renders none of the rows: {unrendered[0]}")
    if context is not None and all(prompt + max(responses) > context for prompt, responses in rendered):
        raise InputError(
            f"every row is longer than the {context:,} tokens that {model} takes at once, so training would have none "
            "left: name a model with a longer context (model=smollm2-135m), or shorten the rows"
        )
    rows = sorted(length for prompt, responses in rendered for length in (prompt + response for response in responses))
    return TokenLengths(
        median=rows[len(rows) // 2],
        p95=rows[max(0, math.ceil(0.95 * len(rows)) - 1)],
        longest=rows[-1],
        per_prompt=mean(prompt + sum(responses) for prompt, responses in rendered),
        prompt=mean(prompt for prompt, _ in rendered),
        longest_prompt=max(prompt for prompt, _ in rendered),
        response=mean(length for _, responses in rendered for length in responses),
        longest_response=max(length for _, responses in rendered for length in responses),
        measured=len(rendered),
        too_long=sum(prompt + max(responses) > (context or math.inf) for prompt, responses in rendered),
        context=context,
        unrendered=tuple(unrendered),
    )


def sampled_tokens(lengths: TokenLengths, held_out: int, prompts: int, trained: float) -> float:
    """Return how many tokens the evaluations of a run draw, by the defaults of training.

    Args:
        held_out: prompts that are held out. prompts: those that can be drawn for.
        trained: tokens that training goes over.
    """
    from penchant.train.evaluation.sample_sizes import settle_length, settle_prompts
    from penchant.train.settings import Samples

    samples = settle_prompts(
        settle_length(Samples(), lengths.longest_response, lengths.context, lengths.longest_prompt),
        trained=trained,
        held_out=lengths.per_prompt * held_out,
        prompt=lengths.prompt,
        response=lengths.response,
    )
    # both were left open, and are numbers now
    assert isinstance(samples.max_prompts, int)
    assert isinstance(samples.max_new_tokens, int)
    # the policy at the start and the end, and the reference once
    return 3.0 * samples.n * min(samples.max_prompts, prompts) * samples.max_new_tokens


def _render(groups: Sequence[PromptGroup], renderer: Renderer) -> tuple[list[tuple[int, list[int]]], list[str]]:
    """Return the tokens of each prompt and of its responses, and why prompts cannot be rendered."""
    lengths, unrendered = [], []
    for group in groups:
        try:
            rendered = renderer.render(group)
        except InputError as error:
            unrendered.append(str(error))
            continue
        # a row that says nothing as tokens is dropped by training too
        if rendered is not None and rendered.branches:
            lengths.append((len(rendered.prompt_ids), [len(branch.ids) for branch in rendered.branches]))
    return lengths, unrendered
