"""Judges: a prompt and two responses in, a verdict out; asked in both orders, and never twice the same."""

from penchant.judges.ask import Answer, ask
from penchant.judges.contract import Judge, Question, judge_one
from penchant.judges.load import make_judge
from penchant.judges.store import VerdictStore

__all__ = ["Answer", "Judge", "Question", "VerdictStore", "ask", "judge_one", "make_judge"]
