"""A run directory: how it is written, read and resumed."""
