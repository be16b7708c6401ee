"""A GPT-NeoX with random weights: an architecture without tied embeddings, of any vocabulary."""

from __future__ import annotations

from pathlib import Path


def make_neox(folder: Path, *, vocabulary: int, tokenizer: str) -> str:
    """Hidden 256, 6 layers, 4 heads, context 1,024, seed 0, float32, with another model's tokenizer.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    words = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=1024,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)
