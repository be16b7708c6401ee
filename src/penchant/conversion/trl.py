"""Convert configurations of TRL: the YAML of `trl dpo --config`, or arguments that a trainer saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.conversion.rules import (
    Draft,
    Library,
    Rule,
    Values,
    as_number,
    copy_value,
    harmless,
    length_writer,
    number,
    together,
    without_counterpart,
)
from penchant.conversion.shared import (
    DIVERGENCES,
    LOSSES,
    TRAINER_RULES,
    pair_loss,
    put_batch_size,
    put_optimizer,
    put_schedule,
    put_sources,
    write_attention,
    write_template,
)

VERSION = "1.16.0"
RATES: Mapping[str, float] = {"sft": 2e-5, "reward_model": 1e-4}
"""By our method, TRL's learning rate where it is not 1e-6."""
# TRL cuts the end of a longer row, which takes the response's end away
write_length = length_writer(1024, "rows longer than max_length are dropped and counted; TRL cuts their end off")
METHODS = {
    "SFTTrainer (`trl sft`)": "sft",
    "DPOTrainer (`trl dpo`)": "dpo",
    "KTOTrainer (`trl kto`)": "kto",
    "RewardTrainer (`trl reward`)": "reward_model",
    "ORPOTrainer": "dpo with loss=orpo",
    "CPOTrainer with loss_type=simpo": "dpo with loss=simpo",
    "PPOTrainer": "ppo",
    "RLOOTrainer, GRPOTrainer": "`rloo`, `grpo`; their files are not converted, write the settings by hand",
    "OnlineDPOTrainer": "`iterative` is the nearest; its files are not converted, write the settings by hand",
}
DTYPES = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16", "auto": "auto"}


def find_method(values: Values) -> str | None:
    """Return the method that keys of one trainer alone stand for; TRL's files do not name it."""
    # GRPO and RLOO, whose files are not converted; `beta` stands in them too
    if {"num_generations", "reward_funcs"} & {*values}:
        return None
    # from the rarest keys to the most common
    if {"desirable_weight", "undesirable_weight"} & {*values} or values.get("loss_type") in (
        "kto",
        "apo_zero_unpaired",
    ):
        return "kto"
    if "center_rewards_coefficient" in values:
        return "reward_model"
    if {"completion_only_loss", "assistant_only_loss", "packing", "dataset_text_field"} & {*values}:
        return "sft"
    if {"beta", "loss_type", "simpo_gamma", "cpo_alpha"} & {*values}:
        return "dpo"
    return None


def _write_datasets(draft: Draft, value: object, _: Values) -> None:
    """Put a mixture of data sets, which TRL concatenates."""
    sources = []
    for source in value if isinstance(value, list) else []:
        if not isinstance(source, dict):
            continue
        entry: dict[str, object] = {"path": _hub_path(source.get("path"), source.get("name"))}
        if source.get("split"):
            entry["split"] = source["split"]
        if source.get("columns"):
            draft.lose("datasets.columns", "the columns that are kept follow from the layout; see data.columns")
        sources.append(entry)
    put_sources(draft, sources)


def _hub_path(name: object, config: object) -> str:
    return f"{name}:{config}" if config else str(name)


def _write_adapters(draft: Draft, value: object, values: Values) -> None:
    """Put LoRA's settings where adapters are trained."""
    if value is not True:
        return
    draft.put("model.lora.rank", int(as_number(values.get("lora_r")) or 16))
    draft.put("model.lora.alpha", as_number(values.get("lora_alpha")) or 32.0)
    dropout = as_number(values.get("lora_dropout"))
    draft.put("model.lora.dropout", 0.05 if dropout is None else dropout)
    targets = values.get("lora_target_modules")
    if targets:
        draft.put("model.lora.targets", targets)
    else:
        draft.remark(
            "without lora_target_modules peft chooses layers by the model's type; here it is every linear layer"
        )
        draft.put("model.lora.targets", "all-linear")


def _write_dtype(draft: Draft, value: object, _: Values) -> None:
    name = str(value).removeprefix("torch.")
    if name in DTYPES:
        draft.put("model.dtype", DTYPES[name])
    else:
        draft.lose("dtype", "choose auto, float32, bfloat16 or float16")


def _write_assistant_turns(draft: Draft, value: object, values: Values) -> None:
    if value is True:
        draft.put("turns", "every")
    elif values.get("completion_only_loss") is not True:
        draft.remark(
            "TRL teaches whole conversations and texts, prompts too, unless a row has its completion apart; here "
            "responses are taught (turns=every: those of all turns; data.template=plain: texts without turns)"
        )


