"""`penchant train`: a configuration from file and settings, a run, and what it came to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penchant.cli.arguments import Arguments, Command, CommandGroup
from penchant.cli.dry_run import dry_run
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import check_file
from penchant.cli.slips import line_to_copy
from penchant.config import Config, load_config
from penchant.digests import check_files
from penchant.errors import InputError
from penchant.methods import CLASSES, train
from penchant.types import RunResult

# by their modules: only the settings of the method that is named are imported
TRAINABLE = {
    **{module.rpartition(".")[2]: f"{module}:{name}" for name, module in CLASSES.items()},
    "online_rlhf": "penchant.rounds.online_rlhf:OnlineRLHF",
    "iterative": "penchant.rounds.iterative:Iterative",
    "spin": "penchant.rounds.spin:SPIN",
    "self_rewarding": "penchant.rounds.self_rewarding.method:SelfRewarding",
}
"""Where the settings of each method are, `module:CLASS`."""
INTERRUPTED = 130
EXAMPLES = {
    "sft": "model=penchant-0.5m data=answers.jsonl out=runs/sft",
    "preferred_ft": "model=penchant-0.5m data=prefs.jsonl out=runs/ft",
    "unlikelihood": "model=penchant-0.5m data=prefs.jsonl out=runs/ul",
    "dpo": "model=penchant-0.5m data=prefs.jsonl loss.beta=0.2 out=runs/dpo",
    "kto": "model=penchant-0.5m data=labels.jsonl out=runs/kto",
    "reward_model": "model=penchant-0.5m data=prefs.jsonl out=runs/reward",
    "ppo": "model=penchant-0.5m data=prompts.txt reward=runs/reward",
    "ppo_gt": "model=penchant-0.5m data=prompts.txt reward=vader out=runs/gt",
    "rloo": "model=penchant-0.5m data=prompts.txt reward=vader out=runs/rloo",
    "grpo": "model=penchant-0.5m data=prompts.txt reward=vader out=runs/grpo",
    "online_rlhf": "model=penchant-0.5m data=prompts.txt out=runs/online",
    "iterative": "model=penchant-0.5m data=prompts.txt reward=vader out=runs/iterative",
    "spin": "model=penchant-0.5m data=answers.jsonl out=runs/spin",
    "self_rewarding": "model=smollm2-135m data=answers.jsonl judge=likelihood out=runs/self",
}
MAIN_SETTINGS = (
    *("model", "data", "reward", "labeller", "out", "judge", "new_prompts", "comparisons"),
    *("loss", "loss.beta", "optimizer.learning_rate"),
    *("epochs", "steps", "rounds", "max_steps", "batch_size", "model.lora", "data.held_out"),
)
"""What is set most often; the help has it first."""


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the interrupted run in out, or lengthen one (steps=, epochs=, max_steps=)",
    )
    text = "show settings, data, rows, steps, time and memory; train nothing"
    parser.add_argument("--dry-run", action="store_true", help=text)
    parser.add_argument("--report", metavar="FILE.html", help="write a report when done")


def _train(arguments: Arguments) -> int:
    # all settings are checked before the first heavy import: a slip is answered in a second
    config, resume = _resolve(arguments), arguments.flags.resume
    if arguments.flags.report:  # before hours of training, not after them
        check_file(arguments.flags.report, arguments.flags, page=True, name="--report")
    if resume and arguments.flags.dry_run:
        arguments.error("--dry-run shows what a new run would do, and --resume continues one: leave one of them out")
    import_early("penchant.train.gradient_run", "transformers.modeling_utils")
    if arguments.flags.dry_run:
        return dry_run(config)
    result = train(config, resume=resume)
    if int(os.environ.get("RANK", "0")) > 0:  # one of several processes, and not the one that writes
        return 0
    print(_summary(result, config))
    if arguments.flags.report:
        from penchant.studies.report import report

        print(f"report: {report([result], arguments.flags.report)}")
    if result.metrics["status"] == "interrupted":
        print(f"continue with: penchant train {result.method} --resume out={result.path}")
        return INTERRUPTED
    return 0


def _resolve(arguments: Arguments) -> Config:
    """Return the configuration; of a run to resume its own, changed by what was typed."""
    settings, path = arguments.command.settings, arguments.path
    if arguments.flags.resume and path is None:
        path = saved_config(settings, arguments.overrides)
    return arguments.load(settings, path)


def saved_config(method: type[Config], overrides: Sequence[str]) -> str:
    """Return the file with the configuration of the run to resume.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from penchant.runs.recorded_method import recorded_method

    # the settings are in the folder, so that its name is needed before they are read
    folders = [text.removeprefix("out=").strip("'\"") for text in overrides if text.startswith("out=")]
    if not folders:
        raise InputError("--resume needs the run directory: out=DIRECTORY")
    # the last one, as of every setting that is given twice
    saved = Path(folders[-1]).expanduser() / "config.yaml"
    if not saved.exists():
        raise InputError(f"nothing to resume in {folders[-1]}: it holds no config.yaml")
    # before its settings are read: those of another method are no settings of this one
    if (recorded := recorded_method(saved.parent)) not in ("", method.method):
        words = ["train", recorded, "--resume", *overrides]
        raise InputError(f"{folders[-1]} is a run of {recorded}, not of {method.method}:{line_to_copy(words)}")
    # its digest first: a damaged file may still be YAML, with another learning rate
    check_files(saved.parent, [saved.name])
    try:
        load_config(method, saved)
    except InputError as error:
        raise InputError(
            f"{saved} is no configuration of a run: put back a good copy, or start a new run. {error}"
        ) from error
    return str(saved)


