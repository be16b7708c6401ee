"""Worker: TRL's DPOTrainer on one row's data. Runs in TRL's own environment, so it imports nothing of Penchant.

Settings where TRL's defaults differ: float32 (bf16 is on by default), no gradient checkpointing (slower), sequential
order (so that each step has the same pairs as ours), no truncation, no checkpoints, no trackers. Its
`batch_rebalance` sampling is not used: it makes micro-batches of unequal size, whose plain mean is another loss.
The data is read with `load_dataset`, so that TRL finds a precomputed reference again, as its users do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from side_by_side.recording import Recording, keep_first_gradient, read_job, same_tokens


class CountingCollator(DataCollatorForPreference):
    """TRL's own collator, counting the tokens that it lets through."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A padded batch."""
        batch = super().torch_call(examples)
        self.padded = getattr(self, "padded", 0) + batch["input_ids"].numel()
        return batch


class Record(TrainerCallback):
    """Hands the trainer's log of each step to the recording; notes what was counted before the first one."""

    def __init__(self, recording: Recording, collator: CountingCollator) -> None:
        self.recording, self.collator = recording, collator
        self.before = 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Model loaded, data tokenized, reference precomputed where asked."""
        self.before = getattr(self.collator, "padded", 0)
        self.recording.ready()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """One optimizer step (the last log, a summary of the run, is none)."""
        if "loss" in logs:
            self.recording.step(
                loss=float(logs["loss"]),
                chosen_logps=logs["logps/chosen"],
                rejected_logps=logs["logps/rejected"],
                grad_norm=float(logs["grad_norm"]),
            )


def main() -> None:
    """Load, precompute the reference where asked, train; leave the recording."""
    job, result = read_job()
    torch.set_num_threads(job["threads"])
    recording = Recording()
    folder = Path(job["data"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    collator = CountingCollator(pad_token_id=tokenizer.pad_token_id)
    record = Record(recording, collator)
    trainer = DPOTrainer(
        job["model"],
        args=_config(job),
        train_dataset=load_dataset("json", data_files=str(folder / "pairs.jsonl"), split="train"),
        processing_class=tokenizer,
        data_collator=collator,
        callbacks=[record],
    )
    _check_tokens(trainer.train_dataset, folder)
    if job["gradient"]:
        keep_first_gradient(trainer.model, job["gradient"])
    trainer.train()
    recording.write(
        result,
        tokens={"forwarded": collator.padded - record.before, "reference": record.before},
        threads=torch.get_num_threads(),
        libraries=["trl", "torch", "transformers", "accelerate", "datasets"],
    )


def _check_tokens(dataset: Dataset, folder: Path) -> None:
    data = json.loads((folder / "ids.json").read_text())
    groups = data["groups"]
    expected = [
        [groups[group][0], groups[group][1 + winner], groups[group][1 + loser]]
        for group, winner, loser in data["pairs"]
    ]
    seen = [[row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]] for row in dataset]
    same_tokens("TRL", expected, seen)


def _config(job: dict[str, Any]) -> DPOConfig:
    return DPOConfig(
        output_dir=job["scratch"],
        use_cpu=True,
        bf16=False,
        model_init_kwargs={"dtype": "float32"},
        gradient_checkpointing=False,
        beta=job["beta"],
        max_length=None,
        precompute_ref_log_probs=job["precompute"],
        precompute_ref_batch_size=job["trl_batch"],
        per_device_train_batch_size=job["trl_batch"],
        gradient_accumulation_steps=job["pairs_per_step"] // job["trl_batch"],
        max_steps=job["steps"],
        train_sampling_strategy="sequential",
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=job["clip"],
        optim="adamw_torch_fused",
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )


if __name__ == "__main__":
    main()
