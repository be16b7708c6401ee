"""Read files of many layouts as `PromptGroup`s, check them, and write our own JSONL."""
