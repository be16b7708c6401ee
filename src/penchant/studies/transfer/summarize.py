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
from penchant.studies.core.results import Numbers, provenance_of
from penchant.studies.core.settings import SWEPT
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.transfer.grid import TransferGrid
from penchant.studies.transfer.settings import TransferConfig
from penchant.studies.transfer.summary import (
    Carried,
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
    """What one policy drew for one domain at one temperature: rewards of shape (prompts, samples), mean KL in nats by
    prompt (None where there is none)."""

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
    home = min(temperatures, key=lambda one: abs(one - 1))
    stages = grid.stages()
    return TransferSummary(
        study=config.method,
        config=config.recorded(),
        domains=tuple(_domain(name, stage, config, grid, study) for name, stage in grid.prompts.items()),
        prompts=TrainedPrompts(read_object(study / grid.prompts[config.own].path / "stage.json").get("train")),
        temperatures=tuple(temperatures),
        home=home,
        seeds=tuple(config.seeds),
        reference=tuple(
            ReferenceReward(domain, temperature, _over_prompts(samples.rewards.mean(axis=1)))
            for (domain, temperature), samples in reference.items()
        ),
        methods=tuple(
            _method(contender, reference, config.own, home) for contender in _contenders(config, grid, study, reference)
        ),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=provenance_of(grid.learned.runs, study),
    )


def _domain(name: str, stage: Stage, config: TransferConfig, grid: TransferGrid, study: Path) -> Domain:
    facts = read_object(study / stage.path / "stage.json")
    measured = read_object(study / grid.reference[name].path / "stage.json")
    return Domain(name, name == config.own, measured.get("prompts"), facts.get("also_trained_on"))


def _read(folder: Path) -> dict[float, Samples]:
    """A stage's samples by temperature; nothing where it did not end."""
    if not (folder / "stage.json").exists():
        return {}
    rows: dict[float, list[JsonObject]] = {}
    for row in read_lines(folder / "samples.jsonl"):
        rows.setdefault(float(row["temperature"]), []).append(row)
    wanted = read_object(folder / "stage.json").get("prompts")
    if not rows or any(len(some) != wanted for some in rows.values()):
        raise InputError(f"{folder} is damaged: delete it, and the study makes it again")
    return {
        temperature: Samples(
            tuple(row["prompt"] for row in some),
            np.array([row["rewards"] for row in some], dtype=np.float64),
            None if some[0]["kl_nats"] is None else np.array([np.mean(row["kl_nats"]) for row in some]),
        )
        for temperature, some in rows.items()
    }


def _contenders(
    config: TransferConfig, grid: TransferGrid, study: Path, reference: Mapping[tuple[str, float], Samples]
) -> Iterator[Contender]:
    """Each method at each of its settings, as far as it was measured; then the best of the reference's samples."""
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
            continue
        keys = [key for key in reference if all(key in cells for cells in of_seeds)]
        reward = {key: np.mean([cells[key].rewards.mean(axis=1) for cells in of_seeds], axis=0) for key in keys}
        kls = {key: [one for cells in of_seeds if (one := cells[key].kl_nats) is not None] for key in keys}
        means = {key: np.mean(some, axis=0) for key, some in kls.items() if some}
        yield Contender(name, value, rate, len(of_seeds), reward, means)
    for n in dict.fromkeys(config.best_of_n.n) if config.best_of_n else ():
        best = {key: _best(samples.rewards, n) for key, samples in reference.items()}
        bound = float(best_of_n_kl([n])[0])
        bounds = {key: np.full(len(samples.rewards), bound) for key, samples in reference.items() if key[1] == 1}
        yield Contender(BEST_OF_N, float(n), None, 1, best, bounds)


def _best(rewards: Numbers, n: int) -> Numbers:
    """Expected reward of the best of n, by prompt; of one sample that is always the same, its own."""
    if rewards.shape[1] == 1:
        return rewards[:, 0]
    return np.array([best_of_n(row[None])[n - 1] for row in rewards])


def _method(
    contender: Contender, reference: Mapping[tuple[str, float], Samples], own: str, home: float
) -> MethodSummary:
    """Return reward and its change against the reference by domain and temperature; what carries over at `home`."""
    changes = {key: reward - reference[key].rewards.mean(axis=1) for key, reward in contender.reward.items()}
    cells = []
    for (domain, temperature), reward in contender.reward.items():
        base = reference[domain, temperature].rewards.mean(axis=1)
        kl = contender.kl_nats.get((domain, temperature))
        cells.append(
            DomainChange(
                domain,
                temperature,
                reward=_over_prompts(reward),
                change=paired_difference(reward, base, range(len(base))),
                kl_nats=None if kl is None else _over_prompts(kl),
            )
        )
    temperatures = dict.fromkeys(temperature for _, temperature in changes)
    carried = [share for temperature in temperatures if (share := _carried(changes, own, temperature)) is not None]
    return MethodSummary(
        name=contender.name,
        label=LABELS[contender.name],
        setting="N" if contender.name == BEST_OF_N else SWEPT.get(contender.name),
        value=contender.value,
        rate=contender.rate,
        seeds=contender.seeds,
        cells=tuple(cells),
        carried=tuple(sorted(carried, key=lambda share: share.temperature)),
        at_home=next((share for share in carried if share.temperature == home), None),
    )


def _carried(changes: Mapping[tuple[str, float], Numbers], own: str, temperature: float) -> Carried | None:
    """Return the change on the own domain, on the others, and how much less the latter is.

    The other domains count the same, however many prompts each has.
    """
    others = [part for (domain, at), part in changes.items() if domain != own and at == temperature]
    if (own, temperature) not in changes or not others:
        return None
    home = cluster_mean(changes[own, temperature], range(len(changes[own, temperature])), share=False)
    away = _pooled(others)
    return Carried(temperature, home, away, independent_difference(home, away))


def _pooled(parts: Sequence[Numbers]) -> Estimate:
    values = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts])
    return cluster_mean(values, range(len(values)), weights=weights, share=False)


def _over_prompts(means: Numbers) -> Estimate:
    return cluster_mean(means, range(len(means)))
