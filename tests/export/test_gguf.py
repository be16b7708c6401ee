"""GGUF files read back by a reader with its own mapping, and by transformers, score as the model that was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from byte_tokenizers import CORPUS, byte_tokenizer
from gguf_reading import File, read_ids, read_network
from penchant.errors import InputError
from penchant.export.gguf_file import Description, Quantization, write_gguf
from penchant.export.gguf_layouts import LAYOUTS, changed, interleaved, layout_of
from penchant.export.gguf_vocabulary import Kind, read_vocabulary
from penchant.models.builtin import convert_gguf
from tiny_families import FAMILIES, make_family

TEXT = "Once upon a time, in 1984 3 friends'd met.\n\n  They'll SING   again — naïve 日本 🙂 it's 12345!\n"
READ_BY_TRANSFORMERS = ("llama", "qwen2", "qwen3", "gemma3")
"""Families whose settings `transformers` reads from GGUF; of scaled angles and GPT-2's vocabulary it reads none."""


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))


def logps(network: Any, ids: list[int]) -> Tensor:
    """The log-probability of each token after the first, in nats."""
    row = torch.tensor([ids])
    with torch.no_grad():
        logits = network(row).logits.float().log_softmax(-1)
    return logits[0, :-1].gather(1, row[0, 1:, None]).squeeze(1)


def write(folder: Path, out: Path, stored: Quantization = "f32") -> Any:
    """Write a folder's model as GGUF; returns the network that was written."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = network.get_input_embeddings().weight.shape[0]
    vocabulary = read_vocabulary(tokenizer, rows)
    write_gguf(out, network.config, network.state_dict(), vocabulary, stored, Description("tiny", "mit", "own/base"))
    return network


@pytest.mark.parametrize("family", FAMILIES)
def test_a_float32_file_scores_as_the_model(family: str, tokenizer: Any, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    network = write(make_family(family, tokenizer, tmp_path / "model"), out)
    ids = tokenizer(TEXT).input_ids
    expected = logps(network, ids)
    torch.testing.assert_close(logps(read_network(out), ids), expected, atol=1e-4, rtol=0)
    if family in READ_BY_TRANSFORMERS:
        again = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=out.name, dtype=torch.float32).eval()
        torch.testing.assert_close(logps(again, ids), expected, atol=1e-4, rtol=0)
        read = AutoTokenizer.from_pretrained(tmp_path, gguf_file=out.name)
        assert read("Once upon a time").input_ids == tokenizer("Once upon a time").input_ids
    # for some families transformers puts a split of its own in the place of the one that was saved
    assert read_ids(out, TEXT) == AutoTokenizer.from_pretrained(tmp_path / "model")(TEXT).input_ids


def rounded(values: Tensor, stored: Quantization) -> Tensor:
    """A matrix's values as a type keeps them, computed by torch."""
    if stored == "q8_0":
        blocks = values.reshape(-1, 32)
        scales = blocks.abs().amax(1, keepdim=True) / 127
        return (torch.round(blocks / scales) * scales.half().float()).reshape(values.shape)
    return values.to({"f16": torch.float16, "bf16": torch.bfloat16}[stored]).float()


@pytest.mark.parametrize("stored", ["f16", "bf16", "q8_0"])
def test_other_types_differ_by_their_rounding_alone(stored: Quantization, tokenizer: Any, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    network = write(make_family("llama", tokenizer, tmp_path / "model"), out, stored)
    ids = tokenizer(TEXT).input_ids
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 2:
                weight.copy_(rounded(weight, stored))
    torch.testing.assert_close(logps(read_network(out), ids), logps(network, ids), atol=1e-4, rtol=0)
    kinds = File(out).types
    assert {kind for name, kind in kinds.items() if "norm" in name} == {"F32"}
    assert {kind for name, kind in kinds.items() if "norm" not in name} == {stored.upper()}


def test_values_beyond_float16_are_refused_by_name(tokenizer: Any, tmp_path: Path) -> None:
    folder = make_family("llama", tokenizer, tmp_path / "model")
    network = AutoModelForCausalLM.from_pretrained(folder)
    network.lm_head.weight.data[3, 3] = 1e6
    vocabulary = read_vocabulary(tokenizer, len(tokenizer) + 3)
    with pytest.raises(
        InputError, match=r"lm_head.weight has values up to 1e\+06, float16 ends at 65504: take type=bf16"
    ):
        write_gguf(tmp_path / "x.gguf", network.config, network.state_dict(), vocabulary, "f16", Description("x"))
    network.lm_head.weight.data[3, 3] = float("nan")
    with pytest.raises(InputError, match=r"lm_head.weight has values that are not finite"):
        write_gguf(tmp_path / "y.gguf", network.config, network.state_dict(), vocabulary, "f32", Description("x"))


def test_a_tied_head_is_written_once(tokenizer: Any, tmp_path: Path) -> None:
    for family, there in (("llama", True), ("llama-tied", False)):
        out = tmp_path / f"{family}.gguf"
        write(make_family(family, tokenizer, tmp_path / family), out)
        assert ("output.weight" in File(out).tensors) is there


def test_rows_that_no_block_fits_are_float16(tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=40, num_hidden_layers=1,
                         num_attention_heads=4, num_key_value_heads=4)  # fmt: skip
    network, out = LlamaForCausalLM(config), tmp_path / "model.gguf"
    vocabulary = read_vocabulary(tokenizer, len(tokenizer))
    write_gguf(out, config, network.state_dict(), vocabulary, "q8_0", Description("x"))
    types = File(out).types
    assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
    assert "rows of 40, which no blocks of 32 fit" in caplog.text


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=20)
def test_interleaving_takes_the_halves_of_each_head_in_turn(heads: int, half: int, width: int) -> None:
    values = torch.arange(heads * 2 * half * width).reshape(heads * 2 * half, width)
    rows = interleaved(values, heads)
    for head in range(heads):
        for place in range(half):
            first = head * 2 * half
            assert torch.equal(rows[first + 2 * place], values[first + place])
            assert torch.equal(rows[first + 2 * place + 1], values[first + half + place])


