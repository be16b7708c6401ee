"""What little models learn from real human preferences: a reward model and a policy on HH harmless-base.

    python benchmarks/real_preferences.py --data ../shared/data/hh_rlhf/harmless-base.test.jsonl.gz

The design, written down before any run: docs/decisions/0029-real-preferences.md. It splits the rows once, searches the
learning rate of each method on rows that are not the test, trains each method once with the rate that it found, and
prints both accuracies on the test with the smallest effect that the design could have seen. A stopped run continues by
the same command: what is finished is not run again. `--tiny` tries all of it in a minute or two.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import penchant as pt
from penchant.data.rendering.rendered import Rendered

METHODS = ("reward_model", "dpo")
SIDES = ("test", "validation", "train")
QUANTILE = {1: 1.960, 2: 2.241}
"""Of the normal distribution, two-sided, by the number of tests that share the 5%."""


@dataclass(frozen=True)
class Design:
    """What is fixed before the first run.

    Attributes:
        max_length: tokens of prompt and longer response, at most; longer rows are no part of the experiment.
        test, validation: comparisons of these sides; all others are to train on.
        search_rows: rows that a run of the search is trained on.
        rates: learning rates that are tried, by method.
    """

    model: str = "smollm2-135m"
    max_length: int = 192
    test: int = 500
    validation: int = 130
    search_rows: int = 300
    batch_size: int = 8
    rank: int = 16
    rates: tuple[tuple[str, tuple[float, ...]], ...] = (("reward_model", (3e-4, 1e-3)), ("dpo", (1e-4, 5e-4)))


TINY = Design(model="penchant-0.5m", test=40, validation=20, search_rows=40, rank=4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="harmless-base.test.jsonl.gz of HH-RLHF")
    parser.add_argument("--out", type=Path, default=Path("runs/real-preferences"))
    parser.add_argument("--tiny", action="store_true", help="try the path with a tiny model and few rows")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    design = TINY if arguments.tiny else Design()
    arguments.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    split_once(arguments.data, design, arguments.out, most_rows=200 if arguments.tiny else None)
    table = {method: measure(method, design, arguments.out) for method in METHODS}
    record = {"design": asdict(design), "methods": table, "seconds_of_this_call": time.monotonic() - started}
    (arguments.out / "table.json").write_text(json.dumps(record, indent=2))
    print("\n".join(lines_of(table)))


# -- rows -------------------------------------------------------------------------------------------------------------


def split_once(data: Path, design: Design, out: Path, most_rows: int | None = None) -> None:
    """Write the rows of each side, unless an earlier call did."""
    if all((out / f"{side}.jsonl").exists() for side in SIDES):
        return
    groups = pt.load_preferences(str(data), bad_rows="skip", limit=most_rows)
    renderer = pt.load_policy(design.model, device="cpu").renderer
    rendered = zip(groups, renderer.render_many(groups), strict=True)
    kept = [group for group, row in rendered if longest_row(row) <= design.max_length]
    sides = split(kept, design.test, design.validation)
    for side, rows in sides.items():
        pt.write_groups(rows, out / f"{side}.jsonl")
    print({"rows": len(groups), "short enough": len(kept)} | {side: len(rows) for side, rows in sides.items()})


def longest_row(rendered: Rendered | pt.InputError) -> float:
    """Return the tokens of a prompt with its longer response; infinity where the model has no room for it."""
    if isinstance(rendered, pt.InputError):
        return math.inf
    return len(rendered.prompt_ids) + max(len(branch.ids) for branch in rendered.branches)


def split(groups: Sequence[pt.PromptGroup], test: int, validation: int) -> dict[str, list[pt.PromptGroup]]:
    """Split by the digest of the first turn: conversations that begin alike stay together, so that none leaks."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(first_turn(group).encode()).hexdigest())
    sides: dict[str, list[pt.PromptGroup]] = {side: [] for side in SIDES}
    sizes = {"test": test, "validation": validation, "train": math.inf}
    remaining, previous = list(SIDES), ""
    for group in ordered:
        if len(sides[remaining[0]]) >= sizes[remaining[0]] and first_turn(group) != previous:
            remaining.pop(0)
        sides[remaining[0]].append(group)
        previous = first_turn(group)
    return sides


def first_turn(group: pt.PromptGroup) -> str:
    """Return the first turn of a prompt without its case and spaces."""
    text = group.prompt if isinstance(group.prompt, str) else str(group.prompt[0].content)
    return " ".join(text.lower().split())


