"""`penchant demo`: the whole program in minutes, with models and prompts that come with it."""

from __future__ import annotations

from penchant.cli.arguments import Arguments, Command
from penchant.cli.study import run_to_page
from penchant.config import Config, load_config
from penchant.config.limits import Text
from penchant.studies.core.definition import definition_of, preset_file
from penchant.studies.frontier.settings import FrontierConfig

PRESET = "demo"


class Demo(Config):
    """Compare five methods on a small model, and write a page.

    It is the study `frontier` with the preset `demo`. Model, prompts and reward come with Penchant. The same command
    again runs only what is missing.
    """

    model: Text = "penchant-0.5m"
    """The model that every method starts from."""
    out: Text = "runs/demo"
    """The folder of the study."""


def _demo(arguments: Arguments) -> int:
    config = arguments.load(Demo)
    study = load_config(FrontierConfig, str(preset_file(PRESET, FrontierConfig.method))).replace(
        model=config.model, out=config.out
    )
    print("Five methods are trained and drawn beside the best that any policy could reach: minutes.", flush=True)
    return run_to_page(study, definition_of(FrontierConfig).jobs[PRESET])


DEMO = Command("demo", Demo, _demo, example="model=penchant-1.5m")
