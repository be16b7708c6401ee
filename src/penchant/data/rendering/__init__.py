"""Turn a `PromptGroup` into token ids: templates, boundaries, spans, the cache of rendered groups."""
