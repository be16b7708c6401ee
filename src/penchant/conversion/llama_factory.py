"""Convert LLaMA-Factory's YAML."""

from __future__ import annotations

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
    TRAINER_RULES,
    put_batch_size,
    put_optimizer,
    put_schedule,
    put_sources,
)

VERSION = "commit 00577a8"
STAGES = {"sft": "sft", "dpo": "dpo", "kto": "kto", "rm": "reward_model", "ppo": "ppo"}
"""By LLaMA-Factory's `stage`, our method."""
PAIR_LOSSES = {"sigmoid": "sigmoid", "hinge": "hinge", "ipo": "ipo_mean", "orpo": "orpo", "simpo": "simpo"}
"""By LLaMA-Factory's `pref_loss`, our loss on pairs."""
CUT = "rows longer than cutoff_len are dropped and counted; LLaMA-Factory cuts both ends to a share"
METHODS = {
    "stage: sft": "sft",
    "stage: dpo": "dpo",
    "stage: dpo, pref_loss: orpo": "dpo with loss=orpo",
    "stage: dpo, pref_loss: simpo": "dpo with loss=simpo",
    "stage: kto": "kto",
    "stage: rm": "reward_model",
    "stage: ppo": "ppo",
    "stage: pt": "sft on rows with `text`",
}
TEMPLATES = {"default": "plain", "chatml": "chatml", "llama3": "llama3", "gemma": "gemma", "zephyr": "zephyr"}
"""By LLaMA-Factory's `template`, ours; for others the tokenizer's own template is the same conversation."""


def find_method(values: Values) -> str | None:
    """Return our method."""
    stage = values.get("stage", "sft")
    # pre-training is fine-tuning on rows of plain text
    return "sft" if stage == "pt" else STAGES.get(str(stage))


def _write_finetuning(draft: Draft, value: object, values: Values) -> None:
    if value == "lora":
        rank = as_number(values.get("lora_rank")) or 8
        draft.put("model.lora.rank", int(rank))
        draft.put("model.lora.alpha", as_number(values.get("lora_alpha")) or 2 * rank)
        draft.put("model.lora.dropout", as_number(values.get("lora_dropout")) or 0.0)
        # a list is written as one text with commas
        target = values.get("lora_target", "all")
        names = [part.strip() for part in str(target).split(",")]
        draft.put("model.lora.targets", "all-linear" if target == "all" else names)
    elif value == "freeze":
        layers = int(as_number(values.get("freeze_trainable_layers")) or 2)
        # a negative number means the first blocks
        if layers > 0:
            draft.put("model.train_top", layers)
        else:
            draft.lose("freeze_trainable_layers", "only the last blocks can be trained alone here")
    elif value != "full":
        draft.lose("finetuning_type", f"there is no {value}: choose all weights, lora, or the last blocks")


def _write_dataset(draft: Draft, value: object, values: Values) -> None:
    names = [part.strip() for part in str(value).split(",") if part.strip()]
    # the names stand for entries of a file that only the user has
    folder = values.get("dataset_dir", "data")
    files = [f"{folder}/{name}.json" for name in names]
    put_sources(draft, [{"path": file} for file in files])
    draft.remark(
        "data sets are names in LLaMA-Factory's dataset_info.json: put the file_name or hub id of each in the place of "
        f"{', '.join(files)}, and its `columns` into data.columns"
    )


def _write_template(draft: Draft, value: object, _: Values) -> None:
    template = TEMPLATES.get(str(value))
    if template is not None:
        draft.put("data.template", template)
    else:
        draft.remark(
            f"template {value}: the tokenizer's own chat template is used; `penchant data show` shows what it writes"
        )


def _write_masked_history(draft: Draft, value: object, _: Values) -> None:
    draft.put("turns", "last" if value is True else "every")


def _write_thinking(draft: Draft, value: object, _: Values) -> None:
    if isinstance(value, bool):
        draft.put("data.template_args", {"enable_thinking": value})


def _write_flash(draft: Draft, value: object, _: Values) -> None:
    attention = {"fa2": "flash_attention_2", "sdpa": "sdpa", "disabled": "eager", "auto": "auto"}.get(str(value))
    if attention is None:
        draft.lose("flash_attn", f"there is no {value}; see model.attention")
    else:
        draft.put("model.attention", attention)


def _finish(draft: Draft, values: Values, devices: int) -> None:
    put_batch_size(draft, values, devices, ("per_device_train_batch_size", 8))
    put_optimizer(draft, values, "optim")
    put_schedule(draft, values, "lr_scheduler_type", "linear")
    # that of `transformers`, which LLaMA-Factory leaves as it is
    if values.get("learning_rate") is None:
        draft.put("optimizer.learning_rate", 5e-5)
    beta = as_number(values.get("pref_beta"))
    beta = 0.1 if beta is None else beta
    if draft.method == "kto":
        draft.put("beta", beta)
    if draft.method == "dpo":
        _put_pair_loss(draft, values, beta)


