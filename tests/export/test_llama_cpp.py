"""llama.cpp itself opens our GGUF files: the same tokens, the same conversation, the same log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_tokenizers import byte_tokenizer
from llama_cpp_server import Served, assert_same_scores
from penchant.cli.main import main
from penchant.data.rendering.template_source import template_text
from tiny_families import FAMILIES, make_family

pytest.importorskip("xllamacpp", reason="needs llama.cpp: pip install xllamacpp")
pytestmark = pytest.mark.slow

TEXTS = (
    "Once upon a time, in 1984 3 friends'd met.\n\n  They'll SING   again — naïve 日本 🙂 it's  12345!\n",
    "a\r\n\r\nb /x/ 'Tis I'D go 1234567 X1Y2 ÉCOLE Éa",
)
TURNS = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Is it far?"},
    {"role": "assistant", "content": "No."},
    {"role": "user", "content": "How far, then?"},
]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_scores_there_as_here(family: str, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.chat_template = template_text("chatml")
    folder = make_family(family, tokenizer, tmp_path / "model")
    assert main(["export", str(folder), f"out={tmp_path / 'out'}", "format=gguf", "type=f32", "check=false"]) == 0
    served = Served(tmp_path / "out" / "model.gguf")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert served.ids(text) == tokenizer(text).input_ids
    rendered = tokenizer.apply_chat_template(TURNS, add_generation_prompt=True, tokenize=False)
    assert served.ask("apply-template", messages=TURNS)["prompt"] == rendered
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for text in TEXTS:
        # GELU is looked up in a table of float16 there
        bound = 1e-2 if family.startswith(("gemma", "gpt2")) else 2e-3
        assert_same_scores(served, network, tokenizer(text).input_ids[:60], bound)


@pytest.mark.parametrize("name", ["stories260K", "penchant-0.5m"])
def test_real_models_score_there_as_here(
    name: str, tmp_path: Path, shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(shared_data(name)) if name == "stories260K" else name
    assert main(["export", model, f"out={tmp_path / 'merged'}", "license=mit"]) == 0
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    for stored, bound in (("f32", 2e-3), ("f16", 0.1), ("q8_0", 0.5)):
        out = tmp_path / stored
        assert main(["export", model, f"out={out}", "format=gguf", f"type={stored}", "license=mit", "check=false"]) == 0
        served = Served(out / "model.gguf")
        for text in ("Once upon a time, there was a film in 1984.", "It's  great, they'd say"):
            ids = tokenizer(text).input_ids
            assert served.ids(text) == ids
            assert_same_scores(served, network, ids, bound)
