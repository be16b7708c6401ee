"""A judge from its settings."""

from __future__ import annotations

from penchant.judges.chance import RandomJudge
from penchant.judges.contract import Judge
from penchant.judges.length import LongestJudge
from penchant.judges.noisy import NoisyJudge
from penchant.judges.panel import PanelJudge
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint, JudgeSpec, LocalPolicy, Longest, Noisy, Panel, People, Random, Reward


def make_judge(settings: JudgeSpec) -> Judge:
    """The judge that settings describe; models are loaded now.

    Raises:
        InputError: no such reward, model, template or file, or no key for the endpoint.
    """
    match settings:
        case Longest():
            return LongestJudge()
        case Random():
            return RandomJudge(settings.seed)
        case Reward():
            from penchant.judges.scored import RewardJudge

            return RewardJudge(settings.reward, settings.margin, device=settings.device)
        case LocalPolicy():
            from penchant.judges.policy import PolicyJudge

            template = load_template(settings.template)
            return PolicyJudge(settings.model, template, device=settings.device, margin=settings.margin)
        case Endpoint():
            from penchant.judges.endpoint import EndpointJudge

            return EndpointJudge(settings)
        case People():
            from penchant.judges.people import PeopleJudge

            return PeopleJudge(settings.paths)
        case Panel():
            return PanelJudge([make_judge(one) for one in settings.judges])
        case Noisy():
            return NoisyJudge(make_judge(settings.judge), settings.rate, settings.seed)
