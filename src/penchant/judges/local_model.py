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
ROOM = max(len(word.encode()) for word in WORDS)  # tokens of a verdict at most, since each holds a byte or more
TOO_LONG = "the question is longer than the model's context"


class PolicyJudge:
    """A judge that scores both verdicts as responses to one prompt; the more probable one wins.

    A question beyond the model's context has no verdict.

    Args:
        model: a built-in name, a folder or a hub id; or a policy that is loaded already.
        template: what the model is asked.
        device: where it runs; a policy stays where it is.
        margin: a smaller difference in nats is a tie.
        template_args: what its chat template is told beside the question, over what the model was trained with; a
            policy keeps its own.

    Raises:
        InputError: no such model, one whose training did not end, or an argument that its chat template does not read.
    """

    def __init__(
        self,
        model: str | Policy,
        template: Template,
        *,
        device: str = "auto",
        margin: float = 0.0,
        template_args: TemplateArgs | None = None,
    ) -> None:
        if isinstance(model, str):
            check_finished(Path(model).expanduser(), "a judge")
            model = load_policy(model, device=device, template_args=template_args)
        self.policy = model
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
        texts = [self.template.ask(question) + "\n" for question in questions]
        fitting = [index for index, text in enumerate(texts) if self.policy.has_room(text, ROOM)]
        # one question that is too long must not take the verdicts of all others away
        for index in sorted(set(range(len(texts))) - set(fitting)):
            done(index, Verdict("unparseable", transcript=TOO_LONG))
        for start in range(0, len(fitting), AT_ONCE):
            part = fitting[start : start + AT_ONCE]
            rows = self.policy.score([PromptGroup(texts[index], words) for index in part])
            for index, (a, b) in zip(part, (row.tolist() for row in rows), strict=True):
                winner = higher(a, b, self.margin)
                # the more probable verdict's share of the two; a tie has no probability here
                confidence = None if winner == "tie" else 1 / (1 + math.exp(-abs(a - b)))
                done(index, Verdict(winner, confidence, f"logps {a:.4f} and {b:.4f}"))


def _content_of(policy: Policy, weights: str) -> str:
    """Return a digest of all that a policy's verdicts depend on besides the question.

    Weights alone are not enough: another rotary base or another chat template scores the same words otherwise.

    Args:
        weights: their fingerprint.
    """
    renderer = policy.renderer
    parts = (model_digest(policy.model, weights), digest_tokenizer(renderer), digest_end_ids(renderer))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
