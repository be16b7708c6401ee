"""Collect texts of every method at about the same KL, for a study's summary. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.metrics.limit import best_of_n_kl
from penchant.studies.core.methods import BEST_OF_N, LABELS
from penchant.studies.core.results import MeasuredRun, ReferenceSamples
from penchant.studies.core.settings import SWEPT, TRAINED
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.summary import (
    BestOfNTexts,
    MethodTexts,
    ReferenceTexts,
    SampleText,
    SideBySideTexts,
    TextColumn,
)

EQUAL_KL = 2.0  # nats at which texts stand side by side
SHOWN_PROMPTS = 6


def side_by_side_texts(
    config: FrontierConfig, runs: Sequence[MeasuredRun], reference: ReferenceSamples
) -> SideBySideTexts:
    """Return texts for the first prompts: of the reference its first draw, of a method those of its nearest KL."""
    prompt_indices = range(min(SHOWN_PROMPTS, len(reference.prompts)))
    # The first draw: a text that was picked by its reward would be no sample of the reference.
    first_draws = tuple(_text(reference.texts[i][0], reference.rewards[i, 0]) for i in prompt_indices)
    columns: list[TextColumn] = [ReferenceTexts("reference", "Reference", 0.0, first_draws)]
    for method in TRAINED:
        # Of the first seed alone: a reader compares methods, and every seed would be a column of its own.
        candidates = [
            (run.stage, point, float(point.kl_nats.mean()))
            for run in runs
            if run.stage.kind == method and run.stage.seed == config.seeds[0]
            for point in run.points
        ]
        if candidates:
            stage, point, kl = min(candidates, key=lambda candidate: abs(candidate[2] - EQUAL_KL))
            columns.append(
                MethodTexts(
                    name=method,
                    label=LABELS[method],
                    setting=SWEPT.get(method),
                    value=stage.value,
                    rate=stage.rate,
                    step=point.step,
                    kl_nats=kl,
                    texts=tuple(_text(point.texts[i], point.first_rewards[i]) for i in prompt_indices),
                )
            )
    if config.best_of_n is not None:
        # The first N samples of each prompt, and not the best of all: that would be Best-of-many.
        n = min(config.best_of_n.n, key=lambda size: abs(float(best_of_n_kl(size)) - EQUAL_KL))
        best = [(i, int(reference.rewards[i, :n].argmax())) for i in prompt_indices]
        columns.append(
            BestOfNTexts(
                name=BEST_OF_N,
                label=LABELS[BEST_OF_N],
                setting="N",
                value=float(n),
                kl_nats=float(best_of_n_kl(n)),
                texts=tuple(_text(reference.texts[i][draw], reference.rewards[i, draw]) for i, draw in best),
            )
        )
    return SideBySideTexts(EQUAL_KL, tuple(reference.prompts[i] for i in prompt_indices), tuple(columns))


def _text(text: str, reward: float) -> SampleText:
    return SampleText(text, float(reward))
