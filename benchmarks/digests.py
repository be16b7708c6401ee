"""Measure the share of a command's time that digests of files take: a resumed run, and a study that is complete.

    python benchmarks/digests.py --model ../shared/data/stories260K
    python benchmarks/digests.py --million 25    # a random Llama of so many million parameters

Each command runs in a process of its own with clocks around the functions of `penchant.digests`. CPU time counts,
imports included, so that other programs on the machine disturb little; it is that of the threads that compute digests,
without garbage collection and without the thread which has the disk written meanwhile.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARMUP, STEPS = 19, 20
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Joe", "Kim", "Lea")
REWARD = """def letters(pairs):
    return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]
"""
TRAIN = ("train", "dpo", "data=prefs.jsonl", "data.held_out=2", "batch_size=8", f"max_steps={STEPS}", "epochs=20",
         "evaluate.samples.max_new_tokens=16", "model.device=cpu")  # fmt: skip
STUDY = ("study", "frontier", "prompts=prompts.txt", "eval_prompts=others.txt", "reward=rewards.py:letters",
         "model.device=cpu", "max_new_tokens=16", "evaluation.samples=2", "evaluation.reference_samples=16",
         "dpo.beta=[0.1]", "kto=null", "preferred_ft=null", "unlikelihood=null", "ppo=null", "ppo_gt=null",
         "best_of_n.n=[1,2,4]", "out=study")  # fmt: skip


def main() -> None:
    """Prepare the inputs, run each command several times, and print a line of JSON per command."""
    options = _options()
    if options.child:
        return child(options.child)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = write_inputs(folder, options)
        environment = {**os.environ, "PENCHANT_CACHE": str(folder / "cache")}

        def run(*words: str, stop: bool = False) -> dict[str, float]:
            command = [sys.executable, str(Path(__file__).resolve()), "--child", *words]
            done = subprocess.run(
                command, cwd=folder, env={**environment, "STOP": str(WARMUP if stop else 0)},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            return values

        run(*TRAIN, f"model={model}", "out=stopped", stop=True)
        measured: dict[str, list[dict[str, float]]] = {"resume": []}
        for _ in range(options.times):
            shutil.rmtree(folder / "again", ignore_errors=True)
            shutil.copytree(folder / "stopped", folder / "again")
            measured["resume"].append(run("train", "dpo", "--resume", "out=again"))
        if not options.million:
            run(*STUDY, f"model={model}")
            measured["cached study"] = [run(*STUDY, f"model={model}") for _ in range(options.times)]
        for name, values in measured.items():
            medians = {key: round(statistics.median(value[key] for value in values), 4) for key in values[0]}
            share = [value["digest_seconds"] / value["seconds"] for value in values]
            shares = {"share": round(statistics.median(share), 4), "shares": [round(each, 4) for each in share]}
            print(json.dumps({"command": name, "model": options.model or f"{options.million}M", **medians, **shares}))


def child(words: list[str]) -> None:
    """Run one command with clocks around what reads or writes digests, and print the seconds."""
    from penchant import digests

    started = time.perf_counter() - time.process_time()  # imports so far count as the clock's too
    spent, lock, local = {"cpu": 0.0, "clock": 0.0}, threading.Lock(), threading.local()

    def note_collection(phase: str, _: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            local.begun = now
        else:
            local.collecting = getattr(local, "collecting", 0.0) + now - local.begun

    gc.callbacks.append(note_collection)

    def cpu_time() -> float:
        """Return this thread's CPU time without garbage collection, which falls where it falls."""
        return time.thread_time() - getattr(local, "collecting", 0.0)

    def clocked(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if getattr(local, "inside", False):
                return function(*given, **named)
            local.inside = True
            began = cpu_time(), time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                local.inside = False
                with lock:
                    spent["cpu"] += cpu_time() - began[0]
                    if threading.current_thread() is threading.main_thread():
                        spent["clock"] += time.perf_counter() - began[1]

        return call

    names = ("_digest", "read_sums", "write_sums", "check_files", "append_block_digests", "has_own_sums")
    for name in names:
        plain = getattr(digests, name)
        for module in [module for key, module in sys.modules.items() if key.startswith("penchant")]:
            if getattr(module, name, None) is plain:  # some have imported it by name already
                setattr(module, name, clocked(plain))
    digests.BlockDigests.check_blocks = clocked(digests.BlockDigests.check_blocks)  # type: ignore[method-assign]

    from penchant.cli.main import main as penchant
    from penchant.train import loop

    if stop := int(os.environ.get("STOP", "0")):
        looks = iter(range(10**9))
        loop.Interrupt.__bool__ = lambda _: next(looks) >= stop - 1  # type: ignore[method-assign]
    code = penchant(words)
    cpu = {"seconds": time.process_time(), "digest_seconds": spent["cpu"]}
    clock = {"clock_seconds": time.perf_counter() - started, "digest_clock_seconds": spent["clock"]}
    print(json.dumps(cpu | clock))
    sys.exit(0 if code in (0, 130) else code)


def write_inputs(folder: Path, options: argparse.Namespace) -> str:
    """Write prompts, comparisons and a reward; return the model's folder, a random one if asked for."""
    rows = []
    for name in NAMES:
        responses = [f" {name} sang.", " It was sad.", " They had a good day.", f" No, {name} fell."]
        wins = [{"winner": winner, "loser": loser} for winner in (0, 2) for loser in (1, 3)]
        rows.append({"prompt": f"{name} went out.", "responses": responses, "comparisons": wins})
    (folder / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prompts.txt").write_text("".join(f"{name} went.\n" for name in NAMES))
    (folder / "others.txt").write_text("".join(f"{name} came.\n" for name in NAMES))
    (folder / "rewards.py").write_text(REWARD)
    if not options.million:
        return str(Path(options.model).resolve())
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(options.model or "../shared/data/stories260K")
    layers = max(1, round(options.million * 1e6 / (12 * 512 * 512 + 4 * 512 * 512)))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=512, intermediate_size=2048, num_hidden_layers=layers,
        num_attention_heads=8, max_position_embeddings=512, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return str(folder / "model")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="../shared/data/stories260K")
    parser.add_argument("--million", type=float, default=0.0, help="parameters of a random model instead")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
