"""Configurations of other libraries become ours, and every key of theirs is carried over or named."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.cli.main import main
from penchant.config import load_config
from penchant.conversion.convert import LIBRARIES, convert, find_library, read_foreign
from penchant.conversion.shared import DIVERGENCES, LOSSES
from penchant.errors import InputError
from penchant.losses.settings import PAIR_LOSSES
from penchant.methods import METHODS

TRL, AXOLOTL, LLAMA_FACTORY = LIBRARIES["trl"], LIBRARIES["axolotl"], LIBRARIES["llama-factory"]
TRL_FILE = {
    "model_name_or_path": "org/model",
    "dataset_name": "org/data",
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 8,
}
AXOLOTL_FILE = {
    "base_model": "org/model",
    "datasets": [{"path": "org/data"}],
    "learning_rate": "5e-7",
    "sequence_len": 2048,
}
FACTORY_FILE = {
    "model_name_or_path": "org/model",
    "stage": "dpo",
    "dataset": "pairs",
    "template": "qwen",
    "finetuning_type": "full",
}


def test_what_a_trl_file_leaves_out_has_the_value_of_trl_and_not_ours():
    converted = convert(TRL_FILE, TRL, method="dpo", devices=4)
    config = METHODS["dpo"].model_validate(converted.settings)
    assert (config.model.name, config.data.path) == ("org/model", "org/data")
    assert config.batch_size == 2 * 8 * 4
    assert config.optimizer.model_dump() == {
        "name": "adamw",
        "learning_rate": 1e-6,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert (config.schedule.name, config.schedule.warmup_steps) == ("linear", 0)
    assert (config.clip, config.epochs, config.seed, config.data.max_length) == (1.0, 3, 42, 1024)
    assert (config.loss.name, config.loss.beta) == ("sigmoid", 0.1)
    assert not converted.omissions
    assert not converted.unknown


@pytest.mark.parametrize(
    ("keys", "loss"),
    [
        ({"loss_type": "ipo", "beta": 0.01}, {"name": "ipo_mean", "tau": 0.01}),
        ({"loss_type": "robust", "label_smoothing": 0.2}, {"name": "robust", "beta": 0.1, "label_smoothing": 0.2}),
        ({"loss_type": "robust"}, {"name": "sigmoid", "beta": 0.1}),
        ({"loss_type": "discopop", "discopop_tau": 0.1}, {"name": "discopop", "beta": 0.1, "tau": 0.1}),
        ({"f_divergence_type": "js_divergence", "beta": 0.3}, {"name": "jensen_shannon", "beta": 0.3}),
        ({"use_weighting": True}, {"name": "wpo", "beta": 0.1}),
        ({"ld_alpha": 0.3}, {"name": "ld_dpo", "beta": 0.1, "alpha": 0.3}),
        (
            {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.6, "cpo_alpha": 0},
            {"name": "simpo", "beta": 2.0, "gamma": 1.6},
        ),
        (
            {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]},
            {"name": "sum", "losses": [{"name": "sigmoid", "beta": 0.1}, {"name": "sft"}], "weights": [1.0, 0.2]},
        ),
    ],
)
def test_trls_losses_and_switches_are_losses_of_ours(keys, loss):
    converted = convert(TRL_FILE | keys, TRL, method="dpo")
    assert converted.settings["loss"] == loss
    assert not converted.omissions


def test_a_switch_that_does_not_go_with_its_loss_is_named():
    converted = convert(TRL_FILE | {"loss_type": "hinge", "use_weighting": True}, TRL, method="dpo")
    assert [key for key, _, _ in converted.omissions] == ["use_weighting"]
    assert converted.settings["loss"] == {"name": "hinge", "beta": 0.1}


def test_every_name_of_the_tables_is_one_of_ours():
    assert {*LOSSES.values(), *DIVERGENCES.values()} <= {*PAIR_LOSSES}
    for library in LIBRARIES.values():
        keys = [rule.key for rule in library.rules]
        assert len(keys) == len({*keys}), (
            f"{library.name} has {sorted(key for key in keys if keys.count(key) > 1)} twice"
        )
        assert library.keys <= {*keys}
        for rule in library.rules:
            assert {*rule.methods} <= {*METHODS}
            assert rule.setting or rule.reason or rule.harmless, f"{rule.key} says nothing"


def test_an_axolotl_file():
    extra = {
        "rl": "dpo",
        "datasets": [
            {"path": "org/one", "split": "train_prefs", "type": "chatml.ultra"},
            {
                "path": "two.jsonl",
                "ds_type": "json",
                "shards": 3,
                "type": {"field_prompt": "question", "field_chosen": "good"},
            },
        ],
        "val_set_size": 0.05,
        "adapter": "qlora",
        "lora_r": 64,
        "lora_alpha": 32,
        "lora_target_linear": True,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "optimizer": "paged_adamw_8bit",
        "dpo_beta": 0.01,
        "warmup_steps": 32,
        "num_epochs": 3,
        "wandb_project": "x",
        "no_such_key": 1,
    }
    converted = convert(AXOLOTL_FILE | extra, AXOLOTL)
    values = converted.settings
    assert converted.method == "dpo"
    assert values["data"] == {
        "sources": [
            {"path": "org/one", "split": "train_prefs"},
            {"path": "two.jsonl", "columns": {"prompt": "question", "chosen": "good"}},
        ],
        "max_length": 2048,
        "overflow": "drop",
        "held_out": 0.05,
    }
    assert values["model"]["lora"] == {"rank": 64, "alpha": 32.0, "dropout": 0.0, "targets": "all-linear"}
    assert values["batch_size"] == 8
    assert values["optimizer"]["learning_rate"] == 5e-7  # text in YAML 1.1
    assert values["schedule"] == {"name": "cosine", "warmup_steps": 32}
    assert values["loss"] == {"name": "sigmoid", "beta": 0.01}
    assert {key for key, _, _ in converted.omissions} == {"adapter", "datasets.shards"}
    assert converted.unknown == ("no_such_key",)


def test_a_llama_factory_file():
    extra = {
        "finetuning_type": "lora",
        "lora_rank": 16,
        "lora_target": "q_proj,v_proj",
        "pref_loss": "simpo",
        "pref_beta": 2.0,
        "simpo_gamma": 1.0,
        "warmup_ratio": 0.1,
        "enable_thinking": False,
        "quantization_bit": 4,
    }
    converted = convert(FACTORY_FILE | extra, LLAMA_FACTORY)
    values = converted.settings
    assert values["model"]["lora"] == {"rank": 16, "alpha": 32.0, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    assert values["loss"] == {"name": "simpo", "beta": 2.0, "gamma": 1.0}
    assert values["optimizer"]["learning_rate"] == 5e-5  # that of `transformers`, where LLaMA-Factory's file has none
    assert values["schedule"]["warmup_steps"] == 0.1
    assert values["data"]["template_args"] == {"enable_thinking": False}
    assert [key for key, _, _ in converted.omissions] == ["quantization_bit"]


@pytest.mark.parametrize(
    ("values", "name"), [(TRL_FILE, "trl"), (AXOLOTL_FILE, "axolotl"), (FACTORY_FILE, "llama-factory")]
)
def test_the_library_is_found_by_its_keys(values, name, tmp_path):
    assert find_library(values, tmp_path / "x.yaml").name == name


def test_the_method_follows_from_keys_or_is_asked_for():
    assert TRL.method({"assistant_only_loss": True}) == "sft"
    assert TRL.method({"beta": 0.1}) == "dpo"
    assert TRL.method({"desirable_weight": 1.0, "beta": 0.1}) == "kto"
    assert AXOLOTL.method({"rl": "kto"}) == "kto"
    assert AXOLOTL.method({}) == "sft"
    assert AXOLOTL.method({"rl": ["dpo"]}) is None
    assert LLAMA_FACTORY.method({"stage": "rm"}) == "reward_model"
    with pytest.raises(InputError, match="does not say which method"):
        convert({"model_name_or_path": "m", "dataset_name": "d"}, TRL)


keys = st.sampled_from([rule.key for library in LIBRARIES.values() for rule in library.rules]) | st.text(
    "abc_", min_size=1
)
plain = st.none() | st.booleans() | st.integers(-2, 100) | st.floats(0, 2) | st.text("abc", max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["trl", "axolotl", "llama-factory"]),
    st.dictionaries(keys, plain, max_size=12),
    st.sampled_from([*METHODS]),
)
def test_a_key_is_carried_over_or_named_or_changes_no_result(name, values, method):
    library = LIBRARIES[name]
    try:
        converted = convert(values, library, method=method)
    except InputError:  # refused aloud
        return
    named = {key for key, _, _ in converted.omissions} | {text.partition(";")[0] for text in converted.unknown}
    for key in {*values} - named:
        rule = library.rule(key)
        assert rule is not None
        carried = rule.write is not None or rule.together or rule.harmless or values[key] in (None, False, "")
        assert carried, key


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "x: 1\n", "cannot tell whose"),
        ("a.yaml", "a: &a [1]\nb: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("a.json", "[1, 2]", "expected an object"),
        ("a.json", "{", "not valid JSON"),
        ("training_args.bin", "x", "pickle"),
        ("a.yaml", "base_model: m\nmicro_batch_size: two\nlearning_rate: -1\n", "optimizer.learning_rate"),
    ],
)
def test_bad_files_are_refused_by_name(name, text, words, tmp_path, capsys):
    file = tmp_path / name
    file.write_text(text)
    assert main(["convert-config", str(file)]) == 2
    assert words in capsys.readouterr().err


def test_the_written_file_is_a_configuration_and_an_old_one_stays(tmp_path, capsys):
    file, out = tmp_path / "trl.json", tmp_path / "dpo.yaml"
    file.write_text(json.dumps(TRL_FILE | {"fp16": True}))
    assert main(["convert-config", str(file), "train=dpo", f"out={out}"]) == 0
    assert "not carried over: fp16" in capsys.readouterr().out
    assert load_config(METHODS["dpo"], out).batch_size == 16
    assert yaml.safe_load(out.read_text())["method"] == "dpo"
    assert main(["convert-config", str(file), "train=dpo", f"out={out}"]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "template", "named"),
    [
        ("chatml", "chatml", False),
        ("tokenizer_default", None, False),
        ("qwen_25", None, True),
        ("no.jinja", None, True),
    ],
)
def test_a_template_that_is_not_here_is_named_and_ends_nothing(name, template, named):
    converted = convert(AXOLOTL_FILE | {"chat_template": name}, AXOLOTL)
    assert converted.settings["data"].get("template") == template
    assert [key for key, _, _ in converted.omissions] == ["chat_template"] * named


@pytest.mark.parametrize("library", [TRL, AXOLOTL])
@pytest.mark.parametrize("value", ["sdpa", "flash_attention_3", "kernels-community/flash-attn3", ["sdpa"]])
def test_attention_that_is_not_here_is_named_and_ends_nothing(library, value):
    file = AXOLOTL_FILE if library is AXOLOTL else {"model_name_or_path": "m", "dataset_name": "a/b", "beta": 0.2}
    converted = convert({**file, "flash_attention": None, "attn_implementation": value}, library, method="dpo")
    named = [(key, reason) for key, _, reason in converted.omissions if key == "attn_implementation"]
    if value == "sdpa":
        assert (converted.settings["model"]["attention"], named) == ("sdpa", [])
    else:
        assert "attention" not in converted.settings["model"]
        assert named == [
            (
                "attn_implementation",
                "choose auto, sdpa, eager, flash_attention_2 or flex_attention (model.attention)",
            )
        ]


def test_a_setting_that_is_missing_is_asked_for():
    converted = convert({"base_model": "m", "learning_rate": 1e-5}, AXOLOTL)
    assert converted.missing == ("data.path",)
    assert "To be filled in" in converted.as_yaml("x.yaml")


def test_the_defaults_of_trl_are_those_of_the_installed_one():
    trl = pytest.importorskip("trl", reason="trl is not installed here")
    dpo = trl.DPOConfig(output_dir="x", use_cpu=True, bf16=False)
    converted = convert(TRL_FILE, TRL, method="dpo").settings
    assert converted["optimizer"]["learning_rate"] == dpo.learning_rate
    assert (converted["clip"], converted["epochs"], converted["seed"]) == (
        dpo.max_grad_norm,
        dpo.num_train_epochs,
        dpo.seed,
    )
    assert converted["data"]["max_length"] == dpo.max_length


def test_read_foreign_reads_json_and_yaml_alike(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(TRL_FILE))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(TRL_FILE))
    assert read_foreign(tmp_path / "a.json") == read_foreign(tmp_path / "a.yaml") == TRL_FILE


def test_a_dpo_file_with_a_length_of_completions_is_no_rollout():
    """TRL's trainers on pairs had `max_completion_length` before 0.20; GRPO, which is not here, is not guessed at."""
    assert TRL.method({"beta": 0.1, "max_completion_length": 128}) == "dpo"
    assert TRL.method({"beta": 0.1, "num_generations": 8, "max_completion_length": 128}) is None


