"""A step of PPO beside a plain loop on `transformers`: tokens a second of rollout plus update, both sides alternating.

    python benchmarks/ppo.py [--repeats 5] [--model smollm2-135m] [--prompts 8] [--samples 4] [--tokens 32] [--words 0]

The plain loop is what one writes first: `generate` with several returned sequences, padded rows through policy,
value head and reference, full logits, the same losses and number of updates, the same optimizer, no trees. One process,
2 threads, one reward (the share of vowels, which costs nothing). Prints a Markdown table: medians, ratios of a repeat.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penchant.losses import policy_gradient as pg
from penchant.methods import PPOGT
from penchant.models.load import load_policy
from penchant.train import rollout
from penchant.train import rollout_run as rollout_session
from penchant.train.optimizer import clip, make_optimizer
from penchant.train.settings import RMSprop

RATE, UPDATES, MINIBATCHES, COEFFICIENT = 1e-6, 2, 4, 0.1
OPENINGS = ("The film", "I went to see", "This movie is about", "My friends told me that", "There is a scene", "It was",
            "Nobody who has", "After twenty minutes", "The actors", "When the music", "What a", "Some stories",
            "On paper", "At the end of", "Her first role", "Critics said that")  # fmt: skip


def openings(options: argparse.Namespace) -> list[str]:
    """The prompts: some words each, or about `options.words`."""
    if not options.words:
        return list(OPENINGS[: options.prompts])
    words = [" and ".join(OPENINGS[start:] + OPENINGS[:start]).split() for start in range(options.prompts)]
    return [" ".join((row * (1 + options.words // len(row)))[: options.words]) for row in words]


def letters(pairs: Any) -> list[float]:
    """A reward that is free: the share of vowels."""
    return [sum(letter in "aeiou" for letter in text) / max(1, len(text)) for _, text in pairs]


class Ours:
    """Steps of `penchant train ppo_gt`, taken one at a time."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        prompts = folder / "prompts.txt"
        prompts.write_text("".join(f"{text}\n" for text in openings(options)))
        config = PPOGT(
            model={"name": options.model, "device": "cpu", "dtype": "float32"},
            data={"path": str(prompts), "held_out": 0, "template": "plain"},
            reward=f"{Path(__file__).resolve()}:letters",
            steps=1,
            prompts_per_step=options.prompts,
            samples_per_prompt=options.samples,
            max_new_tokens=options.tokens,
            updates=UPDATES,
            minibatches=MINIBATCHES,
            kl={"name": "fixed", "coefficient": COEFFICIENT},
            optimizer={"learning_rate": RATE},
            clip=1.0,
            evaluate={"samples": None},
            out=str(folder / "run"),
        )
        kept: list[rollout.RolloutLoop] = []

        def keep(loop: rollout.RolloutLoop, **_: Any) -> str:
            kept.append(loop)
            return "done"

        train, rollout_session.train_on_rollouts = rollout_session.train_on_rollouts, keep  # type: ignore[assignment]
        try:
            rollout_session.run_rollouts(config)
        finally:
            rollout_session.train_on_rollouts = train
        (self.loop,) = kept
        self.loop.state.kl_coefficient = COEFFICIENT
        weights = list(self.loop.policy.model.parameters())
        self.optimizer = make_optimizer(config.optimizer, weights, list(self.loop.value_head.parameters()), 1e-3)

    def step(self, number: int) -> tuple[float, float]:
        """One step; how many tokens were drawn, and the seconds that drawing took."""
        row = rollout._step(self.loop, number, self.optimizer)
        return row["tokens"] * len(self.loop.prompts) * self.loop.config.samples_per_prompt, row["sampling_seconds"]


