"""The page of a study of wrong labels. Reads its numbers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import cell, shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, estimate, number
from penchant.studies.core.definition import StudyPage
from penchant.studies.noise.figures import few_picture, share_picture
from penchant.studies.noise.summary import FewSummary, NoiseSummary
from penchant.studies.noise.words import findings, headline, wrong

TITLE = "Wrong labels: who stands them, and how far"


def noise_pictures(study: NoiseSummary) -> dict[str, Picture]:
    """Return the figures by key."""
    pictures = {
        "accuracy": share_picture(study, "accuracy", "Accuracy on unseen, clean comparisons", level=0.5),
        "reward": share_picture(study, "reward", "Mean true reward at the end"),
    }
    return pictures | ({"few": few_picture(study.few)} if study.few else {})


def noise_context(study: NoiseSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template takes."""
    captions = {
        "accuracy": "Of comparisons of other prompts, none wrong; a policy prefers what it made likelier than the "
        "reference did. The dotted line is guessing.",
        "reward": "Of samples for unseen prompts after the last step; the dashed line is the reference. The reward "
        "model samples nothing.",
        "few": "One policy, the same few comparisons over and over: what it makes of them, and what its samples are "
        "worth.",
    }
    by_share = [_accuracies(study), _rewards(study)]
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "section": f"Against the share that was {wrong(study)}",
        "methods": [method.label for method in study.methods],
        "figures": [figure_context(key, picture, captions[key]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [*by_share, *([_few_comparisons_table(study.few)] if study.few else [])],
        "legend_tables": by_share,
        "facts": _facts(study),
    }


def _accuracies(study: NoiseSummary) -> Table:
    rows = tuple(
        (
            method.label,
            *(
                cell(None if point is None else point.accuracy, percent=True)
                for point in map(method.point_at, study.shares)
            ),
        )
        for method in study.methods
    )
    return Table("Accuracy on unseen, clean comparisons.", _heads(study), rows)


def _rewards(study: NoiseSummary) -> Table:
    rows = tuple(
        (method.label, *(cell(None if point is None else point.reward) for point in map(method.point_at, study.shares)))
        for method in study.methods
    )
    return Table("Mean true reward at the end.", _heads(study), rows)


def _heads(study: NoiseSummary) -> tuple[str, ...]:
    return (wrong(study), *(f"{number(100 * share, 0)}%" for share in study.shares))


def _few_comparisons_table(summary: FewSummary) -> Table:
    rows = [
        (
            number(point.epoch, 1),
            DASH if point.seen_accuracy is None else f"{number(100 * point.seen_accuracy, 0)}%",
            estimate(point.reward),
            estimate(point.kl_nats),
        )
        for point in summary.points
    ]
    heads = ("times seen", "accuracy on what was seen", "true reward", "KL, nats")
    return Table(f"{count(summary.prompts, 'prompt')}, none wrong, many times over.", heads, tuple(rows))


def _facts(study: NoiseSummary) -> list[tuple[str, str]]:
    config, prompts = study.config, study.prompts
    return [
        ("Model", described(str(config["model"]["name"]))),
        ("True reward", str(config["reward"])),
        ("Data", f"{number(study.comparisons or 0, 0)} comparisons, {number(prompts.train or 0, 0)} prompts"),
        ("Unseen prompts", number(prompts.eval or 0, 0)),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(
    pictures=noise_pictures,
    context=noise_context,
)
