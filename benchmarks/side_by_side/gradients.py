"""Worker: how far two gradients are apart."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open

from side_by_side.recording import read_job


def main() -> None:
    """Leave the norm of the difference over the norm of the second, all weights together."""
    job, result = read_job()
    with safe_open(job["ours"], "pt") as ours, safe_open(job["theirs"], "pt") as theirs:
        names = sorted(theirs.keys())
        if sorted(ours.keys()) != names:
            raise SystemExit(f"gradients of other weights: {set(ours.keys()) ^ set(names)}")
        apart = norm = 0.0
        for name in names:
            mine, its = ours.get_tensor(name).double(), theirs.get_tensor(name).double()
            apart += float((mine - its).square().sum())
            norm += float(its.square().sum())
    told = {"gradient_norm": norm**0.5, "gradient_difference": (apart / norm) ** 0.5, "weights": len(names)}
    Path(result).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
