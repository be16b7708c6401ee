"""Convert what the three libraries share: their trainer is that of `transformers`, and their losses are TRL's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from penchant.conversion.rules import (
    Draft,
    Rule,
    Values,
    Write,
    as_number,
    harmless,
    number,
    together,
    whole_number,
    without_counterpart,
)
from penchant.data.rendering.template_source import shipped_templates
from penchant.models.settings import Attention

SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
}
"""By the name in `transformers`, our schedule."""
ADAMW = ("adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused", "adamw_torch_npu_fused")
ROUNDED_ADAMW = (
    "adamw_8bit",
    "adamw_bnb_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
    "paged_adamw",
    "adamw_torch_8bit",
)

LOSSES = {
    "sigmoid": "sigmoid",
    "hinge": "hinge",
    "ipo": "ipo_mean",
    "exo_pair": "exo_pair",
    "nca_pair": "nca_pair",
    "robust": "robust",
    "bco_pair": "bco_pair",
    "sppo_hard": "sppo_hard",
    "aot": "aot",
    "aot_pair": "aot",
    "aot_unpaired": "aot_unpaired",
    "discopop": "discopop",
    "apo_zero": "apo_zero",
    "apo_down": "apo_down",
    "sigmoid_norm": "sigmoid_norm",
    "sft": "sft",
}
"""By TRL's `loss_type`, our loss. TRL's IPO averages log-ratios over tokens, which is `ipo_mean` here."""
DIVERGENCES = {"forward_kl": "forward_kl", "js_divergence": "jensen_shannon", "alpha_divergence": "alpha_divergence"}
"""By TRL's `f_divergence_type`, our loss."""
NO_PROMPTS = "prompts are never trained on here"
SMOOTHED = ("sigmoid", "robust", "exo_pair", "aot", "aot_unpaired")


def pair_loss(name: str, beta: float, values: Values, draft: Draft) -> dict[str, object]:
    """Return our settings of one of TRL's losses; one that there is not is left to the check of the result.

    Args:
        name: of the loss, as TRL has it. beta: TRL's, which is IPO's tau too.
    """
    loss_name = LOSSES.get(name, name)
    loss: dict[str, object] = {"name": loss_name}
    if loss_name == "sft":
        return loss
    # IPO's tau has the name of beta in TRL
    loss["tau" if loss_name == "ipo_mean" else "beta"] = beta
    smoothing = as_number(values.get("label_smoothing")) or 0.0
    if smoothing and loss_name in SMOOTHED:
        loss["label_smoothing"] = smoothing
    elif loss_name == "robust":
        loss["name"] = "sigmoid"  # without flipped labels robust DPO is DPO
    if loss_name == "discopop":
        loss["tau"] = as_number(values.get("discopop_tau")) or 0.05
    if loss_name == "bco_pair":
        draft.remark("bco_pair is without TRL's moving shift (its running mean of rewards)")
    return loss


def put_batch_size(draft: Draft, values: Values, devices: int, per_device: tuple[str, int]) -> None:
    """Put the units of an optimizer step, which those libraries give per device and forward pass.

    Args:
        per_device: the key of the size on a device, and its default.
    """
    key, default = per_device
    accumulation = whole_number(values, "gradient_accumulation_steps", 1)
    size = whole_number(values, key, default)
    draft.put("batch_size", size * accumulation * devices)
    draft.remark(
        f"batch_size is {key} {size} x gradient_accumulation_steps {accumulation} x {devices} "
        f"{'device' if devices == 1 else 'devices'} (devices=N says how many)"
    )


def put_optimizer(draft: Draft, values: Values, key: str, betas: tuple[float, float] = (0.9, 0.999)) -> None:
    """Put the optimizer with its settings.

    Args:
        key: what the optimizer is called in the file.
    """
    name = str(values.get(key) or "adamw_torch_fused").lower()
    # our own default is RMSprop, so AdamW is always written out
    if name == "rmsprop":
        draft.put("optimizer.name", "rmsprop")
    else:
        draft.put("optimizer.name", "adamw")
        first, second = (as_number(values.get(f"adam_beta{index}")) for index in (1, 2))
        draft.put("optimizer.betas", [betas[0] if first is None else first, betas[1] if second is None else second])
        draft.put("optimizer.eps", as_number(values.get("adam_epsilon")) or 1e-8)
        if name in ROUNDED_ADAMW:
            draft.remark(f"{key}: {name} keeps rounded states; adamw is the same method with exact ones")
        elif name not in ADAMW:
            draft.lose(key, f"there is no optimizer {name}; adamw stands in its place")
    draft.put("optimizer.weight_decay", as_number(values.get("weight_decay")) or 0.0)


