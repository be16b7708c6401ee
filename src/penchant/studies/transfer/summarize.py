"""From the samples of a study of transfer to its summary. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, independent_difference, paired_difference
from penchant.metrics.limit import best_of_n, best_of_n_kl
from penchant.studies.core.methods import BEST_OF_N, LABELS
from penchant.studies.core.records import read_lines, read_object
from penchant.studies.core.results import Numbers, facts_of, over_prompts, provenance_of
from penchant.studies.core.settings import SWEPT
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.transfer.grid import TransferGrid
from penchant.studies.transfer.settings import TransferConfig
from penchant.studies.transfer.summary import (
    CarryOver,
    Domain,
    DomainChange,
    MethodSummary,
    ReferenceReward,
    TrainedPrompts,
    TransferSummary,
)
from penchant.typed_json import JsonObject


@dataclass(frozen=True)
class Samples:
    """Samples of one policy for one domain at one temperature.

    Attributes:
        rewards: of shape (prompts, samples).
        kl_nats: mean KL in nats by prompt; None where there is none.
    """

    prompts: tuple[str, ...]
    rewards: Numbers
    kl_nats: Numbers | None


@dataclass(frozen=True)
class Contender:
    """A method at one setting: mean reward and KL by prompt, over seeds, by (domain, temperature)."""

    name: str
    value: float | None
    rate: float | None
    seeds: int
    reward: Mapping[tuple[str, float], Numbers]
    kl_nats: Mapping[tuple[str, float], Numbers]


def summarize_transfer(
    config: TransferConfig, grid: TransferGrid, study: Path, reasons: Mapping[str, str]
) -> TransferSummary:
    """Return the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.

    Raises:
        InputError: samples are damaged.
    """
    reference = {
        (domain, temperature): samples
        for domain, stage in grid.reference.items()
        for temperature, samples in _read(study / stage.path).items()
    }
    temperatures = sorted({temperature for _, temperature in reference})
    # at 1 samples are the policy's own, and only there the KL along them estimates that of the sequences
    headline_temperature = min(temperatures, key=lambda temperature: abs(temperature - 1))
    stages = grid.stages()
    return TransferSummary(
        study=config.method,
        config=config.recorded(),
        domains=tuple(_domain(name, stage, config, grid, study) for name, stage in grid.prompts.items()),
        prompts=TrainedPrompts(facts_of(grid.prompts[config.own], study).get("train")),
        temperatures=tuple(temperatures),
        headline_temperature=headline_temperature,
        seeds=tuple(config.seeds),
        reference=tuple(
            # one number per prompt first: samples of one prompt are alike, and intervals resample prompts
            ReferenceReward(domain, temperature, over_prompts(samples.rewards.mean(axis=1)))
            for (domain, temperature), samples in reference.items()
        ),
        methods=tuple(
            _method(contender, reference, config.own, headline_temperature)
            for contender in _contenders(config, grid, study, reference)
        ),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance_of(grid.trained.runs, study),
    )


def _domain(name: str, stage: Stage, config: TransferConfig, grid: TransferGrid, study: Path) -> Domain:
    facts = facts_of(stage, study)
    measured = facts_of(grid.reference[name], study)
    return Domain(name, name == config.own, measured.get("prompts"), facts.get("also_trained_on"))


def _read(folder: Path) -> dict[float, Samples]:
    """Read a stage's samples by temperature; nothing where it did not end."""
    if not (folder / "stage.json").exists():
        return {}
    rows: dict[float, list[JsonObject]] = {}
    for row in read_lines(folder / "samples.jsonl"):
        rows.setdefault(float(row["temperature"]), []).append(row)
    prompt_count = read_object(folder / "stage.json").get("prompts")
    # a line per prompt at each temperature; a file that ends early would leave out prompts of the last one
    if not rows or any(len(group) != prompt_count for group in rows.values()):
        raise InputError(f"{folder} is damaged: delete it, and the study makes it again")
    return {
        temperature: Samples(
            tuple(row["prompt"] for row in group),
            np.array([row["rewards"] for row in group], dtype=np.float64),
            # mean over the samples of each prompt, in nats, shape (prompts,)
            None if group[0]["kl_nats"] is None else np.array([np.mean(row["kl_nats"]) for row in group]),
        )
        for temperature, group in rows.items()
    }


