"""Run tasks of EleutherAI's lm-eval (`lm_eval`) on a policy, with its own chat template."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penchant.errors import InputError, MissingExtra, RunError
from penchant.evaluation.documents import MetricRows, digest_samples, group_rows, metric_rows
from penchant.evaluation.settings import EvaluateConfig
from penchant.runs.evaluations import TaskRecord

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from penchant.evaluation.subjects import Subject
    from penchant.models.policy import Policy

CITATION = "Gao et al., The Language Model Evaluation Harness, doi:10.5281/zenodo.12608602"
TASK_FILES = (".yaml", ".yml")


@dataclass(frozen=True)
class HarnessRun:
    """Results of lm-eval for one model: the metrics, and the tasks as they were asked."""

    metrics: tuple[MetricRows, ...]
    tasks: tuple[TaskRecord, ...]


def check_harness(tasks: Sequence[str]) -> str:
    """Return the version of lm-eval; before any weights are loaded.

    Raises:
        MissingExtra: it is not installed.
        InputError: a task file that is not there.
    """
    for task in tasks:
        if _is_file(task) and not Path(task).expanduser().is_file():
            raise InputError(f"tasks: {task} does not exist; expected the YAML file of a task, or a task's name")
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        raise MissingExtra(
            "tasks are run by lm-eval, which is not installed: pip install 'penchant[lm-eval]'"
        ) from None


@dataclass(frozen=True)
class Harness:
    """The tasks of lm-eval that an evaluation asks, found once for all of its models.

    Attributes:
        manager: lm-eval's `TaskManager`. names: tasks, and the paths of task files.
    """

    manager: TaskManager
    names: tuple[str, ...]

    @classmethod
    def from_tasks(cls, tasks: Sequence[str]) -> Harness:
        """Return the harness of some tasks, once their data can be read.

        Raises:
            InputError: no such task, a damaged task file, or data that cannot be fetched.
        """
        # its progress of tokenizing forks, and every fork would warn
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from lm_eval.tasks import TaskManager

        names = tuple(str(Path(task).expanduser().resolve()) if _is_file(task) else task for task in tasks)
        # to index the thousands of files that come with lm-eval takes a minute, which task files do not need
        manager = TaskManager(include_defaults=not all(map(_is_file, tasks)))
        unknown = [name for name in names if not _is_file(name) and not manager.match_tasks([name])]
        if unknown:
            raise InputError(
                f"lm-eval has no task {', '.join(unknown)}: `lm-eval ls tasks` lists those that there are, and a YAML "
                "file of a task can be given by its path"
            )
        try:
            manager.load(list(names))
        except Exception as error:  # boundary: whatever a task's file or the hub's client raises is the user's to see
            raise InputError(f"lm-eval cannot load {', '.join(tasks)}: {_reason(error)}") from error
        return cls(manager, names)


def _is_file(task: str) -> bool:
    return task.endswith(TASK_FILES)


def run_tasks(policy: Policy, subject: Subject, harness: Harness, config: EvaluateConfig) -> HarnessRun:
    """Return what lm-eval finds for a policy.

    Its chat template is applied where the policy renders with one. Examples before a question are then turns of their
    own.

    Raises:
        RunError: lm-eval stopped.
    """
    from accelerate.utils import set_seed as set_seeds
    from lm_eval import evaluator

    try:
        model = _harness_model(policy, config)
        set_seeds(config.seed)
        # not `simple_evaluate`, which spends half a minute on a report of the machine that nobody reads here
        results = evaluator.evaluate(
            lm=model,
            task_dict=_prepared_tasks(harness, config),
            limit=config.limit,
            bootstrap_iters=0,  # intervals are ours: its standard errors know no pairs
            log_samples=True,
            apply_chat_template=policy.renderer.chat,
            fewshot_as_multiturn=policy.renderer.chat,
        )
    except Exception as error:  # boundary: tasks are foreign code
        raise RunError(f"lm-eval stopped on {subject.name}: {_reason(error)}") from error
    return read_results(results or {})


def _harness_model(policy: Policy, config: EvaluateConfig) -> HFLM:
    """Return a policy as lm-eval's model, which renders prompts and ends responses as the policy does.

    The policy's tokenizer and end tokens are changed for it.
    """
    from lm_eval.models.huggingface import HFLM

    from penchant.models.added_tokens import set_end_ids

    template = policy.renderer.chat_template
    if template is not None:
        # lm-eval hands `today` to a template that does not read it: the fixed date stands in this text alone
        policy.tokenizer.chat_template = template.texts[0]
    # a base model with a template of ours: its own settings do not end a sample where a turn ends
    set_end_ids(policy.model, policy.tokenizer, policy.renderer.end_ids)
    with _quiet():  # it warns that a model which is loaded already takes none of its settings for loading
        return HFLM(
            pretrained=policy.model,
            tokenizer=policy.tokenizer,
            batch_size=config.batch_size,
            max_length=policy.context,
            chat_template_args=dict(template.keywords) if template is not None else {},
        )


def _prepared_tasks(harness: Harness, config: EvaluateConfig) -> object:
    """Return the tasks anew, with the number of examples and the seed that choose them.

    The tasks of the model before keep its requests. A task that says 0 examples keeps 0, as lm-eval's own command has
    it: its prompt has no place for any.
    """
    loaded = harness.manager.load(list(harness.names))
    for task in loaded["tasks"].values():
        few_shot = task.get_config("num_fewshot")
        if config.few_shot is not None and few_shot != 0:
            task.set_config(key="num_fewshot", value=config.few_shot)
        elif few_shot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=config.seed)
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def read_results(results: Mapping[str, Any]) -> HarnessRun:
    """Return the metrics and tasks in what `lm_eval.simple_evaluate` returned.

    Raises:
        RunError: no task has a result.
    """
    samples: Mapping[str, Sequence[Mapping[str, object]]] = results.get("samples") or {}
    # groups stand in both where they have numbers of their own
    numbers: Mapping[str, Mapping[str, object]] = {**results.get("results", {}), **results.get("groups", {})}
    better: Mapping[str, Mapping[str, object]] = results.get("higher_is_better") or {}
    by_task = {name: metric_rows(name, numbers[name], samples[name], better.get(name, {})) for name in samples}
    subtasks: Mapping[str, Sequence[str]] = results.get("group_subtasks") or {}
    metrics = [row for rows in by_task.values() for row in rows]
    for name in numbers:
        if name not in samples:
            members = [row for task in _leaves(name, subtasks) for row in by_task.get(task, [])]
            metrics += group_rows(name, numbers[name], members, better.get(name, {}))
    if not metrics:
        raise RunError("lm-eval returned no number for any task: is `limit` larger than 0, and has the task a metric?")
    return HarnessRun(tuple(metrics), tuple(_record(name, results, samples[name]) for name in samples))


def _leaves(name: str, subtasks: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks below a group; a group may hold groups."""
    children = subtasks.get(name) or ()
    return [leaf for child in children for leaf in (_leaves(child, subtasks) if subtasks.get(child) else [child])]


def _record(name: str, results: Mapping[str, Any], samples: Sequence[Mapping[str, object]]) -> TaskRecord:
    counts = (results.get("n-samples") or {}).get(name) or {}
    task_version = (results.get("versions") or {}).get(name)
    few_shot = (results.get("n-shot") or {}).get(name)
    return TaskRecord(
        name=name,
        version=None if task_version is None else str(task_version),
        few_shot=None if few_shot is None else int(few_shot),
        documents=int(counts.get("original", len(samples))),
        used=int(counts.get("effective", len(samples))),
        digest=digest_samples(samples),
    )


def _reason(error: Exception) -> str:
    """Return what went wrong, in one line, and what to do where the network is what is missing."""
    first = (str(error).strip().splitlines() or ["no message"])[0][:300]
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if names & {"OfflineModeIsEnabled", "ConnectionError", "ConnectError", "LocalEntryNotFoundError"} or any(
        word in text for word in ("offline", "couldn't reach", "couldn't find", "connection")
    ):
        return (
            f"{type(error).__name__}: {first}. Its data come from the Hugging Face hub, which cannot be reached from "
            "here: run it once with a network, or give a task file that reads local data (dataset_path: json)"
        )
    return f"{type(error).__name__}: {first}"
