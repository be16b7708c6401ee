"""Names of the study's learners, worlds and files. Imports no torch."""

from __future__ import annotations

from typing import Literal, get_args

Learner = Literal["dpo", "dpo_swap", "sft_best", "sft_corrected", "unlikelihood"]
"""What a captioner learns from in the second step: pairs of its own captions, the best against the worst; its right
captions against themselves with one object exchanged for a false one; the best of its captions; captions that are right
by the known contents; and its best captions beside its worst ones, which are made less likely."""
LEARNERS: tuple[Learner, ...] = get_args(Learner)
WorldName = Literal["scenes", "collages"]
WORLDS: tuple[WorldName, ...] = get_args(WorldName)
START = "start"
"""The captioner before the second step."""
LABELS = {
    START: "before",
    "dpo": "DPO, best against worst",
    "dpo_swap": "DPO, one object exchanged",
    "sft_best": "SFT on the best of its captions",
    "sft_corrected": "SFT on corrected captions",
    "unlikelihood": "unlikelihood",
}
"""Names of learners as pages have them."""
WORLD_LABELS = {"scenes": "rendered scenes", "collages": "collages of Fashion-MNIST"}
