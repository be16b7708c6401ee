"""The curves row: speed and memory against prompt length, responses of a prompt, and vocabulary, on a small model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from side_by_side.rows import Words
from side_by_side.state import RowState, Run
from side_by_side.summary import pairs_per_s, parts, span
from side_by_side.workers import Bench, Data, train

RESPONSE, PROMPT, RESPONSES, VOCABULARY = 32, 32, 2, 50_304
TOKENS = 640  # of a step, about, each prompt and response once
STEPS, TRL_BATCH = 3, 2
SIDES = ("penchant", "trl-precomputed")


@dataclass(frozen=True)
class Point:
    """One setting of a curve."""

    prompt: int = PROMPT
    responses: int = RESPONSES
    vocabulary: int = VOCABULARY

    @property
    def data(self) -> Words:
        """Of exactly these lengths."""
        return Words(self.responses, (RESPONSE, RESPONSE), (self.prompt, self.prompt))

    @property
    def pairs_per_step(self) -> int:
        """All of whole prompts: about `TOKENS`, but at least one prompt, or two where that makes TRL's batch."""
        prompts = max(1, TOKENS // (self.prompt + self.responses * RESPONSE))
        even = prompts if self.data.pairs % TRL_BATCH == 0 else max(TRL_BATCH, prompts // TRL_BATCH * TRL_BATCH)
        return even * self.data.pairs

    @property
    def name(self) -> str:
        """In files and results."""
        return f"prompt-{self.prompt}-responses-{self.responses}-vocabulary-{self.vocabulary}"


CURVES = {
    "prompt": [Point(prompt=value) for value in (16, 64, 256, 512)],
    "responses": [Point(responses=value) for value in (2, 4, 8, 16)],
    "vocabulary": [Point(vocabulary=value) for value in (5_000, 20_000, 50_304, 128_000)],
}
TITLES = {
    "prompt": "tokens of the prompt",
    "responses": "responses of a prompt, all pairs",
    "vocabulary": "tokens in the vocabulary",
}


def settings(quick: bool) -> dict[str, Any]:
    """What the row runs; quick takes two points of each curve."""
    curves = {name: [points[0], points[2]] if quick else points for name, points in CURVES.items()}
    return {
        "title": "speed and memory along prompt length, responses of a prompt, and vocabulary; random GPT-NeoX "
        f"(hidden 256, 6 layers), responses of {RESPONSE} tokens",
        "curves": {name: [vars(point) for point in points] for name, points in curves.items()},
        "repeats": 1,
        "steps": STEPS,
        "tokens": TOKENS,
        "trl_batch": TRL_BATCH,
    }


def measure(bench: Bench, state: RowState) -> None:
    """Every point on both sides."""
    of = state.entry["settings"]
    points = {Point(**point): None for curve in of["curves"].values() for point in curve}
    datas = {p: Data(bench, p.name, p.data, f"neox-{p.vocabulary}", STEPS, p.pairs_per_step) for p in points}
    for repeat in range(of["repeats"]):
        for point, data in datas.items():
            speeds = []
            for side in SIDES:
                run = state.once(
                    "curve",
                    lambda side=side, data=data: _slim(train(data, side, trl_batch=TRL_BATCH), data.pairs_per_step),
                    point=point.name,
                    side=side,
                    repeat=repeat,
                )
                speeds.append(f"{run['pairs_per_s']:.1f}")
            print(f"   repeat {repeat + 1} of {of['repeats']}, {point.name}: {' | '.join(speeds)} pairs/s", flush=True)


def _slim(run: dict[str, Any], pairs_per_step: int) -> dict[str, float]:
    return {"pairs_per_s": pairs_per_s(run, pairs_per_step), "peak_mib": run["peak_mib"]}


def series(settings: dict[str, Any], runs: list[Run]) -> dict[str, list[dict[str, Any]]]:
    """For each curve its points that both sides have run: `x`, and by side the spans of `pairs_per_s`, `peak_mib`."""
    told: dict[str, list[dict[str, Any]]] = {}
    for name, points in settings["curves"].items():
        told[name] = []
        for point in points:
            of_point = [run for run in parts(runs, "curve") if run["point"] == Point(**point).name]
            by_side = {side: [run["result"] for run in of_point if run["side"] == side] for side in SIDES}
            if all(by_side.values()):
                spans = {
                    side: {measure: span(run[measure] for run in of) for measure in ("pairs_per_s", "peak_mib")}
                    for side, of in by_side.items()
                }
                told[name].append({"x": point[name], **spans})
    return told
