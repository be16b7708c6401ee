"""Write a conversation as a tokenizer's chat template does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penchant.data.options import TemplateArgs
from penchant.data.sources.values import cut
from penchant.errors import InputError
from penchant.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def template_name(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what messages call the template of a tokenizer."""
    name = str(getattr(tokenizer, "name_or_path", "") or "")
    return f"the chat template of {cut(name)}" if name else "the chat template"


def apply_template(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, answered: bool, args: TemplateArgs | None = None
) -> str:
    """Return a conversation as the template writes it.

    Args:
        answered: whether to leave out the header that asks for the next turn.
        args: what the template is told beside the conversation.

    Raises:
        InputError: the template fails, or leaves a turn out.
    """
    # only role and content, as every template knows them
    rows = [{"role": message.role, "content": message.content} for message in messages]
    try:
        rendered = tokenizer.apply_chat_template(
            rows, tokenize=False, add_generation_prompt=not answered, **(args or {})
        )
    except Exception as error:  # templates raise jinja errors and whatever their authors chose
        name = template_name(tokenizer)
        raise InputError(f"{name} refuses this conversation: {cut(error, 300)} ({type(error).__name__})") from error
    return str(rendered)
