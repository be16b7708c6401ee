"""A language model that is fine-tuned, as a `Network` of one arm: texts changed and tokenized anew at each step.

A step reads more texts than one pass holds. So logits come first, without a graph, and `finish_backward` runs the rows
whose logits have a gradient once more: memory is that of one pass, and a row that a mask left out costs no second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from penchant.engine.attention import unwrap
from penchant.weak.augmentation.settings import Augmentation, SlowAugmentation, Views
from penchant.weak.augmentation.texts import augment
from penchant.weak.classifiers.reading import EncodedRow, HeadReading, padded
from penchant.weak.contract import Example
from penchant.weak.networks.network import StrongNoise, ViewName
from penchant.weak.networks.streams import LABELED, Stream

PADDING = -1
SEEDS = 2**31
EMBEDDINGS_READ = 4_096
"""Tokens whose embeddings tell how large their numbers are."""


class TextViews:
    """Texts of rows in two views.

    Most augmentations change a text anew whenever it is asked for. What a function of the user's or a translation
    changes is computed once for each of `views.copies`, among which a step chooses: it takes longer than a step.

    Attributes:
        texts: of the rows as they are. fixed_copies: of each view, the copies that were computed once; none for others.

    Raises:
        InputError: an augmentation that changes no text, or is none of texts.
    """

    def __init__(self, texts: Sequence[Example], views: Views, seed: int) -> None:
        self.texts = list(texts)
        self.chains: dict[ViewName, tuple[Augmentation, ...]] = {
            "weak": views.weak,
            "strong": views.strong_examples or views.weak,
        }
        # without a change of its own the strong view is the weak one
        self.differ = self.chains["strong"] != self.chains["weak"]
        self.fixed_copies: dict[ViewName, list[list[Example]]] = {}
        for number, (view, chain) in enumerate(self.chains.items()):
            is_slow = any(isinstance(change, SlowAugmentation) for change in chain)
            # once over all texts: a few of them may stay as they are by chance, all only where nothing can change
            count = views.copies if is_slow else 1
            copies = [augment(self.texts, chain, seed + 1_000_003 * number + copy) for copy in range(count)]
            self.fixed_copies[view] = copies if is_slow else []

    def pick(self, rows: Sequence[int], view: ViewName, stream: Stream) -> list[Example]:
        """Return the texts of rows in a view, drawn from the stream."""
        chain, copies = self.chains[view], self.fixed_copies[view]
        # nothing is drawn where nothing changes: a view of plain texts moves no other draw
        if not chain:  # the texts themselves
            return [self.texts[row] for row in rows]
        if copies:
            chosen = stream.integers(len(copies), len(rows))[0].tolist()
            return [copies[copy][row] for copy, row in zip(chosen, rows, strict=True)]
        # one draw for the batch, from which each text has its own by its place
        seed = int(stream.integers(SEEDS, 1)[0, 0])
        return augment([self.texts[row] for row in rows], chain, seed, must_change=False)


@dataclass(frozen=True)
class _Batch:
    """Texts that were classified in one call.

    Attributes:
        rows: their tokens. parts: places of those that share a pass.
        seed: of dropout and noise, one per call; None for the random numbers of fine-tuning, and no other noise.
        is_noisy: whether the strong view's noise is on. is_training: whether dropout is.
        every_head: whether the heads of attributes are asked too.
    """

    rows: list[EncodedRow]
    parts: list[list[int]]
    seed: int | None
    is_noisy: bool
    is_training: bool
    every_head: bool


class TextNetwork:
    """A language model with a classification head, as a `Network` of one arm on given texts.

    Args:
        weights: of a copy, in place of those of the model; only weights that train are copied. Gradients go to them.
        dropout_draws: a copy that trains draws the dropout of labelled rows from it, and not from the random numbers of
            fine-tuning, which are the first network's.

    Attributes:
        parameters: of model and head, those that train.
    """

    arms = 1
    mixes: ClassVar[Literal["inputs", "logits"]] = "logits"
    changing: ClassVar[tuple[str, ...]] = ("_weights", "dropout_draws")

    def __init__(
        self,
        reading: HeadReading,
        views: TextViews,
        *,
        strong_noise: StrongNoise,
        weights: list[Tensor] | None = None,
        dropout_draws: Stream | None = None,
    ) -> None:
        self.reading, self.views, self.strong_noise = reading, views, strong_noise
        self.dropout_draws = dropout_draws
        self.attribute_widths = tuple(linear.out_features for linear in reading.attributes)
        self.classes, self.model = reading.width, reading.policy.model
        self.parameters = [*(weight for weight in self.model.parameters() if weight.requires_grad), *reading.head]
        self.has_noise, self.has_views = _has_dropout(self.model), views.differ or strong_noise.any
        self._weights = weights
        self._embedding_scale = strong_noise.features and strong_noise.features * _embedding_size(self.model)
        self._pending: list[tuple[_Batch, Tensor]] = []

    def inputs(self, rows: Tensor, view: ViewName, stream: Stream | None) -> Tensor:
        """Return token ids, shape (1, batch, longest), with -1 behind a text; of texts as they are without a stream."""
        indices = rows[0].tolist()
        texts = self.views.pick(indices, view, stream) if stream else [self.views.texts[row] for row in indices]
        # 0 is a token of its own: padding needs a number that none has
        ids, mask = padded(self.reading.encode(texts))
        return torch.where(mask > 0, ids, PADDING)[None]

    def classify(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> Tensor:
        """Return logits, shape (1, batch, classes), on the CPU; their gradient waits for `finish_backward`."""
        return self._classify(inputs, noise, view, every_head=False)

    def every_head(self, inputs: Tensor, noise: Stream | None, view: ViewName = "weak") -> tuple[Tensor, ...]:
        """Return logits of the task's head and of each attribute's, as `classify` does."""
        logits = self._classify(inputs, noise, view, every_head=True)
        return logits.split([self.classes, *self.attribute_widths], -1)

    def _classify(self, inputs: Tensor, noise: Stream | None, view: ViewName, *, every_head: bool) -> Tensor:
        rows: list[EncodedRow] = [tuple(ids[ids != PADDING].tolist()) for ids in inputs[0]]
        seed = self._dropout_seed(noise)
        is_noisy = view == "strong" and noise is not None and noise.purpose != LABELED and self.strong_noise.any
        batch = _Batch(rows, self._parts(rows), seed, is_noisy, noise is not None, every_head)
        learns = torch.is_grad_enabled()
        # one pass holds its graph itself, unless weights that it was computed with would be gone by then
        weights_stay = self._weights is None and not (is_noisy and self.strong_noise.weights)
        if learns and len(batch.parts) == 1 and weights_stay:
            # a pass is filled by length: its rows go back to their places
            return self._run(batch, 0, batch.parts[0])[torch.tensor(batch.parts[0]).argsort()][None]
        # in the order of the texts, whatever pass each is in
        logits = torch.empty(len(rows), self.classes + (sum(self.attribute_widths) if every_head else 0))
        # random numbers go back, since the passes with gradients draw them once more
        with torch.no_grad(), torch.random.fork_rng() if learns else nullcontext():
            for number, part in enumerate(batch.parts):
                logits[part] = self._run(batch, number, part)
        if learns:
            logits.requires_grad_(True)
            self._pending.append((batch, logits))
        return logits[None]

    def _dropout_seed(self, noise: Stream | None) -> int | None:
        """Return the seed of a call's dropout; None for the random numbers of fine-tuning."""
        if noise is None:
            return None
        if noise.purpose != LABELED:
            return int(noise.integers(SEEDS, 1)[0, 0])
        # labelled rows have the random numbers of fine-tuning, so that the control is plain fine-tuning to the bit
        return None if self.dropout_draws is None else int(self.dropout_draws.integers(SEEDS, 1)[0, 0])

    def finish_backward(self) -> None:
        """Carry gradients of logits on to the weights, in the order in which texts were classified."""
        own_gradients = nullcontext() if self._weights is None else _gradients_to(self._weights, self.parameters)
        with own_gradients:
            for batch, logits in self._pending:
                gradient = logits.grad
                # a batch of which no loss was made
                if gradient is None:
                    continue
                for number, part in enumerate(self._passes_again(batch, gradient)):
                    # within: the weights that computed the logits are in place while gradients pass them
                    self._run(batch, number, part, gradient[part])
        self._pending = []

    def _passes_again(self, batch: _Batch, gradient: Tensor) -> list[list[int]]:
        """Return the parts of a batch that need a graph."""
        # labelled rows in the passes of fine-tuning; dropout is drawn pass by pass
        if batch.seed is None or self.has_noise:
            return batch.parts
        # a mask leaves out most rows at first: these cost no second pass
        indices = (gradient != 0).any(-1).nonzero().squeeze(1).tolist()
        parts = self._parts([batch.rows[index] for index in indices]) if indices else []
        return [[indices[number] for number in part] for part in parts]

    def _parts(self, rows: Sequence[EncodedRow]) -> list[list[int]]:
        parts = self.reading.parts(rows)
        if not self._embedding_scale:
            return parts
        # noise is added row by row, so rows must stay in their order: those that cannot share a pass go apart
        lengths = self.reading.policy.scorer.packing_up_to(max(map(len, rows))).lengths
        return [
            [part[index] for index in group]
            for part in parts
            for group in lengths.grouped([len(rows[index]) for index in part])
        ]

    def _run(self, batch: _Batch, number: int, part: list[int], gradient: Tensor | None = None) -> Tensor:
        """Return the logits of one pass, on the CPU; with a gradient carry that on."""
        with ExitStack() as stack:
            stack.enter_context(_mode(self.model, training=batch.is_training))
            # the draws of labelled rows must not depend on how many others there are
            if batch.seed is not None and self.has_noise:
                stack.enter_context(torch.random.fork_rng())
                torch.manual_seed(batch.seed + number)
            weights = self._weights
            if batch.is_noisy:
                weights = self._noisy_weights(batch)
                stack.enter_context(self._noisy_embeddings(batch, part))
            if weights is not None:
                stack.enter_context(weights_in_place(self.parameters, weights))
            read = self.reading.every_logit if batch.every_head else self.reading.logits
            # labels and masks are on the CPU, and logits are few
            logits = read([batch.rows[index] for index in part]).cpu()
            if gradient is not None:
                logits.backward(gradient)
        return logits

    def _noisy_weights(self, batch: _Batch) -> list[Tensor] | None:
        """Return the weights of this network under noise; None where only embeddings have some."""
        weights = self._weights or [weight.data for weight in self.parameters]
        if not self.strong_noise.weights:
            return self._weights
        # the same in all passes of a call, and once more for the gradients
        generator = torch.Generator().manual_seed(batch.seed or 0)
        # a list of copies, so that the model's own weights come back untouched
        noisy = []
        for weight in weights:
            scale = self.strong_noise.weights * weight.float().square().mean().sqrt()
            draws = torch.randn(weight.shape, generator=generator).to(weight.device)
            noisy.append((weight + scale * draws).to(weight.dtype))
        return noisy

    @contextmanager
    def _noisy_embeddings(self, batch: _Batch, part: list[int]) -> Iterator[None]:
        """Add noise to the input embeddings of a pass, drawn row by row: that of a row is its own in any pass."""
        if not self._embedding_scale:
            yield
            return
        longest = max(len(batch.rows[index]) for index in part)

        def add_noise(_: nn.Module, __: tuple[object, ...], embeddings: Tensor) -> Tensor:
            noise = np.zeros((len(part), longest, embeddings.shape[-1]), np.float32)
            for number, index in enumerate(part):
                # padding has none: no row may depend on how long others are
                shape = len(batch.rows[index]), embeddings.shape[-1]
                noise[number, : shape[0]] = np.random.default_rng([batch.seed or 0, index]).standard_normal(shape)
            return embeddings + (torch.from_numpy(noise) * self._embedding_scale).to(embeddings)

        hook = unwrap(self.model).get_input_embeddings().register_forward_hook(add_noise)
        try:
            yield
        finally:
            hook.remove()

    def trained(self) -> list[Tensor]:
        """Return the weights that train; of one arm, so without a dimension of arms."""
        return self.parameters if self._weights is None else self._weights

    def copy(self) -> Self:
        """Return a network on the same model with weights of its own, where weights train."""
        # what is frozen is shared: with LoRA a teacher costs the memory of its adapters
        weights = [weight.detach().clone() for weight in self.trained()]
        return type(self)(self.reading, self.views, strong_noise=self.strong_noise, weights=weights)


