"""The chat template beside a saved model: its arguments and end tokens, which are the default when it is opened again.

The text of the template lies in the tokenizer's own `chat_template.jinja`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.data.options import RenderOptions, TemplateArgs
from penchant.data.rendering.template_source import template_text
from penchant.digests import DamagedFile
from penchant.files import atomic_write, read_json
from penchant.models.added_tokens import AddedTokens, added_tokens, read_added
from penchant.models.hub import kept_folder

if TYPE_CHECKING:
    from torch import nn

    from penchant.data.rendering.renderer import Renderer
    from penchant.engine.foreign_types import Tokenizer

SAVED_TEMPLATE = "penchant_template.json"


@dataclass(frozen=True)
class SavedTemplate:
    """The way in which the texts of a saved model were rendered.

    Attributes:
        template: `chat` for the tokenizer's chat template, `plain` for none.
        template_args: what the template was told beside the conversation.
        end_ids: tokens that end a response.
        added: tokens that the base of saved adapters lacks.
    """

    template: str
    template_args: TemplateArgs = field(default_factory=dict, hash=False)
    end_ids: tuple[int, ...] = ()
    added: AddedTokens | None = None

    def completed(self, options: RenderOptions) -> RenderOptions:
        """Return options with what they leave open taken from here.

        A template that is named replaces the saved one with its arguments; arguments alone change those that they name.
        """
        if options.template not in ("auto", self.template):
            return options
        template = self.template if self.template == "plain" else options.template
        return replace(options, template=template, template_args={**self.template_args, **options.template_args})


def save_template(renderer: Renderer, model: nn.Module, folder: Path) -> None:
    """Write a renderer's template beside a saved model; the tokenizer's own files hold the text."""
    content: dict[str, object] = {
        "template": "chat" if renderer.chat else "plain",
        "template_args": dict(renderer.template_args),
        "end_ids": sorted(renderer.end_ids),
    }
    # of adapters alone: a whole model is saved with the rows of its tokens
    if hasattr(model, "peft_config") and (added := added_tokens(model)) is not None:
        content["added_tokens"] = {"ids": added.ids, "vocabulary": added.vocabulary}
    atomic_write(folder / SAVED_TEMPLATE, json.dumps(content, ensure_ascii=False) + "\n")


def read_saved_template(name: str) -> SavedTemplate | None:
    """Return the template that was saved in a folder or with a hub id; None where none was.

    Raises:
        DamagedFile: the file cannot be read.
    """
    folder = Path(name) if Path(name).is_dir() else kept_folder(name)
    if folder is None or not (file := folder / SAVED_TEMPLATE).is_file():
        return None
    try:
        content = read_json(file)
        template, args, end_ids = content["template"], content["template_args"], content["end_ids"]
        added = read_added(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{file} cannot be read ({type(error).__name__}: {error}): put back a good copy") from error
    right = template in ("chat", "plain") and isinstance(args, Mapping) and isinstance(end_ids, list)
    if not right or not all(isinstance(end_id, int) for end_id in end_ids):
        raise DamagedFile(f"{file} does not say how texts are rendered: put back a good copy, or delete it")
    return SavedTemplate(template, args, tuple(end_ids), added)


def resolve_template(
    tokenizer: Tokenizer, saved: SavedTemplate | None, options: RenderOptions
) -> tuple[RenderOptions, bool]:
    """Give the tokenizer the template that is asked for.

    Returns:
        The options that are left, with no name and no file, and whether the template is another than the tokenizer's.

    Raises:
        InputError: no such template.
    """
    options = saved.completed(options) if saved is not None else options
    text = template_text(options.template)
    if text is None:
        return options, False
    is_new = text != tokenizer.chat_template
    # the tokenizer's own: so it is saved with it, and whoever opens the folder has it
    tokenizer.chat_template = text
    return replace(options, template="chat"), is_new
