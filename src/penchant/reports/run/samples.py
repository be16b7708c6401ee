"""Lay sampled texts side by side: the first prompts in the order of the file, never the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant.metrics.catalogue import metric
from penchant.reports.kit.text import count, folded, number, signed
from penchant.reports.run.summary import shown_samples
from penchant.runs.read import Draw, Run, SampledPrompt

MOST_PROMPTS = 12
DRAWS = 2  # of a prompt, for a single run; one for several, whose texts stand side by side
MOST_CELLS = 8  # texts side by side: the reference and as many runs


@dataclass(frozen=True)
class Cell:
    """One text: who wrote it (`run` counts from 0, None for the reference), its head and its folded rest."""

    author: str
    run: int | None
    head: str
    rest: str
    folded: str
    reward: str
    change: str
    facts: str


@dataclass(frozen=True)
class PromptTexts:
    """A prompt (head and folded rest) with rows of texts, one row per draw."""

    prompt: str
    prompt_rest: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Samples:
    """Texts that the page shows, and a sentence on what it leaves out."""

    prompts: tuple[PromptTexts, ...]
    note: str


def samples(runs: Sequence[Run]) -> Samples | None:
    """Return the texts of the last sampled step of each run; None where no run kept any."""
    sampled_runs = [
        (index, run, by_prompt)
        for index, run in enumerate(runs)
        if (by_prompt := {sample.prompt: sample for sample in shown_samples(run)})
    ]
    if not sampled_runs:
        return None
    # In the order of the file and of the runs: a choice by reward would show the best of each.
    prompts = list(dict.fromkeys(prompt for _, _, by_prompt in sampled_runs for prompt in by_prompt))
    per_prompt = DRAWS if len(runs) == 1 else 1
    prompt_texts, draw_count = [], 0
    for prompt in prompts[:MOST_PROMPTS]:
        entries = [(index, run, by_prompt[prompt]) for index, run, by_prompt in sampled_runs if prompt in by_prompt]
        draw_count = max([draw_count, *(len(sample.policy) for _, _, sample in entries)])
        rows = (_row(entries, draw, single_run=len(runs) == 1) for draw in range(per_prompt))
        head, rest = folded(prompt)
        prompt_texts.append(PromptTexts(head, rest, tuple(row for row in rows if row)))
    return Samples(tuple(prompt_texts), _note(len(prompts), draw_count, per_prompt, len(sampled_runs)))


def _note(prompts: int, draw_count: int, per_prompt: int, runs: int) -> str:
    # What is left out is counted: a reader of a few texts should know how many there are.
    parts = []
    if prompts > MOST_PROMPTS:
        parts.append(f"the first {MOST_PROMPTS} of {count(prompts, 'prompt')}, in the order of the file")
    if draw_count > per_prompt:
        parts.append(f"{per_prompt} of {count(draw_count, 'draw')} each")
    if runs >= MOST_CELLS:
        parts.append(f"the first {MOST_CELLS - 1} of {count(runs, 'run')}")
    opening = f"Shown: {'; '.join(parts)}." if parts else f"All {count(prompts, 'prompt')} are shown."
    return f"{opening} None was picked by its reward."


def _row(entries: Sequence[tuple[int, Run, SampledPrompt]], draw: int, *, single_run: bool) -> tuple[Cell, ...]:
    """Return the reference's text of this draw, then each run's; a reference with another text has its own cell."""
    cells: list[Cell] = []
    reference_texts: set[tuple[str, float | None]] = set()
    # One cell is left for the reference.
    for index, run, sample in entries[: MOST_CELLS - 1]:
        # A run may have kept fewer draws than another.
        reference = sample.reference[draw] if draw < len(sample.reference) else None
        policy = sample.policy[draw] if draw < len(sample.policy) else None
        # Runs from one reference drew the same texts with the same seeds: one cell serves them all.
        if reference is not None and (reference.text, reference.reward) not in reference_texts:
            author = f"Reference of {run.name}" if reference_texts else "Reference"
            cells.append(_cell(author, None, reference, ""))
            reference_texts.add((reference.text, reference.reward))
        if policy is not None:
            author = f"Policy, step {sample.step:,}" if single_run else f"{run.name}, step {sample.step:,}"
            reward_change = _change(policy.reward, reference.reward) if reference is not None else ""
            cells.append(_cell(author, index, policy, reward_change))
    return tuple(cells)


def _cell(author: str, run: int | None, draw: Draw, reward_change: str) -> Cell:
    head, rest = folded(draw.text)
    kl = metric("kl_nats")
    facts = [count(draw.tokens, "token")] if draw.tokens is not None else []
    if draw.kl_nats is not None:
        facts.append(f"{kl.label} {number(draw.kl_nats, 1 if draw.kl_nats >= 1 else 2)} {kl.unit}")
    facts += ["cut at the limit"] if draw.finished is False else []  # None: the run did not note it
    return Cell(
        author=author,
        run=run,
        head=head or "(empty)",
        rest=rest,
        folded=count(len(draw.text), "character"),
        reward="" if draw.reward is None else f"{metric('reward').label} {number(draw.reward, 2)}",
        change=reward_change,
        facts=" · ".join(facts),
    )


def _change(reward: float | None, reference_reward: float | None) -> str:
    """Format the change of reward between two samples: `+0.53`, empty where one has no reward."""
    return signed(reward - reference_reward, 2) if reward is not None and reference_reward is not None else ""
