"""Convert axolotl's YAML."""

from __future__ import annotations

from penchant.conversion.axolotl_datasets import write_datasets
from penchant.conversion.rules import (
    Draft,
    Library,
    Rule,
    Values,
    as_number,
    copy_value,
    harmless,
    held_out_writer,
    length_writer,
    number,
    refusal,
    together,
    without_counterpart,
)
from penchant.conversion.shared import (
    NO_PROMPTS,
    epochs_writer,
    put_batch_size,
    put_optimizer,
    put_schedule,
    write_attention,
    write_bf16,
    write_clip,
    write_evaluation_steps,
    write_steps,
    write_template,
)

VERSION = "commit 002a637"
PAIR_LOSSES = {"dpo": "sigmoid", "ipo": "ipo_mean", "orpo": "orpo", "simpo": "simpo"}
"""By axolotl's `rl`, our loss on pairs."""
METHODS = {
    "no `rl`": "sft",
    "rl: dpo": "dpo",
    "rl: ipo": "dpo with loss=ipo_mean",
    "rl: orpo": "dpo with loss=orpo",
    "rl: simpo": "dpo with loss=simpo",
    "rl: kto": "kto",
    "reward_model: true": "reward_model",
    "rl: grpo": "`grpo`; its settings are not converted, write them by hand",
}
WARMUP = 0.03
"""axolotl's warm-up where a file gives none: `_configure_warmup_and_logging` in `core/builders/base.py`."""


def find_method(values: Values) -> str | None:
    """Return our method."""
    if values.get("reward_model") is True:
        return "reward_model"
    objective = values.get("rl")
    # fine-tuning is what axolotl does unless told otherwise
    if not objective:
        return "sft"
    if str(objective) in PAIR_LOSSES or objective is True:  # as text: a list is no key
        return "dpo"
    return str(objective) if objective == "kto" else None


def _write_adapter(draft: Draft, value: object, values: Values) -> None:
    if value in ("lora", "qlora"):
        draft.put("model.lora.rank", int(as_number(values.get("lora_r")) or 8))
        draft.put("model.lora.alpha", as_number(values.get("lora_alpha")) or 16.0)
        draft.put("model.lora.dropout", as_number(values.get("lora_dropout")) or 0.0)
        targets = values.get("lora_target_modules")
        # axolotl asks for one of the two; without either peft would choose by the type of model
        if values.get("lora_target_linear") is True or not targets:
            targets = "all-linear"
        draft.put("model.lora.targets", targets)
    if value == "qlora":
        draft.lose("adapter", "quantized bases are not trained here: lora stands in place of qlora")
    elif value not in (None, "", "lora"):
        draft.lose("adapter", f"there are no adapters of the kind {value}")


def _write_flash(draft: Draft, value: object, _: Values) -> None:
    if value is True:
        draft.put("model.attention", "flash_attention_2")


def _write_early_stopping(draft: Draft, value: object, _: Values) -> None:
    patience = as_number(value)
    if patience:
        draft.put("early_stopping.patience", int(patience))


def _finish(draft: Draft, values: Values, devices: int) -> None:
    put_batch_size(draft, values, devices, ("micro_batch_size", 1))
    put_optimizer(draft, values, "optimizer")
    put_schedule(draft, values, "lr_scheduler", "cosine", warmup=WARMUP)
    if not (as_number(values.get("warmup_steps")) or as_number(values.get("warmup_ratio"))):
        draft.remark(f"axolotl warms up over {WARMUP:.0%} of the steps, at most 100, where the file does not say")
    beta = as_number(values.get("rl_beta", values.get("dpo_beta")))
    if draft.method == "kto":
        draft.put("beta", 0.1 if beta is None else beta)
    if draft.method != "dpo":
        return
    objective = str(values.get("rl"))
    name = PAIR_LOSSES.get(objective, "sigmoid")
    loss: dict[str, object] = {"name": name}
    # each trainer of TRL below axolotl calls its strength `beta`, and orpo's is a weight
    if name == "orpo":
        weight = as_number(values.get("orpo_alpha"))
        loss["weight"] = 0.1 if weight is None else weight
    else:
        loss["tau" if name == "ipo_mean" else "beta"] = 0.1 if beta is None else beta
    if name == "simpo":
        gamma = as_number(values.get("simpo_gamma"))
        loss["gamma"] = 0.5 if gamma is None else gamma
    smoothing = as_number(values.get("dpo_label_smoothing"))
    # TRL's other trainers take no smoothing from axolotl
    if name == "sigmoid" and smoothing:
        loss["label_smoothing"] = smoothing
    if name == "sigmoid" and as_number(values.get("rpo_alpha")):
        loss["nll_weight"] = as_number(values["rpo_alpha"])
    draft.put("loss", loss)


