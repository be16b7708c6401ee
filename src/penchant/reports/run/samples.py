"""Sampled texts side by side: the first prompts in the order of the file, never the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant.reports.kit.text import count, folded, number
from penchant.reports.run.summary import shown_samples
from penchant.reports.run.tables import change
from penchant.runs.read import Draw, Run, SampledPrompt

MOST_PROMPTS = 12
DRAWS = 2  # of a prompt, for a single run; one for several, whose texts stand side by side
MOST_CELLS = 8  # texts side by side: the reference and as many runs


@dataclass(frozen=True)
class Cell:
    """One text: who wrote it (`run` counts from 0, None for the reference), its head and its folded rest."""

    who: str
    run: int | None
    head: str
    rest: str
    folded: str
    reward: str
    change: str
    facts: str


@dataclass(frozen=True)
class Shown:
    """A prompt (head and folded rest) with rows of texts, one row a draw."""

    prompt: str
    prompt_rest: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Samples:
    """What is shown, and a sentence on what is not."""

    prompts: tuple[Shown, ...]
    note: str


def samples(runs: Sequence[Run]) -> Samples | None:
    """The texts of the last sampled step of each run, None where no run kept any."""
    kept = [(index, run, {s.prompt: s for s in shown_samples(run)}) for index, run in enumerate(runs)]
    kept = [(index, run, by_prompt) for index, run, by_prompt in kept if by_prompt]
    if not kept:
        return None
    prompts = list(dict.fromkeys(prompt for _, _, by_prompt in kept for prompt in by_prompt))
    per_prompt = DRAWS if len(runs) == 1 else 1
    shown, drawn = [], 0
    for prompt in prompts[:MOST_PROMPTS]:
        found = [(index, run, by_prompt[prompt]) for index, run, by_prompt in kept if prompt in by_prompt]
        drawn = max([drawn, *(len(sample.policy) for _, _, sample in found)])
        rows = (_row(found, draw, alone=len(runs) == 1) for draw in range(per_prompt))
        head, rest = folded(prompt)
        shown.append(Shown(head, rest, tuple(row for row in rows if row)))
    return Samples(tuple(shown), _note(len(prompts), drawn, per_prompt, len(kept)))


def _note(prompts: int, drawn: int, per_prompt: int, runs: int) -> str:
    parts = []
    if prompts > MOST_PROMPTS:
        parts.append(f"the first {MOST_PROMPTS} of {count(prompts, 'prompt')}, in the order of the file")
    if drawn > per_prompt:
        parts.append(f"{per_prompt} of {count(drawn, 'draw')} each")
    if runs >= MOST_CELLS:
        parts.append(f"the first {MOST_CELLS - 1} of {count(runs, 'run')}")
    what = f"Shown: {'; '.join(parts)}." if parts else f"All {count(prompts, 'prompt')} are shown."
    return f"{what} None was picked by its reward."


def _row(found: Sequence[tuple[int, Run, SampledPrompt]], draw: int, *, alone: bool) -> tuple[Cell, ...]:
    """The reference's text of this draw, then each run's; another text of a reference comes again."""
    cells: list[Cell] = []
    shown: set[tuple[str, float | None]] = set()
    for index, run, sample in found[: MOST_CELLS - 1]:
        theirs = sample.reference[draw] if draw < len(sample.reference) else None
        ours = sample.policy[draw] if draw < len(sample.policy) else None
        if theirs is not None and (theirs.text, theirs.reward) not in shown:
            who = f"Reference of {run.name}" if shown else "Reference"
            cells.append(_cell(who, None, theirs, ""))
            shown.add((theirs.text, theirs.reward))
        if ours is not None:
            who = f"Policy, step {sample.step:,}" if alone else f"{run.name}, step {sample.step:,}"
            gained = change(ours.reward, theirs.reward) if theirs is not None else ""
            cells.append(_cell(who, index, ours, gained))
    return tuple(cells)


def _cell(who: str, run: int | None, draw: Draw, gained: str) -> Cell:
    head, rest = folded(draw.text)
    facts = [count(draw.tokens, "token")] if draw.tokens is not None else []
    facts += [f"KL {number(draw.kl_nats, 1 if draw.kl_nats >= 1 else 2)} nats"] if draw.kl_nats is not None else []
    facts += ["cut at the limit"] if draw.finished is False else []
    return Cell(
        who=who,
        run=run,
        head=head or "(empty)",
        rest=rest,
        folded=count(len(draw.text), "character"),
        reward="" if draw.reward is None else number(draw.reward, 2),
        change=gained,
        facts=" · ".join(facts),
    )
