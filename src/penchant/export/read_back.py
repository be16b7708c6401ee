"""Reads what was written back by `transformers`, and says how far its scores are from those of the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from penchant.engine.foreign_types import AutoClass, PreTrainedModel, Tokenizer
from penchant.errors import RunError
from penchant.export.gguf_layouts import ModelSettings, head_width, rotary
from penchant.reports.kit.text import number

TEXTS = (
    "Once upon a time there was a small house at the edge of a forest, and nobody had lived in it for 12 years.",
    "def area(width: float, height: float) -> float:\n    return width * height  # in square metres\n",
    "¿Dónde está la biblioteca? Die Straße ist lang. 今日は良い天気です。",
)
"""Fixed, so that numbers of different exports compare."""
LARGEST_DIFFERENCE = 1e-4  # nats per token, of weights that were not rounded


@dataclass(frozen=True)
class Scores:
    """Outputs of a network for `TEXTS`: log-probabilities of tokens, or rewards."""

    values: Tensor
    rewards: bool


def score_texts(network: PreTrainedModel, tokenizer: Tokenizer) -> Scores:
    """Return a network's log-probability of each token of `TEXTS`, or its reward of each."""
    rows: list[Tensor] = []
    rewards = True
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text).input_ids[:128]])
        with torch.no_grad():
            logits = network(ids).logits.float()
        if logits.dim() == 3:
            rewards = False
            logits = logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None]).squeeze(1)
        rows.append(logits.flatten())
    return Scores(torch.cat(rows), rewards)


def compare(before: Scores, after: Scores, reader: str, *, exact: bool) -> str:
    """Return a sentence of how far scores are apart.

    Args:
        exact: the weights were not rounded, so that the scores must be equal.

    Raises:
        RunError: they should be equal and are not.
    """
    difference = float((before.values - after.values).abs().max())
    if exact and not difference <= LARGEST_DIFFERENCE:
        raise RunError(
            f"what was written does not score as the model does: read back by {reader}, it differs by up to "
            f"{difference:.3g} (up to {LARGEST_DIFFERENCE:g} is rounding). Nothing is left; please report this model"
        )
    mean = float((before.values - after.values).abs().mean())
    largest, average = (number(value) if value else "0" for value in (difference, mean))
    noun, unit = ("reward", "") if before.rewards else ("token's log-probability", " nats")
    return (
        f"Read back by {reader}: a {noun} differs by at most {largest}{unit} ({average} on average), "
        f"over {before.values.numel()} of them in fixed texts."
    )


def reads_gguf(settings: ModelSettings) -> bool:
    """Return whether `transformers` reads a model's GGUF as what it is: it passes over some settings in silence."""
    values, kind = settings.to_dict(), settings.model_type
    parameters = rotary(settings)
    if kind == "gemma3_text":
        full = parameters.get("full_attention")
        plain = isinstance(full, dict) and full.get("rope_type", "default") == "default"
        return plain and head_width(settings) == 256 and values.get("query_pre_attn_scalar") == 256
    if kind not in ("llama", "mistral", "qwen2", "qwen3") or parameters["rope_type"] != "default":
        return False
    return head_width(settings) == 128 if kind == "qwen3" else not values.get("attention_bias") or kind == "qwen2"


def read_merged(folder: Path, dtype: torch.dtype, *, kind: AutoClass) -> PreTrainedModel:
    """Return a folder's network, as `transformers` opens it by itself.

    Args:
        kind: the auto class that opens it.
    """
    return kind.from_pretrained(folder, dtype=dtype).eval()


def read_gguf(file: Path) -> PreTrainedModel:
    """Return the network of a GGUF file, as `transformers` opens it by itself, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
