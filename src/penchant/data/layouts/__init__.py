"""Turn rows into `PromptGroup`s: the known layouts, their columns and values."""
