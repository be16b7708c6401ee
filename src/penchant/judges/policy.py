"""A language model on this machine as a judge: the verdict's words are scored, nothing is generated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from penchant.engine.reference import fingerprint
from penchant.judges.contract import Done, Question
from penchant.judges.prompts import Template
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.types import PromptGroup, Response, Verdict

WORDS = ("Verdict: A", "Verdict: B")
AT_ONCE = 32


class PolicyJudge:
    """Both verdicts as responses to one prompt, which is forwarded once; the more probable one wins.

    Args:
        model: a built-in name, a folder or a hub id. margin: a smaller difference in nats is a tie.
    """

    def __init__(self, model: str, template: Template, *, device: str = "auto", margin: float = 0.0) -> None:
        check_finished(Path(model).expanduser(), "a judge")
        self.policy = load_policy(model, device=device)
        self.template, self.margin = template, margin
        self.identity = f"policy {fingerprint(self.policy.model)} {template.digest} margin {margin}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        words = [Response(word, finished=False) for word in WORDS]
        for start in range(0, len(questions), AT_ONCE):
            part = questions[start : start + AT_ONCE]
            groups = [PromptGroup(self.template.ask(asked) + "\n", words) for asked in part]
            for place, (a, b) in enumerate(row.tolist() for row in self.policy.score(groups)):
                sure = 1 / (1 + math.exp(-abs(a - b)))
                won = Verdict("tie") if abs(a - b) <= self.margin else Verdict("a" if a > b else "b", confidence=sure)
                done(start + place, Verdict(won.winner, won.confidence, f"logps {a:.4f} and {b:.4f}"))
