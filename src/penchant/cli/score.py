"""`penchant score`: what a model makes of a file's responses, in log-probabilities, implicit rewards or rewards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import check_file
from penchant.cli.partial_lines import add_resume_flag
from penchant.evaluation.score_settings import Score

if TYPE_CHECKING:
    from penchant.evaluation.score import ScoredFile
    from penchant.train.evaluation.file_scores import FileSummary, Scoring


def _score(arguments: Arguments) -> int:
    config = arguments.load(Score)
    import_early("penchant.train.inputs.run_models", "transformers.modeling_utils")
    from penchant.data.write import refuse_overwriting
    from penchant.evaluation.score import score_file

    out = Path(config.out)
    refuse_overwriting(out, config.path, config.split)  # also with --overwrite: what is read would be lost
    if not arguments.flags.resume:
        check_file(out, arguments.flags)
    scored = score_file(config, resume=arguments.flags.resume)
    # a file that was finished before is said to be so, and has no new numbers
    if scored.summary is not None and scored.scoring is not None:
        print("\n".join(summary_lines(scored, scored.summary, scored.scoring)))
    return 0


def summary_lines(scored: ScoredFile, summary: FileSummary, scoring: Scoring) -> list[str]:
    """Return what `score` prints: what was scored, and the estimates of all rows."""
    from penchant.metrics.catalogue import METRICS
    from penchant.metrics.estimates import Estimate
    from penchant.reports.kit.text import count, recorded

    basis = {
        "rewards": "rewards",
        "logps": "log-probabilities",
        "implicit_rewards": f"implicit rewards: beta={scoring.beta:g} times log-ratios to "
        f"{scoring.reference.name if scoring.reference else ''}",
    }[summary.column]
    parts = [count(summary.prompts, "prompt"), count(summary.responses, "response")]
    parts += [count(summary.comparisons, "comparison")] if summary.comparisons else []
    lines = [f"{scored.settings.out}: {', '.join(parts)}, by {basis}"]
    if scored.left_out:
        lines.append(f"  {count(scored.left_out, 'prompt')} left out, being longer than max_length")
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
