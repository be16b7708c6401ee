"""The stages in which captions are sampled to learn from, and in which a captioner learns, writes and answers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.config import Config
from penchant.data.write import write_groups
from penchant.engine.sampling import Sampling
from penchant.files import remove
from penchant.methods import METHODS, train
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.runs.progress import progress_bar
from penchant.studies.core.job import StageJob
from penchant.studies.hallucination.learned import learned_groups
from penchant.studies.hallucination.names import Learner
from penchant.studies.hallucination.pictures import (
    WITH_COMPANIONS,
    WITHOUT_COMPANIONS,
    draw_scenes,
    read_scenes,
    write_scenes,
)
from penchant.studies.hallucination.stage_settings import (
    CAPTIONS,
    QUESTIONS,
    SAMPLES,
    CaptionerSettings,
    SamplesSettings,
)
from penchant.tasks.scenes import CAPTION_REQUEST, Scene, caption_prompt, question
from penchant.train.settings import RunConfig
from penchant.types import Message, Prompt, PromptGroup, Response

LEARN = "learn"
"""Name of the pictures that captions are sampled of."""
MOST_EPOCHS = 1000
DRAWN_SEED = 1_000_000
"""Added to the seed of captions that are measured, so that none is sampled by the numbers of those that are learned."""


def samples_stage(job: StageJob[SamplesSettings], folder: Path) -> dict[str, object]:
    """Write pictures to learn from, with captions that the captioner draws of them."""
    settings = job.settings
    # with and without companions, as they come: whoever saw absent ones alone would learn never to name them
    scenes = draw_scenes(settings.world, "learn", str(settings.seed), settings.train)
    # the pictures themselves: who learns reads what was described, not what a seed would draw today
    write_scenes(scenes, folder, LEARN)
    policy = load_policy(settings.model.replace(name=job.inputs["model"]))
    sampling = Sampling(settings.samples, max_new_tokens=settings.max_new_tokens, seed=settings.seed)
    sampled = draw_captions(policy, [caption_prompt(scene) for scene in scenes], sampling, "captions to learn from")
    captions = [[(response.text, response.finished) for response in row] for row in sampled]
    (folder / SAMPLES).write_text(json.dumps(captions), encoding="utf-8")
    # a cut caption is no pair, so a study of cut captions would be one of its length limit
    unfinished = sum(not finished for row in captions for _, finished in row)
    return {"pictures": len(scenes), "captions": sum(map(len, captions)), "unfinished": unfinished}


def captioner_stage(job: StageJob[CaptionerSettings], folder: Path) -> dict[str, object]:
    """Write what a captioner says of the pictures to measure on, after it has learned."""
    settings = job.settings
    trained, facts = job.inputs["model"], dict[str, object]()
    if settings.learner is not None:
        trained, facts = _learn(job, settings.learner, folder)
    # as it was saved: what was trained is what is measured
    policy = load_policy(settings.model.replace(name=trained, lora=None))
    written = _write(job, policy)
    (folder / CAPTIONS).write_text(json.dumps(written), encoding="utf-8")
    # what it wrote is measured, and the weights of every learner would fill the disk
    for part in ("run", "learned_media", "learned.jsonl"):
        remove(folder / part)
    return facts


def _learn(job: StageJob[CaptionerSettings], learner: Learner, folder: Path) -> tuple[str, dict[str, object]]:
    """Train a learner on its rows; return where it lies, and counts of these."""
    settings, source = job.settings, job.needs["samples"]
    # of the same world as the tests: the samples say which
    scenes = read_scenes(source, LEARN)
    # the same draws for every learner of a seed, so that learners are compared and not their luck
    captions = json.loads((source / SAMPLES).read_text(encoding="utf-8"))
    draws = [[Response(text, finished=finished) for text, finished in row] for row in captions]
    groups, counts = learned_groups(learner, scenes, draws, settings.seed)
    # a file, as a user would have it: the run reads it as any other
    rows = folder / "learned.jsonl"
    write_groups(groups, rows)
    train(learner_config(settings, learner, job.inputs["model"], rows, folder / "run", len(groups)))
    return str(folder / "run" / "checkpoint"), {"rows": len(groups), "captions": counts}


def learner_config(
    settings: CaptionerSettings, learner: Learner, model: str, rows: Path, out: Path, count: int
) -> RunConfig:
    """Return the run of a learner.

    Args:
        count: of rows.
    """
    assert settings.steps is not None
    assert settings.batch_size is not None
    values: dict[str, object] = {
        "model": settings.model.replace(name=model),
        "data": {"path": str(rows), "held_out": 0},
        "out": str(out),
        # as many passes as the steps take; `max_steps` ends them
        "epochs": min(MOST_EPOCHS, math.ceil(settings.steps * settings.batch_size / count) + 1),
        "max_steps": settings.steps,
        "batch_size": settings.batch_size,
        "optimizer": {"name": "adamw", "learning_rate": settings.learning_rate},
        "schedule": {"name": "linear", "warmup_steps": 0.1},
        # other stages measure it, on pictures that no run sees
        "evaluate": {"samples": None},
        # nobody lengthens a stage
        "checkpoint": {"optimizer": False},
        "seed": settings.seed,
    }
    method, loss_settings = "sft", dict[str, object]()
    match learner:
        case "dpo" | "dpo_swap":
            method, loss_settings = "dpo", {"loss": {"name": "sigmoid", "beta": settings.beta}}
        case "unlikelihood":
            method, loss_settings = "unlikelihood", {"alpha": settings.alpha}
    kind: type[Config] = METHODS[method]
    config = kind.model_validate({**values, **loss_settings})
    assert isinstance(config, RunConfig)
    return config


def draw_captions(policy: Policy, prompts: Sequence[Prompt], sampling: Sampling, title: str) -> list[list[Response]]:
    """Draw captions of pictures, n per prompt."""
    with progress_bar(title, len(prompts) * sampling.n, "captions") as advance:
        return policy.draw(prompts, sampling, progress=advance)


def _write(job: StageJob[CaptionerSettings], policy: Policy) -> dict[str, object]:
    """Return captions and answers of a captioner; with those of the one before it, how far it went."""
    settings, folder = job.settings, job.needs["pictures"]
    scenes, together = read_scenes(folder, WITHOUT_COMPANIONS), read_scenes(folder, WITH_COMPANIONS)
    # the likeliest captions need no seed: they differ between seeds by what was learned alone
    greedy = Sampling(temperature=0.0, max_new_tokens=settings.max_new_tokens)
    prompts = [caption_prompt(scene) for scene in scenes]
    sampled = draw_captions(
        policy,
        prompts,
        Sampling(max_new_tokens=settings.max_new_tokens, seed=DRAWN_SEED + settings.seed),
        "captions at temperature 1",
    )
    written: dict[str, object] = {
        "greedy": _texts(draw_captions(policy, prompts, greedy, "captions")),
        "drawn": _texts(sampled),
        "together": _texts(
            draw_captions(policy, [caption_prompt(scene) for scene in together], greedy, "captions with companions")
        ),
        # the same request alone: one caption, since every picture is missing alike
        "no_picture": _texts(draw_captions(policy, [(Message("user", CAPTION_REQUEST),)], greedy, "no picture"))[0],
        "answers": _answers(policy, scenes, json.loads((folder / QUESTIONS).read_text(encoding="utf-8"))),
    }
    if settings.learner is not None:
        written["kl"] = _divergences(job, policy, prompts, [row[0] for row in sampled])
    return written


def _texts(sampled: Sequence[Sequence[Response]]) -> list[str]:
    return [row[0].text for row in sampled]


def _answers(policy: Policy, scenes: Sequence[Scene], question_names: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the likeliest answers to the questions about the first pictures, by kind."""
    named_questions = [
        (index, kind, name) for index, kinds in enumerate(question_names) for kind, name in kinds.items()
    ]
    prompts = [(Message("user", (scenes[index].image(), question(name))),) for index, _, name in named_questions]
    sampled = draw_captions(policy, prompts, Sampling(temperature=0.0, max_new_tokens=8), "answers") if prompts else []
    answers: list[dict[str, str]] = [{} for _ in question_names]
    for (index, kind, _), row in zip(named_questions, sampled, strict=True):
        answers[index][kind] = row[0].text
    return answers


def _divergences(
    job: StageJob[CaptionerSettings], policy: Policy, prompts: Sequence[Prompt], sampled: Sequence[Response]
) -> list[float]:
    """Return the log-ratio of each sampled caption to the captioner before, in nats; their mean estimates the KL."""
    # both are loaded only here, where their scores are compared
    before = load_policy(job.settings.model.replace(name=job.inputs["model"]))
    # an empty caption has nothing that could be scored: its ratio is taken for 0
    scored = [index for index, response in enumerate(sampled) if response.text.strip()]
    groups = [PromptGroup(prompts[index], [sampled[index]]) for index in scored]
    after, first = (np.array([float(row[0]) for row in scorer.score(groups)]) for scorer in (policy, before))
    ratios = np.zeros(len(sampled))
    ratios[scored] = after - first
    return [float(ratio) for ratio in ratios]
