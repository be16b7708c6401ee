"""Writes an export: all of a folder or nothing, with the model card and the digests of every file."""

from __future__ import annotations

import errno
import glob
import importlib.metadata
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from penchant.digests import SUMS, DamagedFile, check_files, has_own_sums, read_sums, write_sums
from penchant.errors import InputError, PenchantError, RunError
from penchant.export.card import CARD, CardFacts, card_text
from penchant.export.card_words import size_text
from penchant.export.gguf_file import Description
from penchant.export.origin import Origin, origin_of
from penchant.export.settings import ModelFolder
from penchant.export.source import Source, open_source
from penchant.export.weights import Written, write_weights
from penchant.files import atomic_folder, atomic_write, file_above, read_json
from penchant.reports.run.summary import Summary, summarize
from penchant.runs.read import read_runs

log = logging.getLogger("penchant.export")

RECORD = "penchant_export.json"
"""In every exported folder: what was exported, how, and by which version."""


@dataclass(frozen=True)
class Exported:
    """A folder that was exported.

    Attributes:
        files: names with sizes in bytes.
        license: as the hub spells it; None where it is not known.
        check: how far the scores of the files are from those of the model; empty where nobody looked.
    """

    folder: Path
    files: dict[str, int]
    license: str | None
    check: str = ""


def write_export(settings: ModelFolder, out: Path) -> Exported:
    """Write a model as a folder for other programs.

    Args:
        settings: what, and in which form.
        out: the folder, which must not be there or be empty. It takes its name when everything is in it.

    Raises:
        InputError: the folder holds something, the model cannot be exported, or not in this format.
        RunError: it cannot be written, such as on a full disk; nothing half-written is left.
    """
    out = out.expanduser()
    check_vacant(out)
    _warn_of_leftovers(out)
    source = open_source(settings.model)
    if out.resolve().is_relative_to(Path(source.weights).resolve()):
        raise InputError(f"out={out} lies inside of the model that is exported: choose another folder")
    summary = summary_of(source)
    origin = _origin(source, summary, settings)
    license_name = settings.license or origin.license
    try:
        # `shared`: what somebody put there meanwhile is not moved aside, as a folder of ours would be
        with atomic_folder(out, shared=True) as building:
            description = Description(title_of(source, summary), license_name, origin.hub_id or origin.name)
            written = write_weights(source, building, settings, description)
            _write_record(building, source, settings, license_name)
            _write_card(building, source, summary, origin, license_name, settings, written)
            write_sums(building)
            files = files_of(building)
    except PenchantError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise InputError(
                f"out={out} was filled by another program meanwhile: nothing of that was touched"
            ) from error
        raise _cannot_write(out, error) from error
    except Exception as error:  # on a full disk safetensors, tokenizers and the system each raise their own
        raise _cannot_write(out, error) from error
    return Exported(out, files, license_name, written.check)


def _warn_of_leftovers(out: Path) -> None:
    """Name what a killed export of the same folder left: its name is hidden, and it may be as large as the model."""
    for leftover in sorted(out.parent.glob(f".{glob.escape(out.name)}.*.new")):
        # not removed: another export into the same folder may be at work in it
        log.warning(
            "%s is what an earlier export left that was killed, or what one is writing now (%s): delete it if none is",
            leftover,
            size_text(sum(files_of(leftover).values())),
        )


def _cannot_write(out: Path, error: Exception) -> RunError:
    return RunError(
        f"cannot write {out}: {error}. Nothing of it is left; make room, or choose another folder, and give the same "
        "command again"
    )


def check_vacant(out: Path) -> None:
    """Refuse a folder that holds something, or a name that is a file or a link.

    Raises:
        InputError: it does, or is.
    """
    if out.is_symlink():
        raise InputError(f"out={out} is a symbolic link: name a folder that is not there yet")
    if (file := file_above(out)) is not None:
        raise InputError(f"out={out}: {file} is a file: an export needs a folder in a folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"out={out} is a file: an export needs a folder of its own")
    if first := next(out.iterdir(), None):
        raise InputError(
            f"out={out} already holds {first.name}: nothing was touched. Choose another folder, or empty it"
        )


def files_of(folder: Path) -> dict[str, int]:
    """Return the files of a folder by name, with their sizes in bytes."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
    }


def title_of(source: Source, summary: Summary | None) -> str:
    """Return what a model is called: its run's or folder's name."""
    return summary.run.name if summary else Path(source.name).expanduser().resolve().name


def summary_of(source: Source) -> Summary | None:
    """Return the run of a model with its numbers up to the step of the weights; None without a run."""
    if source.run is None:
        return None
    run = read_runs([source.run])[0]
    if source.step is not None:
        # later evaluations are of weights that are not exported
        evals = tuple(point for point in run.evals if point.step <= source.step)
        samples = tuple(sample for sample in run.samples if sample.step <= source.step)
        run = replace(run, evals=evals, samples=samples)
    return summarize(run)


def _origin(source: Source, summary: Summary | None, settings: ModelFolder) -> Origin:
    if summary is None:
        return origin_of(source.name, settings.base)
    name = summary.run.setting("model", "name") or summary.run.setting("model")
    return origin_of(name, settings.base) if isinstance(name, str) else Origin("a model that the run does not name")


def _write_record(folder: Path, source: Source, settings: ModelFolder, license_name: str | None) -> None:
    content = {
        "source": Path(source.name).name,
        "kind": source.kind,
        "format": settings.format,
        "type": settings.type if settings.format == "gguf" else None,
        "license": license_name,
        "penchant": importlib.metadata.version("penchant"),
    }
    atomic_write(folder / RECORD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_card(
    folder: Path, source: Source, summary: Summary | None, origin: Origin, license_name: str | None,
    settings: ModelFolder, written: Written,
) -> None:  # fmt: skip
    text = card_text(
        CardFacts(
            title=title_of(source, summary),
            source=source,
            format=settings.format,
            origin=origin,
            summary=summary,
            license=license_name,
            dtype=written.dtype,
            chat=written.chat,
            files=files_of(folder),
            notes=written.notes,
            check=written.check,
        )
    )
    atomic_write(folder / CARD, text)


def open_export(folder: Path) -> Exported:
    """Return an exported folder, checked: its files are what was written, and none is a link.

    Raises:
        DamagedFile: a file is damaged, missing, or was added.
        InputError: it is no exported folder, or holds links.
    """
    if not (folder / RECORD).is_file() or not has_own_sums(folder):
        raise InputError(f"{folder} is no exported folder (it lacks {RECORD} or {SUMS})")
    if link := next((path for path in folder.rglob("*") if path.is_symlink()), None):
        raise InputError(f"{link} is a symbolic link, which may lead to any file of this machine: remove it")
    files = files_of(folder)
    check_files(folder, [name for name in {*files, *(read_sums(folder) or ())} if name != SUMS])
    try:
        license_name = read_json(folder / RECORD).get("license")
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedFile(f"{folder / RECORD} cannot be read ({error}): export again") from error
    return Exported(folder, files, license_name if isinstance(license_name, str) else None)
