"""`penchant judge`: say whose responses win, by a judge. Imports no torch, so that help is instant."""

from __future__ import annotations

from penchant.cli.arguments import Arguments, Command, retired_flags
from penchant.judges.compare.settings import JudgeConfig


def _judge(arguments: Arguments) -> int:
    # before the imports: a slip in a setting is answered at once
    config = arguments.load(JudgeConfig)

    from penchant.judges.compare.runs import judge
    from penchant.judges.compare.words import is_undefined, terminal_lines

    results = judge(config, tell=print)  # a line as soon as there is one: an endpoint may take hours
    print("\n".join(terminal_lines(results)))
    print(f"report: {config.out}/report.html")
    # without a win rate a script must not go on as if there were one
    return 1 if is_undefined(results) else 0


JUDGE = Command(
    "judge",
    JudgeConfig,
    _judge,
    positionals={"responses": "RUN"},
    example="runs/first against=chosen judge=longest n=2",
    retired=retired_flags("against", "judge", "max_calls")
    | {"--temperatures": lambda values: f"temperatures=[{values[-1]}]"},
)
