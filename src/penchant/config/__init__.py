"""Configurations: frozen, strict, and the same from YAML, the command line and Python. Imports no torch."""

from __future__ import annotations

from penchant.config.base import Config
from penchant.config.listing import describe, undocumented_fields
from penchant.config.loading import load_config, to_yaml

__all__ = ["Config", "describe", "load_config", "to_yaml", "undocumented_fields"]