# -- what is refused ------------------------------------------------------------------------------------------------


def llama_config(**changes: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, **changes
    )


def test_an_unknown_architecture_is_refused_by_name_with_what_to_do() -> None:
    from transformers import OPTConfig

    with pytest.raises(InputError, match=r"of the architecture 'opt'.*llama, mistral.*converter=PATH.*format=merged"):
        layout_of(OPTConfig())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_act": "gelu"}, "hidden_act='gelu'.*'silu' or 'swish'"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rope_type='dynamic'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "beta_fast": 16}},
            "rope_parameters.beta_fast=16",
        ),
    ],
)
def test_settings_that_llama_cpp_does_not_know_are_refused(changes: dict[str, Any], words: str) -> None:
    config = llama_config(**changes)
    with pytest.raises(InputError, match=words):
        layout_of(config).metadata(config)


def test_weights_without_a_place_and_missing_ones_are_named(tokenizer: Any, tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(make_family("llama", tokenizer, tmp_path / "model"))
    vocabulary = read_vocabulary(tokenizer, len(tokenizer) + 3)
    weights = dict(network.state_dict())
    weights["model.layers.0.mlp.extra.weight"] = weights.pop("model.layers.1.mlp.up_proj.weight")
    with pytest.raises(
        InputError, match=r"mlp.extra.weight have no place there and model.layers.1.mlp.up_proj.weight are missing"
    ):
        write_gguf(tmp_path / "x.gguf", network.config, weights, vocabulary, "f32", Description("x"))
    assert not (tmp_path / "x.gguf").exists()


def test_every_layout_is_read_back_by_some_family() -> None:
    assert {kind for kind, _ in FAMILIES.values()} == set(LAYOUTS)


def test_what_is_not_listed_is_unchanged() -> None:
    values = torch.ones(2, 2)
    assert changed(values, "", llama_config(), "w") is values


# -- tokenizers -----------------------------------------------------------------------------------------------------

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = GPT4O.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")


def split(pattern: str) -> tuple[Any, Any]:
    return pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)


@pytest.mark.parametrize(
    ("name", "steps", "ignore_merges"),
    [
        ("gpt-2", (pre_tokenizers.ByteLevel(False),), False),
        ("smollm", (pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)), False),
        ("qwen2", split(QWEN), False),
        ("llama-bpe", split(LLAMA3), True),
        ("smaug-bpe", split(LLAMA3), False),
        ("tekken", split(TEKKEN), True),
        ("gpt-4o", split(GPT4O), False),
    ],
)
def test_a_split_has_the_name_by_which_llama_cpp_gives_the_same_tokens(
    name: str, steps: tuple[Any, ...], ignore_merges: bool, tmp_path: Path
) -> None:
    tokenizer = byte_tokenizer(*steps, ignore_merges=ignore_merges)
    out = tmp_path / "model.gguf"
    write(make_family("llama", tokenizer, tmp_path / "model"), out)
    assert File(out).values["tokenizer.ggml.pre"] == name
    opened = AutoTokenizer.from_pretrained(convert_gguf(out))
    for text in (TEXT, *CORPUS[:2], "a\r\n\r\nb /x/ 'Tis I'D go 1234567 X1Y2 ÉCOLE Éa", "in  1984\n 12345  \n7"):
        assert read_ids(out, text) == opened(text).input_ids == tokenizer(text).input_ids


