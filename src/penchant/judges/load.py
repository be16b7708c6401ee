"""A judge from its settings."""

from __future__ import annotations

from pathlib import Path

from penchant.judges.chance import RandomJudge
from penchant.judges.contract import Judge, digest
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

            content = content_of(settings.reward)
            return RewardJudge(settings.reward, settings.margin, device=settings.device, content=content)
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


def content_of(reward: str) -> str:
    """A digest of the files that a reward's name stands for, since these may change under it."""
    made = []
    for name in reward.removeprefix("classifier:").split(","):
        place = Path(name.partition(".py:")[0] + ".py" if ".py:" in name else name).expanduser()
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        made += [digest(str(file.stat().st_size), str(file.stat().st_mtime_ns)) for file in files if file.is_file()]
    return digest(*made)[:16] if made else ""
