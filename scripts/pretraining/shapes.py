"""The three models: shape and training settings. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

VOCABULARY = 2048
"""Tokens, so few that the small models are not all embedding."""
CONTEXT = 256
"""Tokens: a study's prompt with its response takes less than 100, a longer row would only make training slower."""


@dataclass(frozen=True)
class Training:
    """Settings of a training: AdamW with linear warm-up, then a cosine down to a tenth of the peak."""

    epochs: float
    """Passes over the training text; a part of one is fine, the rows are shuffled."""
    batch: int
    learning_rate: float
    restart_at: float | None = None
    """Epochs after which warm-up and cosine start anew (warm restarts, Loshchilov and Hutter 2017); None: never."""
    context: int = CONTEXT
    warmup_share: float = 0.04
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 50
    """Steps between checkpoints: 5 to 50 seconds of a quiet core."""
    look_every: int = 250
    """Steps between looks at held-out rows."""


@dataclass(frozen=True)
class Shape:
    """A Llama: tied embeddings, as many key heads as query heads, feed-forward about 8/3 of the width."""

    name: str
    width: int
    layers: int
    heads: int
    inner: int
    training: Training

    def parameters(self, vocabulary: int = VOCABULARY) -> int:
        """Count all parameters; the embedding once, since the output head is tied to it."""
        # query, key, value and output; gate, up and down of the feed-forward; two norms
        block = 4 * self.width**2 + 3 * self.width * self.inner + 2 * self.width
        return vocabulary * self.width + self.layers * block + self.width

    def described(self) -> dict[str, object]:
        """Return the shape as a model's record has it."""
        return asdict(self)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("penchant-0.5m", 96, 3, 3, 256, Training(epochs=1, batch=8, learning_rate=3e-3)),
        Shape("penchant-1.5m", 160, 4, 5, 432, Training(epochs=1, batch=8, learning_rate=2e-3)),
        Shape("penchant-5m", 256, 6, 8, 640, Training(epochs=0.9, batch=8, learning_rate=2e-3, restart_at=0.6)),
    )
}
