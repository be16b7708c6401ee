"""Chat templates that carry what a run told them: other programs render by the template alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from penchant.errors import InputError
from penchant.files import read_json

SAVED = "penchant_template.json"
"""Beside a checkpoint: what its template was told."""


def saved_arguments(folder: Path) -> dict[str, object]:
    """Return what the template of a checkpoint was told beside the conversation; empty where nothing is saved.

    Raises:
        InputError: the file cannot be read.
    """
    file = folder / SAVED
    if not file.exists():
        return {}
    try:
        arguments = read_json(file).get("template_args", {})
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{file} cannot be read ({error}): put back a good copy") from error
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def with_defaults(template: str, arguments: Mapping[str, object]) -> str:
    """Return a template with its arguments as defaults: who renders it may still say otherwise.

    The argument `today`, which stops the clock while training, is left out: a chat has the date of its day.
    """
    lines = [
        f"{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}"
        for name, value in sorted(arguments.items())
        if name != "today" and name.isidentifier()
    ]
    return "".join(lines) + ("{#- defaults of the training -#}" if lines else "") + template


def _literal(value: object) -> str:
    """Return a value as Jinja writes it: JSON's form, which Jinja reads, but for nothing."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
