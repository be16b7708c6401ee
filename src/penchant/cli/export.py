"""`penchant export`: a trained model as a folder for other programs. Imports no torch, so that help is instant."""

from __future__ import annotations

from pathlib import Path

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.export.settings import Export


def _export(arguments: Arguments) -> int:
    config = arguments.load(Export)
    import_early("transformers.modeling_utils")
    from penchant.export.card import CARD
    from penchant.export.card_words import size_text
    from penchant.export.folder import write_export

    exported = write_export(config, Path(config.out))
    total = sum(exported.files.values())
    print(f"{config.model} exported to {exported.folder}: {len(exported.files)} files, {size_text(total)}")
    print(f"model card: {exported.folder / CARD}")
    if exported.check:
        print(exported.check.replace("`", ""))
    if exported.license is None:
        print("licence: unknown. Find that of the base model and of the data, and export again with license=NAME")
    return 0


EXPORT = Command(
    "export",
    Export,
    _export,
    positionals={"model": "RUN"},
    example="runs/first format=gguf type=q8_0 out=exported",
)
