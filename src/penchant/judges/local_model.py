"""A language model on this machine as a judge: the verdict's words are scored, nothing is generated."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from penchant.data.options import TemplateArgs
from penchant.data.rendering.tokenizer_digest import digest_end_ids, digest_tokenizer
from penchant.engine.reference import fingerprint, model_digest
from penchant.judges.contract import Done, Question, higher
from penchant.judges.prompts import Template, load_template
from penchant.judges.settings import LocalPolicy
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.types import PromptGroup, Response, Verdict

# Scored, not generated: an answer each time, its probability, and one forward pass for both (decision 12).
WORDS = ("Verdict: A", "Verdict: B")
AT_ONCE = 32  # questions of one call, after each of which their verdicts are kept


class PolicyJudge:
    """A judge that scores both verdicts as responses to one prompt; the more probable one wins.

    Args:
        model: a built-in name, a folder or a hub id.
        template: what the model is asked.
        device: where it runs.
        margin: a smaller difference in nats is a tie.
        template_args: what its chat template is told beside the question, over what the model was trained with.

    Raises:
        InputError: no such model, one whose training did not end, or an argument that its chat template does not read.
    """

    def __init__(
        self,
        model: str,
        template: Template,
        *,
        device: str = "auto",
        margin: float = 0.0,
        template_args: TemplateArgs | None = None,
    ) -> None:
        check_finished(Path(model).expanduser(), "a judge")
        self.policy = load_policy(model, device=device, template_args=template_args)
        self.template, self.margin = template, margin
        weights = fingerprint(self.policy.model)
        self.identity = f"policy {_content_of(self.policy, weights)} {template.digest} margin {margin}"
        self.former_identities = (f"policy {weights} {template.digest} margin {margin}",)  # of earlier versions

    @classmethod
    def from_settings(cls, settings: LocalPolicy) -> Self:
        """Return the judge that settings describe."""
        template = load_template(settings.template)
        return cls(
            settings.model,
            template,
            device=settings.device,
            margin=settings.margin,
            template_args=settings.template_args,
        )

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Score the two verdicts of each question, with the question's tokens forwarded once."""
        # not finished: what comes after the letter, a full stop or the end, is no part of the verdict
        words = [Response(word, finished=False) for word in WORDS]
        for start in range(0, len(questions), AT_ONCE):
            part = questions[start : start + AT_ONCE]
            groups = [PromptGroup(self.template.ask(question) + "\n", words) for question in part]
            for index, (a, b) in enumerate(row.tolist() for row in self.policy.score(groups)):
                winner = higher(a, b, self.margin)
                # the more probable verdict's share of the two; a tie has no probability here
                confidence = None if winner == "tie" else 1 / (1 + math.exp(-abs(a - b)))
                done(start + index, Verdict(winner, confidence, f"logps {a:.4f} and {b:.4f}"))


def _content_of(policy: Policy, weights: str) -> str:
    """Return a digest of all that a policy's verdicts depend on besides the question.

    Weights alone are not enough: another rotary base or another chat template scores the same words otherwise.

    Args:
        weights: their fingerprint.
    """
    renderer = policy.renderer
    parts = (model_digest(policy.model, weights), digest_tokenizer(renderer), digest_end_ids(renderer))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
