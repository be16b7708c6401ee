"""Keep token ids of a data set on disk, by content: a memory-mapped file for each data set and way of rendering it.

The file's name is a digest of all that the ids depend on, so nothing is ever stale. It is a cache: what cannot be
read or written is logged and computed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant import thoughts
from penchant.data.group_table import GroupRows
from penchant.data.rendering.rendered import Arrays, digest_arrays
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.tokenizer_digest import digest_tokenizer
from penchant.data.sources.values import common_length
from penchant.files import atomic_write, open_ordinary
from penchant.types import PromptGroup, prompt_turns

log = logging.getLogger("penchant.data")

RENDERING = (
    *("renderer", "rendered", "render_groups", "spans", "plain_text", "chat_text", "chat_template", "template_args"),
    *("templates", "template_probe", "template_source", "answers", "earlier_turns", "end_tokens", "taught"),
    "media_prompt",
)
"""Modules of this package that decide the ids: where one of them changes, they are computed anew."""
SHARED = (common_length, prompt_turns, thoughts)
"""Functions and modules of other packages that decide them too."""


DTYPES = {"I32": "int32", "I64": "int64", "BOOL": "bool"}
"""What numpy calls the types of the arrays, by what their file calls them."""
PIECE = 2**20  # bytes that are digested in one go


class MappedArrays(dict[str, NDArray[np.generic]]):
    """The arrays of a file, and their digest."""

    def __init__(self, arrays: Arrays, digest: str) -> None:
        super().__init__(arrays)
        self.digest = digest


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
                digest = _file_digest(self.path)
                if (file.metadata() or {}).get("sha256") != digest:
                    raise ValueError("the content does not fit its digest")
        except Exception as error:  # whatever a damaged file makes the reader raise
            log.warning("the token ids in %s cannot be read (%s): computing anew", self.path, error)
            return None
        return MappedArrays(arrays, digest)

    def keep(self, arrays: Arrays) -> None:
        """Write the file whole; two runs at once write the same."""
        from safetensors.numpy import save

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = save(dict(arrays), {"sha256": digest_arrays(arrays)})
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
            None if renderer.media is None else inspect.getsource(inspect.getmodule(type(renderer.media)) or type),
        )
    )


def _file_digest(path: Path) -> str:
    """Return what `digest_arrays` says of a file's arrays, in pieces that are read and forgotten.

    Raises:
        OSError, ValueError, KeyError, TypeError: it cannot be read, or is no file of arrays.
    """
    digest = hashlib.sha256()
    with open_ordinary(path) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        # before it is read: a damaged length may say that the header is larger than any memory
        if length > path.stat().st_size:
            raise ValueError("its header is cut short")
        header = json.loads(file.read(length))
        for name in sorted(header.keys() - {"__metadata__"}):
            entry = header[name]
            digest.update(f"{name}{DTYPES[entry['dtype']]}{tuple(entry['shape'])}".encode())
            start, stop = entry["data_offsets"]
            file.seek(8 + length + start)
            for offset in range(start, stop, PIECE):
                digest.update(file.read(min(PIECE, stop - offset)))
    return digest.hexdigest()
