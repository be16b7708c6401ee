"""The page of runs: what was trained, what it reached, samples side by side."""
