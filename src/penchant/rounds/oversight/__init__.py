"""Scalable oversight: protocols by which a weak reader supervises those who know more. Imports no torch."""
