"""Read run directories into frozen records. Whatever is missing or damaged becomes a note, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from penchant.clean_text import clean
from penchant.data.rendering.marked import MarkedRow
from penchant.digests import SUMS, DamagedFile, check_files, read_sums
from penchant.errors import InputError
from penchant.files import parse_object, read_file
from penchant.metrics.estimates import Estimate
from penchant.runs.evaluations import OutsideEvaluation, read_evaluations
from penchant.runs.marked_rows import MARKED_FILE, read_marked_rows
from penchant.runs.run_lines import Row
from penchant.types import RunResult

T = TypeVar("T")

EXPECTED = ("config.yaml", "metrics.jsonl")


@dataclass(frozen=True)
class TrainPoint:
    """The numbers of one optimizer step (means over its batch); only finite ones are kept."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class EvalPoint:
    """One evaluation; each mapping is empty where the run did not measure it.

    `calibration` is a reward model's reliability curve: how sure it is, and how often it is right then.
    """

    step: int
    held_out: Mapping[str, Estimate]
    by_annotator: Mapping[str, Estimate]
    policy: Mapping[str, Estimate]
    reference: Mapping[str, Estimate]
    calibration: tuple[tuple[float, Estimate], ...] = ()
    by_source: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """One sampled response: reward and KL (nats) where they were measured, length in tokens."""

    text: str
    reward: float | None
    kl_nats: float | None
    tokens: int | None
    finished: bool | None


@dataclass(frozen=True)
class SampledPrompt:
    """The draws of one prompt at one step; policy and reference share their seeds pairwise."""

    step: int
    prompt: str
    policy: tuple[Draw, ...]
    reference: tuple[Draw, ...]


@dataclass(frozen=True)
class Run:
    """All that a report knows of a run.

    Attributes:
        name: the folder's name, made unique among the runs of a report.
        notes: what was missing or damaged, as sentences.
        non_finite: how many training numbers were NaN, infinite or null.
        result: result.json, or None where the run has not ended.
        marked: the first rows that it trains on, as its model is given them.
        outside: evaluations by tasks and benchmarks from outside, such as those of lm-eval.
    """

    name: str
    path: Path
    method: str
    config: Mapping[str, object]
    config_text: str
    provenance: Mapping[str, object]
    train: tuple[TrainPoint, ...]
    evals: tuple[EvalPoint, ...]
    samples: tuple[SampledPrompt, ...]
    result: Mapping[str, object] | None
    notes: tuple[str, ...] = ()
    non_finite: int = 0
    marked: tuple[MarkedRow, ...] = ()
    outside: tuple[OutsideEvaluation, ...] = ()

    def last_step(self) -> int:
        """Return the last step that left a trace."""
        return max([0, *(point.step for point in self.train), *(point.step for point in self.evals)])

    def setting(self, *keys: str) -> Any:
        """Return a value of the config by its path, None where it is not set."""
        node: object = self.config
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def data(self, key: str) -> int | None:
        """Return a count of the data from result.json."""
        table = self.result.get("data") if self.result else None
        value = finite(table.get(key)) if isinstance(table, Mapping) else None
        return None if value is None else int(value)


@dataclass
class _Notes:
    """Sentences about what was missing or damaged, and how many numbers were not finite."""

    lines: list[str] = field(default_factory=list)
    non_finite: int = 0


def read_runs(runs: Sequence[RunResult | str | Path]) -> tuple[Run, ...]:
    """Read every run directory once, in the order given, with names that tell them apart.

    Raises:
        InputError: no run at all, or a path that is no run directory.
    """
    # a single run is often given without a list; a text would be read letter by letter
    if isinstance(runs, (str, Path, RunResult)):
        runs = [runs]
    paths = [path for run in runs for path in _run_folders(Path(run.path if isinstance(run, RunResult) else run))]
    # the same run by two names would be compared with itself
    unique = list({path.resolve(): path for path in paths}.values())
    if not unique:
        raise InputError("a report needs at least one run directory, got none")
    return tuple(_read_run(path, name) for path, name in zip(unique, distinct_names(unique), strict=True))


