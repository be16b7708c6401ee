"""Convert a configuration of another library into ours, and name what cannot be carried over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from penchant.config import Config
from penchant.config.loading import read_yaml
from penchant.config.problems import format_value, problems
from penchant.config.yaml_text import Dumper
from penchant.conversion.axolotl import AXOLOTL
from penchant.conversion.llama_factory import LLAMA_FACTORY
from penchant.conversion.rules import NO_DEFAULT, Draft, Library, Values
from penchant.conversion.trl import TRL
from penchant.errors import InputError, did_you_mean

LIBRARIES = {library.name: library for library in (TRL, AXOLOTL, LLAMA_FACTORY)}
FEWEST_KEYS = 2  # that only one library has; a file with fewer is nobody's


@dataclass(frozen=True)
class Conversion:
    """A converted configuration.

    Attributes:
        library: whose file it was. method: our training method.
        settings: our configuration, which was checked.
        omissions: keys that are not carried over, with their values and why.
        unknown: keys that the library's table does not have.
        remarks: what is carried over and still means something else.
        missing: settings that the file does not have and that training needs.
    """

    library: Library
    method: str
    settings: dict[str, object]
    omissions: tuple[tuple[str, object, str], ...]
    unknown: tuple[str, ...]
    remarks: tuple[str, ...]
    missing: tuple[str, ...]

    def as_yaml(self, name: str) -> str:
        """Return our YAML, which begins with what was not carried over.

        Args:
            name: of the file that was converted.
        """
        lines = [f"# From {name} ({self.library.title} {self.library.version}) by `penchant convert-config`."]
        lines += _commented(
            "Not carried over", [f"{key}: {format_value(value)} - {reason}" for key, value, reason in self.omissions]
        )
        lines += _commented(f"Unknown to the table of {self.library.title}", list(self.unknown))
        lines += _commented("Different here", list(self.remarks))
        lines += _commented("To be filled in", list(self.missing))
        values = {"method": self.method, **self.settings}
        return (
            "\n".join(lines) + "\n" + yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
        )


def _commented(title: str, entries: list[str]) -> list[str]:
    return [f"# {title}:", *(f"#   {' '.join(entry.split())}" for entry in entries)] if entries else []


def read_foreign(path: Path) -> Values:
    """Return the mapping in a YAML or JSON file.

    Raises:
        InputError: there is none, or it is no mapping.
    """
    if path.suffix in (".bin", ".pt", ".pkl"):
        raise InputError(
            f"{path} is a pickle, which runs code when it is read; give the YAML or JSON that it was made from"
        )
    if path.suffix == ".json" and path.is_file():
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected an object of settings, got {format_value(values)}")
        return values
    return read_yaml(path)[0]


def find_library(values: Values, path: Path) -> Library:
    """Return the library that a file was written for.

    Raises:
        InputError: no table has enough of its keys, or two have as many.
    """
    scores = {name: len(library.keys & {*values}) for name, library in LIBRARIES.items()}
    # TRL and LLaMA-Factory share the keys of `transformers`, so the number of a library's own ones decides
    best = max(scores.values())
    winners = [name for name, score in scores.items() if score == best]
    if best < FEWEST_KEYS or len(winners) > 1:
        looked = "; ".join(f"{name}: {', '.join(sorted(library.keys)[:4])} ..." for name, library in LIBRARIES.items())
        raise InputError(
            f"{path}: cannot tell whose configuration it is ({looked}); say it with kind={'|'.join(LIBRARIES)}"
        )
    return LIBRARIES[winners[0]]


def convert(values: Values, library: Library, *, method: str | None = None, devices: int = 1) -> Conversion:
    """Convert a configuration.

    Args:
        method: our training method, where the file does not say.
        devices: over how many devices the other library's batch is spread.

    Raises:
        InputError: no method, or one that we do not have; a value that our settings refuse.
    """
    from penchant.methods import METHODS

    chosen = method or library.method(values)
    if chosen is None:
        raise InputError(
            f"{library.title}: the file does not say which method it is for, or one that is not here: set "
            f"method={'|'.join(METHODS)}"
        )
    if chosen not in METHODS:
        raise InputError(
            f"there is no method {chosen!r}{did_you_mean(chosen, METHODS) or '.'} Known: {', '.join(METHODS)}"
        )
    draft = Draft(chosen)
    # a key that decides by its default counts as given: the other library would have trained with it
    for rule in library.rules:
        value = values.get(rule.key, rule.default)
        if value is NO_DEFAULT or (rule.methods and chosen not in rule.methods):
            continue
        if rule.write is not None:
            rule.write(draft, value, values)
    library.finish(draft, values, devices)
    omissions, unknown = _not_carried(values, library, draft)
    _drop_foreign(draft, METHODS[chosen])
    missing = _check(draft, METHODS[chosen])
    return Conversion(
        library, chosen, draft.settings, tuple(omissions), tuple(unknown), tuple(draft.remarks), tuple(missing)
    )


def _not_carried(values: Values, library: Library, draft: Draft) -> tuple[list[tuple[str, object, str]], list[str]]:
    """Return the given keys that decide something and have no place here, and those that no table has."""
    omissions, unknown = [], []
    for key, value in values.items():
        rule = library.rule(key)
        if rule is None:
            unknown.append(f"{key}{did_you_mean(key, [candidate.key for candidate in library.rules]) or ''}")
        elif key in draft.omissions:
            omissions.append((key, value, draft.omissions[key]))
        elif rule.methods and draft.method not in rule.methods:
            omissions.append((key, value, f"it belongs to {' and '.join(rule.methods)}"))
        # a switch that is off would have changed nothing
        elif rule.write is None and not (rule.harmless or rule.together) and value not in (None, False, "", [], {}):
            omissions.append((key, value, rule.reason))
    listed_keys = {key for key, _, _ in omissions}
    # parts of a key, such as `datasets.shards`
    omissions += [
        (key, values.get(key.partition(".")[0]), reason)
        for key, reason in draft.omissions.items()
        if key not in {*listed_keys, *values}
    ]
    return omissions, unknown


def _drop_foreign(draft: Draft, config: type[Config]) -> None:
    """Take out settings that the method does not have, and name them."""
    data = draft.settings.get("data")
    # of rollouts, whose data are prompts alone
    data_fields = getattr(config.model_fields["data"].annotation, "model_fields", None)
    branches = [("", draft.settings, config.model_fields)]
    if isinstance(data, dict) and data_fields:
        branches.append(("data.", data, data_fields))
    for prefix, settings, fields in branches:
        for name in [name for name in settings if name not in fields]:
            value = settings.pop(name)
            draft.remark(f"{prefix}{name}={format_value(value)} is left out: {draft.method} has no such setting")


def _check(draft: Draft, config: type[Config]) -> list[str]:
    """Check the settings against our own classes.

    Returns:
        What is required and missing.

    Raises:
        InputError: values that are refused.
    """
    values, data = dict(draft.settings), draft.settings.get("data", {})
    absent = False
    if isinstance(data, dict) and not {"path", "sources"} & {*data}:
        absent = True
        values["data"] = data | {"path": "FILE"}  # a name in its place, so that all else is checked
    required = ["data.path"] if absent else []
    try:
        config.model_validate(values)
    except ValidationError as error:
        required += [".".join(map(str, entry["loc"])) for entry in error.errors() if entry["type"] == "missing"]
        refusals = [problem.text for problem in problems(config, error) if problem.path not in required]
        if refusals:
            raise InputError("the values do not fit: " + "; ".join(refusals)) from None
    return required