class Plain:
    """The loop that one writes on `transformers` alone."""

    def __init__(self, options: argparse.Namespace) -> None:
        loaded = load_policy(options.model, device="cpu", dtype="float32", template="plain")
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.model.set_attn_implementation("sdpa")  # type: ignore[operator]
        self.reference = copy.deepcopy(self.model).eval()
        self.tokenizer.padding_side = "left"
        self.value_head = nn.Linear(self.model.config.hidden_size, 1)  # type: ignore[union-attr, arg-type]
        head = list(self.value_head.parameters())
        self.optimizer = make_optimizer(RMSprop(learning_rate=RATE), list(self.model.parameters()), head, 1e-3)
        self.options = options

    def step(self, number: int) -> tuple[float, float]:
        """One step; how many tokens were drawn, and the seconds that drawing took."""
        options, began = self.options, time.perf_counter()
        batch = self.tokenizer(openings(options), return_tensors="pt", padding=True)
        torch.manual_seed(number)
        with torch.no_grad():
            rows = self.model.generate(  # type: ignore[operator]
                **batch, do_sample=True, num_return_sequences=options.samples, max_new_tokens=options.tokens, top_k=0
            )
        sampled = time.perf_counter() - began
        width = batch["input_ids"].shape[1]
        drawn = rows[:, width:]
        ends = (drawn == self.tokenizer.eos_token_id).long()
        inside = (ends.cumsum(1) - ends) == 0
        mask = torch.cat([batch["attention_mask"].repeat_interleave(options.samples, 0), inside.long()], 1)
        texts = self.tokenizer.batch_decode(drawn, skip_special_tokens=True)
        scores = torch.tensor(letters([("", text) for text in texts]))
        with torch.no_grad():
            logps, values = self._read(self.model, rows, mask, width)
            ref_logps, _ = self._read(self.reference, rows, mask, width)
        rewards = -COEFFICIENT * (logps - ref_logps) * inside
        rewards[torch.arange(len(rows)), inside.sum(1) - 1] += scores
        advantages = pg.advantages(rewards, values, inside, gamma=1.0, lam=0.95)
        returns = advantages + values
        advantages = pg.whiten(advantages, inside.float())
        for _ in range(UPDATES):
            for part in torch.randperm(len(rows)).chunk(MINIBATCHES):
                now, now_values = self._read(self.model, rows[part], mask[part], width)
                losses = pg.clipped_surrogate(now, logps[part], advantages[part], clip_ratio=0.2)
                losses = losses + 0.1 * pg.clipped_value(now_values, values[part], returns[part], clip_value=0.2)
                ((losses * inside[part]).sum() / inside[part].sum()).backward()
                clip([*self.model.parameters(), *self.value_head.parameters()], 1.0)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
        return float(inside.sum()), sampled

    def _read(self, model: Any, rows: Tensor, mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        out = model(input_ids=rows, attention_mask=mask, position_ids=positions, output_hidden_states=True)
        logps = torch.log_softmax(out.logits[:, width - 1 : -1], -1)
        taken = logps.gather(2, rows[:, width:, None]).squeeze(2)
        return taken, self.value_head(out.hidden_states[-1][:, width - 1 : -1]).squeeze(2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="smollm2-135m")
    for name, value in (("repeats", 5), ("prompts", 8), ("samples", 4), ("tokens", 32), ("words", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        sides = {"Penchant": Ours(options, Path(folder)), "plain transformers": Plain(options)}
        rates: dict[str, list[float]] = {name: [] for name in sides}
        parts: dict[str, list[tuple[float, float]]] = {
            name: [] for name in sides
        }  # seconds of drawing, and of the rest
        for number in range(options.repeats + 1):  # the first of each is a warm-up
            for name, side in sides.items():
                began = time.perf_counter()
                tokens, sampling = side.step(number)
                seconds = time.perf_counter() - began
                if number:
                    rates[name].append(tokens / seconds)
                    parts[name].append((sampling, seconds - sampling))
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    words = f" of {options.words} words" if options.words else ""
    print(
        f"{options.prompts} prompts{words} x {options.samples} samples of {options.tokens} tokens, {options.model}, "
        "float32:"
    )
    print("| | tokens/s of rollout plus update | seconds of drawing | of the rest |\n|---|---|---|---|")
    for name, of in rates.items():
        drawing, rest = (statistics.median(part) for part in zip(*parts[name], strict=True))
        print(f"| {name} | {statistics.median(of):.1f} ({min(of):.1f} to {max(of):.1f}) | {drawing:.1f} | {rest:.1f} |")
    print(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | | |")


if __name__ == "__main__":
    main()
