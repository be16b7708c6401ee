"""Digest what decides how a model's texts become token ids and back."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from penchant.data.rendering.renderer import Renderer
from penchant.digests import digest_file

STATE = ("version", "padding", "truncation")
"""Parts of a tokenizer's description that say how it was last called, and nothing about the ids of a text."""


def format_args(args: Mapping[str, object]) -> str:
    """Write the arguments of a template as one text, whatever their order; a date as YAML reads it is its text."""
    return json.dumps(dict(args), sort_keys=True, default=str)


def digest_tokenizer(renderer: Renderer) -> str:
    """Return a digest of a renderer's tokenizer, with its chat template where prompts go through it.

    Vocabulary, merges, normalisation, decoder and special tokens count; so does the tokenizer's own code, where it
    comes with a model. A template that writes today's date is the same template on every day.
    """
    tokenizer = renderer.tokenizer
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    content = (
        json.dumps({key: value for key, value in description.items() if key not in STATE}, sort_keys=True),
        renderer.chat_template.source if renderer.chat_template else None,
        sorted(tokenizer.special_tokens_map.items()),
        (tokenizer.bos_token_id, tokenizer.eos_token_id, getattr(tokenizer, "split_special_tokens", None)),
    )
    text = repr(content)
    # only where they say something, so that digests of runs from before these settings stay what they are
    if renderer.template_args:
        text += format_args(renderer.template_args)
    if renderer.thoughts != "score":
        text += renderer.thoughts
    if renderer.media is not None:
        text += renderer.media.digest
    # Code of `transformers` is covered by its version, which is recorded beside the digest; code of a model is not.
    module = sys.modules.get(type(tokenizer).__module__)
    if module is not None and not module.__name__.startswith("transformers.") and module.__file__:
        text += digest_file(Path(module.__file__))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def digest_end_ids(renderer: Renderer) -> str:
    """Return a digest of the tokens that end a response: those of the tokenizer and of `generation_config.json`."""
    return hashlib.sha256(repr(sorted(renderer.end_ids)).encode()).hexdigest()[:32]
