"""Fill in the page of a study of instruction tuning from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import MOST_FACT, figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, estimate, format_share, listing, number, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.instructions.figures import instructions_pictures, of_models
from penchant.studies.instructions.summary import ClusterResult, InstructionsSummary, ModelAccuracies
from penchant.studies.instructions.words import MODELS, direction, findings, headline, shots_of, shots_words

TITLE = "Instruction tuning: what it does to tasks of another kind"
INTERVALS = (
    "Intervals are 95%, for new test rows and new seeds together; differences are paired on the same rows. A gain is "
    "called above or below where its interval is so wide that those of all clusters and numbers of examples hold "
    "together (Bonferroni). Means over a cluster take each of its tasks alike. No setting was tuned here."
)
CAPTION = (
    "Of each test row the answer with the highest likelihood is taken. Tuned without it: on the other clusters alone. "
    "Tuned with it: on all, as many steps."
)


def instructions_context(study: InstructionsSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": INTERVALS,
        "section": "Accuracy by held-out cluster",
        "methods": list(MODELS),
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [*_tables(study), _mixtures(study)],
        # rows are clusters and tasks, which the marks of the legend would not fit
        "legend_tables": [],
        "facts": _facts(study),
        "about": [
            ("Model", described(_model_name(study))),
            ("Clusters", short(listing(cluster.name for cluster in study.clusters), MOST_FACT)),
        ],
    }


def _model_name(study: InstructionsSummary) -> str:
    model = study.config["model"]
    return str(model["name"] if isinstance(model, Mapping) else model)


def _tables(study: InstructionsSummary) -> list[Table]:
    tables = []
    for index, shots in enumerate(shots_of(study)):
        rows = [_row(cluster.name, cluster.accuracies[index]) for cluster in study.clusters]
        # below the clusters, since it has another unit
        rows.append(_row("mean over tasks", study.over_tasks[index]))
        heads = ("held-out cluster", *MODELS, "gain over untuned", "verdict", "over majority", "added by tuning on it")
        caption = f"Held-out clusters, {shots_words(shots)}. The last row has tasks as its unit."
        tables.append(Table(caption, heads, tuple(rows)))
    return [*tables, _tasks(study)]


def _row(name: str, accuracies: ModelAccuracies) -> tuple[str, ...]:
    # in the order of the legend, so that columns and marks agree
    shares = [format_share(measured) for measured in of_models(accuracies).values()]
    gaps = (accuracies.gain, accuracies.over_majority, accuracies.added)
    gain, over_majority, added = (DASH if gap is None else estimate(gap, percent=True, sign=True) for gap in gaps)
    # the mean over tasks is one number, with nothing to correct for
    verdict = direction(accuracies.gain_of_many or accuracies.gain)
    return (name, *shares, gain, verdict, over_majority, added)


def _tasks(study: InstructionsSummary) -> Table:
    """Return the table of every task: accuracies for each number of examples, and its rows."""
    rows = [
        (
            f"{task.title}, {shots_words(accuracies.shots)}",
            cluster.name,
            *(format_share(measured) for measured in of_models(accuracies).values()),
            number(task.test, 0),
            number(task.cut[index], 0),
            number(task.left_out[index], 0),
        )
        for cluster in study.clusters
        for task in cluster.tasks
        for index, accuracies in enumerate(task.accuracies)
    ]
    heads = ("task", "cluster", *MODELS, "test rows", "cut", "examples left out")
    caption = (
        "Every task. Cut: rows whose text, or that of an example, was longer than is read. Examples left out: those "
        "that the model's context had no room for."
    )
    return Table(caption, heads, tuple(rows))


def _mixtures(study: InstructionsSummary) -> Table:
    # a row for each run: rows that left differ from cluster to cluster
    rows = [
        (
            f"without {mixture.left_out_cluster}" if mixture.left_out_cluster else "with all",
            number(mixture.seed, 0),
            number(len(mixture.tasks), 0),
            number(sum(mixture.tasks.values()), 0),
            number(sum(mixture.left_out.values()), 0),
            number(mixture.cut, 0),
        )
        for mixture in study.mixtures
    ]
    heads = ("tuned", "seed", "tasks", "rows", "left out", "cut")
    caption = "What was tuned on. Left out: rows whose content stands in what is measured, too."
    return Table(caption, heads, tuple(rows))


def _facts(study: InstructionsSummary) -> list[tuple[str, str]]:
    config = study.config
    mixing = config["mixing"]
    assert isinstance(mixing, Mapping)
    # which number decides is stated, for it decides who wins
    score = "the log-probability" if config["normalize"] == "none" else "the log-probability per token"
    steps = int(str(config["steps"]))
    return [
        ("Model", described(_model_name(study))),
        ("Tuning", f"{count(steps, 'step')} of {count(int(str(config['batch_size'])), 'row')} for every run"),
        ("Mixture", _mixing_words(mixing)),
        ("Answer", f"the one with the highest {score.removeprefix('the ')}"),
        ("Examples", "rows to tune on of the same task, other ones for each question; the same for all models"),
        ("Tasks", _task_words(study.clusters)),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


def _mixing_words(mixing: Mapping[str, object]) -> str:
    temperature = float(str(mixing["temperature"]))
    cap = "no cap" if mixing["cap"] is None else f"at most {number(float(str(mixing['cap'])), 0)} rows of a task count"
    return f"tasks by their sizes, {cap}, temperature {number(temperature, None)}"


def _task_words(clusters: Sequence[ClusterResult]) -> str:
    return "; ".join(f"{cluster.name}: {listing(task.title for task in cluster.tasks)}" for cluster in clusters)


PAGE = StudyPage(pictures=instructions_pictures, context=instructions_context)