def _contenders(
    config: TransferConfig, grid: TransferGrid, study: Path, reference: Mapping[tuple[str, float], Samples]
) -> Iterator[Contender]:
    """Yield each method at each of its settings, as far as measured; then the best of the reference's samples."""
    for name, value, rate in dict.fromkeys((run.kind, run.value, run.rate) for run, _ in grid.measured):
        of_seeds = [
            {
                (domain, temperature): samples
                for domain, stage in cells.items()
                for temperature, samples in _read(study / stage.path).items()
            }
            for run, cells in grid.measured
            if (run.kind, run.value, run.rate) == (name, value, rate)
        ]
        of_seeds = [cells for cells in of_seeds if cells]
        if not of_seeds:
            continue  # none of its runs was measured yet
        # of the seeds that have ended, over prompts: a mean of each prompt over its seeds
        keys = [key for key in reference if all(key in cells for cells in of_seeds)]
        reward = {key: np.mean([cells[key].rewards.mean(axis=1) for cells in of_seeds], axis=0) for key in keys}
        kls = {key: [kl for cells in of_seeds if (kl := cells[key].kl_nats) is not None] for key in keys}
        means = {key: np.mean(seed_kls, axis=0) for key, seed_kls in kls.items() if seed_kls}
        yield Contender(name, value, rate, len(of_seeds), reward, means)
    for n in dict.fromkeys(config.best_of_n.n) if config.best_of_n else ():
        # over all subsets of n of a prompt's samples, without the luck of one draw
        best = {key: _best(samples.rewards, n) for key, samples in reference.items()}
        # no policy draws the best of n, so its KL is the known bound, which holds for the reference's own samples alone
        bound = float(best_of_n_kl([n])[0])
        bounds = {key: np.full(len(samples.rewards), bound) for key, samples in reference.items() if key[1] == 1}
        yield Contender(BEST_OF_N, float(n), None, 1, best, bounds)


def _best(rewards: Numbers, n: int) -> Numbers:
    """Return the expected reward of the best of n, by prompt; of one sample that is always the same, its own."""
    if rewards.shape[1] == 1:  # at temperature 0 there is one sample, the likeliest tokens
        return rewards[:, 0]
    return np.array([best_of_n(row[None])[n - 1] for row in rewards])


def _method(
    contender: Contender, reference: Mapping[tuple[str, float], Samples], own_domain: str, headline_temperature: float
) -> MethodSummary:
    """Return reward and its change against the reference by domain and temperature, and what carries over."""
    changes = {key: reward - reference[key].rewards.mean(axis=1) for key, reward in contender.reward.items()}
    cells = []
    for (domain, temperature), reward in contender.reward.items():
        # against the reference at the same temperature: cooler samples alone change the reward
        base = reference[domain, temperature].rewards.mean(axis=1)
        kl = contender.kl_nats.get((domain, temperature))
        cells.append(
            DomainChange(
                domain,
                temperature,
                reward=over_prompts(reward),
                # paired by prompt: what makes a prompt easy stands on both sides, and cancels
                change=paired_difference(reward, base, range(len(base))),
                kl_nats=None if kl is None else over_prompts(kl),
            )
        )
    temperatures = dict.fromkeys(temperature for _, temperature in changes)
    carry_overs = [
        share for temperature in temperatures if (share := _carry_over(changes, own_domain, temperature)) is not None
    ]
    return MethodSummary(
        name=contender.name,
        label=LABELS[contender.name],
        setting="N" if contender.name == BEST_OF_N else SWEPT.get(contender.name),
        value=contender.value,
        rate=contender.rate,
        seeds=contender.seeds,
        cells=tuple(cells),
        carry_overs=tuple(sorted(carry_overs, key=lambda share: share.temperature)),
        at_home=next((share for share in carry_overs if share.temperature == headline_temperature), None),
    )


def _carry_over(changes: Mapping[tuple[str, float], Numbers], own_domain: str, temperature: float) -> CarryOver | None:
    """Return the change on the own domain, on the others, and how much less the latter is.

    The other domains count the same, however many prompts each has.
    """
    other_changes = [
        part
        for (domain, cell_temperature), part in changes.items()
        if domain != own_domain and cell_temperature == temperature
    ]
    if (own_domain, temperature) not in changes or not other_changes:
        return None
    # prompts of two domains have nothing to do with each other: the difference is one of independent means
    own_change = cluster_mean(
        changes[own_domain, temperature], range(len(changes[own_domain, temperature])), share=False
    )
    others_change = _pooled(other_changes)
    return CarryOver(temperature, own_change, others_change, independent_difference(own_change, others_change))


def _pooled(parts: Sequence[Numbers]) -> Estimate:
    values = np.concatenate(parts)
    # each domain counts the same, however many prompts it has
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts])
    # a difference and no share: it may lie below 0
    return cluster_mean(values, range(len(values)), weights=weights, share=False)
