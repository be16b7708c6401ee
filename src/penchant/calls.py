"""The commands as functions: `pt.judge`, `pt.agree` and others take the settings that the command line takes.

Each builds the same configuration, runs the same code and leaves the same files; what the command prints is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from penchant.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from penchant.evaluation.score import ScoredFile
    from penchant.export.folder import Exported
    from penchant.judges.compare.results import JudgeResults
    from penchant.reports.run.run_comparison import RunComparison
    from penchant.runs.evaluations import OutsideEvaluation
    from penchant.studies.core.settings import Study
    from penchant.studies.core.study import StudyResult
    from penchant.types import RunResult
    from penchant.weak.results import LabelledFile


Source: TypeAlias = "RunResult | str | Path"
"""What stands for a run."""
P = ParamSpec("P")
R = TypeVar("R")


def _keep_cache(call: Callable[P, R]) -> Callable[P, R]:
    """Return a call during which `penchant cache prune` removes nothing; `train` and `study` see to that themselves."""

    @wraps(call)
    def keeping(*values: P.args, **settings: P.kwargs) -> R:
        from penchant.cache_use import using_cache

        with using_cache(Path.cwd(), f"pt.{call.__name__}"):
            return call(*values, **settings)

    return keeping


@_keep_cache
def judge(*responses: object, **settings: object) -> JudgeResults:
    """Have a judge say whose responses win, as `penchant judge` does.

    Args:
        responses: run directories, results of `train`, files, or lists of prompt groups.
        settings: those of `penchant judge`, such as `judge="longest"`, `against="chosen"`, `out="judged"`.

    Returns:
        Win rates with intervals; the verdicts, `judge.json` and the page lie in `out`.

    Raises:
        InputError: settings or sources that cannot be used. RunError: nobody answers, or the disk is full.

    Example:
        pt.judge("runs/a", "runs/b", judge=lambda question: "a", out="judged")
    """
    # here and below imported inside: `import penchant` must bring no torch
    from penchant.judges.compare.runs import judge as run
    from penchant.judges.compare.settings import JudgeConfig

    return run(JudgeConfig(**_with_positionals(settings, responses=responses)))


def agree(*files: object, **settings: object) -> RunResult:
    """Measure how far judges and people agree, as `penchant agree` does.

    Args:
        files: preference files, or lists of prompt groups.
        settings: those of `penchant agree`, such as `people=["people.jsonl"]`, `out="agreement"`.

    Raises:
        InputError: settings or files that cannot be used.
    """
    from penchant.raters.agreement import agree as run
    from penchant.raters.settings import Agree

    return run(Agree(**_with_positionals(settings, files=files)))


def rank(file: object, **settings: object) -> RunResult:
    """Estimate strengths of models, responses or annotators, as `penchant rank` does.

    Args:
        file: a preference file, or a list of prompt groups.
        settings: those of `penchant rank`, such as `by="annotators"`, `out="strengths"`.

    Raises:
        InputError: settings or a file that cannot be used; strengths that do not exist.
    """
    from penchant.raters.ranking.rank import rank as run
    from penchant.raters.settings import Rank

    return run(Rank(**_with_positionals(settings, file=file)))


@_keep_cache
def score(
    model: object, path: object, *, resume: bool = False, overwrite: bool = False, **settings: object
) -> ScoredFile:
    """Write what a model makes of a file's responses, as `penchant score` does.

    Args:
        model: a run directory, the result of `train`, a loaded policy, or any model's name.
        path: the file, or rows of the session.
        resume: go on with what an earlier call did of `out`.
        overwrite: replace the file that `out` names, if it is there.
        settings: those of `penchant score`, such as `out="scores.jsonl"`, `tokens=True`.

    Raises:
        InputError: whatever is wrong with the file, the models or the settings.
    """
    from penchant.evaluation.score import score_file
    from penchant.evaluation.score_settings import Score

    config = Score(**_with_positionals(settings, model=model, path=path))
    _refuse_overwriting(config.out, resume or overwrite)
    return score_file(config, resume=resume)


@_keep_cache
def export(model: object, **settings: object) -> Exported:
    """Write a trained model as a folder for other programs, as `penchant export` does.

    Args:
        model: a run directory, the result of `train`, a loaded policy, or any model's name.
        settings: those of `penchant export`, such as `format="gguf"`, `out="exported"`.

    Raises:
        InputError: the folder holds something, or the model cannot be exported in this format.
    """
    from penchant.export.folder import write_export
    from penchant.export.settings import Export

    config = Export(**_with_positionals(settings, model=model))
    return write_export(config, Path(config.out))


@_keep_cache
def evaluate(model: object = None, **settings: object) -> OutsideEvaluation:
    """Evaluate a run by tasks of lm-eval or by RewardBench, as `penchant evaluate` does.

    Args:
        model: a run directory, the result of `train`, a loaded policy, or any model's name; None where a judge is
            graded.
        settings: those of `penchant evaluate`, such as `tasks=["sciq"]`, `limit=100`.

    Returns:
        The numbers; they lie in the run's `evaluations` too.

    Raises:
        InputError: a model, task or file that cannot be read. RunError: lm-eval or the judge stopped.
    """
    from penchant.evaluation.evaluate import evaluate as run
    from penchant.evaluation.settings import EvaluateConfig

    evaluation, _ = run(EvaluateConfig(**_with_positionals(settings, model=model)))
    return evaluation


def compare(*runs: Source | Sequence[Source], against: Source | None = None) -> RunComparison:
    """Compare runs, as `penchant compare` does: what differs in their settings first, then their numbers.

    Args:
        runs: run directories, or results of `train`, or a list of them; the first is what the others are compared with.
        against: the run to compare with, where it is not the first.

    Returns:
        Tables, which `print` and a notebook show.

    Raises:
        InputError: no run that can be read, or what is no run.
    """
    from penchant.reports.run.run_comparison import compare_runs
    from penchant.runs.load_run import run_folder

    folders = [str(run_folder(run)) for item in runs for run in (item if isinstance(item, list | tuple) else [item])]
    return compare_runs(folders, None if against is None else str(run_folder(against)))


@_keep_cache
def weak_label(data: object, *, overwrite: bool = False, **settings: object) -> LabelledFile:
    """Have a weak supervisor label rows, as `penchant weak label` does.

    Args:
        data: the rows: a file, rows of the session, or a `WeakLabel` with all settings.
        overwrite: replace the file that `out` names, if it is there.
        settings: those of `penchant weak label`, such as `train=labelled`, `out="weak.jsonl"`.

    Raises:
        InputError: bad rows; rows that the supervisor learned from; a file that is there. RunError: a full disk.

    Example:
        pt.weak_label(frame, train=labelled_frame, supervisor=MyClassifier, out="weak.jsonl")
    """
    from penchant.weak.command_settings import WeakLabel
    from penchant.weak.label import weak_label as run

    if isinstance(data, WeakLabel):
        config = data.replace(**settings)
    else:
        config = WeakLabel(**_with_positionals(settings, data=data))
    if config.out not in (config.data, config.train):  # refused whatever is asked for, in words of its own
        _refuse_overwriting(config.out, overwrite)
    return run(config)


@_keep_cache
def weak_sources(votes: object = None, **settings: object) -> RunResult:
    """Label rows by the votes of many weak sources, as `penchant weak sources` does.

    Args:
        votes: a file with a column per source, rows of the session, or a `WeakSources` with all settings; nothing where
            `data` is given, on which functions vote.
        settings: those of `penchant weak sources`, such as `truth="label"`, `model="majority"`, `out="joined"`.

    Raises:
        InputError: settings or votes that cannot be used. RunError: a full disk.
    """
    from penchant.weak.label_models.run import weak_sources as run
    from penchant.weak.label_models.settings import WeakSources

    if isinstance(votes, WeakSources):
        return run(votes.replace(**settings))
    if votes is None:
        return run(WeakSources(**settings))
    return run(WeakSources(**_with_positionals(settings, votes=votes)))


@_keep_cache
def weak_train(data: object, *, resume: bool = False, **settings: object) -> RunResult:
    """Train a student on weak labels, as `penchant weak train` does.

    Args:
        data: the labelled rows: a file, rows of the session, what `weak_label` returned, or a `WeakTrain` with all
            settings.
        resume: go on with the run that lies in `out`.
        settings: those of `penchant weak train`, such as `student="penchant-0.5m"`, `loss=my_loss`.

    Raises:
        InputError: bad rows, settings or models. RunError: training failed, or the disk is full.
    """
    from penchant.weak.command_settings import WeakTrain
    from penchant.weak.results import LabelledFile
    from penchant.weak.train import weak_train as run

    if isinstance(data, WeakTrain):
        return run(data.replace(**settings), resume=resume)
    source = data.path if isinstance(data, LabelledFile) else data
    return run(WeakTrain(**_with_positionals(settings, data=source)), resume=resume)


def study(
    name: str | Study,
    *,
    preset: str | None = None,
    jobs: int | None = None,
    page: str | Path | None = None,
    **settings: object,
) -> StudyResult:
    """Run a study, then write its page, as `penchant study NAME` does. A later call goes on with what is missing.

    Args:
        name: the study, such as `frontier`; or its settings, such as `WeakToStrongConfig(...)`.
        preset: settings that are ready to run, such as `demo`; `settings` change them.
        jobs: stages that run at once, which share the cores.
        page: the page to write; `report.html` in the study's folder unless given.
        settings: those of the study.

    Returns:
        Its folder, its numbers, and what failed.

    Raises:
        InputError: no such study or preset, or settings that cannot be used.
    """
    from penchant.studies.core.definition import definition_of
    from penchant.studies.core.report import study_report
    from penchant.studies.core.study import run_study

    config = _study_settings(name, preset, settings)
    # small models fill two cores better two at a time than with two threads, which presets know
    if jobs is None:
        jobs = definition_of(type(config)).jobs.get(preset or "", 1)
    if jobs < 1:
        raise InputError(f"jobs={jobs}: expected how many stages run at once, from 1")
    # the page of what is there, also where a stage failed: as the command does it
    result = run_study(config, jobs=jobs)
    if result.numbers:  # none before anything was sampled
        study_report(result.path, page or result.path / "report.html")
    return result


def _study_settings(name: str | Study, preset: str | None, settings: Mapping[str, object]) -> Study:
    """Return the settings of a study: those of the preset, changed by the given ones."""
    from penchant.config.loading import read_yaml
    from penchant.studies.core.definition import definitions, preset_file, settings_class

    if not isinstance(name, str):
        if preset is not None:
            raise InputError(f"preset={preset!r} is for the name of a study, and its settings are given: leave it out")
        return name.replace(**settings) if settings else name
    classes = {config.method: config for definition in definitions() for config in definition.configs}
    if name not in classes:
        raise InputError(f"there is no study {name!r}: expected {', '.join(classes)}{did_you_mean(name, classes)}")
    # the keys of the preset count too: another study may take the command over by one
    values: dict[str, object] = {}
    if preset is not None:
        values, _ = read_yaml(preset_file(preset, name))
        values.pop("method", None)  # the class says it
    values = _merged(values, settings)
    return settings_class(classes[name], values)(**values)


def _merged(values: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Return settings with some changed; a mapping changes what it names and leaves the rest, as key=value does."""
    # a copy, for the settings of the preset serve other calls too
    merged = dict(values)
    for key, change in changes.items():
        present = merged.get(key)
        are_mappings = isinstance(present, Mapping) and isinstance(change, Mapping)
        merged[key] = _merged(present, change) if are_mappings else change  # type: ignore[arg-type]
    return merged


