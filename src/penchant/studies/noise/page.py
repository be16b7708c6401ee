"""Fill in the page of a study of wrong labels from its summary alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penchant.metrics.catalogue import metric
from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, estimate, format_share, number, percent, recorded
from penchant.studies.core.definition import StudyPage
from penchant.studies.noise.figures import few_picture, share_picture
from penchant.studies.noise.summary import FewSummary, NoisePoint, NoiseSummary
from penchant.studies.noise.words import findings, headline, wrong

TITLE = "Wrong labels: which methods withstand them"


def noise_pictures(study: NoiseSummary) -> dict[str, Picture]:
    """Return the figures by key."""
    accuracy, reward = metric("accuracy").title, metric("true_reward").label
    pictures = {
        "accuracy": share_picture(study, "accuracy", f"{accuracy} on unseen, clean comparisons"),
        "reward": share_picture(study, "reward", f"Mean {reward} at the end"),
    }
    return pictures | ({"few": few_picture(study.few)} if study.few else {})


def noise_context(study: NoiseSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return the context that the template is filled with."""
    captions = {
        "accuracy": "On comparisons of other prompts, none of them wrong. A policy prefers the response that it made "
        "more probable than the reference did. The dotted line is chance.",
        "reward": "Of samples for unseen prompts after the last step. The dashed line is the reference. A reward model "
        "samples nothing.",
        "few": "One policy, trained on the same few comparisons again and again: its accuracy on them, and the true "
        "reward of its samples.",
    }
    # The curves' tables have the legend's marks beside their rows, the one of few comparisons has other rows.
    by_share = [
        _by_share(study, f"{pictures['accuracy'].title}.", lambda point: format_share(point.accuracy)),
        _by_share(study, f"{pictures['reward'].title}.", lambda point: recorded(point.reward)),
    ]
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "section": f"By the share of labels {wrong(study)}",
        "methods": [method.label for method in study.methods],
        "figures": [figure_context(key, picture, captions[key]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [*by_share, *([_few_comparisons_table(study.few)] if study.few else [])],
        "legend_tables": by_share,
        "facts": _facts(study),
    }


def _by_share(study: NoiseSummary, caption: str, cell: Callable[[NoisePoint], str]) -> Table:
    """Return a table of a row per learner and a column per share of wrong labels."""
    rows = tuple(
        (method.label, *(DASH if point is None else cell(point) for point in map(method.point_at, study.shares)))
        for method in study.methods
    )
    return Table(caption, (wrong(study), *map(percent, study.shares)), rows)


def _few_comparisons_table(summary: FewSummary) -> Table:
    rows = [
        (
            number(point.epoch, 1),
            percent(point.seen_accuracy),
            estimate(point.reward),
            estimate(point.kl_nats),
        )
        for point in summary.points
    ]
    accuracy, reward = metric("accuracy").label, metric("true_reward").label
    heads = ("times seen", f"{accuracy} on what was seen", reward, metric("kl_nats").column)
    return Table(f"{count(summary.prompts, 'prompt')}, none wrong, many times over.", heads, tuple(rows))


def _facts(study: NoiseSummary) -> list[tuple[str, str]]:
    config, prompts = study.config, study.prompts
    return [
        ("Task", "learn from comparisons of which a part is labelled wrong"),
        ("Model", described(str(config["model"]["name"]))),
        (metric("true_reward").column, str(config["reward"])),
        ("Data", f"{number(study.comparisons or 0, 0)} comparisons, {number(prompts.train or 0, 0)} prompts"),
        ("Unseen prompts", number(prompts.eval or 0, 0)),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=noise_pictures, context=noise_context)
