"""Imitations of chat template families (`tests/templates/`), each with a small tokenizer that knows its marks.

The texts are our own. They imitate where thoughts, tools, dates, headers and end tokens stand, and what is rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).with_name("templates")
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DEEPSEEK = (
    *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    *(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁sep｜>",
    ),
    *("<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"),
)
THINK = ("<think>", "</think>")
CALL = ("<tool_call>", "</tool_call>")


@dataclass(frozen=True)
class Family:
    """A template family.

    Attributes:
        special: tokens that decoding leaves out. marks: added tokens that decoding keeps, such as `<think>`.
        end: what ends an answer; empty where the template writes nothing there.
        tools: whether the template writes functions and calls. thoughts: whether it knows think blocks.
    """

    special: tuple[str, ...]
    marks: tuple[str, ...] = ()
    bos: str | None = None
    eos: str = "<|im_end|>"
    end: str = "<|im_end|>"
    tools: bool = True
    thoughts: bool = False


FAMILIES = {
    "qwen3": Family(CHATML, (*THINK, *CALL), thoughts=True),
    "qwen3_5": Family(CHATML, (*THINK, *CALL), thoughts=True),
    "glm4_moe": Family(
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        (*THINK, *CALL),
        eos="<|endoftext|>",
        end="",
        thoughts=True,
    ),
    "deepseek_r1": Family(
        DEEPSEEK, THINK, bos=DEEPSEEK[0], eos=DEEPSEEK[1], end=DEEPSEEK[1], tools=False, thoughts=True
    ),
    "deepseek_v31": Family(DEEPSEEK, THINK, bos=DEEPSEEK[0], eos=DEEPSEEK[1], end=DEEPSEEK[1], thoughts=True),
    "gpt_oss": Family(
        ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|endoftext|>"),
        eos="<|return|>",
        end="<|return|>",
        thoughts=True,
    ),
    "nemotron3": Family(CHATML, (*THINK, *CALL), thoughts=True),
    "llama32": Family(
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        end="<|eot_id|>",
    ),
    "gemma3": Family(
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        end="<end_of_turn>",
        tools=False,
    ),
    "phi4_mini": Family(
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|tool|>", "<|/tool|>"),
        eos="<|endoftext|>",
        end="<|end|>",
        tools=False,
    ),
    "lfm2": Family(
        ("<|startoftext|>", *CHATML, "<|tool_list_start|>", "<|tool_list_end|>"), bos="<|startoftext|>", tools=False
    ),
    "smollm3": Family(CHATML, THINK, tools=False, thoughts=True),
    "mistral": Family(
        ("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]"),
        bos="<s>",
        eos="</s>",
        end="</s>",
    ),
    "qwen2_5_base": Family(CHATML, CALL, eos="<|endoftext|>"),
}


def family_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token per byte, the family's marks, and its template."""
    family = FAMILIES[name]
    tokenizer = byte_tokenizer(family.special, family.marks, bos=family.bos, eos=family.eos)
    tokenizer.chat_template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return tokenizer


def byte_tokenizer(
    special: Sequence[str], marks: Sequence[str], *, bos: str | None, eos: str
) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token per byte and some marks, of which decoding leaves the special ones out."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        additional_special_tokens=list(special),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens(list(marks))
    return tokenizer
