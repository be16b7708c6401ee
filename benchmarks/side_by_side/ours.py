"""Worker: Penchant's DPO on one row's data, by the very code of `penchant train dpo`.

Only the run directory is not made: TRL's side saves nothing either. No held-out prompts, no samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from penchant.data.settings import DataConfig
from penchant.losses.settings import Sigmoid
from penchant.methods.dpo import DPO, run
from penchant.models.settings import ModelConfig
from penchant.runs.run_folder import RunFolder
from penchant.train import gradient_run as session
from penchant.train.gradient import Loop, plan
from penchant.train.settings import AdamW, Evaluate
from side_by_side.recording import Recording, keep_first_gradient, read_job, same_tokens

NOTED = ("loss", "chosen_logps", "rejected_logps", "grad_norm")


def main() -> None:
    """Train as the command does; leave the recording."""
    job, result = read_job()
    torch.set_num_threads(job["threads"])
    recording = Recording()
    seen: dict[str, Any] = {"forwarded": 0.0}

    class Recorder(RunFolder):
        """A run directory that is never made: the steps' numbers go to the recording."""

        def __init__(self, path: str | None, config: DPO, **_: Any) -> None:
            super().__init__(None, config, writes=False)

        def append(self, name: str, row: dict[str, Any]) -> None:
            """A line of metrics, as the loop writes it after each step."""
            if row.get("kind") == "train":
                recording.step(**{noted: row[noted] for noted in NOTED})
                seen["forwarded"] += row["tokens_per_s"] * row["seconds"]

    train = session.train

    def watched(loop: Loop, **options: Any) -> str:
        """The loop, once the data that it got was looked at."""
        expected = json.loads((Path(job["data"]) / "ids.json").read_text())["groups"]
        got = [[list(row.prompt_ids), *(list(branch.ids) for branch in row.branches)] for row in loop.data.rendered]
        same_tokens("Penchant", expected, got)
        seen["needed"] = needed(loop)
        if job["gradient"]:
            keep_first_gradient(loop.policy.model, job["gradient"])
        recording.ready()
        return train(loop, **options)

    session.RunFolder, session.train = Recorder, watched  # type: ignore[misc]
    run(_config(job))
    recording.write(
        result,
        tokens=seen,
        threads=torch.get_num_threads(),
        libraries=["penchant", "torch", "transformers", "accelerate"],
    )


def needed(loop: Loop) -> list[dict[str, int]]:
    """For each step the least that must be computed: tokens through the trunk and positions through the head.

    Every prompt and every response once, without the last token of a response, whose state predicts nothing.
    """
    steps = []
    for step in plan(loop.config, loop.units):
        tokens = positions = 0
        for group, units in step:
            row = loop.data.rendered[group]
            branches = [row.branches[index] for index in {index for unit in units for index in unit.responses}]
            tokens += len(row.prompt_ids) + sum(len(branch.ids) - 1 for branch in branches)
            positions += sum(branch.scored for branch in branches)
        steps.append({"tokens": tokens, "positions": positions})
    return steps


def _config(job: dict[str, Any]) -> DPO:
    return DPO(
        model=ModelConfig(name=job["model"], dtype="float32", device="cpu"),
        data=DataConfig(path=str(Path(job["data"]) / "prefs.jsonl"), held_out=0, template="plain"),
        loss=Sigmoid(beta=job["beta"]),
        batch_size=job["pairs_per_step"],
        optimizer=AdamW(learning_rate=job["learning_rate"]),
        clip=job["clip"],
        precision="float32",
        max_steps=job["steps"],
        evaluate=Evaluate(samples=None),
    )


if __name__ == "__main__":
    main()
