"""The students of one task as stages: probes of one model in a few stages, others a stage each. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CrossEntropy, CustomWeakLoss, WeakLoss
from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.names import (
    CEILING,
    FEW_LABELS,
    RANDOM,
    algorithm_name,
    chain_name,
    chained_name,
    drift_name,
    errors_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig, drift_columns
from penchant.studies.weak_to_strong.stage_settings import ProbesSettings, StudentSettings, SupervisedProbesSettings
from penchant.studies.weak_to_strong.task_grid import Students, read_by
from penchant.studies.weak_to_strong.task_stages import TaskStages
from penchant.tasks.load import is_pairs
from penchant.weak.semi_supervised.settings import Supervised
from penchant.weak.settings import ClassifierSpec, LanguageModel, Mlp, Probe


def probe_students(task: TaskStages, probe: Probe, tuned: bool, labels: Mapping[tuple[str, int], Stage]) -> Students:
    """Return all students of a probed model: the ceiling's stage, and one per supervisor."""
    config = task.config
    shared = {"rows": task.rows, "features": task.activations[read_by(probe, tuned)]}
    for wording in range(len(config.templates)):
        shared[f"wording {wording}"] = task.wordings[read_by(probe, tuned), wording]
    ceiling = ProbesSettings(
        task=task.classes,
        l2=config.l2,
        steps=config.steps,
        seeds=config.seeds,
        controls=config.controls,
        layer=probe.layer,
        rows=probe.rows,
        wordings=len(config.templates),
    )
    batched = {CEILING: task.stage("students", ["students", probe.label, "ceiling"], ceiling, {}, shared)}
    if config.few_rows:
        # a stage of its own, so that the ceiling's keeps the address that it had
        prior = replace(ceiling, few_rows=config.few_rows, controls=False, wordings=0)
        # nobody asks what it says of rows in other words
        read = {name: stage for name, stage in shared.items() if not name.startswith("wording")}
        batched[FEW_LABELS] = task.stage("students", ["students", probe.label, "few rows"], prior, {}, read)
    # one stage per supervisor: one that fails takes nobody's students but its own
    supervised = SupervisedProbesSettings(
        **vars(ceiling) | {"supervised": True},
        losses=tuple(map(loss_content, config.losses)),
        chain=len(config.bootstrap),
        imitation=config.imitation,
        # none is left out of the address, as it was before there were any
        errors=config.errors or None,
        sees_confidence=config.sees_confidence or None,
    )
    # of another supervisor's labels: a stage of their own, with the naive student alone
    naive = replace(
        supervised,
        losses=supervised.losses[:1],
        chain=0,
        imitation=(),
        errors=None,
        sees_confidence=None,
        controls=False,
    )
    for number, supervisor in enumerate(config.weak):
        if not config.is_paired(supervisor, probe):
            continue
        name = weak_name(number)
        needs = {f"labels {seed}": labels[name, seed] for seed in config.seeds}
        if config.bootstrap:
            # only the chain's last labels teach a student; those between are needed by the chain itself
            end = chain_name(name, len(config.bootstrap) - 1)
            needs |= {f"end {seed}": labels[end, seed] for seed in config.seeds}
        names = ["students", probe.label, f"of {supervisor.label}"]
        batched[name] = task.stage("students", names, supervised, task.own_losses, {**shared, **needs})
        for drifted, column in _drifts(config, number):
            needs = {f"labels {seed}": labels[drifted, seed] for seed in config.seeds}
            names = ["students", probe.label, f"of {supervisor.label}", column]
            batched[drifted] = task.stage("students", names, naive, task.own_losses, {**shared, **needs})
    return Students(batched=batched)


@dataclass(frozen=True)
class _Plan:
    """A student that trains alone, whatever the seed.

    Attributes:
        name: as in `Students.single`. description: of the stage. weak: whose labels it learns from; empty for none.
    """

    name: str
    description: str
    settings: StudentSettings
    weak: str = ""


def single_students(
    task: TaskStages, spec: ClassifierSpec, tuned: bool, labels: Mapping[tuple[str, int], Stage]
) -> Students:
    """Return the students that train one by one: of each supervisor and loss, the ceiling, and the controls."""
    config = task.config
    classifier, inputs, needs = task.classifier(spec, tuned)
    ceiling = StudentSettings(
        task=task.classes,
        classifier=classifier,
        loss=CrossEntropy(),
        truth="all",
        templates=config.templates,
        # any seed: each stage has its own
        seed=config.seeds[0],
    )
    # one per strong model and seed, whoever supervises: all supervisors label the same half
    plans = [_Plan(CEILING, "ceiling", ceiling)]
    if config.controls:
        plans.append(_Plan(RANDOM, "random labels", replace(ceiling, truth="random")))
    # a model that no loss reaches is asked once
    trains = not (isinstance(spec, LanguageModel) and spec.training is None)
    for number, supervisor in enumerate(config.weak):
        plans += _plans_of(config, number, f"of {supervisor.label}", ceiling, trains=trains)
        plans += _learners(task, spec, number, f"of {supervisor.label}", ceiling)
    # inputs are no part of an address, so every student may have the paths of all losses
    inputs = {**inputs, **task.own_losses, **task.vectors}
    stages = _stages_of(task, spec, plans, inputs, needs, labels)
    if config.few_rows and (few_spec := _few_rows_spec(task, spec, config.few_rows)):
        few_rows, inputs, needs = task.classifier(few_spec, tuned, alone=True)
        plan = _Plan(FEW_LABELS, "few rows", replace(ceiling, classifier=few_rows, templates=()))
        stages |= _stages_of(task, spec, [plan], inputs, needs, labels)
    return Students(single=stages)


