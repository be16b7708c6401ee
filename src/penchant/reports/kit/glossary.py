"""Explain the terms of a page where they first stand: one list for all pages."""

from __future__ import annotations

import re
from collections.abc import Iterable

# By how a term is written on a page. The order is the order in which several of one sentence are explained.
TERMS: dict[str, str] = {
    "true reward": "what the study measures with, in the place of what people want. A method may have learned from "
    "comparisons or from a learned reward instead.",
    "KL": "how far a policy has moved from its reference: the mean difference of the log-probabilities that the two "
    "give to the policy's responses. 0 is no move.",
    "nats": "the unit of log-probabilities by natural logarithms. One nat more is 2.7 times as probable.",
    "efficiency": "the share of the possible gain in reward, at equal KL, that a method reaches. 0% is the reference, "
    "100% the estimated limit of any policy.",
    "PGR": "performance gap recovered: how much of the way from the supervisor's accuracy to the ceiling's the student "
    "goes. 0 is the supervisor, 1 the ceiling.",
    "ceiling": "the same student, trained on true labels.",
    "naive": "trained on the weak labels as if they were true.",
    "reference": "the model that the policy is held to: the one that training started from, where no other is named.",
    "held-out": "rows that no step trained on.",
    "margin": "by how much what was preferred, or labelled good, leads what was not: in log-probability against the "
    "reference, or in the reward of a reward model.",
    "log-ratio": "a response's log-probability by the policy less that by the reference.",
    "win rate": "wins and half of the ties, as a share of all pairs.",
    "kappa": "agreement of two beyond chance. 1 is full agreement, 0 is chance.",
    "alpha": "Krippendorff's agreement of all raters beyond chance. 1 is full agreement, 0 is chance.",
    "implicit reward": "the reward that a policy acts by: beta times its log-probability of a response less that of "
    "the reference.",
    "PPO-GT": "PPO on the true reward itself, which the other methods do not see while they train.",
    "Preferred-FT": "fine-tuning on the winners of comparisons alone.",
    "Best-of-N": "no training: of N samples of the reference, the one with the highest reward.",
    "Holm": "the p-value after correction for the number of tests on the page.",
    "4-grams": "four tokens in a row; repeated ones show that a text goes in circles.",
    "2-grams": "two tokens in a row; the share that is distinct shows variety.",
    "longest wins": "the accuracy of always picking the longer response.",
    "perplexity": "e to the power of the loss per token. Lower is better.",
}
# Words that other words contain, or that stand for a term in other spellings.
_PATTERNS = {
    "margin": r"(?<![.\w])[Mm]argins?\b",  # not the setting `data.margin`
    "alpha": r"Krippendorff's alpha",
    "kappa": r"[Kk]appa",
    "PGR": r"PGR\b|gap recovered",
    "KL": r"\bKL\b",
    "efficiency": r"[Ee]fficienc(?:y|ies)",
    # "the longer wins 60%" is no win rate of a model
    "win rate": r"[Ww]in rates?|(?<!longer )(?<!longest )\bwins? \d",
    "ceiling": r"\b[Cc]eilings?\b",
}


class Glossary:
    """The terms that a page has explained so far."""

    def __init__(self) -> None:
        self.explained: set[str] = set()

    def explain(self, *texts: str | Iterable[str]) -> list[tuple[str, str]]:
        """Return the terms of these texts that no earlier text of the page had, each with its meaning."""
        text = " ".join(part if isinstance(part, str) else " ".join(part) for part in texts)
        terms = [term for term in TERMS if term not in self.explained and _pattern(term).search(text)]
        self.explained.update(terms)
        return [(term, TERMS[term]) for term in terms]


def _pattern(term: str) -> re.Pattern[str]:
    if term in _PATTERNS:
        return re.compile(_PATTERNS[term])
    # "True reward" above a column is the term as well.
    return re.compile(rf"\b{re.escape(term)}\b", re.IGNORECASE)
