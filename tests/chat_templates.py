"""Chat templates in the forms of the field, and a renderer for them whose tokens are characters."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from penchant.data.rendering.renderer import Renderer

TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = "{% for m in messages %}" + TURN + "{% endfor %}" + HEADER
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'assistant' %}{% set r = '' %}"
    "{% set c = m.content %}"
    "{% if '</think>' in c %}{% set r = c.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last %}{{ '<think>\\n' + r + '\\n</think>\\n\\n' }}{% endif %}{{ c }}<|im_end|>\n{% else %}"
    + TURN
    + "{% endif %}{% endfor %}"
) + HEADER
LLAMA2 = (
    "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}"
    "{% set s = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}{% else %}{% set rest = messages %}"
    "{% set s = '' %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + (s if loop.index0 == 0 else '') + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def renderer(template: str, **settings: Any) -> Renderer:
    """Return a renderer with a tokenizer whose tokens are characters and the two marks."""
    letters = sorted(set(map(chr, range(32, 127))) | {"\n"})
    marks = ["<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*marks, "<unk>", *letters])}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=base, eos_token="<|im_end|>", unk_token="<unk>")
    fast.add_special_tokens({"additional_special_tokens": marks[:1]})
    fast.chat_template = template
    return Renderer(fast, **settings)
