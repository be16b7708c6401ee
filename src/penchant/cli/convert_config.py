"""`penchant convert-config`: a configuration of TRL, axolotl or LLaMA-Factory as ours. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.cli.arguments import Arguments, Command
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config import Config
from penchant.config.limits import Text
from penchant.errors import RunError
from penchant.files import atomic_write


class ConvertConfig(Config):
    """Write a configuration of TRL, axolotl or LLaMA-Factory as one of `penchant train`.

    What cannot be carried over is named.
    """

    method: ClassVar[str] = "convert-config"

    path: Text
    """The other library's file: YAML or JSON."""
    kind: Literal["trl", "axolotl", "llama-factory"] | None = None
    """Whose file it is; found out by its keys unless given."""
    train: Text | None = None
    """Our training method (`penchant train METHOD`), where the file does not say. TRL's do not name their trainer."""
    devices: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Over how many devices the other library spreads a batch: ours counts what one optimizer step takes in all."""
    out: Text | None = None
    """The file to write; without it the configuration is printed."""


def _convert(arguments: Arguments) -> int:
    config = arguments.load(ConvertConfig)
    from penchant.conversion.convert import LIBRARIES, convert, find_library, read_foreign

    out = check_file(config.out, arguments.flags) if config.out is not None else None
    path = Path(config.path)
    values = read_foreign(path)
    library = LIBRARIES[config.kind] if config.kind else find_library(values, path)
    converted = convert(values, library, method=config.train, devices=config.devices)
    text = converted.as_yaml(path.name)
    if out is None:
        print(text, end="")
        return 0
    try:
        atomic_write(out, text)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror}") from error
    for title, entries in (
        ("not carried over", [f"{key} ({reason})" for key, _, reason in converted.omissions]),
        ("unknown", list(converted.unknown)),
        ("different here", list(converted.remarks)),
        ("to be filled in", list(converted.missing)),
    ):
        for entry in entries:
            print(f"{title}: {entry}")
    print(f"{out}: settings of `penchant train {converted.method}`, from {library.title} {library.version}")
    return 0


CONVERT_CONFIG = Command(
    "convert-config",
    ConvertConfig,
    _convert,
    positionals={"path": "FILE"},
    example="trl.yaml train=dpo out=dpo.yaml",
    add_flags=add_overwrite_flag,
    takes_config=False,  # the file of settings is what is converted
)
