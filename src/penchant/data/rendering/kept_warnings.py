"""Keep what a template does to the texts of a large data set, which takes a look at every group to say."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from penchant.data.group_table import GroupRows
from penchant.data.rendering import template_probe, templates
from penchant.data.rendering.chat_template import ChatTemplate
from penchant.files import atomic_write, read_json
from penchant.types import PromptGroup

log = logging.getLogger("penchant.data")


def kept_template_warnings(template: ChatTemplate, groups: Sequence[PromptGroup], cache: Path) -> list[str]:
    """Return the warnings of `template_warnings`; of groups of a table, those that an earlier run kept.

    Args:
        cache: the folder where they are kept.
    """
    if not isinstance(groups, GroupRows):
        return templates.template_warnings(template, groups)
    path = cache / f"{_key(template, groups)}.json"
    try:
        warnings = read_json(path)
    except (OSError, ValueError):  # none yet, or damaged: they are found anew
        warnings = None
    if isinstance(warnings, list) and all(isinstance(warning, str) for warning in warnings):
        return warnings
    found_warnings = templates.template_warnings(template, groups)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(found_warnings), private=True, shared=True)
    except OSError as error:
        log.warning("the warnings about the template cannot be kept in %s (%s): they are found again", path, error)
    return found_warnings


def _key(template: ChatTemplate, groups: GroupRows) -> str:
    """Return a digest of all that the warnings depend on."""
    code = [Path(str(module.__file__)).read_text() for module in (templates, template_probe)]
    today = date.today() if template.writes_date else None
    content = repr((groups.digest, template.name, template.texts, sorted(template.args.items(), key=str), today, code))
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:32]