def put_schedule(draft: Draft, values: Values, key: str, default: str, *, warmup: float = 0.0) -> None:
    """Put the schedule and its warm-up.

    Args:
        key: what the schedule is called in the file. default: its value where the file has none.
        warmup: the library's own, as a share of the steps, where the file has none.
    """
    # saved arguments may have the name of the enumeration's member
    name = str(values.get(key) or default).removeprefix("SchedulerType.").lower()
    schedule_name = SCHEDULES.get(name)
    if schedule_name is None:
        draft.lose(key, f"there is no schedule {name}; choose constant, linear or cosine")
    else:
        draft.put("schedule.name", schedule_name)
    # steps go before a share, as in `transformers`; below 1 its newer versions take steps for a share as well
    warmup = as_number(values.get("warmup_steps")) or as_number(values.get("warmup_ratio")) or warmup
    if warmup:
        draft.put("schedule.warmup_steps", warmup if warmup < 1 else int(warmup))


def put_epochs(draft: Draft, key: str, value: object) -> None:
    """Put the number of epochs, which is whole here."""
    epochs = as_number(value)
    if epochs is None:
        return
    if epochs != int(epochs):
        draft.lose(key, "epochs are whole here: set max_steps for a part of one")
    draft.put("epochs", max(1, int(epochs)))


def epochs_writer(key: str) -> Write:
    """Return what puts the number of epochs, unless `max_steps` overrides it as it does in `transformers`.

    Args:
        key: what the number of epochs is called in the file.
    """

    def write(draft: Draft, value: object, values: Values) -> None:
        steps = as_number(values.get("max_steps"))
        # there the number of steps alone decides, however many epochs it takes
        if steps and steps > 0:
            draft.put("epochs", 10_000)  # steps alone decide
        else:
            put_epochs(draft, key, value)

    return write


def write_best(draft: Draft, value: object, values: Values) -> None:
    """Put the metric of the best checkpoint where the library goes back to it."""
    if value is not True:
        return
    metric = str(values.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if metric == "loss":
        draft.put("checkpoint.best", metric)
        draft.remark("the weights of the best evaluation are in the run's folder `best`, the last in `checkpoint`")
    else:
        draft.lose("metric_for_best_model", f"there may be no metric {metric}: set checkpoint.best")


def write_steps(draft: Draft, value: object, _: Values) -> None:
    """Put `max_steps`, where -1 stands for none."""
    steps = as_number(value)
    if steps is not None and steps > 0:
        draft.put("max_steps", int(steps))


def put_sources(draft: Draft, sources: Sequence[Mapping[str, object]]) -> None:
    """Put data sets; one alone is no mixture, and reads better as plain settings."""
    if len(sources) == 1:
        for name, part in sources[0].items():
            draft.put(f"data.{name}", part)
    elif sources:
        draft.put("data.sources", sources)


def write_template(draft: Draft, value: object, values: Values) -> None:
    """Put a chat template that we have under the same name, or a file; the tokenizer's own stands for all others."""
    name = str(value or "tokenizer_default")
    if name == "tokenizer_default":
        return
    # of a file the other library may have been told on another machine
    if name in shipped_templates() or Path(name).is_file():
        draft.put("data.template", name)
    else:
        draft.lose(
            "chat_template" if "chat_template" in values else "chat_template_path",
            "there is no such template here, and the tokenizer's own is used: name a .jinja file (data.template)",
        )


def write_clip(draft: Draft, value: object, _: Values) -> None:
    """Put the largest norm of a gradient, where 0 stands for no clipping."""
    norm = as_number(value)
    if norm is not None:
        draft.put("clip", norm or None)


def write_trackers(draft: Draft, value: object, _: Values) -> None:
    """Put the trackers that we have too."""
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, list) else []
    trackers = [name for name in names if name in ("tensorboard", "wandb", "trackio")]
    for name in names:
        if name not in (*trackers, "none", "all"):
            draft.lose("report_to", f"there is no tracker {name}")
    if trackers:
        draft.put("trackers", trackers)


def write_evaluation_steps(draft: Draft, value: object, _: Values) -> None:
    """Put how often held-out data is evaluated; a share of all steps depends on the data."""
    steps = as_number(value)
    if steps is None:
        return
    if steps < 1:
        draft.lose("eval_steps", "a share of all steps depends on the data: set evaluate.every_steps")
    else:
        draft.put("evaluate.every_steps", int(steps))


