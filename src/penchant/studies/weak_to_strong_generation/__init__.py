"""The study of weak-to-strong generalization where answers are written: see `study`."""
