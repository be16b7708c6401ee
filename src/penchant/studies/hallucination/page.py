"""Fill in the page of a study of hallucinations from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, estimate, format_share, number, percent
from penchant.studies.core.definition import StudyPage
from penchant.studies.hallucination.figures import hallucination_pictures
from penchant.studies.hallucination.names import LABELS
from penchant.studies.hallucination.summary import Change, HallucinationSummary, WorldResult
from penchant.studies.hallucination.words import DECODINGS, findings, headline

TITLE = "Hallucinations: what mends a captioner that names what is not there"
INTERVALS = (
    "Intervals are 95%, for new pictures and new seeds together (a seed draws the pictures and captions that are "
    "learned from); changes are paired, on the same pictures and seeds."
)
CAPTION = (
    "A mark for each captioner, of its likeliest captions: how many name an object that is not there, against the "
    "share of the objects that are there which they name. Down and right is better."
)
NOTE = (
    "The likeliest captions of the first seed. Marked: what the picture does not show. The pictures are the first of "
    "those whose caption was false before, and the first of those whose caption was not."
)


def hallucination_context(study: HallucinationSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    # the marks of the legend are those of the captioners of the first world: all worlds have the same ones
    measured = next((world for world in study.worlds if world.captioners), None)
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": INTERVALS,
        "section": "False objects and recall",
        "methods": [result.label for result in measured.captioners] if measured else [],
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        # a world whose stages all failed has its reasons among the failures, and no table
        "tables": [table for world in study.worlds if world.captioners for table in _tables(world)],
        "legend_tables": [],
        "facts": _facts(study),
        "galleries": [_gallery(world) for world in study.worlds if world.examples],
        "gallery_note": NOTE,
    }


def _tables(world: WorldResult) -> list[Table]:
    decoding_tables = [_captions(world, decoding) for decoding in DECODINGS]
    # questions are left out where none was asked
    return [*decoding_tables, _style(world), *([_questions(world)] if world.questions else []), _controls(world)]


def _captions(world: WorldResult, decoding: str) -> Table:
    rows = []
    for result in world.captioners:
        # two tables of one form: greedy and drawn captions are compared column by column
        measures = result.greedy if decoding == "greedy" else result.sampled
        rows.append(
            (
                result.label,
                format_share(measures["false_caption"].value),
                _change_cell(measures["false_caption"], percent=True),
                _change_cell(measures["false_mentions"]),
                format_share(measures["companion"].value),
                format_share(measures["recall"].value),
                _change_cell(measures["recall"], percent=True),
            )
        )
    caption = f"{world.label}: {DECODINGS[decoding]}. Changes are to the captioner before the second step."
    heads = (
        "captioner",
        "captions with a false object",
        "change",
        "false objects per caption, change",
        "name the absent companion",
        "recall of true objects",
        "change of recall",
    )
    return Table(_capital(caption), heads, tuple(rows))


def _style(world: WorldResult) -> Table:
    rows = [
        (
            result.label,
            format_share(result.greedy["false_sentences"].value),
            estimate(result.greedy["mentions"].value),
            estimate(result.greedy["words"].value),
            format_share(result.greedy["repeated"].value),
            format_share(result.greedy["empty"].value),
            # of the captioner before, from itself
            DASH if result.kl_nats is None else estimate(result.kl_nats),
            DASH if result.rows is None else number(result.rows, 0),
        )
        for result in world.captioners
    ]
    caption = (
        f"{world.label}: sentences, length and style of the likeliest captions. The KL is of captions drawn at "
        "temperature 1, from the captioner before."
    )
    heads = (
        "captioner", "sentences with a false object", "objects named", "words", "name one twice", "name none",
        "KL (nats)", "rows learned from",
    )  # fmt: skip
    return Table(_capital(caption), heads, tuple(rows))


def _questions(world: WorldResult) -> Table:
    rows = [
        (
            result.label,
            question.kind,
            format_share(question.accuracy.value),
            _change_cell(question.accuracy, percent=True),
            format_share(question.yes),
            percent(question.unreadable, 1),
        )
        # kinds of absent objects below each other: the harder ones are the companions
        for result in world.captioners
        for question in result.questions
    ]
    caption = (
        f"{world.label}: questions whether an object is there, half of which are about one that is. An answer that is "
        "neither yes nor no counts as wrong."
    )
    return Table(
        _capital(caption), ("captioner", "absent objects", "right", "change", "say yes", "neither"), tuple(rows)
    )


def _controls(world: WorldResult) -> Table:
    rows = [
        (
            result.label,
            format_share(result.companions_kept.value),
            _change_cell(result.companions_kept, percent=True),
            format_share(result.other_picture["recall"]),
            format_share(result.no_picture["recall"]),
        )
        for result in world.captioners
    ]
    caption = (
        f"{world.label}, controls: companions that are there and are named; recall where a caption is held against "
        "another picture, and where it was written without one."
    )
    heads = (
        "captioner",
        "companions that are there",
        "change",
        "recall of another picture",
        "recall without a picture",
    )
    return Table(_capital(caption), heads, tuple(rows))


def _change_cell(change: Change, *, percent: bool = False) -> str:
    return DASH if change.change is None else estimate(change.change, percent=percent, sign=True)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _gallery(world: WorldResult) -> dict[str, object]:
    """Return a world's pictures with their captions as the template takes them."""
    # as the legend has them
    labels = {result.name: result.label for result in world.captioners}
    return {
        "title": _capital(world.label),
        "pictures": [
            {
                "png": example.png,
                "objects": ", ".join(example.objects),
                "captions": [
                    {"who": labels.get(name, LABELS[name]), "parts": parts} for name, parts in example.captions.items()
                ],
            }
            for example in world.examples
        ],
    }


def _facts(study: HallucinationSummary) -> list[tuple[str, str]]:
    config = study.config
    learning = config["learning"]
    counts = [
        f"{world.label}: {number(world.pictures, 0)} without companions, {number(world.together, 0)} with, "
        f"{number(world.questions, 0)} asked of"
        for world in study.worlds
    ]
    return [
        ("Task", "describe pictures whose contents are known"),
        ("Model", study.model),
        ("Pictures to measure on", "; ".join(counts)),
        ("Data", f"{config['samples']} captions of each of {number(config['train'], 0)} pictures per seed"),
        (
            "Learning",
            f"{learning['steps']} steps of {learning['batch_size']} rows, learning rate {learning['learning_rate']:g}, "
            f"beta {learning['beta']:g}, alpha {learning['alpha']:g}",
        ),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=hallucination_pictures, context=hallucination_context, template="hallucination.html.j2")
