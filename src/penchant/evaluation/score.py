"""Score the responses of a file: log-probabilities, implicit rewards or rewards, a line per prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.errors import InputError
from penchant.evaluation.score_settings import RUN_SETTINGS, Score
from penchant.metrics.estimates import Measure
from penchant.rich_text import html_table, interval_bars
from penchant.session.store import session_path

if TYPE_CHECKING:
    from penchant.data.rendering.rendered import RenderedRows
    from penchant.runs.partial_file import Origin, PartialFile
    from penchant.train.evaluation.file_scores import FileRow, FileSummary, Scoring
    from penchant.train.inputs.run_models import TrainedRun
    from penchant.types import PromptGroup


OF_POLICIES = {
    "reference": ("run", None),
    "tokens": (False,),
    "attention": ("auto",),
    "device_map": (None,),
    "trust_remote_code": (False,),
}
"""Settings that change nothing where a reward model scores, and what they are left at."""


@dataclass(frozen=True)
class _Work:
    """What is scored, and by what."""

    scoring: Scoring
    groups: Sequence[PromptGroup]
    rendered: RenderedRows
    left_out: int


@dataclass(frozen=True, repr=False)
class ScoredFile:
    """The outcome of scoring a file.

    Attributes:
        path: the file that was written.
        settings: with those of the run that were not given.
        summary: the estimates of all rows; None for a file that an earlier call had finished.
        scoring: the models that scored it.
        left_out: prompts that were longer than the models take.
    """

    path: Path
    settings: Score
    summary: FileSummary | None = None
    scoring: Scoring | None = None
    left_out: int = 0

    def __repr__(self) -> str:
        """Return where the scores lie, and of how many responses they are."""
        counts = "" if self.summary is None else f", {self.summary.prompts} prompts, {self.summary.responses} responses"
        return f"ScoredFile({self.path}{counts})"

    def _repr_html_(self) -> str:
        estimates = {} if self.summary is None else self.summary.estimates
        measures = [(name, value) for name, value in estimates.items() if isinstance(value, Measure)]
        rows = [(name, m.text, interval_bars([m.interval]) if m.interval else "") for name, m in measures]
        return html_table(repr(self), rows)


def score_file(config: Score, *, resume: bool = False) -> ScoredFile:
    """Write what a model makes of a file's responses, a line per prompt.

    Args:
        resume: go on with what an earlier call did of the file.

    Raises:
        InputError: whatever is wrong with the file, the models or the settings.
        RunError: the file cannot be written; what was done stays beside it.
    """
    from penchant.data.write import refuse_overwriting
    from penchant.runs.partial_file import check_startable, explain_stop, open_partial
    from penchant.train.evaluation.file_scores import CHUNK, summarize_rows
    from penchant.train.inputs.run_models import find_run

    out = Path(config.out)
    refuse_overwriting(out, config.path, config.split)
    if not check_startable(out, resume=resume):  # before the work, not after it
        return ScoredFile(out, config)
    run = find_run(config.model)
    config = _completed(config, run)
    # from here on every line that is done is kept beside the file
    work = _prepare(config, run)
    with open_partial(out, _origin(config, work), resume=resume, chunk=CHUNK, total=len(work.groups)) as partial:
        with explain_stop(partial, "rows"):
            _score_missing(work, partial)
        partial.finish()
        rows: list[FileRow] = [json.loads(line) for line in partial.lines]
    summary = summarize_rows(work.scoring, work.groups, work.rendered, rows)
    return ScoredFile(out, config, summary, work.scoring, work.left_out)


def _completed(config: Score, run: TrainedRun | None) -> Score:
    """Return the settings with those of the run that are not given."""
    if run is None:
        return config
    run_values = {
        name: run.setting(*keys) for name, keys in RUN_SETTINGS.items() if name not in config.model_fields_set
    }
    # implicit rewards are beta times a log-ratio: another beta would give other units
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
    from penchant.models.load import reads_pictures
    from penchant.train.inputs.kinds import read_rows
    from penchant.train.plan import split_by_prompt

    folder = str(session_path(config.model)) if run is None else str(run.folder)
    if config.media is None and reads_pictures(folder, trust_remote_code=config.trust_remote_code):
        config = config.replace(media=True)
    # before the model: loading it takes long, and bad data is refused at once
    groups = [group for group in read_rows(config, config.kind).groups if group.responses]
    if not groups:
        raise InputError(f"{config.path} has prompts and no response to score")
    scoring = _open(config, run)
    if config.turns == "every" and scoring.model.renderer.media is not None:
        raise InputError(
            f"{config.model} reads pictures, and of such prompts the last turn alone is scored: turns=last"
        )
    renderer = replace(scoring.model.renderer, every_turn=config.turns == "every", thoughts=config.thoughts)
    groups_left, rendered, report = render_all(groups, renderer, cache=cache_folder() / "tokens")
    # the split of the run: what it was trained on must not count as held out
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
    from penchant.models.loading_settings import model_config
    from penchant.models.reward import load_reward_model
    from penchant.models.weights import is_reward_model
    from penchant.train.evaluation.file_scores import Scoring
    from penchant.train.inputs.run_models import open_reference

    folder = str(session_path(config.model)) if run is None else str(run.folder)
    if is_reward_model(Path(folder).expanduser()):
        if ignored := [name for name in OF_POLICIES if getattr(config, name) not in OF_POLICIES[name]]:
            raise InputError(
                f"{config.model} is a reward model, which gives a number per response: leave out "
                f"{' and '.join(ignored)}"
            )
        # the template that it was trained with, which its folder holds
        template = None if config.template == "auto" else config.template
        reward = load_reward_model(
            folder,
            device=config.device,
            dtype=config.dtype,
            template=template,
            template_args=config.template_args,
            overflow=config.overflow,
        )
        return Scoring(reward)
    policy = load_policy(model_config(folder, config), rendering=config.rendering)
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
    # what else is set shows in the rows and their tokens; batches decide last digits
    names = ("beta", "tokens", "side", "tokens_per_batch")
    return Origin("score", {name: getattr(config, name) for name in names}, inputs)


def _score_missing(work: _Work, partial: PartialFile) -> None:
    """Score the rows that are not there yet, a chunk at a time."""
    from penchant.engine.tree import all_responses, unique_tokens
    from penchant.runs.progress import progress_bar
    from penchant.train.evaluation.file_scores import CHUNK

    done = len(partial.lines)
    missing = range(done, len(work.groups))
    # the bar counts tokens of both models, since both score every row
    models = 1 if work.scoring.reference is None else 2
    tokens = models * unique_tokens(all_responses(work.rendered[i] for i in range(len(work.groups))))
    scored = models * unique_tokens(all_responses(work.rendered[i] for i in range(done)))
    with progress_bar("scoring", tokens, "tokens", done=scored) as advance:
        for start in missing[::CHUNK]:
            chunk = slice(start, start + CHUNK)
            rows = work.scoring.score_rows(work.groups[chunk], list(work.rendered[chunk]), advance)
            partial.append([json.dumps(row, ensure_ascii=False, allow_nan=False).encode() for row in rows])
