"""The pages that `scripts/reference.py` writes: commands and their options, settings and their defaults."""
