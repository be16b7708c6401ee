"""`penchant doctor`: what this machine has, what is missing, and what will be slow. Works where torch does not."""

from __future__ import annotations

from typing import ClassVar

from penchant.clean_text import clean
from penchant.cli.arguments import Arguments, Command
from penchant.config import Config
from penchant.text_table import wrapped

PROBLEMS_FOUND = 1


class Doctor(Config):
    """Say what this machine has: versions, device, cores, memory, disk, caches, packages; and what will be slow.

    The exit code is 1 where something will not work.
    """

    method: ClassVar[str] = "doctor"

    advice: bool = True
    """Whether what will be slow here is said too."""


def _doctor(arguments: Arguments) -> int:
    config = arguments.load(Doctor)
    from penchant.upkeep.probes import run_probes

    values: dict[str, float] = {}
    # once more at the end: what matters must not scroll away
    problems: list[str] = []
    for title, finding in run_probes():
        print(f"{title}:")
        for line in finding.facts:
            _print_wrapped(line)
        for problem in finding.problems:
            _print_wrapped(f"PROBLEM: {problem}")
        # at once: torch may take long, and may never answer
        print(end="", flush=True)
        values |= finding.values
        problems += [f"{title}: {problem}" for problem in finding.problems]
    if config.advice:
        _print_advice(values)
    print(f"\n{len(problems)} problem{'s' if len(problems) != 1 else ''}" + (":" if problems else " found"))
    for problem in problems:
        _print_wrapped(problem)
    return PROBLEMS_FOUND if problems else 0


def _print_advice(values: dict[str, float]) -> None:
    from penchant.upkeep.advice import slow_parts

    print("what will be slow here:")
    lines = list(slow_parts(values))
    for line in lines or ["nothing that is known of"]:
        _print_wrapped(line)


def _print_wrapped(line: str) -> None:
    # paths and names of others stand in these lines
    print("\n".join(wrapped(clean(line), indent="  ")))


DOCTOR = Command("doctor", Doctor, _doctor)
