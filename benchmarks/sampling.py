"""Sampling beside `transformers`: tokens a second of `policy.draw` and of `model.generate`, one model in one process.

    python benchmarks/sampling.py --json FILE [--quick]

Both sides draw n samples of the same prompts from the unfiltered distribution, in turn, and only tokens up to each
sample's end are counted. `generate` gets token ids (Penchant tokenizes within its time), all prompts in one batch of at
most 64 rows as Penchant's, padded on the left, from long to short where several batches are needed.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from penchant.engine.decoding import MAX_ROWS
from penchant.engine.sampling import Sampling
from penchant.models.load import load_policy
from penchant.models.policy import Policy

MODEL = "smollm2-135m"
TEXT = (
    "the old lighthouse keeper wrote a letter about storms and ships that never came home while his daughter asked why "
    "every road in town led back to water so they walked along the shore counting gulls until evening when rain began"
)
WORDS = TEXT.split()
MATMULS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}

Side = Callable[[int], int]  # draws everything with a seed, and says how many tokens that were


@dataclass(frozen=True)
class Workload:
    """What is drawn.

    Attributes:
        prompt_tokens: average length; lengths spread from 0.6 to 1.4 of it.
        prompts, n: how many, and samples of each.
        max_new_tokens: where a sample is cut.
        lines: a sample also ends at a line's end or a full stop, so that samples differ in length.
    """

    prompt_tokens: int
    prompts: int
    n: int
    max_new_tokens: int
    lines: bool = False

    @property
    def title(self) -> str:
        ends = "ends at line or full stop" if self.lines else f"{self.max_new_tokens} new tokens"
        return f"prompts of about {self.prompt_tokens}, n = {self.n}, {ends}"


WORKLOADS = (
    Workload(32, 16, 4, 24),
    Workload(32, 4, 16, 24),
    Workload(256, 4, 4, 24),
    Workload(256, 1, 16, 24),
    Workload(32, 4, 16, 64, lines=True),
)
QUICK = (Workload(32, 8, 4, 16), Workload(256, 1, 16, 12))


def main() -> int:
    """Measure every workload, print as it goes, write the table."""
    options = _options()
    policy = load_policy(MODEL, dtype="float32", device=options.device, template="plain")
    workloads, repeats = (QUICK, 1) if options.quick else (WORKLOADS, 5)
    rows: list[list[str]] = []
    for workload in workloads:
        print(f"== {workload.title}, {workload.prompts} prompts", flush=True)
        rows.append(_measure(policy, workload, repeats))
    table = {
        "title": f"Sampling: {policy.name}, float32, tokens a second",
        "columns": [
            "workload",
            "prompts",
            "Penchant",
            "transformers.generate",
            "ratio",
            "memory beyond the weights (MiB): Penchant",
            "transformers.generate",
        ],
        "rows": rows,
        "notes": _notes(policy, repeats),
    }
    building = options.json.with_name(f".{options.json.name}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    building.write_text(json.dumps(table, indent=1, ensure_ascii=False))
    os.replace(building, options.json)
    print("\n".join(table["notes"]), f"written: {options.json}", sep="\n")
    return 0


def _measure(policy: Policy, workload: Workload, repeats: int) -> list[str]:
    """A row of the table: both sides in turn, `repeats` times, after a short run of each that is not counted."""
    sides = _sides(policy, workload)
    for draw in _sides(policy, replace(workload, prompts=1, max_new_tokens=2)).values():
        draw(0)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    peaks: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name, draw in sides.items():
            before = _reset_peak(policy)
            start = time.perf_counter()
            tokens = draw(repeat)
            seconds = time.perf_counter() - start
            speeds[name].append(tokens / seconds)
            peaks[name].append(_peak(policy) - before)
            print(f"   {repeat + 1} of {repeats}, {name}: {tokens} tokens in {seconds:.1f} s", flush=True)
    ours, theirs = speeds["Penchant"], speeds["generate"]
    return [
        workload.title,
        str(workload.prompts),
        _spread(ours, ".0f"),
        _spread(theirs, ".0f"),
        _spread([a / b for a, b in zip(ours, theirs, strict=True)], ".2f"),
        *(_spread(peaks[name], ".0f") for name in ("Penchant", "generate")),
    ]


def _sides(policy: Policy, workload: Workload) -> dict[str, Side]:
    ends = policy.renderer.end_ids
    if workload.lines:
        ends |= {i for token, i in policy.tokenizer.get_vocab().items() if token in {".", "Ċ", "ĊĊ", ".Ċ"}}
        policy = Policy(policy.model, replace(policy.renderer, end_ids=ends), policy.name)
    prompts = _prompts(policy, workload)
    ids = [policy.renderer.prompt_ids(prompt) for prompt in prompts]
    sampling = Sampling(n=workload.n, max_new_tokens=workload.max_new_tokens)

    def ours(seed: int) -> int:
        drawn = policy.draw(prompts, replace(sampling, seed=seed))
        return sum(len(response.token_ids or ()) for row in drawn for response in row)

    def theirs(seed: int) -> int:
        torch.manual_seed(seed)
        return sum(len(row) for row in _generate(policy, ids, sampling, do_sample=True))

    return {"Penchant": ours, "generate": theirs}


def _generate(
    policy: Policy, prompts: Sequence[tuple[int, ...]], sampling: Sampling, *, do_sample: bool
) -> list[list[int]]:
    """What `model.generate` draws, each sample up to its end; the longest prompt first, its samples side by side."""
    drawn: list[list[int]] = []
    device = policy.scorer.device
    order = sorted(prompts, key=len, reverse=True)
    per_batch = max(1, MAX_ROWS // sampling.n)
    drawing: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if do_sample else {}
    for start in range(0, len(order), per_batch):
        batch = order[start : start + per_batch]
        longest = len(batch[0])
        padded = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in batch], device=device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in batch], device=device)
        out = policy.model.generate(  # type: ignore[operator]
            input_ids=padded,
            attention_mask=mask,
            generation_config=transformers.GenerationConfig(
                do_sample=do_sample,
                num_return_sequences=sampling.n,
                max_new_tokens=sampling.max_new_tokens,
                eos_token_id=sorted(policy.renderer.end_ids),
                pad_token_id=policy.tokenizer.pad_token_id,
                **drawing,
            ),
        )
        for row in out[:, longest:].tolist():
            stop = next((i for i, token in enumerate(row) if token in policy.renderer.end_ids), len(row) - 1)
            drawn.append(row[: stop + 1])
    return drawn


def _prompts(policy: Policy, workload: Workload) -> list[str]:
    """Texts of random words, all different, with the workload's token counts."""
    generator = random.Random(0)
    prompts = []
    for _ in range(workload.prompts):
        tokens = round(workload.prompt_tokens * generator.uniform(0.6, 1.4))
        text = generator.choice(WORDS).title()
        while len(policy.renderer.prompt_ids(text)) < tokens:
            text += " " + generator.choice(WORDS)
        prompts.append(text)
    return prompts


