"""Experiments that compare methods: a grid of runs, then a page. Imports no torch."""

from penchant.studies.presets import PRESETS, preset
from penchant.studies.settings import FrontierConfig, NoiseConfig

__all__ = ["PRESETS", "FrontierConfig", "NoiseConfig", "preset"]
