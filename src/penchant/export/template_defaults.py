"""Chat templates that carry what a run told them: other programs render by the template alone."""

from __future__ import annotations

import json
from collections.abc import Mapping

from penchant.data.rendering.template_args import TODAY
from penchant.engine.foreign_types import Tokenizer


def with_defaults(template: str, arguments: Mapping[str, object]) -> str:
    """Return a template with its arguments as defaults: who renders it may still say otherwise.

    The argument `today`, which stops the clock while training, is left out: a chat has the date of its day.
    """
    lines = [
        f"{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}"
        for name, value in sorted(arguments.items())
        if name != TODAY
    ]
    return "".join(lines) + template


def _literal(value: object) -> str:
    """Return a value as Jinja writes it: JSON's form, which Jinja reads, but for nothing."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def put_defaults(tokenizer: Tokenizer, arguments: Mapping[str, object]) -> None:
    """Write arguments into a tokenizer's chat template, before it is saved for others."""
    if isinstance(tokenizer.chat_template, str) and arguments:
        tokenizer.chat_template = with_defaults(tokenizer.chat_template, arguments)