def write_bf16(draft: Draft, value: object, _: Values) -> None:
    """Put the precision of the arithmetic."""
    # float32 where it is switched off: `auto` would take bfloat16 on a GPU
    if value in (True, "true", "auto"):
        draft.put("precision", "bfloat16" if value != "auto" else "auto")
    elif value in (False, "false"):
        draft.put("precision", "float32")


TRAINER_RULES: list[Rule] = [
    Rule("output_dir", "out", lambda draft, value, _: draft.put("out", value), harmless=True),
    Rule("learning_rate", "optimizer.learning_rate", number("optimizer.learning_rate")),
    Rule("num_train_epochs", "epochs", epochs_writer("num_train_epochs"), default=3.0),
    Rule("max_steps", "max_steps", write_steps, reason="-1 is null here"),
    Rule("max_grad_norm", "clip", write_clip, default=1.0),
    Rule("seed", "seed", number("seed", int), default=42, reason="the same seed draws another order of the data"),
    Rule("bf16", "precision", write_bf16),
    Rule("report_to", "trackers", write_trackers, harmless=True),
    Rule("eval_steps", "evaluate.every_steps", write_evaluation_steps, harmless=True),
    Rule("load_best_model_at_end", "checkpoint.best", write_best),
    *together("checkpoint.best", "metric_for_best_model"),
    Rule("save_steps", "checkpoint_every", number("checkpoint_every", int), harmless=True),
    Rule(
        "gradient_checkpointing",
        "gradient_checkpointing",
        lambda draft, value, _: draft.put("gradient_checkpointing", value) if value is not None else None,
        harmless=True,
    ),
    Rule(
        "trust_remote_code",
        "model.trust_remote_code",
        lambda draft, value, _: draft.put("model.trust_remote_code", True) if value is True else None,
    ),
    *harmless(
        *(
            "logging_steps",
            "logging_strategy",
            "logging_first_step",
            "logging_dir",
            "run_name",
            "plot_loss",
        ),
        *(
            "evaluation_strategy",
            "save_strategy",
            "save_total_limit",
            "save_only_model",
            "overwrite_output_dir",
            "do_train",
        ),
        *("do_eval", "disable_tqdm", "per_device_eval_batch_size", "dataloader_num_workers", "dataloader_pin_memory"),
        *("remove_unused_columns", "gradient_checkpointing_kwargs", "dataset_num_proc", "preprocessing_num_workers"),
        *("overwrite_cache", "ddp_timeout", "resume_from_checkpoint", "hub_model_id", "push_to_hub", "hub_strategy"),
        *("hub_private_repo", "use_liger_kernel", "tf32", "torch_compile", "precompute_ref_log_probs", "padding_free"),
        *("precompute_ref_batch_size", "activation_offloading", "pad_to_multiple_of", "group_by_length", "log_level"),
        *(
            "eval_on_start",
            "dataloader_prefetch_factor",
            "ddp_find_unused_parameters",
            "local_rank",
            "include_num_input_tokens_seen",
        ),
    ),
    *without_counterpart(
        "several processes are started by `accelerate launch`, whose own configuration says how",
        *("deepspeed", "fsdp", "fsdp_config"),
    ),
    *without_counterpart("half precision (fp16) is not trained here; bfloat16 or float32 is", "fp16"),
    *without_counterpart("noise on embeddings is not trained here", "neftune_noise_alpha"),
    *together("batch_size", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *together("optimizer.name", "optim"),
    *together("optimizer.betas", "adam_beta1", "adam_beta2"),
    *together("optimizer.eps", "adam_epsilon"),
    *together("optimizer.weight_decay", "weight_decay"),
    *together("schedule.name", "lr_scheduler_type"),
    *together("schedule.warmup_steps", "warmup_steps"),
    *together("schedule.warmup_steps", "warmup_ratio"),
]
"""Keys of `transformers.TrainingArguments` (5.x)."""


def write_attention(key: str) -> Write:
    """Return what puts an attention implementation in; one that is not here is named, and the model's default holds."""
    attentions = get_args(Attention)

    def write(draft: Draft, value: object, _: Values) -> None:
        # kernels of the hub (`kernels-community/flash-attn3`) and `flash_attention_3` change speed, and no result
        if value in attentions:
            draft.put("model.attention", value)
        elif value is not None:
            draft.lose(key, f"choose {', '.join(attentions[:-1])} or {attentions[-1]} (model.attention)")

    return write
