"""llama.cpp's own server (of the package `xllamacpp`), asked for tokens, conversations and log-probabilities."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch


class Served:
    """A GGUF file in llama.cpp's own server, whose caches keep float32."""

    def __init__(self, path: Path) -> None:
        import xllamacpp as llama

        settings = llama.CommonParams()
        settings.model.path = str(path)
        settings.n_ctx, settings.warmup, settings.cpuparams.n_threads = 256, False, 1
        settings.cache_type_k = settings.cache_type_v = llama.ggml_type.GGML_TYPE_F32
        settings.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        settings.use_jinja = True
        self.server = llama.Server(settings)

    def ask(self, path: str, **content: Any) -> Any:
        request = urllib.request.Request(f"{self.server.listening_address}/{path}", json.dumps(content).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ids(self, text: str) -> list[int]:
        return list(self.ask("tokenize", content=text, add_special=True, parse_special=True)["tokens"])

    def likeliest(self, ids: list[int]) -> dict[int, float]:
        """Return the log-probabilities of the likeliest next tokens by their ids."""
        # a token that ends within a character is not reported, so the one that is drawn is forced: its bias does not
        # change the probabilities
        forced = {"logit_bias": [[self.ids("a")[-1], 1000.0]], "temperature": 0, "cache_prompt": False}
        answer = self.ask("completion", prompt=ids, n_predict=1, n_probs=20, **forced)
        (entry,) = answer["completion_probabilities"]
        return {option["id"]: option["logprob"] for option in entry["top_logprobs"]}


def assert_same_scores(served: Served, network: Any, ids: list[int], bound: float) -> None:
    with torch.no_grad():
        logps = network.eval()(torch.tensor([ids])).logits.float().log_softmax(-1)[0]
    for length in range(1, len(ids) + 1, 7):
        there = served.likeliest(ids[:length])
        assert len(there) == 20
        for token, logp in there.items():
            assert logp == pytest.approx(float(logps[length - 1, token]), abs=bound)
