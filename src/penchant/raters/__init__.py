"""Measure how far people and judges agree: `penchant agree`."""
