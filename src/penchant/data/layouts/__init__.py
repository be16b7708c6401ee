"""A row to a `PromptGroup`: the known layouts, their columns and values."""
