"""Worker: Penchant's DPO on one workload, through the training loop that every method uses.

The same parts as `penchant train dpo`, without held-out evaluation, samples and checkpoints, which TRL's side leaves
out too. The reference table starts empty.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from penchant.data import load_preferences
from penchant.data.render import render_all
from penchant.data.settings import DataConfig
from penchant.engine.reference import ReferenceTable, fingerprint, reference_logps
from penchant.engine.score import batches, score_rows, token_budget
from penchant.losses.settings import Sigmoid
from penchant.methods.dpo import DPO
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.train.batch import Dataset, micro_batches
from penchant.train.gradient import Loop, plan, train
from penchant.train.objectives import preference
from penchant.train.plan import comparison_unit
from penchant.train.run_folder import RunFolder
from penchant.train.settings import AdamW, RMSprop
from side_by_side.recording import Recording, read_job, same_tokens


class Recorder(RunFolder):
    """A run directory that is never made: the steps' numbers go to the recording."""

    def __init__(self, config: DPO, recording: Recording) -> None:
        super().__init__(None, config, writes=False)
        self.recording = recording

    def append(self, name: str, row: dict[str, Any]) -> None:
        """A line of metrics, as the loop writes it after each step."""
        names = ("loss", "chosen_logps", "rejected_logps", "grad_norm")
        self.recording.step(**{name: row[name] for name in names})


def main() -> None:
    """Load, score the reference, train; leave the recording."""
    job, result = read_job()
    torch.set_num_threads(job["threads"])
    recording = Recording()
    folder = Path(job["data"])
    config = _config(job)
    policy = load_policy(job["model"], template="plain", device="cpu", dtype="float32")
    groups, rendered, _ = render_all(load_preferences(folder / "prefs.jsonl"), policy.renderer)
    seen = [[list(row.prompt_ids), *(list(branch.ids) for branch in row.branches)] for row in rendered]
    same_tokens("Penchant", json.loads((folder / "ids.json").read_text())["groups"], seen)

    scorer = policy.scorer
    budget = config.tokens_per_batch or token_budget(scorer.device, rendered)
    table = ReferenceTable(Path(job["scratch"]), fingerprint(policy.model), "float32")
    reference = reference_logps(scorer, rendered, table, budget=budget)
    rows = [(row, range(len(row.branches))) for row in rendered]
    again = score_rows(scorer, rows[:4])  # the method's own check, that the policy starts from the reference
    if (again - torch.cat(reference[:4])).abs().max() > 1e-2:
        raise SystemExit("the policy does not score as its reference at step 0")

    data = Dataset(rendered, reference)
    units = [[comparison_unit(comparison) for comparison in group.comparisons] for group in groups]
    loop = Loop(
        config,
        policy,
        data,
        units,
        preference(config.loss),
        Recorder(config, recording),
        Accelerator(cpu=True),
        None,
        budget,
    )
    recording.ready()
    train(loop)

    trained = [
        batch for step in plan(config, units) for batch in micro_batches(step, data, budget=budget, plain=scorer.plain)
    ]
    scored = batches(rows, budget=budget, plain=scorer.plain)
    tokens = {
        "policy_real": sum(batch.forwarded for batch in trained),
        "policy_padded": sum(part.input_ids.numel() for batch in trained for part in batch.batches),
        "reference_padded": sum(part.input_ids.numel() for part in scored),
    }
    recording.write(
        result,
        tokens=tokens,
        threads=torch.get_num_threads(),
        libraries=["penchant", "torch", "transformers", "accelerate"],
    )


def _config(job: dict[str, Any]) -> DPO:
    rate = job["learning_rate"]
    return DPO(
        model=ModelConfig(name=job["model"]),
        data=DataConfig(path=str(Path(job["data"]) / "prefs.jsonl")),
        loss=Sigmoid(beta=job["beta"]),
        batch_size=job["pairs_per_step"],
        optimizer=AdamW(learning_rate=rate) if job["optimizer"] == "adamw" else RMSprop(learning_rate=rate),
        clip=job["clip"],
        tokens_per_batch=job["tokens_per_batch"],
        precision="float32",
        max_steps=job["steps"],
    )


if __name__ == "__main__":
    main()