def _run_folders(path: Path) -> list[Path]:
    """Return the path itself, or the run directories right below it where it is a folder of those (a study)."""
    # metrics alone are a run too: the configuration may be what is missing
    if any((path / name).exists() for name in ("config.yaml", "metrics.jsonl")) or not path.is_dir():
        return [path]
    subfolders = [child for child in sorted(path.iterdir()) if (child / "config.yaml").exists()]
    return subfolders or [path]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest tails of paths that differ: `b01`, or `monday/b01` where two folders share a name."""
    parts = [path.resolve().parts for path in paths]
    # the last folders alone, as far as they tell runs apart: whole paths would fill every legend
    for depth in range(1, max(map(len, parts)) + 1):
        names = [clean("/".join(part[-depth:])) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _read_run(path: Path, name: str) -> Run:
    if not any((path / file).is_file() for file in EXPECTED):
        finding = "a folder without either" if path.is_dir() else "a file" if path.exists() else "nothing there"
        raise InputError(
            f"{path} is no run directory: expected a folder with {' and '.join(EXPECTED)}, found {finding}. "
            "Give the folder that `out` named when the run was started."
        )
    notes = _Notes()
    _check_digests(path, notes)
    config_text, config = _read_config(path / "config.yaml", notes)
    provenance = _read_object(path / "provenance.json", notes, "versions, machine and fingerprints are not known")
    result = _read_object(path / "result.json", notes, None)
    lines = _read_lines(path / "metrics.jsonl", notes, None if "rounds" in config else "there is nothing to plot")
    # lines of metrics.jsonl come later and so stand, where a step is in both
    evals = _by_step([*_ends(result), *lines], "eval", _eval_point)
    drew = any(point.policy for point in evals)  # a run that was told to draw nothing lacks nothing
    sampled = _read_lines(path / "samples.jsonl", notes, "no texts can be shown" if drew else None)
    try:
        marked = read_marked_rows(path)
    except ValueError as error:
        marked = ()
        notes.lines.append(f"{MARKED_FILE} cannot be read ({error}): what the rows taught is not shown.")
    outside, problems = read_evaluations(path)
    notes.lines += problems
    method = config.get("method") or (result or {}).get("method") or "unknown method"
    return Run(
        name=name,
        path=path,
        method=str(method),
        config=config,
        config_text=config_text,
        provenance=provenance or {},
        train=_by_step(lines, "train", lambda row: _train_point(row, notes)),
        evals=evals,
        samples=tuple(point for row in sampled if (point := _sampled(row)) is not None),
        result=result,
        notes=tuple(notes.lines),
        non_finite=notes.non_finite,
        marked=marked,
        outside=tuple(outside),
    )


def _check_digests(path: Path, notes: _Notes) -> None:
    """Note the files that are not what the run wrote. Unfinished runs, and older ones, have digests of fewer."""
    try:
        listed = read_sums(path) or {}
    except DamagedFile as error:
        notes.lines.append(f"{error}.")
        return
    # each by itself: one damaged file must not hide what the others say
    for name in listed:
        try:
            check_files(path, [name])
        except DamagedFile:
            if (path / name).exists():  # what is missing is noted where it is read
                notes.lines.append(
                    f"{name} is not what the run wrote, by its digest in {SUMS}: numbers from it may be wrong."
                )


def _ends(result: Row | None) -> list[Row]:
    """Return the evaluations that result.json repeats: they count where metrics.jsonl lost them."""
    ends = [(result or {}).get(key) for key in ("first", "final")]
    return [{**end, "kind": "eval"} for end in ends if isinstance(end, dict)]


def _text(path: Path, notes: _Notes, loss: str | None) -> str | None:
    try:
        return read_file(path).decode("utf-8", errors="replace")
    except OSError as error:
        if loss is not None:
            reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            notes.lines.append(f"{path.name} {reason}: {loss}.")
        return None


def _read_config(path: Path, notes: _Notes) -> tuple[str, Row]:
    text = _text(path, notes, "the settings are not known") or ""
    try:
        loaded = yaml.safe_load(text)
    # a damaged file may hold a date that does not exist (ValueError), or nest without end (RecursionError)
    except (yaml.YAMLError, ValueError, RecursionError):
        notes.lines.append(f"{path.name} is not valid YAML: the settings are not known.")
        return text, {}
    return text, loaded if isinstance(loaded, dict) else {}


def _read_object(path: Path, notes: _Notes, loss: str | None) -> Row | None:
    """Read a JSON object; `loss` says what a missing file costs, None where another warning says it."""
    text = _text(path, notes, loss)
    if text is None:
        return None
    value = parse_object(text)
    if value is None:
        notes.lines.append(f"{path.name} is not a JSON object (cut short or damaged) and was left out.")
    return value


def _read_lines(path: Path, notes: _Notes, loss: str | None) -> list[Row]:
    text = _text(path, notes, loss)
    lines = [] if text is None else text.split("\n")
    if lines and loss is not None and not any(line.strip() for line in lines):
        notes.lines.append(f"{path.name} is empty: {loss}.")
    rows, bad = [], []
    for number, line in enumerate(lines, start=1):
        row = parse_object(line) if line.strip() else None
        if row is not None:
            rows.append(row)
        elif line.strip():
            bad.append(number)
    # no line break at the end: the writer was stopped in the middle of a line, which is no damage
    if bad == [len(lines)]:
        notes.lines.append(f"The last line of {path.name} is cut short and was left out.")
    elif bad:
        where = f"line {bad[0]}" if len(bad) == 1 else f"{len(bad)} lines, the first is line {bad[0]}"
        notes.lines.append(f"{path.name} is damaged: {where}; left out.")
    return rows


def finite(value: object) -> float | None:
    """Return a finite number as float; None for null, NaN, infinities, booleans and everything else."""
    # to Python True is the number 1
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON may hold a whole number beyond every float
        return None
    return number if math.isfinite(number) else None


def _by_step(rows: Sequence[Row], kind: str, build: Callable[[Row], T]) -> tuple[T, ...]:
    """Return one point per step, in order; after a resume the later line of a step stands."""
    points: dict[int, T] = {}
    for row in rows:
        if row.get("kind") == kind and (step := _step(row)) >= 0:
            points[step] = build(row)
    return tuple(points[step] for step in sorted(points))


def _step(row: Mapping[str, object]) -> int:
    """Return the step of a line; -1 for a line that says none."""
    step = finite(row.get("step"))
    return -1 if step is None or step < 0 else int(step)


def _train_point(row: Row, notes: _Notes) -> TrainPoint:
    # the writer turns NaN into null, since JSON has no word for it
    is_lost = (value is None or (isinstance(value, float) and not math.isfinite(value)) for value in row.values())
    notes.non_finite += sum(is_lost)
    values = {key: number for key, value in row.items() if (number := finite(value)) is not None}
    return TrainPoint(_step(row), values)


def _eval_point(row: Row) -> EvalPoint:
    held_out, samples = _mapping(row.get("held_out")), _mapping(row.get("samples"))
    return EvalPoint(
        step=_step(row),
        held_out=_estimates(held_out),
        by_annotator=_estimates(_mapping(held_out.get("by_annotator"))),
        policy=_estimates(_mapping(samples.get("policy"))),
        reference=_estimates(_mapping(samples.get("reference"))),
        calibration=tuple(_calibration(_mapping(held_out.get("calibration")).get("curve"))),
        by_source={name: _estimates(_mapping(part)) for name, part in _mapping(held_out.get("by_source")).items()},
    )


def _calibration(curve: object) -> Iterator[tuple[float, Estimate]]:
    for point in curve if isinstance(curve, list) else []:
        confidence, accuracy = finite(_mapping(point).get("confidence")), read_estimate(_mapping(point).get("accuracy"))
        if confidence is not None and accuracy is not None:
            yield confidence, accuracy


def _mapping(value: object) -> Row:
    return value if isinstance(value, dict) else {}


def _estimates(table: Row) -> dict[str, Estimate]:
    built = {str(key): read_estimate(value) for key, value in table.items()}
    return {key: estimate for key, estimate in built.items() if estimate is not None}


def read_estimate(entry: object) -> Estimate | None:
    """Return a recorded estimate; None where there is none, or a damaged one."""
    table = _mapping(entry)
    value = finite(table.get("value"))
    if value is None:
        return None
    low, high = finite(table.get("low")), finite(table.get("high"))
    # half an interval, or one that the value lies outside of, was damaged: the number alone may still be right
    if low is None or high is None or not low <= value <= high:
        low = high = None
    # counts of earlier versions may be missing; 0 says that they are not known
    counts = {key: int(finite(table.get(key)) or 0) for key in ("n", "clusters")}
    return Estimate.from_dict({**table, "value": value, "low": low, "high": high, **counts})


def _sampled(row: Row) -> SampledPrompt | None:
    step, prompt = finite(row.get("step")), row.get("prompt")
    if step is None or not isinstance(prompt, str):
        return None
    return SampledPrompt(int(step), prompt, _draws(row.get("policy")), _draws(row.get("reference")))


def _draws(rows: object) -> tuple[Draw, ...]:
    if not isinstance(rows, list):
        return ()
    return tuple(_draw(row["text"], row) for row in rows if isinstance(row, dict) and isinstance(row.get("text"), str))


def _draw(text: str, row: Row) -> Draw:
    tokens, finished = finite(row.get("tokens")), row.get("finished")
    return Draw(
        text=text,
        reward=finite(row.get("reward")),
        kl_nats=finite(row.get("kl_nats")),
        tokens=None if tokens is None else int(tokens),
        finished=finished if isinstance(finished, bool) else None,
    )
