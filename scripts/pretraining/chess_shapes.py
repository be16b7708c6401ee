"""The two chess models: GPT-2's architecture, since its learned positions tell a square from the start.

With rotary positions, which only know distances, Llamas of 0.35 and 1.3 million parameters had learned next to nothing
of the moves after 60,000 positions (see docs/tutorials/weak-to-strong.md).
"""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from pretraining.shapes import Shape, Training

CONTEXT = 300
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("chess-0.1m", 64, 2, 2, 256, Training(epochs=1, batch=32, learning_rate=3e-3, context=CONTEXT)),
        Shape("chess-0.4m", 96, 3, 3, 384, Training(epochs=1.4, batch=32, learning_rate=2e-3, context=CONTEXT)),
    )
}


def new_chess_model(shape: Shape, *, vocabulary: int, end: int) -> GPT2LMHeadModel:
    """Return a model with random weights: the same ones for the same seed. No dropout."""
    torch.manual_seed(shape.training.seed)
    settings = GPT2Config(
        vocab_size=vocabulary,
        n_positions=CONTEXT,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_inner=shape.inner,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
    )
    return GPT2LMHeadModel(settings)
