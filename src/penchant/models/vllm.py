"""Sampling by vLLM on a GPU behind the same `draw`: for many samples of a large model. The extra `penchant[vllm]`.

vLLM has weights of its own: the policy's go there through a folder, with adapters merged, and again whenever they have
changed. A draw is keyed by (seed, prompt, sample index) here too, but vLLM promises the same tokens only on the same
machine with the same batches.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import PreTrainedModel
from penchant.engine.lengths import length_classes
from penchant.engine.reference import fingerprint
from penchant.engine.sampling import Sampling, TokenSample, check_room
from penchant.errors import InputError

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.outputs import CompletionOutput

GPU_SHARE = 0.4  # of the GPU's memory for vLLM's weights and caches: the policy, and its optimizer, need the rest
SAMPLES = 4096  # given to vLLM at once; progress is told after each


class VLLM:
    """A sampler by vLLM, called like `penchant.engine.generate.draw`. Its one engine starts at the first draw.

    Raises:
        InputError: no GPU that torch can use, or vLLM is not installed.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise InputError("sampler: vllm needs a GPU with CUDA, and torch sees none; take sampler: penchant")
        if importlib.util.find_spec("vllm") is None:
            raise InputError("sampler: vllm is not installed: pip install 'penchant[vllm]', or take sampler: penchant")
        self._engine: LLM | None = None
        self._weights = ""  # fingerprint of those that vLLM has
        self._folder = tempfile.TemporaryDirectory(prefix="penchant-vllm-")

    def __call__(
        self,
        model: nn.Module,
        prompts: Sequence[tuple[int, ...]],
        sampling: Sampling,
        *,
        end_ids: frozenset[int],
        progress: Callable[[int], None] | None = None,
    ) -> list[list[TokenSample]]:
        """Draw n samples per prompt; see `penchant.engine.generate.draw`."""
        from vllm import SamplingParams

        check_room(model, prompts, sampling)
        check_one_class(model, prompts, sampling)
        engine = self._updated_engine(model)
        samples: list[list[TokenSample]] = []
        step = max(1, SAMPLES // sampling.n)
        for start in range(0, len(prompts), step):
            batch = prompts[start : start + step]
            outputs = engine.generate(
                [{"prompt_token_ids": list(prompt)} for prompt in batch],
                [SamplingParams(**parameters(prompt, sampling, end_ids)) for prompt in batch],
                use_tqdm=False,
            )
            samples += [samples_of(output.outputs, end_ids) for output in outputs]
            if progress:
                progress(len(batch) * sampling.n)
        return samples

    def _updated_engine(self, model: nn.Module) -> LLM:
        """Return the engine with the model's weights, which it is given if it has others."""
        # on a copy, since merging adapters changes the weights that train
        merged: PreTrainedModel = copy.deepcopy(model) if hasattr(model, "merge_and_unload") else model
        if merged is not model:
            from penchant.models.adapters import merge_adapters  # it needs this package

            merged = merge_adapters(merged, self._folder.name)
        # by content: nothing else tells that an optimizer has moved the weights
        weights = fingerprint(merged)
        if self._engine is not None and weights == self._weights:
            return self._engine
        merged.save_pretrained(Path(self._folder.name), safe_serialization=True)
        if self._engine is None:
            from vllm import LLM

            self._engine = LLM(
                model=self._folder.name,
                dtype=str(next(merged.parameters()).dtype).removeprefix("torch."),
                skip_tokenizer_init=True,  # token ids go in and come out
                generation_config="vllm",  # what the model's own file says of sampling must not be mixed in
                gpu_memory_utilization=GPU_SHARE,
            )
        else:
            self._engine.collective_rpc("reload_weights")  # from the same folder
            self._engine.reset_prefix_cache()  # holds states of the old weights
        self._weights = weights
        return self._engine


def check_one_class(model: nn.Module, prompts: Sequence[tuple[int, ...]], sampling: Sampling) -> None:
    """Refuse rows of lengths at which the model's arithmetic changes: vLLM chooses it once, not per row.

    Raises:
        InputError: names the model and its classes of lengths.
    """
    classes = length_classes(unwrap(model).config.get_text_config())
    lengths = [len(prompt) for prompt in prompts]
    if lengths and classes.class_of(min(lengths)) != classes.class_of(max(lengths) + sampling.max_new_tokens - 1):
        raise InputError(
            f"sampler: vllm computes all rows of {type(unwrap(model)).__name__} alike, but its arithmetic changes with "
            f"their length (at {', '.join(map(str, (*classes.thresholds, *filter(None, [classes.exact_above]))))} "
            "tokens): take sampler: penchant"
        )


def parameters(prompt: tuple[int, ...], sampling: Sampling, end_ids: frozenset[int]) -> dict[str, object]:
    """Return the arguments of `vllm.SamplingParams` for one prompt; vLLM adds the sample's index to the seed."""
    digest = hashlib.blake2b(f"{sampling.seed}|{prompt}".encode(), digest_size=4).digest()
    return {
        "n": sampling.n,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "seed": int.from_bytes(digest, "little"),
        "stop_token_ids": sorted(end_ids),
        "ignore_eos": True,  # the end tokens are those that the renderer knows, and no others
        "detokenize": False,
    }


def samples_of(completions: Sequence[CompletionOutput], end_ids: frozenset[int]) -> list[TokenSample]:
    """Return vLLM's completions of one prompt in the order of the sample index."""
    ids = [tuple(completion.token_ids) for completion in sorted(completions, key=lambda output: output.index)]
    return [(tokens, bool(tokens) and tokens[-1] in end_ids) for tokens in ids]
