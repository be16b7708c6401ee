"""Check that every token of a text has a row in the model's embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from penchant.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def check_vocabulary(
    ids: Iterable[int], embeddings: int | None, tokenizer: PreTrainedTokenizerBase, *, model: str = "the model"
) -> None:
    """Refuse token ids that lie beyond the model's embeddings.

    Args:
        ids: of a text. embeddings: rows of the model's table; None where it is not known. model: names it.

    Raises:
        InputError: names the token, the size of the tokenizer and that of the embeddings.
    """
    # Beyond the table an index error comes on a CPU, and on a GPU a failed assertion that names nothing.
    largest = max(ids, default=-1)
    if embeddings is None or largest < embeddings:
        return
    raise InputError(
        f"the tokenizer is larger than {model}: it has {len(tokenizer)} tokens, the embeddings have {embeddings} rows, "
        f"and token {largest} ({tokenizer.convert_ids_to_tokens(largest)!r}) has none. Take the tokenizer that the "
        "model was trained with, or give the model its rows (`model.resize_token_embeddings(len(tokenizer))`) and "
        "train them"
    )


def embedding_rows(network: PreTrainedModel) -> int | None:
    """Return how many tokens a network of `transformers` has embeddings for; None where it does not say."""
    try:
        weight = network.get_input_embeddings().weight
    except (AttributeError, NotImplementedError):
        return None
    return int(weight.shape[0])
