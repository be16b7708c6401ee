"""Make an advisor of its settings."""

from __future__ import annotations

from penchant.rounds.oversight.advisors import Advisor, ScriptedAdvisor, SilentAdvisor
from penchant.rounds.oversight.settings import AdvisorSpec, EndpointAdvisor, PolicyAdvisor, Scripted, Silent
from penchant.rounds.oversight.writers import WritingEndpoint, WritingPolicy


def make_advisor(settings: AdvisorSpec) -> Advisor:
    """Return the advisor that settings describe; a model is loaded when it first speaks."""
    match settings:
        case Silent():
            return SilentAdvisor()
        case Scripted():
            return ScriptedAdvisor(settings)
        case PolicyAdvisor():
            return WritingPolicy(settings)
        case EndpointAdvisor():
            return WritingEndpoint(settings)
