"""Read files of many layouts as `PromptGroup`s, check them, and write our own JSONL."""

from penchant.data.check import check_preferences
from penchant.data.check import check_preferences as check
from penchant.data.check_report import CheckReport
from penchant.data.load import (
    LoadedPreferences,
    load_demonstrations,
    load_preferences,
    load_prompts,
    load_responses,
    read_preferences,
)
from penchant.data.write import write_groups

__all__ = [
    "CheckReport",
    "LoadedPreferences",
    "check",
    "check_preferences",
    "load_demonstrations",
    "load_preferences",
    "load_prompts",
    "load_responses",
    "read_preferences",
    "write_groups",
]