def _stages_of(
    task: TaskStages,
    spec: ClassifierSpec,
    plans: Sequence[_Plan],
    inputs: Mapping[str, str],
    needs: Mapping[str, Stage],
    labels: Mapping[tuple[str, int], Stage],
) -> dict[tuple[str, int], Stage]:
    """Return the stages of some students, one per seed."""
    return {
        (plan.name, seed): task.stage(
            "student",
            ["student", spec.label, plan.description, f"seed {seed}"],
            replace(plan.settings, seed=seed),
            inputs,
            {**needs, **({"labels": labels[plan.weak, seed]} if plan.weak else {})},
            seed,
        )
        for plan in plans
        for seed in task.config.seeds
    }


def _plans_of(
    config: WeakToStrongConfig, number: int, of_supervisor: str, ceiling: StudentSettings, *, trains: bool
) -> list[_Plan]:
    """Return the students of one supervisor, and the controls that are made of its labels."""
    weak, chain = weak_name(number), len(config.bootstrap)
    # the naive student: every other student of weak labels differs from it in one thing
    naive = replace(ceiling, loss=loss_content(config.losses[0]), truth=None)
    plans = []
    for index, loss in enumerate(config.losses if trains else config.losses[:1]):
        name = loss.label if isinstance(loss, CustomWeakLoss) else loss.name
        student = replace(naive, loss=loss_content(loss))
        plans.append(_Plan(student_name(weak, index), f"{of_supervisor} {name}", student, weak))
    for index, share in enumerate(config.imitation):
        shown = replace(naive, leaked_share=share)
        plans.append(_Plan(shown_name(weak, index), f"{of_supervisor} shown {share:g}", shown, weak))
    # from labels of other supervisors: nothing else differs from the naive student
    for drifted, column in _drifts(config, number):
        plans.append(_Plan(student_name(drifted, 0), f"{of_supervisor} {column}", naive, drifted))
    for where in config.errors:
        dealt = replace(naive, truth="noise", errors=where)
        plans.append(_Plan(errors_name(weak, where), f"{of_supervisor} errors by {where}", dealt, weak))
    if config.controls:
        # the first loss, as the naive student has it: only which rows are wrong may differ between the two
        control = replace(naive, truth="noise")
        plans.append(_Plan(noise_name(weak), f"{of_supervisor} errors at random", control, weak))
    if chain:
        plans.append(_Plan(chained_name(weak), f"{of_supervisor} chain", naive, chain_name(weak, chain - 1)))
        if trains:
            # trained as long as the whole chain, or what the chain gains might be no more than its training
            longer = replace(naive, times_as_long=chain + 1)
            plans.append(_Plan(longer_name(weak), f"{of_supervisor} longer", longer, weak))
    return plans


def _learners(
    task: TaskStages, spec: ClassifierSpec, number: int, of_supervisor: str, ceiling: StudentSettings
) -> list[_Plan]:
    """Return the students of one supervisor that keep its surest labels: the same network with each of `algorithms`."""
    config, weak = task.config, weak_name(number)
    if not (isinstance(spec, Mlp | LanguageModel) and config.has_algorithms(spec)):
        return []
    naive = replace(ceiling, loss=loss_content(config.losses[0]), truth=None)
    plans = []
    for index, algorithm in enumerate(config.algorithms):
        network = spec.replace(algorithm=algorithm, confident_share=config.share_of(algorithm))
        settings = replace(naive, classifier=task.classifier(network)[0])
        plans.append(_Plan(algorithm_name(weak, index), f"{of_supervisor} {algorithm.label}", settings, weak))
    return plans


def _drifts(config: WeakToStrongConfig, number: int) -> list[tuple[str, str]]:
    """Return the names of a supervisor's copies that learned before a drift, and of their controls."""
    return [
        (drift_name(weak_name(number), index, drifts=drifts), drift_columns(drift)[0 if drifts else 1])
        for index, drift in enumerate(config.drift)
        for drifts in (True, False)
    ]


def _few_rows_spec(task: TaskStages, spec: ClassifierSpec, few_rows: int) -> ClassifierSpec | None:
    """Return what stands for what a student's model knew of the task; None where nothing can."""
    if isinstance(spec, LanguageModel):
        # fine-tuned on so few rows it would take a step or two; a probe reads texts, or the difference of two options
        has_two = bool(task.spec.classes) or task.name == "hh_harmless" or is_pairs(task.name)
        return Probe(model=spec.model, dtype=spec.dtype, rows=few_rows) if has_two else None
    plain: dict[str, object] = {"algorithm": Supervised()} if hasattr(spec, "algorithm") else {}
    plain |= {"confident_share": None} if isinstance(spec, Mlp) else {}
    # the model's knowledge, and not what an algorithm makes of rows without labels
    return spec.model_copy(update={"rows": few_rows, **plain})


def loss_content(loss: WeakLoss) -> WeakLoss:
    """Return a loss with the content of a user's code in place of its name.

    Raises:
        InputError: the name of a user's loss stands for nothing.
    """
    if not isinstance(loss, CustomWeakLoss):
        return loss
    OWN_WEAK_LOSSES.check(loss.function)
    return loss.replace(function=OWN_WEAK_LOSSES.content(loss.function))