def _put_pair_loss(draft: Draft, values: Values, beta: float) -> None:
    """Put the loss; LLaMA-Factory averages log-probabilities over tokens for ipo, orpo and simpo."""
    stated_loss = str(values.get("pref_loss", "sigmoid"))
    name = PAIR_LOSSES.get(stated_loss)
    if name is None:
        draft.lose("pref_loss", f"there is no loss {stated_loss}; `penchant train dpo --help` lists the losses")
        return
    loss: dict[str, object] = {"name": name}
    loss["weight" if name == "orpo" else "tau" if name == "ipo_mean" else "beta"] = beta
    if name == "simpo":
        gamma = as_number(values.get("simpo_gamma"))
        loss["gamma"] = 0.5 if gamma is None else gamma
    smoothing = as_number(values.get("dpo_label_smoothing"))
    if smoothing:
        if name == "sigmoid":
            loss["label_smoothing"] = smoothing
        else:
            draft.lose("dpo_label_smoothing", "it goes with pref_loss sigmoid")
    anchor = as_number(values.get("pref_ftx"))
    if anchor:
        # the anchor is the mean loss per token in both libraries
        if name == "orpo":
            draft.lose("pref_ftx", "orpo has the chosen response's loss in it")
        else:
            loss["nll_weight"] = anchor
    if values.get("ld_alpha") is not None:
        # LD-DPO is a loss of its own here, without further switches
        if name == "sigmoid" and not smoothing:
            loss = {
                "name": "ld_dpo",
                "beta": beta,
                "alpha": values["ld_alpha"],
                **({"nll_weight": anchor} if anchor else {}),
            }
        else:
            draft.lose("ld_alpha", "it goes with pref_loss sigmoid alone, without label smoothing")
    draft.put("loss", loss)


RULES = [
    Rule("model_name_or_path", "model.name", copy_value("model.name")),
    Rule("stage", "the method", together=True),
    Rule("finetuning_type", "model.lora, model.train_top", _write_finetuning, default="lora"),
    *together("model.lora.rank", "lora_rank"),
    *together("model.lora.alpha", "lora_alpha"),
    *together("model.lora.dropout", "lora_dropout"),
    *together("model.lora.targets", "lora_target"),
    *together("model.train_top", "freeze_trainable_layers"),
    Rule("dataset", "data.path, data.sources", _write_dataset),
    *together("data.path", "dataset_dir"),
    Rule("template", "data.template", _write_template),
    Rule("enable_thinking", "data.template_args", _write_thinking),
    Rule("default_system", "data.system", copy_value("data.system")),
    Rule("cutoff_len", "data.max_length", length_writer(2048, CUT), default=2048),
    Rule("max_samples", "data.limit", number("data.limit", int), reason="rows there, prompts here"),
    Rule("val_size", "data.held_out", held_out_writer(), default=0.0),
    Rule("mask_history", "turns", _write_masked_history, default=False, methods=("sft",)),
    Rule("train_on_prompt", write=refusal("train_on_prompt", NO_PROMPTS), reason=NO_PROMPTS),
    Rule("flash_attn", "model.attention", _write_flash),
    Rule(
        "resize_vocab",
        write=refusal("resize_vocab", "the table of embeddings grows by itself where data.template names new marks"),
        reason="done where data.template names new marks",
    ),
    *together("loss.beta, loss.tau, loss.weight, beta (kto)", "pref_beta"),
    *together("loss.name", "pref_loss", reason="`ipo` is ipo_mean"),
    *together("loss.nll_weight", "pref_ftx"),
    *together("loss.label_smoothing", "dpo_label_smoothing"),
    *together("loss.gamma", "simpo_gamma"),
    *together("loss=ld_dpo, loss.alpha", "ld_alpha"),
    Rule("kto_chosen_weight", "desirable_weight", number("desirable_weight"), methods=("kto",)),
    Rule("kto_rejected_weight", "undesirable_weight", number("undesirable_weight"), methods=("kto",)),
    Rule("ref_model", "reference", copy_value("reference"), methods=("dpo", "kto", "ppo")),
    Rule("reward_model", "reward", copy_value("reward"), methods=("ppo",)),
    Rule("pref_bco_weight", reason="set loss.name=sum with losses sigmoid and bco_pair"),
    Rule("eval_dataset", reason="held-out prompts are taken out of the data (data.held_out)"),
    Rule("mix_strategy", reason="weights of sources say how often each is drawn (data.sources)"),
    Rule("interleave_probs", reason="set the weight of each source (data.sources)"),
    Rule("adapter_name_or_path", reason="open the folder of the adapters as the model"),
    Rule("quantization_bit", reason="quantized bases are not trained here"),
    Rule(
        "pure_bf16",
        "model.dtype=bfloat16",
        lambda draft, value, _: draft.put("model.dtype", "bfloat16") if value is True else None,
    ),
    *without_counterpart(
        "adapters are plain LoRA here", "use_dora", "use_rslora", "pissa_init", "loraplus_lr_ratio", "additional_target"
    ),
    *without_counterpart(
        "there is no such optimizer here", "use_galore", "use_badam", "use_apollo", "use_adam_mini", "use_muon"
    ),
    *without_counterpart("contexts are not stretched here", "rope_scaling"),
    *without_counterpart(
        "PPO's own settings differ: see `penchant train ppo --help`",
        "ppo_epochs",
        "ppo_target",
        "ppo_buffer_size",
        "ppo_score_norm",
        "ppo_whiten_rewards",
        "reward_model_type",
    ),
    *harmless(
        "eval_strategy",
        "packing",
        "neat_packing",
        "streaming",
        "buffer_size",
        "tokenized_path",
        "enable_liger_kernel",
        "use_unsloth",
        "use_fast_tokenizer",
        "cache_dir",
        "print_param_status",
        "use_swanlab",
        "ray_run_name",
        "include_effective_tokens_per_second",
        "compute_accuracy",
    ),
    *TRAINER_RULES,
]

LLAMA_FACTORY = Library(
    "llama-factory",
    "LLaMA-Factory",
    VERSION,
    frozenset(
        {
            "model_name_or_path",
            "stage",
            "finetuning_type",
            "dataset",
            "template",
            "cutoff_len",
            "pref_beta",
            "lora_rank",
        }
    ),
    find_method,
    RULES,
    _finish,
    METHODS,
)
