"""Look at a file of unknown content: what its rows are, and what they can teach. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penchant.data.check import check_preferences
from penchant.data.check_report import CheckReport
from penchant.data.layouts.parse import parse_source
from penchant.data.layouts.registry import DEMONSTRATIONS
from penchant.data.load import load_demonstrations, load_preferences, load_prompts
from penchant.data.options import Columns, ReadOptions, Ties
from penchant.errors import InputError
from penchant.types import PromptGroup

Method = Literal["dpo", "kto", "sft"]


@dataclass(frozen=True)
class FileLook:
    """The content of a file, as training would use it.

    Attributes:
        method: the training method that its rows are for.
        layout: the name of their layout.
        rows: all rows.
        groups: the usable ones, one per prompt.
        units: what a step counts: comparisons, labels or responses.
        noun: what a unit is called.
        bad_rows: those that cannot be used, with where and why.
        ties: tied comparisons.
        notes: sentences of `penchant data check` about what is worth a look.
    """

    method: Method
    layout: str
    rows: int
    groups: Sequence[PromptGroup]
    units: int
    noun: str
    bad_rows: tuple[str, ...] = ()
    ties: int = 0
    notes: tuple[str, ...] = ()


class ShowsMediaError(InputError):
    """Raised for a file whose rows show pictures or play sounds, which no method learns from."""


def look_at(path: str, *, split: str = "train", columns: Columns | None = None) -> FileLook:
    """Return what a file holds.

    Args:
        columns: by field of a layout, the column that holds it.

    Raises:
        InputError: it cannot be read, or there is nothing in it that a method learns from; with what to do.
    """
    logger = logging.getLogger("penchant.data")
    level = logger.level
    # the readers warn of what the draft's comments say, and each file is read by several of them
    logger.setLevel(logging.ERROR)
    try:
        return _look_at(path, ReadOptions(split=split, columns=columns or {}))
    finally:
        logger.setLevel(level)


def _look_at(path: str, reading: ReadOptions) -> FileLook:
    try:
        report = check_preferences(path, split=reading.split, columns=reading.columns, ties="half", bad_rows="skip")
    except InputError as error:
        return _demonstrations(path, reading, error)
    # before anything else is tried: a draft is for a model of texts, which reads no such rows, whatever else they are
    if report.media:
        kinds = ", ".join(f"{counts.prompts} prompts with {kind}" for kind, counts in report.media.items())
        raise ShowsMediaError(
            f"{path} has {kinds}, and drafts are for models of text. A model that reads them learns from it by "
            f"`penchant train dpo model=MODEL data={path}`"
        )
    if report.labels is None and not report.comparisons:
        # prompts with responses that nobody compared may still be demonstrations
        refusal = InputError(report.refusals[0] if report.refusals else f"{path} holds no comparisons")
        return _demonstrations(path, reading, refusal)
    if report.refusals:
        raise InputError(f"{path}: training would refuse it: {'; '.join(report.refusals)}")
    return _preferences(path, reading, report)


def _preferences(path: str, reading: ReadOptions, report: CheckReport) -> FileLook:
    if report.comparisons and report.ties == report.comparisons:
        raise InputError(f"{path}: all comparisons ({report.ties}) are ties: nothing can be learned of them")
    # `drop` is what the draft writes, so these are the comparisons that training will have
    ties: Ties = "drop" if report.ties else "error"
    groups = load_preferences(
        path, split=reading.split, columns=reading.columns, ties=ties, bad_rows="skip", contradictions="keep"
    )
    if report.labels is not None:
        good, bad, _ = report.labels
        return FileLook(
            "kto", report.layout, report.rows, groups, good + bad, "label", report.bad_rows, notes=report.problems
        )
    # of what is left once ties and bad rows are out
    units = sum(len(group.comparisons) for group in groups)
    return FileLook(
        "dpo", report.layout, report.rows, groups, units, "comparison", report.bad_rows, report.ties, report.problems
    )


def _demonstrations(path: str, reading: ReadOptions, refusal: InputError) -> FileLook:
    """Read a file that holds no preferences as demonstrations.

    Raises:
        InputError: it holds none either; what is wrong with it as preferences, or what prompts alone are good for.
    """
    try:
        groups = load_demonstrations(path, split=reading.split, columns=reading.columns, bad_rows="skip")
    except InputError:
        _explain_prompts(path, reading)
        # what is wrong with it as preferences names its fields, and which ones are needed
        raise refusal from None
    parsed = parse_source(path, reading, layouts=DEMONSTRATIONS)
    bad_rows = tuple(str(problem) for problem in parsed.problems)
    responses = sum(len(group.responses) for group in groups)
    return FileLook("sft", parsed.layout.name, parsed.rows, groups, responses, "response", bad_rows)


def _explain_prompts(path: str, reading: ReadOptions) -> None:
    """Refuse a file of prompts with the steps that lead to one with responses.

    Raises:
        InputError: it is one.
    """
    try:
        prompts = load_prompts(path, split=reading.split, columns=reading.columns)
    except InputError:
        return
    raise InputError(
        f"{path} holds {len(prompts)} prompt{'s' * (len(prompts) != 1)} and no responses, so there is nothing to train "
        f"on yet. Draw some and let a reward rank them:\n"
        f"  penchant sample penchant-0.5m {path} reward=vader out=ranked.jsonl\n"
        "or draw some, let people or a judge compare them (penchant collect, penchant judge), and give the result"
    )
