"""What says that a folder holds a diffusion model, and what is said where text is wanted of it. Imports no torch."""

from __future__ import annotations

DIFFUSION = "penchant_diffusion"
"""The `model_type` of our diffusion models in `config.json`."""
ARCHITECTURE = "PictureNetwork"
NO_TEXT = "is a diffusion model, which draws pictures and writes no text: name a language model"
