"""Make a judge of its settings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from penchant.judges.contract import Judge

if TYPE_CHECKING:
    from penchant.judges.settings import AnyJudge


def make_judge(settings: AnyJudge) -> Judge:
    """Return the judge that settings describe; models are loaded now.

    Raises:
        InputError: no such reward, model, template or file, no key for the endpoint, or code of the user's that makes
            no judge.
    """
    # imported here: some judges bring torch, others a client of an endpoint, and a run needs one of them
    module, _, name = settings.implementation.partition(":")
    judge: Judge = getattr(import_module(module), name).from_settings(settings)
    return judge
