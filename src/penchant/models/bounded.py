"""The renderer of a model whose weights are not loaded, with the limit that training has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.data.options import RenderOptions
from penchant.models.load import load_renderer, stated_context

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer


def load_bounded_renderer(
    model: str | Path, *, rendering: RenderOptions | None = None, trust_remote_code: bool = False
) -> Renderer:
    """Return the renderer of `load_renderer` with the limit that training has: no more than the model's context.

    Raises:
        InputError: as `load_renderer`.
    """
    renderer = load_renderer(model, rendering=rendering, trust_remote_code=trust_remote_code)
    context = stated_context(model, trust_remote_code=trust_remote_code)
    # a model takes no more than its context, whatever is asked for
    max_length = min(filter(None, (renderer.max_length, context)), default=None)
    return replace(renderer, max_length=max_length, context=context)
