"""Processors with a part for videos, which `transformers` loads with torchvision alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from media_files import picture_bytes
from penchant.engine.media_score import own_logps
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Video
from penchant.models import processors
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.types import Message, PromptGroup
from tiny_vision import save_llava
from vision_folders import PROCESSORS, save_family

RED, BLUE = (Image.make(picture_bytes(colour, (32, 32))) for colour in ("red", "blue"))


def asks_about(*parts: Image | Video | str) -> PromptGroup:
    return PromptGroup((Message("user", parts),), ["It turns blue.", "A cat."], source="prefs.jsonl:1")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load_policy(str(save_family("qwen2_5_vl", tmp_path_factory.mktemp("qwen"))))


def assert_scores_are_its_own(model: Policy, group: PromptGroup) -> None:
    with torch.no_grad():
        own = [logps.sum() for logps in own_logps(model.scorer.model, model.renderer.media.read(group))]
    np.testing.assert_allclose(model.score([group])[0], torch.stack(own), atol=1e-3)
    assert not model.scorer.plain_reasons


# one of the fixed sizes, one that tiles, one with grids and a video part; the others are slow-marked
QUICK = ("llava", "idefics3", "qwen2_5_vl")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PROCESSORS]
)
def test_every_family_is_read_by_its_own_processor(name: str, tmp_path: Path) -> None:
    if name == "smolvlm":
        pytest.importorskip("num2words", reason="the processor of SmolVLM needs it")
    model = load_policy(str(save_family(name, tmp_path)))
    wide, tall = (Image.make(picture_bytes("red", size)) for size in ((64, 32), (20, 50)))
    asked = asks_about(wide, "What is it?")
    assert_scores_are_its_own(model, asked)
    # of different sizes, which some families cut into as many tiles as they need
    assert_scores_are_its_own(model, asks_about(wide, BLUE, "And ", tall, "What is it?"))
    blue = asks_about(Image.make(picture_bytes("blue", (64, 32))), "What is it?")
    assert (model.score([asked])[0] - model.score([blue])[0]).abs().max() > 1e-3
    assert model.renderer.media.count_media_tokens(model.renderer.media.render(asked)) > 0


def test_pictures_are_read_without_torchvision(qwen: Policy) -> None:
    assert type(qwen.renderer.media.processor.image_processor).__name__ == "Qwen2VLImageProcessorPil"
    assert_scores_are_its_own(qwen, asks_about(RED, "What is it?", BLUE))


def test_a_video_without_torchvision_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "has_torchvision", lambda: False)
    qwen = load_policy(str(save_family("qwen2_5_vl", tmp_path)))
    with pytest.raises(
        InputError, match=r"prefs\.jsonl:1: it holds a video, which is prepared by torchvision: pip install"
    ):
        qwen.renderer.media.read(asks_about(Video((RED, BLUE)), "What happens?"))


def test_a_saved_processor_keeps_its_video_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "has_torchvision", lambda: False)
    folder = save_family("qwen2_5_vl", tmp_path / "model")
    stored = json.loads((folder / "processor_config.json").read_text())["video_processor"]
    load_policy(str(folder)).renderer.media.processor.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "processor_config.json").read_text())["video_processor"] == stored
    # a folder of earlier times, with a file per part
    parts = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps(parts["image_processor"]))
    (folder / "video_preprocessor_config.json").write_text(json.dumps(parts["video_processor"]))
    processor = processors.load_processor(str(folder), ModelConfig(name=str(folder)))
    assert processor.video_processor == stored


def test_a_video_for_a_model_of_pictures_alone_is_refused(tmp_path: Path) -> None:
    llava = load_policy(str(save_llava(tmp_path)))
    with pytest.raises(InputError, match=r"holds a video, and .* reads pictures alone: give frames as pictures"):
        llava.renderer.media.read(asks_about(Video((RED, BLUE)), "What happens?"))


def test_a_video_is_read_by_the_models_own_processor(qwen: Policy) -> None:
    pytest.importorskip("torchvision", reason="transformers prepares videos by torchvision")
    frames = (RED, RED, BLUE, BLUE)
    slow, fast = (asks_about(Video(frames, rate), "What happens?") for rate in (1.0, 4.0))
    assert_scores_are_its_own(qwen, slow)
    assert_scores_are_its_own(qwen, asks_about(Video(frames), "Then:", RED))
    assert (qwen.score([slow])[0] - qwen.score([fast])[0]).abs().max() > 1e-3
    small = Image.make(picture_bytes("red", (16, 32)))
    with pytest.raises(InputError, match="differ in size"):
        qwen.renderer.media.read(asks_about(Video((RED, small)), "What happens?"))
