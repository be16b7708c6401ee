"""Penchant."""
