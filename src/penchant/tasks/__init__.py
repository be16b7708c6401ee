"""Classification tasks in tables: where the rows come from, and how a row becomes labelled texts."""

from penchant.tasks.load import NAMES, TaskData, balanced, group_of, halves, load_task, task_spec
from penchant.tasks.spec import TaskSpec, task

__all__ = ["NAMES", "TaskData", "TaskSpec", "balanced", "group_of", "halves", "load_task", "task", "task_spec"]
