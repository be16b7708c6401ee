"""Configurations: frozen, strict, and the same from YAML, the command line and Python. Imports no torch."""

from __future__ import annotations

from penchant.config.base import Config

__all__ = ["Config"]
