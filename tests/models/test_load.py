"""Loading: names and folders, what is refused, LoRA, GGUF, dtype, and what a saved policy opens with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from penchant.digests import SUMS, write_sums
from penchant.errors import InputError
from penchant.models.builtin import convert_gguf
from penchant.models.load import load_policy
from penchant.models.settings import LoRA, ModelConfig
from penchant.types import Message, PromptGroup

GROUP = PromptGroup("Once upon a time", [" there was a dog."])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2", "did you mean 'smollm2-135m'"),
        ("./nowhere", "neither a built-in name"),
        ("nobody/nothing", "cannot load the tokenizer of model 'nobody/nothing'"),
        ("missing.gguf", "no such GGUF file"),
    ],
)
def test_a_model_that_does_not_exist(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_policy(name)


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        load_policy(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(InputError, match=r"did you mean .*checkpoint"):
        load_policy(tmp_path)
    (tmp_path / "model.gguf").write_text("")
    with pytest.raises(InputError, match=r"did you mean .*model\.gguf"):
        load_policy(tmp_path)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(InputError, match="is a file"):
        load_policy(tmp_path / "file.txt")


def test_a_damaged_model_is_refused_in_one_line(stories: str, tmp_path: Path) -> None:
    broken = shutil.copytree(stories, tmp_path / "model")
    (broken / "model.safetensors").chmod(0o644)
    (broken / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match="cannot load model") as caught:
        load_policy(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "0" * 64 + " *model.safetensors\n" + "1" * 64 + "  README.md\n",  # binary mode, and of another version
        "SHA256 (config.json) = " + "0" * 64 + "\n",
        "0" * 64 + "  other.bin",
        "",
        "\ufeff# made by hand\r\n",
    ],
)
def test_sums_that_somebody_else_wrote_refuse_no_model(stories: str, tmp_path: Path, content: str) -> None:
    model = tmp_path / "downloaded"
    shutil.copytree(stories, model)
    (model / SUMS).write_text(content)
    assert torch.equal(load_policy(model).score([GROUP])[0], load_policy(stories).score([GROUP])[0])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"])
def test_a_model_that_we_saved_is_refused_when_a_file_is_damaged_or_gone(
    stories: str, tmp_path: Path, name: str
) -> None:
    load_policy(stories).save(tmp_path)
    write_sums(tmp_path)
    load_policy(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_policy(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name}|cannot load|holds no model"):
        load_policy(tmp_path)


def test_pickled_weights_are_never_loaded(stories: str, tmp_path: Path) -> None:
    pickled = shutil.copytree(stories, tmp_path / "model")
    torch.save(load_policy(stories).model.state_dict(), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").chmod(0o644)
    (pickled / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot load model"):
        load_policy(pickled)


def test_a_tokenizer_without_an_end_token(stories: str, tmp_path: Path) -> None:
    endless = shutil.copytree(stories, tmp_path / "model")
    settings = endless / "tokenizer_config.json"
    settings.chmod(0o644)
    settings.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    with pytest.raises(InputError, match="no end-of-sequence token"):
        load_policy(endless)


def test_a_damaged_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(InputError, match="cannot be read as a GGUF model"):
        convert_gguf(tmp_path / "model.gguf")
    with pytest.raises(InputError, match="cannot be read as a GGUF model"):
        load_policy(tmp_path / "model.gguf")


def test_a_device_that_is_not_there(stories: str) -> None:
    with pytest.raises(InputError, match="device='cuda:99'"):
        load_policy(stories, device="cuda:99")
    with pytest.raises(InputError, match="device='toaster'"):
        load_policy(stories, device="toaster")


def test_dtype_and_max_length(stories: str) -> None:
    policy = load_policy(stories, dtype="bfloat16", max_length=100)
    assert policy.model.dtype == torch.bfloat16
    assert policy.renderer.max_length == 100
    full = load_policy(stories)
    assert full.model.dtype == torch.float32
    assert full.renderer.max_length == 512  # the model's context
    assert abs(float(policy.score([GROUP])[0] - full.score([GROUP])[0])) < 0.5


def test_messages_name_the_template_file_and_not_the_model(tiny_model: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(
        "{% if messages | length > 2 %}{{ raise_exception('one question') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    policy = load_policy(tiny_model, device="cpu", template=str(file))
    asked = Message("user", "Hi.")
    assert policy.renderer.text((asked,)) == "[user]Hi.[assistant]"
    with pytest.raises(InputError, match=r"^the template \S+mine\.jinja refuses this conversation: one question"):
        policy.renderer.text((asked, Message("assistant", "Ho."), asked))
    with pytest.raises(InputError, match=r"^the template \S+mine\.jinja does not read the argument 'x'"):
        load_policy(tiny_model, device="cpu", template=str(file), template_args={"x": 1})


def test_lora_trains_adapters_only_and_unknown_targets_are_refused(stories: str) -> None:
    policy = load_policy(stories, lora=LoRA(rank=3, targets=["q_proj"]))
    trainable = {name for name, p in policy.model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name and "q_proj" in name for name in trainable)
    assert {p.shape[0] for name, p in policy.model.named_parameters() if "lora_A" in name} == {3}
    with pytest.raises(InputError, match=r"lora.targets=\['nonsense'\]"):
        load_policy(stories, lora=LoRA(targets=["nonsense"]))


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_a_saved_policy_opens_with_transformers_and_with_us(stories: str, tmp_path: Path, lora: LoRA | None) -> None:
    policy = load_policy(ModelConfig(name=stories, lora=lora))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)
    policy.save(tmp_path)
    want = policy.score([GROUP])[0]
    assert float((want - load_policy(stories).score([GROUP])[0]).abs()) > 0.01
    torch.testing.assert_close(load_policy(tmp_path).score([GROUP])[0], want, atol=1e-3, rtol=0)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([policy.renderer.render(GROUP).prompt_ids])
    with torch.no_grad():
        expected = policy.model(input_ids=ids).logits
        torch.testing.assert_close(opened(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)


def test_dropout_is_off(tmp_path: Path, stories: str) -> None:
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=16, n_layer=1, n_head=2, eos_token_id=2)
    assert config.resid_pdrop > 0
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(stories).save_pretrained(tmp_path)
    policy = load_policy(tmp_path)
    policy.model.train()
    ids = torch.arange(20)[None]
    assert torch.equal(policy.model(input_ids=ids).logits, policy.model(input_ids=ids).logits)


@pytest.mark.slow
def test_the_built_in_model_is_converted_once_and_answers(smollm2) -> None:  # type: ignore[no-untyped-def]
    assert smollm2.renderer.chat
    (texts,) = smollm2.generate(["What is the capital of France?"], temperature=0, max_new_tokens=12)
    assert "Paris" in texts[0]


def write_gguf(source: str, file: Path) -> None:
    """Write a Llama's folder as a GGUF file, as llama.cpp's converter does: float32, rows of q and k interleaved."""
    from gguf import GGUFWriter, TokenType
    from transformers import AutoTokenizer

    network, tokenizer = AutoModelForCausalLM.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    config, tokens = network.config, sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    tokens[-2] = "ab"  # for the rarest byte: the reader asks for at least one merge
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b"])
    writer.add_token_types([TokenType.NORMAL] * (len(tokens) - 1) + [TokenType.CONTROL])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    inside = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for layer in range(config.num_hidden_layers):
        names |= {f"model.layers.{layer}.{key}": f"blk.{layer}.{value}" for key, value in inside.items()}
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, weight in network.state_dict().items():
        module = key.removesuffix(".weight")
        if count := heads.get(module.rpartition(".")[2]):
            weight = weight.unflatten(0, (count, 2, -1)).transpose(1, 2).reshape(weight.shape)
        writer.add_tensor(f"{names[module]}.weight", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_known_by_its_whole_content(tiny_model: str, tmp_path: Path) -> None:
    """An edit of one weight in its middle, by somebody who restores size and time."""
    file = tmp_path / "model.gguf"
    write_gguf(tiny_model, file)
    before, times = load_policy(file, device="cpu"), file.stat()
    wanted = load_policy(tiny_model, device="cpu").model.state_dict()
    assert all(torch.equal(weight, wanted[key]) for key, weight in before.model.state_dict().items())
    folder = convert_gguf(file)
    assert convert_gguf(file) == folder
    weight = wanted["model.layers.1.mlp.down_proj.weight"]
    content = file.read_bytes()
    assert content.count(weight.numpy().tobytes()) == 1
    file.write_bytes(content.replace(weight.numpy().tobytes(), (-weight).numpy().tobytes()))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    assert convert_gguf(file) != folder
    after = load_policy(file, device="cpu").model.state_dict()
    assert torch.equal(after["model.layers.1.mlp.down_proj.weight"], -weight)
    assert (folder / "model.safetensors").exists()  # of the file as it was, for whoever puts it back