# -- runs -------------------------------------------------------------------------------------------------------------


def measure(method: str, design: Design, out: Path) -> dict[str, Any]:
    """Search the learning rate on the validation rows, train with the best one, and measure on the test rows."""
    losses = {}
    for rate in dict(design.rates)[method]:
        run = run_once(method, design, out, out / f"{method}-search-{rate:g}", rate, search=True)
        losses[rate] = float(run["held_out"]["loss"]["value"])
    best = min(losses, key=lambda rate: losses[rate])
    final = run_once(method, design, out, out / f"{method}-final", best, search=False)
    return {
        "rate": best,
        "validation losses": losses,
        "search runs": len(losses),
        "held out": final["held_out"],
        "samples": final.get("samples"),
    }


def run_once(method: str, design: Design, out: Path, folder: Path, rate: float, *, search: bool) -> Mapping[str, Any]:
    """Return the final metrics of a run; one that is finished is read, one that was stopped goes on."""
    evaluated = "validation" if search else "test"
    sources: list[dict[str, Any]] = [{"path": str(out / "train.jsonl")}]
    if search:
        sources[0]["limit"] = design.search_rows
    sources.append({"path": str(out / f"{evaluated}.jsonl"), "evaluation": True})
    settings: dict[str, Any] = {
        "model": {"name": design.model, "lora": {"rank": design.rank}},
        "data": {"sources": sources, "max_length": design.max_length, "held_out": 0},
        "batch_size": design.batch_size,
        "optimizer": {"name": "adamw", "learning_rate": rate},
        "schedule": {"name": "linear", "warmup_steps": 0.1},
        "clip": 1.0,
        "out": str(folder),
    }
    if method == "dpo":
        samples = None if search else {"max_prompts": 32, "n": 1, "max_new_tokens": 48}
        config: Any = pt.DPO(**settings, evaluate={"samples": samples}, loss=pt.losses.Sigmoid(beta=0.1))
    else:
        config = pt.RewardModel(**settings)
    if (folder / "result.json").exists():
        result: Mapping[str, Any] = json.loads((folder / "result.json").read_text())
        return result["final"]  # type: ignore[no-any-return]
    print(f"{folder.name}: {rate:g} on {evaluated}", flush=True)
    return pt.train(config, resume=folder.exists()).metrics["final"]  # type: ignore[no-any-return]


# -- the table --------------------------------------------------------------------------------------------------------


def smallest_visible_effect(comparisons: int, tests: int = 1) -> float:
    """Return by how much an accuracy must differ from one half for a test at 5% to see it in four cases of five.

    Args:
        comparisons: independent comparisons of the test.
        tests: how many such tests share the 5%.
    """
    return (QUANTILE[tests] + 0.842) * 0.5 / math.sqrt(comparisons)


def shared_interval(accuracy: float, comparisons: int, tests: int) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy at the level that leaves 5% to several tests together."""
    square = QUANTILE[tests] ** 2 / comparisons
    middle = (accuracy + square / 2) / (1 + square)
    half = math.sqrt(accuracy * (1 - accuracy) * square + square**2 / 4) / (1 + square)
    return middle - half, middle + half


def lines_of(table: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is printed: a line per method, and the smallest effect that would have been seen."""
    lines = []
    for method, row in table.items():
        accuracy, longest = row["held out"]["accuracy"], row["held out"]["longest_wins"]["value"]
        low, high = shared_interval(accuracy["value"], accuracy["n"], len(table))
        claim = "above one half" if low > 0.5 else "below one half" if high < 0.5 else "not told from one half"
        lines.append(
            f"{method}: accuracy {accuracy['value']:.3f}, 95% [{accuracy['low']:.3f}, {accuracy['high']:.3f}] on "
            f"{accuracy['n']} comparisons; {claim} by [{low:.3f}, {high:.3f}], the interval for {len(table)} tests; "
            f"the longer wins in {longest:.3f}; rate {row['rate']:g}, the best of {row['search runs']}"
        )
    comparisons = next(iter(table.values()))["held out"]["accuracy"]["n"]
    effect = smallest_visible_effect(comparisons, tests=len(table))
    lines.append(f"smallest effect that the design could have seen: {effect:.3f} from one half")
    return lines


if __name__ == "__main__":
    main()
