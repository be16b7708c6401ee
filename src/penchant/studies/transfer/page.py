"""The page of a study of transfer. Reads its numbers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.metrics.catalogue import metric
from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, number, recorded
from penchant.studies.core.definition import StudyPage
from penchant.studies.core.domains import domain_name
from penchant.studies.core.methods import swept_name
from penchant.studies.transfer.figures import carry_picture, domain_picture, temperature_picture
from penchant.studies.transfer.summary import Domain, MethodSummary, TransferSummary
from penchant.studies.transfer.words import findings, headline

TITLE = "Transfer: how much of the gain carries over to other domains"


def transfer_pictures(study: TransferSummary) -> dict[str, Picture]:
    """Return the figures by key."""
    return {
        "carry": carry_picture(study),
        "domains": domain_picture(study),
        "temperature": temperature_picture(study),
    }


def transfer_context(study: TransferSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template takes."""
    captions = {
        "carry": "On the diagonal the whole gain carries over, on the dotted line none of it. Other domains have "
        "equal weight.",
        "domains": "Reward of samples for unseen prompts, less that of the reference for the same prompts.",
        "temperature": "The change on the other domains, against the reference at the same temperature.",
    }
    summary = _summary(study)
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "section": f"The change of {metric('true_reward').label}, on its own domain and on others",
        "methods": [swept_name(method) for method in study.methods],
        "figures": [figure_context(key, picture, captions[key]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [summary, _reference(study), *(_method(study, method) for method in study.methods)],
        # with the legend's marks, since its rows are the methods; those of the other tables are domains
        "legend_tables": [summary],
        "facts": _facts(study),
    }


def _summary(study: TransferSummary) -> Table:
    """Return what carries over at the temperature nearest 1, with the KL on the own domain and on the others."""
    rows = []
    for method in study.methods:
        carry_over = method.at_home
        # a method that was not measured on two domains has dashes, and keeps its row beside the legend's mark
        changes = [recorded(change, sign=True) for change in (carry_over.changes if carry_over else [None] * 3)]
        rows.append((swept_name(method), *changes, _kl(study, method, is_own=True), _kl(study, method, is_own=False)))
    kl = metric("kl_nats")
    kl_heads = (f"{kl.label} on its own, {kl.unit}", "on the others")
    heads = ("method", "change on its own domain", "on the others", "less by", *kl_heads)
    caption = f"Change of the mean {metric('true_reward').label} at temperature {study.headline_temperature:g}."
    return Table(caption, heads, tuple(rows))


def _kl(study: TransferSummary, method: MethodSummary, *, is_own: bool) -> str:
    """Return the range of the domains' KLs."""
    domains = {domain.name for domain in study.domains if domain.own == is_own}
    # only cells at temperature 1 have a KL
    kls = [change.kl_nats.value for change in method.cells if change.domain in domains and change.kl_nats]
    if not kls:
        return DASH
    low, high = number(min(kls), 1), number(max(kls), 1)
    return low if low == high else f"{low} to {high}"


def _reference(study: TransferSummary) -> Table:
    rewards = {(row.domain, row.temperature): row.reward for row in study.reference}
    rows = [
        (
            domain_name(domain),
            *(recorded(rewards.get((domain.name, temperature))) for temperature in study.temperatures),
        )
        for domain in study.domains
    ]
    return Table(f"The reference: mean {metric('true_reward').label}, by temperature.", _heads(study), tuple(rows))


def _method(study: TransferSummary, method: MethodSummary) -> Table:
    """Return reward and change, two rows per domain."""
    rows = []
    for domain in study.domains:
        measured = [method.cell_at(domain.name, temperature) for temperature in study.temperatures]
        rewards = [recorded(None if domain_change is None else domain_change.reward) for domain_change in measured]
        changes = [
            recorded(None if domain_change is None else domain_change.change, sign=True) for domain_change in measured
        ]
        rows += [(domain_name(domain), *rewards), (f"{domain_name(domain)}, change", *changes)]
    reward = metric("true_reward").label
    caption = f"{swept_name(method)}: mean {reward} by temperature, and its change against the reference."
    return Table(caption, _heads(study), tuple(rows))


def _heads(study: TransferSummary) -> tuple[str, ...]:
    return ("domain", *(f"at {temperature:g}" for temperature in study.temperatures))


def _facts(study: TransferSummary) -> list[tuple[str, str]]:
    config = study.config
    domains = [
        (domain_name(domain), f"{count(domain.prompts or 0, 'prompt')}{_left_out(domain)}") for domain in study.domains
    ]
    return [
        ("Task", "train on one domain, and gain reward on others"),
        ("Model", described(str(config["model"]["name"]))),
        (metric("true_reward").column, str(config["reward"])),
        ("Trained on", count(study.prompts.train or 0, "prompt")),
        *domains,
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


def _left_out(domain: Domain) -> str:
    trained_prompts = domain.also_trained_on
    return f", after leaving out {number(trained_prompts, 0)} whose text is trained on" if trained_prompts else ""


PAGE = StudyPage(pictures=transfer_pictures, context=transfer_context)
