"""The stages of the weak-to-strong study. Imports no torch.

What cells share is one stage: a task's rows, a model's activations, a supervisor's labels; and all students of a model
on a task are one, since they train as one batched operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penchant.studies.address import data_content, model_content
from penchant.studies.tasks import Task, absolute, plain
from penchant.studies.weak_settings import ProbeSupervisor, Student, Supervisor, WeakToStrongConfig
from penchant.tasks.load import data_folder, local_files, task_spec


@dataclass(frozen=True)
class TaskGrid:
    """The stages of one task.

    Attributes:
        rows: what all others need. activations: by model.
        supervisors: by (number of the supervisor, seed).
        students: of each strong model, in the configuration's order.
    """

    name: str
    rows: Task
    activations: Mapping[str, Task]
    supervisors: Mapping[tuple[int, int], Task]
    students: tuple[Task, ...]

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs."""
        return [self.rows, *self.activations.values(), *self.supervisors.values(), *self.students]


def weak_grid(config: WeakToStrongConfig) -> list[TaskGrid]:
    """The stages that a configuration asks for, a grid a task."""
    return [_of_task(config, name) for name in config.tasks]


CEILING, RANDOM = "ceiling|0", "random|0"
"""The student that learned the truth, and the one of labels that know nothing, as the students' files name them."""


def weak_name(number: int) -> str:
    """A supervisor as the students' stage and its files know it."""
    return f"weak-{number}"


def student_name(weak: str, loss: int) -> str:
    """The student of a supervisor with a loss, by its number."""
    return f"{weak}|{loss}"


def noise_name(weak: str) -> str:
    """The student that learned the truth with as many errors as a supervisor makes."""
    return f"noise {weak}|0"


def _of_task(config: WeakToStrongConfig, name: str) -> TaskGrid:
    spec, folder = task_spec(name), data_folder()
    content = [data_content(str(file)) for file in local_files(spec, folder)] or [spec.hub]
    sizes = {"task": name, "train": config.train, "test": config.test, "data": content}
    rows = Task("rows", f"{name}-rows", sizes, {"data": str(folder)}, {})
    models = {one.model for one in config.weak if isinstance(one, ProbeSupervisor)} | {
        one.model for one in config.strong
    }
    activations = {
        model: _activations(config, name, rows, model, number) for number, model in enumerate(sorted(models))
    }
    shared = {"classes": len(spec.classes), "l2": config.l2}
    supervisors = {
        (number, seed): _supervisor(name, rows, activations, number, one, {**shared, "seed": seed})
        for number, one in enumerate(config.weak)
        for seed in config.seeds
    }
    settings = {
        **shared,
        "steps": config.steps,
        "seeds": list(config.seeds),
        "losses": [plain(loss) for loss in config.losses],
        "supervisors": [weak_name(number) for number in range(len(config.weak))],
    }
    labels = {f"{weak_name(number)} {seed}": task for (number, seed), task in supervisors.items()}
    students = tuple(
        _students(name, number, one, settings, {"rows": rows, "features": activations[one.model], **labels})
        for number, one in enumerate(config.strong)
    )
    return TaskGrid(name, rows, activations, supervisors, students)


def _activations(config: WeakToStrongConfig, name: str, rows: Task, model: str, number: int) -> Task:
    settings = {"model": model_content(model), "longest": config.longest}
    return Task("activations", f"{name}-activations-{number}", settings, {"model": absolute(model)}, {"rows": rows})


def _supervisor(
    name: str,
    rows: Task,
    activations: Mapping[str, Task],
    number: int,
    one: Supervisor,
    shared: Mapping[str, Any],
) -> Task:
    settings, needs = plain(one), {"rows": rows}
    if isinstance(one, ProbeSupervisor):
        settings.pop("model")  # it stands in the activations' address, by its content
        needs["features"] = activations[one.model]
    label = f"{name}-{weak_name(number)}-seed-{shared['seed']}"
    return Task("supervisor", label, {**shared, "supervisor": settings}, {}, needs, seed=shared["seed"])


def _students(name: str, number: int, one: Student, settings: Mapping[str, Any], needs: Mapping[str, Task]) -> Task:
    return Task("students", f"{name}-students-{number}", {**settings, "layer": one.layer}, {}, needs)
