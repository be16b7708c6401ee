"""Keep token ids of a data set on disk, by content: a memory-mapped file for each data set and way of rendering it.

The file's name is a digest of all that the ids depend on, so nothing is ever stale. It is a cache: what cannot be
read or written is logged and computed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from penchant import thoughts
from penchant.data.group_table import GroupRows
from penchant.data.rendering.rendered import Arrays
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.tokenizer_digest import digest_tokenizer
from penchant.data.sources.values import common_length
from penchant.files import atomic_write
from penchant.types import PromptGroup, prompt_turns

log = logging.getLogger("penchant.data")

RENDERING = (
    *("renderer", "rendered", "render_groups", "spans", "plain_text", "chat_text", "chat_template", "template_args"),
    *("templates", "template_probe", "template_source", "answers", "earlier_turns", "end_tokens", "taught"),
)
"""Modules of this package that decide the ids: where one of them changes, they are computed anew."""
SHARED = (common_length, prompt_turns, thoughts)
"""Functions and modules of other packages that decide them too."""


@dataclass(frozen=True)
class TokenFile:
    """The file that keeps the ids of one data set."""

    path: Path

    @classmethod
    def of(cls, groups: Sequence[PromptGroup], renderer: Renderer, folder: Path) -> TokenFile | None:
        """Name the file of these groups under this renderer; None where no digest covers the tokenizer's code."""
        # A tokenizer's own code may read whatever it likes, so nobody knows when its ids change.
        if not type(renderer.tokenizer).__module__.startswith("transformers."):
            return None
        # surrogatepass: a broken text is refused when it is rendered, with its row, and not here
        digest = hashlib.sha256(_settings(renderer).encode(errors="surrogatepass"))
        if isinstance(groups, GroupRows):
            digest.update(groups.digest.encode())
            return cls(folder / f"{digest.hexdigest()[:32]}.safetensors")
        for group in groups:
            # how often a response was seen changes no ids
            responses = [replace(response, count=1) for response in group.responses]
            digest.update(f"{group.prompt!r}{responses!r}".encode(errors="surrogatepass"))
        return cls(folder / f"{digest.hexdigest()[:32]}.safetensors")

    def load(self) -> Arrays | None:
        """Return the arrays, memory-mapped; None if there are none or they are damaged."""
        from safetensors import safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:  # of its readers the one that maps instead of copying
                arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
                if (file.metadata() or {}).get("sha256") != _digest(arrays):
                    raise ValueError("the content does not fit its digest")
        except Exception as error:  # whatever a damaged file makes the reader raise
            log.warning("the token ids in %s cannot be read (%s): computing anew", self.path, error)
            return None
        return arrays

    def keep(self, arrays: Arrays) -> None:
        """Write the file whole; two runs at once write the same."""
        from safetensors.numpy import save

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = save(dict(arrays), {"sha256": _digest(arrays)})
            atomic_write(self.path, content, private=True, shared=True)  # private, as the texts are that it was made of
        except OSError as error:
            log.warning("the token ids cannot be kept in %s (%s): the next run computes them again", self.path, error)


def _settings(renderer: Renderer) -> str:
    """Return all but the data that the ids depend on: tokenizer, template, settings, and the code that renders."""
    template = renderer.chat_template
    return repr(
        (
            digest_tokenizer(renderer),
            date.today() if template and template.writes_date else None,  # such a template writes it into the prompt
            (sorted(renderer.end_ids), renderer.max_length, renderer.overflow, renderer.every_turn, renderer.switches),
            [importlib.metadata.version(name) for name in ("tokenizers", "transformers", "jinja2")],
            [Path(__file__).with_name(f"{name}.py").read_text() for name in RENDERING],
            [inspect.getsource(source) for source in SHARED],
        )
    )


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(f"{name}{values.dtype}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
