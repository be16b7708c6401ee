"""How the embedded models came to be: corpora, tokenizer, training, model cards. `scripts/pretrain.py` runs it."""
