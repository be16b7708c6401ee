"""What the learners of the study learn from, made of captions that the captioner drew and of the known contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penchant.errors import InputError
from penchant.rounds.hallucinations import KnownPicture, PairKind, build_pairs
from penchant.studies.hallucination.measures import count_scene_caption, vocabulary_of
from penchant.studies.hallucination.names import Learner
from penchant.tasks.scenes import Scene, caption, caption_prompt
from penchant.types import PromptGroup, Response

SampledCaptions = Sequence[Response]
"""Captions of one picture."""


def learned_groups(
    learner: Learner, scenes: Sequence[Scene], draws: Sequence[SampledCaptions], seed: int
) -> tuple[list[PromptGroup], dict[str, int]]:
    """Return the rows of a learner, and what became of the captions; pictures that give it none are left out.

    Args:
        draws: captions of each picture.

    Raises:
        InputError: no picture gives a row.
    """
    if learner == "sft_corrected":
        return [PromptGroup(caption_prompt(scene), [Response(caption(scene.rows))]) for scene in scenes], {}
    if learner == "sft_best":
        rows = [(scene, best_caption(scene, captions)) for scene, captions in zip(scenes, draws, strict=True)]
        groups = [PromptGroup(caption_prompt(scene), [best]) for scene, best in rows if best is not None]
        counts: dict[str, int] = {}
    else:
        kind: PairKind = "swap" if learner == "dpo_swap" else "best_worst"
        samples = [
            PromptGroup(caption_prompt(scene), list(captions)) for scene, captions in zip(scenes, draws, strict=True)
        ]
        pictures = [KnownPicture(scene.objects) for scene in scenes]
        pairs = build_pairs(samples, pictures, vocabulary_of(scenes[0].world.objects), kinds=(kind,), seed=seed)
        # the column of false claims is for those who look at pairs, and no loss here reads it
        groups, counts = [replace(group, columns={}) for group in pairs.groups], pairs.counts.to_row()
    if not groups:
        raise InputError(
            f"none of {len(scenes)} pictures has captions that {learner} can learn from: draw more of them"
        )
    return groups, counts


def best_caption(scene: Scene, captions: SampledCaptions) -> Response | None:
    """Return the caption with the most true objects, less false and repeated ones; None where none ended by itself."""
    candidates = [response for response in captions if response.finished and response.text.strip()]
    # of equally good ones the first: captions come in the order of their index
    return max(candidates, key=lambda response: count_scene_caption(scene, response.text).score, default=None)
