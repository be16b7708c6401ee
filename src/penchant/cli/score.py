"""`penchant score`: what a model makes of a file's responses, in log-probabilities, implicit rewards or rewards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import check_file
from penchant.cli.partial_lines import add_resume_flag, explain_stop
from penchant.config.limits import Seed, Text
from penchant.data.options import Ties
from penchant.data.settings import DataConfig, refuse_mixture
from penchant.errors import InputError
from penchant.models.settings import Attention, DeviceMap, Dtype

if TYPE_CHECKING:
    from penchant.data.rendering.rendered import RenderedRows
    from penchant.runs.partial_file import Origin, PartialFile
    from penchant.train.evaluation.file_scores import FileRow, FileSummary, Scoring
    from penchant.train.inputs.run_models import TrainedRun
    from penchant.types import PromptGroup


class Score(DataConfig):
    """Score the responses of a file by a run's policy, by any language model, or by a reward model.

    The settings of the file are those of `data` in a training run. Of a run, those that say how rows are rendered and
    split are its own unless given.
    """

    method: ClassVar[str] = "score"

    model: Text
    """A run directory, a checkpoint, or any model: a built-in name, a folder, a GGUF file, or a hub id. A reward model
    gives rewards, any other log-probabilities."""
    out: Text
    """The file to write: .jsonl or .jsonl.gz. A line per prompt in our own layout, with a number per response in each
    further column."""
    reference: Text | None = "run"
    """What implicit rewards compare with: `run` is what the run was held to (nothing for a model that is no run), else
    a model by its name; null for nothing."""
    beta: Annotated[float, Field(gt=0)] | None = None
    """The factor of implicit rewards; that of the run if not given, else 1."""
    tokens: bool = False
    """Whether the log-probability of each token is written too, with the token."""
    side: Literal["all", "train", "held_out"] = "all"
    """Which prompts: all, or those that `held_out` and `seed` train on or hold out, as training splits them."""
    seed: Seed = 0
    """Fixes the sides, as in training."""
    kind: Literal["auto", "preferences", "demonstrations"] = "auto"
    """What the file is read as; `auto` takes demonstrations where a file has no preferences."""
    turns: Literal["last", "every"] = "last"
    """What is scored of a conversation: its last assistant turn, or every one, as for `sft`."""
    ties: Ties = "half"
    """What a tie is: `half` keeps it (it counts in no accuracy), `drop` leaves it out, `error` refuses it."""
    tokens_per_batch: Annotated[int, Field(ge=8, le=10_000_000)] | None = None
    """Tokens of one forward pass; what suits the device if not given."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: Dtype = "auto"
    """Of the weights. `auto`: float32."""
    attention: Attention = "auto"
    """What computes attention: `sdpa`, `eager`, or the package of a faster one, as `model.attention` of training."""
    device_map: DeviceMap | None = None
    """Let Accelerate put the weights in place as they are read, instead of `device`; as `model.device_map` of
    training."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""

    @model_validator(mode="after")
    def _has_one_file(self) -> Self:
        refuse_mixture(self, "score")
        return self


RUN_SETTINGS: dict[str, tuple[str, ...]] = {
    "held_out": ("data", "held_out"),
    "thoughts": ("data", "thoughts"),
    "seed": ("seed",),
    "turns": ("turns",),
    "beta": ("loss", "beta"),
}
"""Settings that a run decides unless they are given, and where they stand in its configuration."""


@dataclass(frozen=True)
class _Work:
    """What is scored, and by what."""

    scoring: Scoring
    groups: Sequence[PromptGroup]
    rendered: RenderedRows
    left_out: int


def _score(arguments: Arguments) -> int:
    config, resume = arguments.load(Score), arguments.flags.resume
    import_early("penchant.train.inputs.run_models", "transformers.modeling_utils")
    from penchant.data.write import refuse_overwriting
    from penchant.runs.partial_file import check_startable, open_partial
    from penchant.train.evaluation.file_scores import CHUNK, summarize_rows
    from penchant.train.inputs.run_models import find_run

    out = Path(config.out)
    refuse_overwriting(out, config.path, config.split)  # also with --overwrite: what is read would be lost
    if not resume:
        check_file(out, arguments.flags)
    if not check_startable(out, resume=resume):  # before the work, not after it
        return 0
    run = find_run(config.model)
    config = _completed(config, run)
    work = _prepare(config, run)
    with open_partial(out, _origin(config, work), resume=resume, chunk=CHUNK, total=len(work.groups)) as partial:
        with explain_stop(partial, "rows"):
            _score_missing(work, partial)
        partial.finish()
        rows: list[FileRow] = [json.loads(line) for line in partial.lines]
    summary = summarize_rows(work.scoring, work.groups, work.rendered, rows)
    print("\n".join(_summary_lines(config, work, summary)))
    return 0


def _completed(config: Score, run: TrainedRun | None) -> Score:
    """Return the settings with those of the run that are not given."""
    if run is None:
        return config
    run_values = {
        name: run.setting(*keys) for name, keys in RUN_SETTINGS.items() if name not in config.model_fields_set
    }
    run_values["beta"] = config.beta or run.beta
    return config.replace(**{name: value for name, value in run_values.items() if value is not None})


def _prepare(config: Score, run: TrainedRun | None) -> _Work:
    """Read, open and render all that is scored.

    Raises:
        InputError: whatever is wrong with the file, the models or the settings.
    """
    from penchant.data.rendering.render_groups import render_all
    from penchant.engine.score import token_budget
    from penchant.files import cache_folder
    from penchant.train.inputs.kinds import read_rows
    from penchant.train.plan import split_by_prompt

    # before the model: loading it takes long, and bad data is refused at once
    groups = [group for group in read_rows(config, config.kind).groups if group.responses]
    if not groups:
        raise InputError(f"{config.path} has prompts and no response to score")
    scoring = _open(config, run)
    renderer = replace(scoring.model.renderer, every_turn=config.turns == "every", thoughts=config.thoughts)
    groups_left, rendered, report = render_all(groups, renderer, cache=cache_folder() / "tokens")
    if config.side != "all":
        train_side, held_side = split_by_prompt(groups_left, config.held_out, config.seed)
        side = train_side if config.side == "train" else held_side
        groups_left, rendered = [groups_left[index] for index in side], rendered.pick(side)
    if not groups_left:
        raise InputError(f"{config.path}: no row is left to score (side={config.side}, overflow={config.overflow})")
    budget = config.tokens_per_batch or token_budget(scoring.model.scorer.device, rendered)
    return _Work(replace(scoring, budget=budget), groups_left, rendered, report.dropped_too_long)


def _open(config: Score, run: TrainedRun | None) -> Scoring:
    from penchant.models.load import load_policy
    from penchant.models.reward import load_reward_model
    from penchant.models.settings import ModelConfig
    from penchant.models.weights import is_reward_model
    from penchant.train.evaluation.file_scores import Scoring
    from penchant.train.inputs.run_models import open_reference

    folder = config.model if run is None else str(run.folder)
    if is_reward_model(Path(folder).expanduser()):
        if config.reference not in ("run", None) or config.tokens:
            raise InputError(
                f"{config.model} is a reward model, which gives a number per response: leave out reference and tokens"
            )
        template = None if config.template == "auto" else config.template
        reward = load_reward_model(
            folder, device=config.device, dtype=config.dtype, template=template, overflow=config.overflow
        )
        return Scoring(reward)
    settings = ModelConfig(
        name=folder,
        device=config.device,
        dtype=config.dtype,
        attention=config.attention,
        device_map=config.device_map,
        trust_remote_code=config.trust_remote_code,
    )
    policy = load_policy(settings, rendering=config.rendering)
    reference = open_reference(
        config.reference, run, policy, dtype=config.dtype, trust_remote_code=config.trust_remote_code
    )
    return Scoring(policy, reference, config.beta or 1.0, config.tokens)


def _origin(config: Score, work: _Work) -> Origin:
    """Return what the numbers depend on."""
    from penchant.runs import input_digests
    from penchant.runs.partial_file import Origin

    scoring = work.scoring
    start = input_digests.ModelIdentity.from_learner(scoring.model)
    inputs = {
        "the model": start.digest,
        "the rows of the data": input_digests.digest_groups(work.groups),
        "the rendered tokens": input_digests.digest_tokens(work.rendered),
    }
    if scoring.reference is not None:
        inputs["the reference"] = input_digests.ModelIdentity.from_learner(scoring.reference).digest
    names = ("beta", "tokens", "side", "tokens_per_batch")
    return Origin("score", {name: getattr(config, name) for name in names}, inputs)


def _score_missing(work: _Work, partial: PartialFile) -> None:
    """Score the rows that are not there yet, a chunk at a time."""
    from penchant.engine.tree import all_responses, unique_tokens
    from penchant.runs.progress import progress_bar
    from penchant.train.evaluation.file_scores import CHUNK

    done = len(partial.lines)
    missing = range(done, len(work.groups))
    models = 1 if work.scoring.reference is None else 2
    tokens = models * unique_tokens(all_responses(work.rendered[i] for i in range(len(work.groups))))
    scored = models * unique_tokens(all_responses(work.rendered[i] for i in range(done)))
    with progress_bar("scoring", tokens, "tokens", done=scored) as advance:
        for start in missing[::CHUNK]:
            chunk = slice(start, start + CHUNK)
            rows = work.scoring.score_rows(work.groups[chunk], list(work.rendered[chunk]), advance)
            partial.append([json.dumps(row, ensure_ascii=False, allow_nan=False).encode() for row in rows])


def _summary_lines(config: Score, work: _Work, summary: FileSummary) -> list[str]:
    from penchant.metrics.catalogue import METRICS
    from penchant.metrics.estimates import Estimate
    from penchant.reports.kit.text import count, recorded

    scoring = work.scoring
    basis = {
        "rewards": "rewards",
        "logps": "log-probabilities",
        "implicit_rewards": f"implicit rewards: beta={scoring.beta:g} times log-ratios to "
        f"{scoring.reference.name if scoring.reference else ''}",
    }[summary.column]
    parts = [count(summary.prompts, "prompt"), count(summary.responses, "response")]
    parts += [count(summary.comparisons, "comparison")] if summary.comparisons else []
    lines = [f"{config.out}: {', '.join(parts)}, by {basis}"]
    if work.left_out:
        lines.append(f"  {count(work.left_out, 'prompt')} left out, being longer than max_length")
    for name, value in summary.estimates.items():
        if isinstance(value, Estimate):
            metric = METRICS.get(name)
            label, unit = (metric.label, metric.unit) if metric else (name.replace("_", " "), "")
            lines.append(f"  {label}: {recorded(value, decimals=3)} {unit}".rstrip())
    if isinstance(accuracy := summary.logps_accuracy.get("accuracy"), Estimate):
        lines.append(f"  accuracy by log-probability alone: {recorded(accuracy, decimals=3)}")
    return lines


SCORE = Command(
    "score",
    Score,
    _score,
    positionals={"model": "RUN|MODEL", "path": "FILE"},
    example="runs/first prefs.jsonl tokens=true out=scores.jsonl",
    add_flags=add_resume_flag,
)
