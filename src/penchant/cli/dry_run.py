"""`penchant train METHOD --dry-run`: what a run would do, without its directory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penchant.clean_text import clean
from penchant.cli.marked_lines import print_rows
from penchant.config import Config
from penchant.config.fields import TAG, is_tag, tag_of
from penchant.config.listing import format_setting
from penchant.config.schema import Schema

if TYPE_CHECKING:
    from penchant.train.costs import Cost
    from penchant.train.run_plan import RunPlan

CHARACTERS = 600  # of a piece of text that is shown at most
COUNTS = {
    "groups": "prompts",
    "prompts": "prompts to train on",
    "responses": "responses",
    "comparisons": "comparisons",
    "held_out_groups": "prompts held out",
}
"""Counts of the data that are shown, and what they count."""

MOST_WHOLE = 1e9
"""Whole numbers below this are shown without a point."""


def dry_run(config: Config) -> int:
    """Print what training by a configuration would do, and make no run directory.

    Raises:
        InputError: whatever training would refuse.
    """
    from penchant.methods import train
    from penchant.train.run_plan import plan_run

    plan = plan_run(lambda: train(config))
    # a run ends before it is planned only where it has nothing to do
    if plan is None:
        print("there is nothing to do: the run has come to its end")
        return 0
    # warnings and names of files come from elsewhere
    print(clean("\n".join(_summary_lines(config, plan))))
    print_rows(plan.rows, characters=CHARACTERS)
    return 0


def _summary_lines(config: Config, plan: RunPlan) -> Iterator[str]:
    from penchant.reports.kit.text import count

    yield f"{config.method}: this is what training would do; no run directory is made"
    yield f"settings: {shlex.join(changed_settings(config))}"
    yield "  (all others have their defaults: --print-config)"
    counts = [(plan.counts.get(name), words) for name, words in COUNTS.items()]
    yield f"data: {', '.join(f'{number:,.0f} {words}' for number, words in counts if isinstance(number, int | float))}"
    for warning in plan.warnings:
        yield f"  warning: {warning}"
    yield f"length: {count(plan.steps, plan.unit)}, on {plan.device}"
    yield from _cost_lines(plan.cost)
    yield ""


def _cost_lines(cost: Cost | None) -> Iterator[str]:
    from penchant.reports.kit.text import file_size, rough_duration

    if cost is None:
        yield "time: not estimated, since it depends on what is sampled and labelled in each round"
        return
    fastest, slowest = rough_duration(cost.fastest_s), rough_duration(cost.slowest_s)
    span = f"about {fastest}" if fastest == slowest else f"between {fastest} and {slowest}"
    yield f"time: {span}, by how fast this machine is now"
    yield f"memory: about {file_size(int(cost.memory))}"


def changed_settings(config: Schema, prefix: str = "") -> Iterator[str]:
    """Yield the settings that were given or differ from their defaults, as they are typed."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        # `model.name=m` is typed `model=m`
        path = prefix.removesuffix(".") if prefix and name == type(config).shorthand else prefix + name
        default = field.get_default(call_default_factory=True)
        if value == default:
            continue
        if not isinstance(value, Schema):
            # `held_out=4` is a number of rows, and 4.0 would be no such
            is_whole = isinstance(value, float) and value.is_integer() and abs(value) < MOST_WHOLE
            yield f"{path}={format_setting(int(value) if is_whole else value)}"
            continue
        # a sub-configuration of another class is named first, and shows what it changes in its own defaults
        inner = list(changed_settings(value, f"{path}."))
        is_named = type(value) is not type(default) and isinstance(default, Schema) and is_tag(TAG, type(value))
        if is_named:
            yield f"{path}={tag_of(type(value))}"
        elif default is None and not inner:  # `model.lora={}`: adapters with their defaults
            yield f"{path}={{}}"
        yield from inner