def _refuse_overwriting(out: str, allowed: bool) -> None:
    """Refuse to write over a file, as the command does without --overwrite: nobody should lose work in silence."""
    if Path(out).expanduser().is_file() and not allowed:
        raise InputError(f"out={out} exists and is not overwritten: choose another name, or add overwrite=True")


def _with_positionals(settings: Mapping[str, object], **positionals: object) -> dict[str, object]:
    """Return settings with what stands before them, where something does: `pt.judge(responses=[...])` works too."""
    from penchant.types import RunResult

    # no positional is no setting: `pt.agree(people=[...])` has no other files
    full: dict[str, object] = dict(settings)
    for name, value in positionals.items():
        # asked of tuples alone: a DataFrame compares itself with anything cell by cell
        if isinstance(value, tuple):
            if not value:
                continue
            full[name] = [item.path if isinstance(item, RunResult) else item for item in _each_source(value)]
        else:
            full[name] = str(value.path) if isinstance(value, RunResult) else value
    return full


def _each_source(values: tuple[object, ...]) -> Iterator[object]:
    """Yield positional arguments, and in place of a list of names or runs its items: `pt.judge([a, b])` means both."""
    from penchant.types import RunResult

    for value in values:
        # any other list holds rows
        if isinstance(value, list | tuple) and value and all(isinstance(i, str | Path | RunResult) for i in value):
            yield from value
        else:
            yield value
