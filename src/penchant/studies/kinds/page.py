"""Fill in the page of a study of kinds: figures, tables, and the pictures and sounds themselves."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from penchant.codecs.pictures import show_picture
from penchant.codecs.sounds import play_sound
from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, estimate, number
from penchant.studies.core.definition import StudyPage
from penchant.studies.kinds.figures import LEGEND, kinds_pictures
from penchant.studies.kinds.grid import TOGETHER
from penchant.studies.kinds.summary import KindResult, KindsSummary, LearnedKind
from penchant.studies.kinds.words import findings, headline

TITLE = "Preferences over several kinds of output"
INTERVALS = "Intervals are 95%, for new prompts and new seeds together; differences are paired, on the same prompts."
CAPTION = (
    "The change of what is preferred, as a share of its mean before: rewards of different kinds have units of their "
    "own. Together, the model has as many steps for each kind as alone."
)
SIDE = 96  # pixels at which a picture of 28 is shown


def kinds_context(study: KindsSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": INTERVALS,
        "section": "What was preferred, alone and together",
        "methods": list(LEGEND),
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_learned_table(kind) for kind in study.kinds] + ([_interference(study)] if study.kinds else []),
        "legend_tables": [],
        "facts": _facts(study),
        "shown_kinds": [{"name": kind.name, "prompts": _examples(kind)} for kind in study.kinds],
        "side": SIDE,
    }


def _learned_table(kind: KindResult) -> Table:
    guard_before = DASH if kind.before_guard is None else estimate(kind.before_guard)
    # the model before stands first, since every gain is against it
    rows: list[tuple[str, ...]] = [
        ("nothing (before)", estimate(kind.before), DASH, number(0.0, 2), guard_before, DASH)
    ]
    rows += [(_label(kind, result), *_cells(result)) for result in kind.results]
    guard = kind.guard or "guard"
    caption = f"{kind.name}: `{kind.reward}` by what was learned. KL in nats per response, from the model before."
    return Table(caption, ("learned", kind.reward, "gain", "KL", guard, f"change of {guard}"), tuple(rows))


def _label(kind: KindResult, result: LearnedKind) -> str:
    return f"{result.learner} alone" if result.learner != TOGETHER else "all together"


def _cells(result: LearnedKind) -> tuple[str, ...]:
    return (
        estimate(result.reward),
        estimate(result.gain, sign=True),
        estimate(result.kl_nats),
        DASH if result.guard is None else estimate(result.guard),
        DASH if result.guard_change is None else estimate(result.guard_change, sign=True),
    )


def _interference(study: KindsSummary) -> Table:
    rows = [
        (
            kind.name,
            DASH if kind.interference is None else estimate(kind.interference, sign=True),
            DASH if kind.guard_interference is None else estimate(kind.guard_interference, sign=True),
        )
        for kind in study.kinds
    ]
    caption = "Together less alone, paired over seeds and prompts: below 0, the other kinds cost it something."
    return Table(caption, ("kind", "what is preferred", "what is kept"), tuple(rows))


def _examples(kind: KindResult) -> list[dict[str, object]]:
    return [
        {
            "prompt": examples.prompt,
            "rows": [
                {"label": label, "samples": [_sample(text) for text in texts]}
                for label, texts in examples.texts.items()
            ],
        }
        for examples in kind.examples
    ]


def _sample(text: str) -> dict[str, str]:
    """Return a sample as what it is: the address of a picture or of a sound, or a text."""
    # inside the page: it is one file that is sent around
    picture = show_picture(text)
    if picture is not None:
        return {"kind": "picture", "content": _address("image/png", picture.read())}
    sound = play_sound(text)
    if sound is not None:
        return {"kind": "sound", "content": _address("audio/wav", sound.read())}
    return {"kind": "text", "content": text}


def _address(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _facts(study: KindsSummary) -> list[tuple[str, str]]:
    comparisons = ", ".join(f"{number(kind.comparisons, 0)} of {kind.name}" for kind in study.kinds)
    model = study.config.get("model")
    name = model.get("name") if isinstance(model, dict) else model
    return [
        ("Task", "learn what is preferred of each kind, alone and together"),
        ("Model", described(str(name))),
        ("Data", f"comparisons: {comparisons} (first seed)"),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=kinds_pictures, context=kinds_context, template="kinds.html.j2")
