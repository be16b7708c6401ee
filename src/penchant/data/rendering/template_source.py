"""Find the text of a chat template: the tokenizer's own, one that comes with this package, or a file. No torch."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from penchant.errors import InputError, did_you_mean
from penchant.files import atomic_write, cache_folder, read_file

MODES = ("auto", "chat", "plain")
"""Templates that are no text of their own: the tokenizer's, or none."""
FILE = ".jinja"
CONTENT = "content:"
"""Before the digest of a template's text that is kept in the cache, in the place of its name (`keep_template`)."""
LONGEST = 1_000_000  # characters; the longest published template has some thousands


def shipped_templates() -> tuple[str, ...]:
    """Return the names of the templates that come with this package."""
    folder = files("penchant.data.rendering") / "chat_templates"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(FILE)))


def template_text(template: str) -> str | None:
    """Return the text of a named template or a template file; None for `auto`, `chat` and `plain`.

    Raises:
        InputError: no such name or file (with the names there are), or a file that is no text.
    """
    if template in MODES:
        return None
    if template in shipped_templates():
        return (files("penchant.data.rendering") / "chat_templates" / f"{template}{FILE}").read_text(encoding="utf-8")
    if template.startswith(CONTENT):
        return _kept_text(template)
    path = Path(template).expanduser()
    if not path.is_file():
        names = (*MODES, *shipped_templates())
        raise InputError(
            f"no such template{' file' if template.endswith(FILE) else ''}: {template}; expected one of "
            f"{', '.join(names)}, or a {FILE} file{did_you_mean(template, names)}"
        )
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the template {template} cannot be read: {error}") from error
    if not text.strip() or len(text) > LONGEST:
        raise InputError(f"the template {template} has {len(text):,} characters, expected a jinja template")
    return text


def shown_name(template: str) -> str:
    """Return what messages call a template that is named or a file; empty for `auto`, `chat` and `plain`."""
    if template in MODES:
        return ""
    return "the template" if template.startswith(CONTENT) else f"the template {template}"


def keep_template(template: str) -> str:
    """Return a name for the text of a template, which stands for it wherever and whenever it is used on this machine.

    A file may change or be gone by then, and its path says nothing of its content. `auto`, `chat` and `plain` stay.

    Raises:
        InputError: there is no such template.
    """
    text = template_text(template)
    if text is None:
        return template
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    atomic_write(_kept_file(digest), text, shared=True)
    return f"{CONTENT}{digest}"


def _kept_file(digest: str) -> Path:
    folder = cache_folder() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{digest}{FILE}"


def _kept_text(template: str) -> str:
    digest = template.removeprefix(CONTENT)
    file = _kept_file(digest) if digest.isalnum() else None
    try:
        text = read_file(file).decode("utf-8") if file is not None else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    if hashlib.sha256(text.encode()).hexdigest()[:32] != digest:
        raise InputError(f"the template {template} is not in the cache any more: start from the command that named it")
    return text


def check_template(template: str) -> str:
    """Return a template's name or path, as settings take it, if there is such a template.

    Raises:
        ValueError: there is none.
    """
    try:
        template_text(template)
    except InputError as error:
        raise ValueError(str(error)) from None
    return template


TemplateName = Annotated[str, Field(min_length=1), AfterValidator(check_template)]
"""`auto`, `chat`, `plain`, the name of a template that comes with this package, or a `.jinja` file that exists."""