@contextmanager
def weights_in_place(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> Iterator[None]:
    """Give parameters other values inside the block; no number is copied."""
    # pointers are exchanged, so that optimizer and graph keep the parameters that they know
    before = [parameter.data for parameter in parameters]
    try:
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.data = weight
        yield
    finally:
        for parameter, weight in zip(parameters, before, strict=True):
            parameter.data = weight


@contextmanager
def _gradients_to(weights: Sequence[Tensor], parameters: Sequence[Tensor]) -> Iterator[None]:
    """Add gradients that parameters get inside the block to those of other weights, which stand in their place."""
    before = [parameter.grad for parameter in parameters]
    # what they have already: a step's batches add up
    for parameter, weight in zip(parameters, weights, strict=True):
        parameter.grad = weight.grad
    try:
        yield
    finally:
        for parameter, weight, gradient in zip(parameters, weights, before, strict=True):
            weight.grad, parameter.grad = parameter.grad, gradient


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Switch a model's dropout on or off inside the block."""
    # a prediction in the middle of a step must leave the step in training
    before = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(before)


def _has_dropout(model: nn.Module) -> bool:
    """Return whether a model in training leaves numbers out: by its layers, or by its configuration."""
    # attention has its dropout as a number in the configuration, and in no layer
    settings = unwrap(model).config.to_dict()
    by_configuration = any(
        "drop" in name and isinstance(value, float) and value > 0 for name, value in settings.items()
    )
    return by_configuration or any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())


@torch.no_grad()
def _embedding_size(model: nn.Module) -> float:
    """Return the root mean square of the numbers that a model's embedding gives."""
    embedding = unwrap(model).get_input_embeddings()
    # of what it gives and not of its weights: some models scale them
    # some thousands tell the scale as well as all
    tokens = torch.arange(min(embedding.num_embeddings, EMBEDDINGS_READ), device=embedding.weight.device)
    return float(embedding(tokens).float().square().mean().sqrt())