def _write_held_out(draft: Draft, value: object, _: Values) -> None:
    """Hold nothing out where TRL does not evaluate, so that it is all trained on."""
    if value in (None, False, "no"):
        draft.put("data.held_out", 0.0)
    else:
        draft.remark("held-out prompts are taken out of the data (data.held_out); TRL evaluates on another split")


def _finish(draft: Draft, values: Values, devices: int) -> None:
    put_batch_size(draft, values, devices, ("per_device_train_batch_size", 8))
    put_optimizer(draft, values, "optim")
    put_schedule(draft, values, "lr_scheduler_type", "linear")
    # TRL's trainers differ in this default alone
    optimizer = draft.settings.setdefault("optimizer", {})
    if isinstance(optimizer, dict):
        optimizer.setdefault("learning_rate", RATES.get(draft.method, 1e-6))
    if draft.method == "dpo":
        _put_pair_loss(draft, values)
    if draft.method == "kto":
        draft.put("beta", as_number(values.get("beta")) or 0.1)
        if values.get("loss_type", "kto") != "kto":
            draft.lose("loss_type", "kto is the one loss on single labels here")


def _put_pair_loss(draft: Draft, values: Values) -> None:
    """Put the loss that `loss_type` and the switches beside it stand for."""
    beta = as_number(values.get("beta"))
    beta = 0.1 if beta is None else beta
    # one name, or a list of terms to add
    loss_type = values.get("loss_type", "sigmoid")
    names = [str(name) for name in loss_type] if isinstance(loss_type, list) else [str(loss_type)]
    if names == ["simpo"]:
        gamma = as_number(values.get("simpo_gamma"))
        draft.put("loss", {"name": "simpo", "beta": beta, "gamma": 0.5 if gamma is None else gamma})
        # CPO adds the chosen response's loss unless it is switched off, and then it is no SimPO
        if as_number(values.get("cpo_alpha", 1.0)):
            draft.lose(
                "cpo_alpha", "TRL adds this times the chosen response's loss: set loss.nll_weight, or cpo_alpha 0"
            )
        return
    for name in names:
        if name not in LOSSES:
            draft.lose("loss_type", f"there is no loss {name}; `penchant train dpo --help` lists the losses")
            return
    # a loss that is not here is named above, and the default stands
    terms = [pair_loss(name, beta, values, draft) for name in names]
    if len(terms) == 1:
        draft.put("loss", _with_likelihood(_switched(terms[0], values, draft), values, draft))
        return
    loss: dict[str, object] = {"name": "sum", "losses": terms}
    if values.get("loss_weights"):
        loss["weights"] = values["loss_weights"]
    draft.put("loss", loss)


def _with_likelihood(loss: dict[str, object], values: Values, draft: Draft) -> dict[str, object]:
    """Return the loss with the chosen response's own, which TRL before 0.20 added by `rpo_alpha`."""
    weight = as_number(values.get("rpo_alpha"))
    if not weight:
        return loss
    if loss["name"] == "sigmoid":
        return {**loss, "nll_weight": weight}
    draft.lose("rpo_alpha", "it goes with loss_type=sigmoid alone here")
    return loss


def _switched(loss: dict[str, object], values: Values, draft: Draft) -> dict[str, object]:
    """Return the loss that a switch beside `loss_type` makes of another, which is a loss of its own here."""
    divergence = str(values.get("f_divergence_type") or "reverse_kl").removeprefix("FDivergenceType.").lower()
    switches: dict[str, dict[str, object]] = {}
    if divergence in DIVERGENCES:
        switches["f_divergence_type"] = {"name": DIVERGENCES[divergence]}
        if divergence == "alpha_divergence":
            coefficient = as_number(values.get("f_alpha_divergence_coef"))
            switches["f_divergence_type"]["alpha"] = 0.5 if coefficient is None else coefficient
    if values.get("use_weighting") is True:
        switches["use_weighting"] = {"name": "wpo"}
    if values.get("ld_alpha") is not None:
        switches["ld_alpha"] = {"name": "ld_dpo", "alpha": values["ld_alpha"]}
    # each switch makes a loss with a name of its own here, so two at once have none
    plain = loss["name"] == "sigmoid" and "label_smoothing" not in loss
    if switches and (len(switches) > 1 or not plain):
        for key in switches:
            draft.lose(key, "it goes with loss_type=sigmoid alone here, without label smoothing, one at a time")
        return loss
    return {"beta": loss["beta"], **next(iter(switches.values()))} if switches else loss


