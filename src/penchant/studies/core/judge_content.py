"""What a judge's verdicts depend on, for the address of a stage: content in place of names. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable

from penchant.config import Config
from penchant.judges.prompts import load_template
from penchant.judges.settings import OWN_JUDGES
from penchant.redact import hide_credentials
from penchant.studies.core.address import data_content, model_content, reward_content


def judge_content(judge: Config) -> dict[str, object]:
    """Return what a judge's verdicts depend on: content in place of names."""
    settings = judge.addressed()
    contents: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("reward", reward_content),
        ("template", lambda name: load_template(name).digest),
        ("factory", OWN_JUDGES.content),
    )
    for name, content in contents:
        if name in settings:
            settings[name] = content(str(settings[name]))
    # Credentials of an address stand in no file.
    if settings.get("base_url"):
        settings["base_url"] = hide_credentials(str(settings["base_url"]))
    # An endpoint's model stays a name: of what a server runs under it nothing more is known.
    if settings["name"] == "policy":
        settings["model"] = model_content(str(settings["model"]))
    if isinstance(paths := settings.get("paths"), list):
        settings["paths"] = [data_content(str(path)) for path in paths]
    # Some judges have another inside, a panel several.
    for name in ("judge", "judges"):
        inner = getattr(judge, name, None)
        if inner is not None:
            is_panel = isinstance(inner, tuple)
            settings[name] = [judge_content(member) for member in inner] if is_panel else judge_content(inner)
    return settings
