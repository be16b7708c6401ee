"""`penchant evaluate`: tasks of lm-eval before and after training, and RewardBench. Imports no torch."""

from __future__ import annotations

from penchant.cli.arguments import Arguments, Command
from penchant.evaluation.settings import EvaluateConfig


def _evaluate(arguments: Arguments) -> int:
    # before the imports: a slip in a setting is answered at once
    config = arguments.load(EvaluateConfig)

    from penchant.evaluation.evaluate import evaluate
    from penchant.evaluation.words import terminal_lines

    evaluation, file = evaluate(config)
    print("\n".join(terminal_lines(evaluation)))
    print(f"evaluation: {file}")
    return 0


EVALUATE = Command(
    "evaluate",
    EvaluateConfig,
    _evaluate,
    positionals={"model": "RUN"},
    example="runs/first 'tasks=[sciq]' limit=100",
)
