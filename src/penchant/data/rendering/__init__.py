"""A `PromptGroup` to token ids: templates, boundaries, spans, the cache of rendered groups."""