def test_rollouts_leave_out_what_their_prompts_have_no_setting_for():
    converted = convert(TRL_FILE, TRL, method="ppo")
    assert converted.settings["data"] == {"path": "org/data", "held_out": 0.0}
    assert any(remark.startswith("data.max_length=1024 is left out") for remark in converted.remarks)
    assert "reward" in converted.missing


@pytest.mark.parametrize(
    ("strategy", "held_out"), [({}, 0.0), ({"eval_strategy": "no"}, 0.0), ({"eval_strategy": "steps"}, None)]
)
def test_trl_trains_on_every_row_and_so_does_the_converted_file(strategy, held_out):
    converted = convert(TRL_FILE | strategy, TRL, method="dpo")
    assert converted.settings["data"].get("held_out") == held_out
    assert any("TRL evaluates on another split" in remark for remark in converted.remarks) == (held_out is None)


def test_more_of_trls_keys_are_carried_over():
    keys = {
        "rpo_alpha": 0.5,
        "lr_scheduler_type": "SchedulerType.COSINE",
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "fsdp": [],
    }
    converted = convert(TRL_FILE | keys, TRL, method="dpo")
    assert converted.settings["loss"] == {"name": "sigmoid", "beta": 0.1, "nll_weight": 0.5}
    assert converted.settings["schedule"]["name"] == "cosine"
    assert converted.settings["checkpoint"] == {"best": "loss"}
    assert not converted.omissions
    other = convert(TRL_FILE | {"rpo_alpha": 0.5, "loss_type": "hinge"}, TRL, method="dpo")
    assert [key for key, _, _ in other.omissions] == ["rpo_alpha"]