RULES = [
    Rule("model_name_or_path", "model.name", copy_value("model.name")),
    Rule("model_revision", reason="name the revision in the hub id's cache, or load a folder", harmless=False),
    Rule("dtype", "model.dtype", _write_dtype),
    Rule("torch_dtype", "model.dtype", _write_dtype),
    Rule("attn_implementation", "model.attention", write_attention("attn_implementation")),
    Rule(
        "dataset_name",
        "data.path",
        lambda draft, value, values: draft.put("data.path", _hub_path(value, values.get("dataset_config"))),
    ),
    *together("data.path", "dataset_config", reason="`name:config` here"),
    Rule("dataset_train_split", "data.split", copy_value("data.split")),
    Rule("dataset_test_split", "data.held_out", reason="held-out prompts are taken out of the data (data.held_out)"),
    Rule("datasets", "data.sources", _write_datasets),
    Rule("max_length", "data.max_length", write_length, default=1024),
    Rule("max_seq_length", "data.max_length", write_length),
    Rule("max_prompt_length", reason="one limit holds for prompt and response together: data.max_length"),
    Rule("truncation_mode", "data.overflow", reason="rows that are too long are dropped or their prompt is cut"),
    Rule("chat_template_path", "data.template", write_template),
    Rule("use_peft", "model.lora", _write_adapters),
    *together("model.lora.rank", "lora_r"),
    *together("model.lora.alpha", "lora_alpha"),
    *together("model.lora.dropout", "lora_dropout"),
    *together("model.lora.targets", "lora_target_modules"),
    Rule("beta", "loss.beta, beta (kto)", together=True, methods=("dpo", "kto")),
    Rule(
        "loss_type",
        "loss.name",
        together=True,
        reason="`ipo` is ipo_mean; several are loss=sum",
        methods=("dpo", "kto", "sft"),
    ),
    *together("loss.weights", "loss_weights"),
    *together("loss.label_smoothing", "label_smoothing"),
    *together("loss.tau", "discopop_tau"),
    *together("loss=forward_kl, jensen_shannon, alpha_divergence", "f_divergence_type"),
    *together("loss.alpha", "f_alpha_divergence_coef"),
    *together("loss=wpo", "use_weighting"),
    *together("loss=ld_dpo, loss.alpha", "ld_alpha"),
    *together("loss=simpo, loss.gamma", "simpo_gamma"),
    *together("loss.nll_weight", "cpo_alpha", reason="not carried over"),
    *together("loss.nll_weight", "rpo_alpha", reason="of TRL before 0.20"),
    Rule("max_completion_length", reason="one limit holds for prompt and response together: data.max_length"),
    Rule("desirable_weight", "desirable_weight", number("desirable_weight"), methods=("kto",)),
    Rule("undesirable_weight", "undesirable_weight", number("undesirable_weight"), methods=("kto",)),
    Rule("assistant_only_loss", "turns", _write_assistant_turns, default=False, methods=("sft",)),
    Rule("eval_strategy", "data.held_out", _write_held_out, default="no"),
    Rule(
        "center_rewards_coefficient",
        reason="rewards are centred after training here (the model's offset)",
        methods=("reward_model",),
    ),
    Rule("completion_only_loss", reason="the response alone is scored, as with true", methods=("sft",)),
    *harmless(
        "dataset_text_field",
        "dataset_kwargs",
        "dataset_streaming",
        "ignore_bias_buffers",
        "disable_dropout",
        "lora_task_type",
        "pad_token",
        "eval_packing",
        "packing",
        "packing_strategy",
        "shuffle_dataset",
        "generate_during_eval",
    ),
    *without_counterpart("quantized bases are not trained here", "load_in_8bit", "load_in_4bit"),
    *without_counterpart(
        "adapters are plain LoRA here", "use_rslora", "use_dora", "lora_modules_to_save", "lora_target_parameters"
    ),
    *without_counterpart(
        "the reference stays fixed during a run", "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"
    ),
    *without_counterpart("the loss that balances experts is not added here", "router_aux_loss_coef"),
    *without_counterpart("say it in the model's own files", "eos_token", "model_init_kwargs"),
    *TRAINER_RULES,
]

TRL = Library(
    "trl",
    "TRL",
    VERSION,
    frozenset({"model_name_or_path", "dataset_name", "per_device_train_batch_size", "dataset_train_split", "use_peft"}),
    find_method,
    RULES,
    _finish,
    METHODS,
)
