"""How much of the gap between a weak supervisor and a strong student is recovered."""