def _notes(policy: Policy, repeats: int) -> list[str]:
    prompts = _prompts(policy, Workload(32, 8, 1, 16))
    greedy = Sampling(temperature=0, max_new_tokens=16)
    ids = [policy.renderer.prompt_ids(prompt) for prompt in prompts]
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))  # stable, as the other side's
    ours = policy.draw(prompts, greedy)
    theirs = _generate(policy, ids, greedy, do_sample=False)
    same = sum(list(ours[i][0].token_ids or ()) == row for i, row in zip(order, theirs, strict=True))
    device = policy.scorer.device
    notes = [
        f"Medians of {repeats} alternating runs in one process, lowest and highest in brackets; the ratio is taken "
        "within a repeat.",
        "Tokens up to each sample's end, on both sides; prompts are not counted, their computation is in the time.",
        f"Greedy decoding of 8 prompts gives the same 16 tokens on both sides for {same} of 8.",
        f"{_machine(device)}; torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{torch.get_num_threads()} threads.",
    ]
    if device.type == "cpu":
        notes.append(f"Penchant's time in matrix products: {_matmul_share(policy):.0%} (64 rows, prompts of about 32).")
    return notes


def _matmul_share(policy: Policy) -> float:
    """Part of the operators' own time that is bare matrix products, attention's not included."""
    workload = Workload(32, 4, 16, 8)
    prompts = _prompts(policy, workload)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        policy.draw(prompts, Sampling(n=workload.n, max_new_tokens=workload.max_new_tokens))
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    return float(sum(times.get(name, 0.0) for name in MATMULS) / sum(times.values()))


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def _reset_peak(policy: Policy) -> float:
    """Forget the highest memory so far; MiB in use now (0 where the system does not tell)."""
    gc.collect()
    device = policy.scorer.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    if sys.platform != "linux":
        return 0.0
    ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim(0)  # what the other side freed is not this one's
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(policy: Policy) -> float:
    device = policy.scorer.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _status("VmHWM") if sys.platform == "linux" else 0.0


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, required=True, help="where the table goes")
    parser.add_argument("--quick", action="store_true", help="few rows and tokens, once: a check, not a result")
    parser.add_argument("--device", default="auto", help="default: a GPU if there is one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