def _summary(result: RunResult, config: Config | None = None) -> str:
    from penchant.metrics.catalogue import metric
    from penchant.runs.evaluation_share import evaluation_share
    from penchant.runs.movement import moved_advice, standstill_of

    metrics = result.metrics
    lines = [f"{result.method}: {metrics['status']} after {metrics['steps']} steps, {metrics['seconds']:.0f} s"]
    if reason := metrics.get("stop_reason"):
        lines.append(f"  stopped after round {len(metrics['rounds'])}: {reason}")
    if best_round := metrics.get("best_round"):
        lines.append(f"  best after round {best_round}: {result.path / metrics['policy_path']}")
    first, final = metrics["first"] or {}, metrics["final"] or {}
    if metrics["status"] == "interrupted" and final and final["step"] < metrics["steps"]:
        when = f"step {final['step']}" if final["step"] else "the start"
        lines.append(
            f"  not evaluated since {when}: what the last steps changed is not known (see evaluate.every_steps)"
        )
        # else an earlier step's numbers would stand here as those of the end
        final = {}
    for name in ("accuracy", "label_accuracy", "loss", "margin"):
        if name in final.get("held_out", {}):
            lines.append(
                f"  held-out {metric(name).label}: {_change(first['held_out'][name], final['held_out'][name])}"
            )
    # the number to beat: a model that learned nothing but length has it as well
    if "longest_wins" in final.get("held_out", {}):
        lines.append(f"  (the longer response wins: {_format_estimate(final['held_out']['longest_wins'])})")
    if "samples" in final:
        policy, reference = final["samples"]["policy"], final["samples"]["reference"]
        if "reward" in policy:
            lines.append(f"  {metric('reward').label}: {_change(reference['reward'], policy['reward'])}")
        kl = metric("kl_nats")
        lines.append(f"  {kl.title}: {_format_estimate(policy[kl.key])} {kl.unit}")
    # the run's own directory holds the last weights: somebody who asked for the best ones must learn where they are
    if (best := metrics.get("best_metric")) and metrics["best_step"] is not None:
        lines.append(f"  best {best}: at step {metrics['best_step']}, weights in {result.path / 'best'}")
    if final and (sentence := standstill_of(metrics)):
        lines.append(f"  hardly moved: {sentence}; to move it, {moved_advice(result.method)}")
    # a model that hardly moved has its own sentence; an accuracy beside it would be chance anyway
    elif _holds_chance(final.get("held_out", {}).get("accuracy")):
        lines.append(
            "  not told from chance: the interval of the held-out accuracy holds one half; hold out more prompts, "
            "train longer, or see how noisy the labels are"
        )
    lines += [f"  warning: {warning}" for warning in metrics["warnings"]]
    lines.append(f"run directory: {result.path}")
    evaluate = config.recorded().get("evaluate") if config is not None else None
    # last: it is about this machine's time, and not about the model
    if share := evaluation_share(metrics, evaluate if isinstance(evaluate, dict) else {}):
        lines.append(share)
    return "\n".join(lines)


def _holds_chance(accuracy: dict[str, Any] | None) -> bool:
    """Return whether the interval of an accuracy holds one half; false where there is no interval."""
    if accuracy is None or accuracy.get("low") is None or accuracy.get("high") is None:
        return False
    return bool(accuracy["low"] <= 0.5 <= accuracy["high"])


def _format_estimate(estimate: dict[str, Any]) -> str:
    from penchant.reports.kit.text import recorded

    return recorded(estimate, decimals=3)


def _change(before: dict[str, Any], after: dict[str, Any]) -> str:
    return f"{_format_estimate(before)} -> {_format_estimate(after)}"


TRAIN = CommandGroup(
    "train",
    metavar="METHOD",
    commands=tuple(
        Command(
            name,
            settings,
            _train,
            example=EXAMPLES[name],
            main_settings=MAIN_SETTINGS,
            resolve=_resolve,
            add_flags=_add_flags,
        )
        for name, settings in TRAINABLE.items()
    ),
    example_of="dpo",
)