def test_a_file_with_a_split_that_is_not_known_is_opened_with_a_warning(
    tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "model.gguf"
    write(make_family("llama", tokenizer, tmp_path / "model"), out)
    out.write_bytes(out.read_bytes().replace(b"gpt-2", b"dbrx9"))
    opened = AutoTokenizer.from_pretrained(convert_gguf(out))
    assert "model.gguf cuts texts by 'dbrx9', which is not known here" in caplog.text
    assert opened("Once upon a time").input_ids == tokenizer("Once upon a time").input_ids


def test_a_sentencepiece_tokenizer_is_written_with_scores(stories: str, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    network = write(Path(stories), out)
    tokenizer = AutoTokenizer.from_pretrained(stories)
    values = File(out).values
    assert (values["tokenizer.ggml.model"], values["tokenizer.ggml.add_space_prefix"]) == ("llama", True)
    kinds = values["tokenizer.ggml.token_type"]
    assert kinds[:3] == [Kind.UNKNOWN, Kind.CONTROL, Kind.CONTROL]
    assert kinds[tokenizer.convert_tokens_to_ids("<0x41>")] == Kind.BYTE
    for text in ("Once upon a time, there was a little girl.", "  two  spaces\n", "naïve 日本 🙂"):
        assert read_ids(out, text) == tokenizer(text).input_ids
    ids = tokenizer("Once upon a time, there was a little girl named Lily.").input_ids
    torch.testing.assert_close(logps(read_network(out), ids), logps(network, ids), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_the_pieces_of_sentencepiece_are_merged_in_the_order_of_their_scores(kind: str, tmp_path: Path) -> None:
    """As transformers itself makes tokenizers of Llama 2 and of Gemma."""
    bytes_of_text = [f"<0x{byte:02X}>" for byte in range(256)]
    inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if kind == "llama":
        inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    else:
        inner.normalizer = normalizers.Replace(" ", "▁")
        inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<unk>", "<s>", "</s>", *bytes_of_text]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    inner.train_from_iterator([word for text in CORPUS for word in text.split(".")], trainer)
    content = json.loads(inner.to_str())
    content["added_tokens"] = content["added_tokens"][:3]  # the bytes are pieces there, and no tokens that texts hold
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    out = tmp_path / "model.gguf"
    write(make_family("gpt2", tokenizer, tmp_path / "model"), out)
    assert File(out).values["tokenizer.ggml.add_space_prefix"] is (kind == "llama")
    for text in ("Once upon a time there was a dog", "sing again and again, naïve 日本 friends", "🙂  two spaces"):
        assert read_ids(out, text) == tokenizer(text).input_ids


def test_added_tokens_the_end_of_a_turn_and_the_template_are_in_the_file(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(pre_tokenizers.ByteLevel(False))
    tokenizer.add_tokens(["<call>"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    turn_end, call = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<call>"])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    vocabulary = read_vocabulary(tokenizer, len(tokenizer) + 2, frozenset({tokenizer.eos_token_id, turn_end}))
    assert (vocabulary.kinds[turn_end], vocabulary.kinds[call]) == (Kind.CONTROL, Kind.USER_DEFINED)
    assert vocabulary.kinds[-2:] == (Kind.UNUSED, Kind.UNUSED)
    assert vocabulary.pieces[-1] == f"[PAD{len(tokenizer) + 1}]"
    assert vocabulary.special == {"eos": tokenizer.eos_token_id, "eot": turn_end}
    assert vocabulary.templates == {"default": tokenizer.chat_template}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, 'splits texts by {"type": "Whitespace"}'),
        ({"normalizer": {"type": "Lowercase"}}, "changes texts by Lowercase"),
        (
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
            "a space before",
        ),
        (
            {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]], "byte_fallback": False}},
            "of the kind Unigram",
        ),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_read_as_another_is_refused(
    change: dict[str, Any], words: str, tokenizer: Any
) -> None:
    content = json.loads(tokenizer.backend_tokenizer.to_str()) | change
    if "model" in change:
        content |= {"added_tokens": [], "pre_tokenizer": None, "decoder": None}
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))
    with pytest.raises(InputError, match=f"{words}.*converter=PATH"):
        read_vocabulary(other, 1000)


def test_a_pattern_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"no name that is known here.*gpt-2, smollm, qwen2"):
        read_vocabulary(byte_tokenizer(*split(r"\w+|\W+")), 1000)


def test_more_tokens_than_rows_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"embeddings have 100 rows"):
        read_vocabulary(tokenizer, 100)
