"""Where a training loop stands: what a checkpoint holds beside weights and optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.runs.run_lines import Row


@dataclass
class State:
    """The loop's position and what it remembers; all of it goes into a checkpoint.

    Attributes:
        step: optimizer steps (rollouts: updates) done.
        seconds, evaluation_seconds: spent training, and evaluating, over all sessions of the run.
        best_loss, best_step, stale: the best value of the metric that chooses the best weights (the held-out loss
            unless the settings say another), where, and evaluations since.
        first, last: the lines of the first and the latest evaluation.
        stop: why the last step taken was to be the last, if so.
        stopped_by: the callback that asked to stop, if one did: whoever resumes must not train on.
        unevaluated: the epoch of an evaluation that failed and is still due.
        kl_coefficient, samples_drawn: of rollouts.
    """

    step: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    first: Row | None = None
    last: Row | None = None
    stop: str = ""
    stopped_by: str = ""
    unevaluated: float | None = None
    kl_coefficient: float = 0.0
    samples_drawn: int = 0