RULES = [
    Rule("base_model", "model.name", copy_value("model.name")),
    Rule(
        "trust_remote_code",
        "model.trust_remote_code",
        lambda draft, value, _: draft.put("model.trust_remote_code", True) if value is True else None,
    ),
    Rule("flash_attention", "model.attention=flash_attention_2", _write_flash),
    Rule("attn_implementation", "model.attention", write_attention("attn_implementation")),
    Rule("datasets", "data.path, data.sources", write_datasets),
    Rule(
        "chat_template",
        "data.template",
        write_template,
        reason="`penchant data show` shows what it writes",
    ),
    Rule(
        "chat_template_jinja",
        "data.template (a file)",
        reason="write it into a .jinja file and set data.template to that",
    ),
    # rows beyond it are dropped by axolotl too
    Rule("sequence_len", "data.max_length", length_writer(512), default=512),
    Rule(
        "val_set_size",
        "data.held_out",
        held_out_writer("val_set_size holds out rows there, and prompts here (data.held_out)"),
        default=0.0,
    ),
    Rule("adapter", "model.lora", _write_adapter),
    *together("model.lora.rank", "lora_r"),
    *together("model.lora.alpha", "lora_alpha"),
    *together("model.lora.dropout", "lora_dropout"),
    *together("model.lora.targets", "lora_target_modules", "lora_target_linear"),
    *together("the method, loss.name", "rl"),
    *together("loss.beta, beta (kto)", "rl_beta", "dpo_beta"),
    *together("loss.weight (orpo)", "orpo_alpha"),
    *together("loss.gamma (simpo)", "simpo_gamma"),
    *together("loss.label_smoothing", "dpo_label_smoothing"),
    *together("loss.nll_weight", "rpo_alpha"),
    *together("the method", "reward_model", "num_labels"),
    Rule("center_rewards_coefficient", reason="rewards are centred after training here (the model's offset)"),
    Rule("kto_desirable_weight", "desirable_weight", number("desirable_weight"), methods=("kto",)),
    Rule("kto_undesirable_weight", "undesirable_weight", number("undesirable_weight"), methods=("kto",)),
    Rule("learning_rate", "optimizer.learning_rate", number("optimizer.learning_rate")),
    *together("batch_size", "micro_batch_size", "gradient_accumulation_steps"),
    *together("optimizer.name", "optimizer"),
    *together("optimizer.betas", "adam_beta1", "adam_beta2"),
    *together("optimizer.eps", "adam_epsilon"),
    *together("optimizer.weight_decay", "weight_decay"),
    *together("schedule.name", "lr_scheduler"),
    *together("schedule.warmup_steps", "warmup_steps", "warmup_ratio"),
    Rule("num_epochs", "epochs", epochs_writer("num_epochs"), default=1.0),
    Rule("max_steps", "max_steps", write_steps),
    Rule("max_grad_norm", "clip", write_clip, default=1.0),
    Rule("bf16", "precision", write_bf16),
    Rule("seed", "seed", number("seed", int), default=42, reason="the same seed draws another order of the data"),
    Rule("output_dir", "out", copy_value("out"), harmless=True),
    Rule("eval_steps", "evaluate.every_steps", write_evaluation_steps, harmless=True),
    Rule("save_steps", "checkpoint_every", number("checkpoint_every", int), harmless=True),
    Rule("early_stopping_patience", "early_stopping.patience", _write_early_stopping),
    Rule(
        "gradient_checkpointing",
        "gradient_checkpointing",
        lambda draft, value, _: draft.put("gradient_checkpointing", value) if isinstance(value, bool) else None,
        harmless=True,
    ),
    Rule("train_on_inputs", write=refusal("train_on_inputs", NO_PROMPTS), reason=NO_PROMPTS),
    Rule(
        "batch_size",
        reason="axolotl derives the steps of accumulation from it: give those (gradient_accumulation_steps)",
    ),
    Rule("test_datasets", reason="held-out prompts are taken out of the data (data.held_out)"),
    Rule("load_in_8bit", reason="quantized bases are not trained here"),
    Rule("load_in_4bit", reason="quantized bases are not trained here"),
    *without_counterpart("half precision (fp16) is not trained here; bfloat16 or float32 is", "fp16", "float16"),
    *without_counterpart("the whole model is merged at export: see `penchant export`", "lora_model_dir"),
    *without_counterpart("only adapters are saved, and added tokens", "lora_modules_to_save"),
    *without_counterpart("adapters are plain LoRA here", "peft_use_dora", "peft_use_rslora", "lora_fan_in_fan_out"),
    *without_counterpart(
        "name the marks in the template; their tokens are added (data.template)", "special_tokens", "tokens"
    ),
    *without_counterpart("the cosine falls to 0 here", "cosine_min_lr_ratio", "cosine_constant_lr_ratio"),
    *without_counterpart(
        "several processes are started by `accelerate launch`, whose own configuration says how",
        "deepspeed",
        "fsdp",
        "fsdp_config",
    ),
    *without_counterpart("noise on embeddings is not trained here", "neftune_noise_alpha", "noisy_embedding_alpha"),
    *harmless(
        *(
            "model_type",
            "tokenizer_type",
            "strict",
            "dataset_prepared_path",
            "dataset_processes",
            "sample_packing",
            "logging_steps",
        ),
        *(
            "eval_sample_packing",
            "pad_to_sequence_len",
            "group_by_length",
            "wandb_project",
            "wandb_entity",
            "wandb_watch",
        ),
        *(
            "wandb_name",
            "wandb_log_model",
            "wandb_run_id",
            "mlflow_experiment_name",
            "tf32",
            "resume_from_checkpoint",
            "local_rank",
        ),
        *(
            "evals_per_epoch",
            "saves_per_epoch",
            "save_total_limit",
            "eval_table_size",
            "eval_max_new_tokens",
            "debug",
            "hub_strategy",
        ),
        *(
            "xformers_attention",
            "sdp_attention",
            "eval_batch_size",
            "hub_model_id",
            "save_safetensors",
            "shuffle_merged_datasets",
        ),
        *(
            "gradient_checkpointing_kwargs",
            "is_mistral_derived_model",
            "is_llama_derived_model",
            "plugins",
            "torch_compile",
            "ddp_timeout",
        ),
        *(
            "auto_resume_from_checkpoints",
            "save_strategy",
            "eval_strategy",
            "evaluation_strategy",
            "skip_prepare_dataset",
            "use_tensorboard",
        ),
        *(
            "remove_unused_columns",
            "liger_rope",
            "liger_rms_norm",
            "liger_glu_activation",
            "liger_fused_linear_cross_entropy",
        ),
    ),
]

AXOLOTL = Library(
    "axolotl",
    "axolotl",
    VERSION,
    frozenset(
        {
            "base_model",
            "micro_batch_size",
            "sequence_len",
            "num_epochs",
            "val_set_size",
            "adapter",
            "rl",
            "sample_packing",
        }
    ),
    find_method,
    RULES,
    _finish,
    METHODS,
)
