"""The stages of the weak-to-strong study. Imports no torch.

What cells share is one stage: a task's rows, a model's activations, a supervisor's labels, a ceiling. All probes of a
model that learn from one supervisor are one stage, since they train as one batched operation, and so are the ceiling
and the control that need none; other students are a stage each. So a supervisor that fails takes nobody's students but
its own.
"""

from __future__ import annotations

from typing import Literal

from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.names import chain_name, drift_name, weak_name
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.stage_settings import Split
from penchant.studies.weak_to_strong.student_grid import probe_students, single_students
from penchant.studies.weak_to_strong.task_grid import TaskGrid, TaskGrids
from penchant.studies.weak_to_strong.task_stages import TaskStages
from penchant.weak.settings import Probe

TRAINS_ON: tuple[Literal["easy", "any"], ...] = ("easy", "any")
"""The split by difficulty, and its control."""


def weak_grid(config: WeakToStrongConfig) -> TaskGrids:
    """Return the stages that a configuration asks for, a grid for each task."""
    split = config.easy_to_hard
    # the task itself without a split; with one it stands beside its control, tested on the same rows
    splits = [Split(split.by, split.share, rows) for rows in TRAINS_ON] if split else [None]
    return TaskGrids(_task_grid(TaskStages(config, name, part)) for name in config.tasks for part in splits)


def _task_grid(task: TaskStages) -> TaskGrid:
    config, labels = task.config, dict[tuple[str, int], Stage]()
    for number, spec in enumerate(config.weak):
        weak = weak_name(number)
        for seed in config.seeds:
            # each student of the chain relabels what the one before it labelled
            before = labels[weak, seed] = task.labels("supervisor", spec, seed, {})
            for link, student in enumerate(config.bootstrap):
                before = task.labels("relabel", student, seed, {"labels": before})
                labels[chain_name(weak, link), seed] = before
            for index, drift in enumerate(config.drift):
                for drifts in (True, False):
                    name = drift_name(weak, index, drifts=drifts)
                    labels[name, seed] = task.labels("supervisor", spec, seed, {}, (drift, drifts))
    students = tuple(
        probe_students(task, spec, tuned, labels)
        if isinstance(spec, Probe)
        else single_students(task, spec, tuned, labels)
        for spec, tuned in config.students
    )
    prompted = {key: task.prompted(*key) for key in task.prompted_models()}
    wordings = list(task.wordings.values())
    return TaskGrid(task.title, task.rows, task.tuned, task.activations, wordings, labels, students, prompted)
