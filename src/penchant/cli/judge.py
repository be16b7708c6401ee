"""The command line's `judge`: parse, call, print. Imports no torch, so that help is instant."""

from __future__ import annotations

import argparse
from typing import Any

from penchant.config import file_and_overrides, load_config
from penchant.judges.compare.settings import JudgeConfig


def add_judge(commands: Any) -> None:
    """Add `judge` to the commands, whose parsers show `settings` in their help."""
    summary = (JudgeConfig.__doc__ or "").strip()
    parser: Any = commands.add_parser("judge", help="say whose responses win, by a judge", description=summary)
    parser.settings = JudgeConfig
    parser.add_argument("responses", nargs="*", metavar="RUN", help="runs or files of responses, or a CONFIG.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as judge=longest n=2")
    parser.add_argument("--against", help="reference (default), chosen, or another run or file")
    parser.add_argument("--judge", metavar="NAME", help="who judges: longest, random, reward, policy, endpoint, people")
    parser.add_argument("--temperatures", metavar="T,T,...", help="draw from the runs anew, such as 0,0.25,0.5,0.75,1")
    parser.add_argument("--max-calls", type=int, metavar="N", help="calls of the judge now, of all sources together")
    parser.set_defaults(run=_judge)


def _judge(options: argparse.Namespace) -> int:
    from penchant.judges.compare.runs import judge
    from penchant.judges.compare.words import is_undefined, terminal_lines

    words = [*options.responses, *options.overrides]
    places = [word for word in words if "=" not in word]
    overrides = [word for word in words if "=" in word]
    path = None
    if len(places) == 1 and places[0].endswith((".yaml", ".yml")):
        path, overrides = file_and_overrides(places[0], overrides)
        places = []
    if places:
        overrides.append(f"responses={places!r}")
    if options.against is not None:
        overrides.append(f"against={options.against}")
    if options.judge is not None:
        overrides.append(f"judge={options.judge}")
    if options.max_calls is not None:
        overrides.append(f"max_calls={options.max_calls}")
    if options.temperatures is not None:
        overrides.append(f"temperatures=[{options.temperatures}]")
    config = load_config(JudgeConfig, path, overrides)
    assert isinstance(config, JudgeConfig)
    results = judge(config, tell=print)
    print("\n".join(terminal_lines(results)))
    print(f"report: {config.out}/report.html")
    return 1 if is_undefined(results) else 0
