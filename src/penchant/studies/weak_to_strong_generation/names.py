"""The methods of students that learn from written answers, by name. Imports no torch."""

from __future__ import annotations

from typing import Literal

Method = Literal[
    "naive",
    "random_half",
    "agreement",
    "self_consistent",
    "likely_half",
    "dpo_consensus",
    "spin",
    "iterative_dpo",
    "ceiling",
]
LABELS: dict[str, str] = {
    "naive": "SFT on all of its answers",
    "random_half": "SFT on a random half",
    "agreement": "SFT where both models agree",
    "self_consistent": "SFT on the half it is surest of",
    "likely_half": "SFT on the half the student finds likelier",
    "dpo_consensus": "SFT, then DPO on consensus pairs",
    "spin": "SFT, then SPIN on its answers",
    "iterative_dpo": "SFT, then iterative DPO towards its answers",
    "ceiling": "SFT on true answers (ceiling)",
}
"""What pages call each method."""
CEILING, NAIVE = "ceiling", "naive"
CONTROLS = ("naive", "random_half")
"""Methods that nothing is expected of."""
HALVES = ("random_half", "self_consistent", "likely_half")
"""Methods that keep half of the rows."""
TWO_STAGES = ("dpo_consensus", "spin", "iterative_dpo")
"""Methods that begin with SFT on all answers, for half of the steps."""
ROUNDS = 2
"""Rounds of SPIN and of iterative DPO, which share the other half."""