@pytest.mark.parametrize(
    ("keys", "is_said"), [({}, True), ({"completion_only_loss": True}, False), ({"assistant_only_loss": True}, False)]
)
def test_that_trl_teaches_prompts_too_is_said(keys, is_said):
    converted = convert(TRL_FILE | keys, TRL, method="sft")
    assert any("TRL teaches whole conversations" in remark for remark in converted.remarks) == is_said


def chat_source(**keys):
    return {"datasets": [{"path": "chat.jsonl", "type": "chat_template", **keys}]}


def test_axolotl_teaches_every_answer_of_a_conversation():
    usual = {
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
        "message_property_mappings": {"role": "from"},
        "roles": {"user": ["human", "user"], "assistant": ["gpt"]},
    }
    converted = convert(AXOLOTL_FILE | chat_source(**usual), AXOLOTL)
    assert converted.settings["turns"] == "every"
    assert not converted.omissions
    other = {"roles_to_train": ["user"], "train_on_eos": "last", "message_property_mappings": {"content": "said"}}
    other |= {"roles": {"user": ["pupil"]}}
    named = {key for key, _, _ in convert(AXOLOTL_FILE | chat_source(**other), AXOLOTL).omissions}
    assert named == {f"datasets.{key}" for key in other}


def test_axolotls_own_warmup_and_steps_beyond_its_epochs():
    converted = convert(AXOLOTL_FILE | {"max_steps": 50}, AXOLOTL)
    assert converted.settings["schedule"]["warmup_steps"] == 0.03
    assert any("warms up over 3%" in remark for remark in converted.remarks)
    # steps alone decide, as in `transformers`: one epoch of a small file must not end the run
    assert (converted.settings["max_steps"], converted.settings["epochs"]) == (50, 10_000)
    assert not any("val_set_size" in remark for remark in converted.remarks)
    given = convert(AXOLOTL_FILE | {"warmup_ratio": 0.1}, AXOLOTL)
    assert given.settings["schedule"]["warmup_steps"] == 0.1
    assert not any("warms up" in remark for remark in given.remarks)
