"""`penchant models`: the names that `model=` takes, and what is here of them. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from penchant.cli.arguments import Arguments, Command
from penchant.config import Config
from penchant.text_table import text_table, wrapped

FORMS = (
    ("a short name", "model=penchant-0.5m", "one of the list above"),
    ("a run", "model=runs/first", "the weights that a run left, adapters too"),
    ("a folder", "model=path/to/model", "config.json, weights and tokenizer, as transformers saves them"),
    ("a GGUF file", "model=model.gguf", "converted once into full weights, kept in the cache"),
    ("a hub id", "model=owner/name", "fetched once by the hub's client (HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE hold)"),
)
"""What a model's name can be, with an example and what it means."""


class Models(Config):
    """List the names that `model=` takes: the built-in models, and what the hub's cache holds."""

    method: ClassVar[str] = "models"

    hub: bool = True
    """Whether the hub's cache is listed too; nothing is fetched."""


def _models(arguments: Arguments) -> int:
    config = arguments.load(Models)
    print("\n".join([*_built_in_lines(), "", *_form_lines(), *(["", *_hub_lines()] if config.hub else [])]))
    return 0


def _built_in_lines() -> list[str]:
    from penchant.models.catalogue import built_in_models
    from penchant.reports.kit.text import file_size

    models = built_in_models()
    rows = [
        (
            model.name,
            _parameters(model.parameters),
            "not installed" if model.size is None else file_size(model.size),
            model.licence,
            model.use,
        )
        for model in models
    ]
    lines = ["Models with a short name:", *text_table(("name", "weights", "files", "licence", "for"), rows)]
    # a command to copy is not broken over lines
    return [*lines, *(f"  to install {model.name}: {model.install}" for model in models if model.install)]


def _form_lines() -> list[str]:
    return ["What else `model=` takes:", *text_table(("what", "example", "meaning"), FORMS)]


def _hub_lines() -> list[str]:
    from penchant.models.catalogue import hub_cache
    from penchant.reports.kit.text import file_size

    cache = hub_cache()
    # a damaged entry is one line: the others are listed all the same
    problems = [line for problem in cache.problems for line in wrapped(f"not readable: {problem}", indent="  ")]
    if not cache.models:
        return [*wrapped(f"The hub's cache ({cache.folder}) holds no model."), *problems]
    rows = [
        (model.name, file_size(model.size), f"{model.last_used:%Y-%m-%d}" if model.last_used else "", model.problem)
        for model in cache.models
    ]
    title = f"Models in the hub's cache ({cache.folder}), which need no network:"
    return [*wrapped(title), *text_table(("hub id", "size", "last used", "note"), rows), *problems]


def _parameters(count: int) -> str:
    return f"{count / 1e6:.3g}M"


MODELS = Command(
    "models",
    Models,
    _models,
)
