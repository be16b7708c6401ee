"""The captioner of scenes before it is trained: words come back, pictures are prepared alike, a few steps resume."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from pretraining import scene_training
from pretraining.scene_export import NAME, captioner_card
from pretraining.scene_model import IMAGE, IMAGE_TOKENS, SceneShape, new_captioner, scene_processor
from pretraining.scene_rows import NOT_LEARNED, PHASES, SceneTraining, asked, make_batch, pixels_of, prompt_text
from transformers import AutoModelForImageTextToText

from penchant.models.builtin import EMBEDDED
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.tasks.collages import Clothes
from penchant.tasks.scenes import CAPTION_REQUEST, NO, SHAPE_WORLD, YES, caption, caption_prompt, question, shape_scenes
from penchant.types import PromptGroup, Response

TINY = SceneShape(width=16, layers=1, heads=2, inner=16, tower_width=16, tower_layers=1, tower_heads=2, tower_inner=16)
SHORT = SceneTraining(steps=4, captions=3, questions=2, checkpoint_every=2, look_every=2, collages=0.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained captioner of the shape that is shipped."""
    folder = tmp_path_factory.mktemp("captioner")
    processor = scene_processor()
    new_captioner(SceneShape(), processor.tokenizer, 0).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Policy:
    return load_policy(str(folder))


def clothes() -> Clothes:
    pixels = np.arange(10 * 14 * 14, dtype=np.uint8).reshape(10, 14, 14)
    names = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    return Clothes(pixels, {name: [index] for index, name in enumerate(names)})


def test_every_caption_and_question_comes_back_from_its_tokens() -> None:
    tokenizer = scene_processor().tokenizer
    for scene in islice(shape_scenes("0", "base"), 20):
        for text in (caption(scene.rows), question(scene.objects[0]), YES, NO, CAPTION_REQUEST):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id in tokenizer("a red hat.", add_special_tokens=False)["input_ids"]


def test_rows_of_training_are_what_the_processor_makes(model: Policy) -> None:
    """The fast way to prepare pictures and prompts, and the saved processor, beside each other."""
    scene = next(shape_scenes("0", "base"))
    row = model.renderer.media.read(PromptGroup(caption_prompt(scene), [Response("a red circle.")]))
    tokenizer = model.renderer.media.tokenizer
    assert list(row.prompt_ids) == tokenizer(prompt_text(CAPTION_REQUEST), add_special_tokens=False)["input_ids"]
    assert row.prompt_ids.count(tokenizer.convert_tokens_to_ids(IMAGE)) == IMAGE_TOKENS
    torch.testing.assert_close(row.features["pixel_values"], pixels_of([scene]), atol=1e-6, rtol=0)
    batch = make_batch([scene], [(CAPTION_REQUEST, "a red circle.")], tokenizer)
    answer = batch.ids[0][batch.targets[0] != NOT_LEARNED].tolist()
    assert tuple(answer) == row.branches[0].ids
    assert answer[-1] == tokenizer.eos_token_id


def test_the_shipped_captioner_is_the_one_that_the_script_trains() -> None:
    record = json.loads((EMBEDDED[NAME] / "record.json").read_text())
    assert (EMBEDDED[NAME] / "README.md").read_text() == captioner_card(record)
    assert record["shape"] == SceneShape().described()
    assert record["phases"] == json.loads(json.dumps([phase.described() for phase in PHASES]))


def test_scores_are_those_of_the_plain_model(folder: Path, model: Policy) -> None:
    scene = next(shape_scenes("0", "base"))
    texts = ["a red circle.", "a white cross and a blue square."]
    scores = model.score([PromptGroup(caption_prompt(scene), [Response(text) for text in texts])])[0]
    plain = AutoModelForImageTextToText.from_pretrained(folder).eval()
    for text, score in zip(texts, scores.tolist(), strict=True):
        batch = make_batch([scene], [(CAPTION_REQUEST, text)], model.renderer.media.tokenizer)
        with torch.no_grad():
            logits = plain(input_ids=batch.ids, pixel_values=batch.pixels).logits[0, :-1].log_softmax(-1)
        targets = batch.targets[0, 1:]
        is_answer = targets != NOT_LEARNED
        assert score == pytest.approx(float(logits[is_answer].gather(1, targets[is_answer][:, None]).sum()), abs=1e-3)


def test_questions_have_right_answers_and_ask_of_companions() -> None:
    draws, companions = random.Random(0), 0
    answers = []
    for scene in islice(shape_scenes("0", "base", "apart"), 400):
        text, answer = asked(scene, draws)
        name = text.removeprefix("is there a ").removesuffix("?")
        assert (answer == YES) == (name in scene.objects)
        assert name in SHAPE_WORLD.objects
        answers.append(answer)
        companions += name in scene.missing_companions
    assert answers.count(YES) == pytest.approx(200, abs=40)
    assert companions == pytest.approx(100, abs=30)


def test_a_stopped_training_is_the_same_as_one_in_one_go(tmp_path: Path) -> None:
    tokenizer = scene_processor().tokenizer

    def run(folder: Path, settings: SceneTraining) -> torch.nn.Module:
        model = new_captioner(TINY, tokenizer, 0)
        done = scene_training.train_captioner(
            model, tokenizer, clothes(), settings, folder, "tiny", lambda _: {"looks": 1.0}
        )
        assert done.steps == settings.steps
        assert [look["step"] for look in done.looks] == list(range(2, settings.steps + 1, 2))
        return model

    whole = run(tmp_path / "whole", SHORT)
    # the rate follows the number of steps, so the first part has those of the whole
    first = new_captioner(TINY, tokenizer, 0)

    class Stop(Exception):
        """Stands for a kill."""

    def stop(_: object) -> dict[str, float]:
        raise Stop

    with pytest.raises(Stop):
        scene_training.train_captioner(
            first, tokenizer, clothes(), replace(SHORT, look_every=3), tmp_path / "parts", "tiny", stop
        )
    resumed = new_captioner(TINY, tokenizer, 0)
    scene_training.train_captioner(
        resumed, tokenizer, clothes(), SHORT, tmp_path / "parts", "tiny", lambda _: {"looks": 1.0}
    )
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
