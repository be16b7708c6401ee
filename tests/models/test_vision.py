"""Models of pictures and text, loaded by the auto classes from a folder: what they read, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from chat_templates import CHATML, renderer
from media_files import picture_bytes, sound_bytes, write_pictures
from penchant.cli.main import main
from penchant.data.check import check_preferences
from penchant.data.options import RenderOptions
from penchant.engine.media_score import own_logps
from penchant.errors import InputError
from penchant.image import Image
from penchant.media import Audio
from penchant.models.load import load_policy, reads_pictures
from penchant.models.policy import Policy
from penchant.types import Message, PromptGroup, Response
from tiny_vision import DROPPING, save_llava

RED, BLUE = (Image.make(picture_bytes(colour, (40, 30))) for colour in ("red", "blue"))
ASKED = PromptGroup((Message("user", (RED, "What is it?")),), ["A dog.", "A cat."], source="prefs.jsonl:1")


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load_policy(str(save_llava(tmp_path_factory.mktemp("llava"))))


def test_scores_are_the_models_own_and_depend_on_the_picture(seeing: Policy) -> None:
    other = ASKED.replace(prompt=(Message("user", (BLUE, "What is it?")),))
    scores = seeing.score([ASKED, other])
    with torch.no_grad():
        own = [logps.sum() for logps in own_logps(seeing.scorer.model, seeing.renderer.media.read(ASKED))]
    np.testing.assert_allclose(scores[0], torch.stack(own), atol=1e-3)
    assert not seeing.scorer.plain_reasons
    assert (scores[0] - scores[1]).abs().min() > 1e-4
    # alone, and not beside the other group in one row
    np.testing.assert_allclose(seeing.score([ASKED])[0], scores[0], atol=1e-4)


def test_what_the_model_reads_is_what_the_prompt_says(seeing: Policy) -> None:
    group = PromptGroup(
        (Message("system", "Be brief."), Message("user", (RED, " or ", BLUE, "?"))),
        ["One.", Response("Two", finished=False)],
    )
    row = seeing.renderer.media.read(group)
    tokenizer = seeing.renderer.media.tokenizer
    text = tokenizer.decode(row.prompt_ids)
    assert text.count("<image>") == 32  # 16 of each picture
    assert text.replace("<image>", "") == "system: Be brief.\nuser:  or ?\nassistant: "
    assert [tokenizer.decode(branch.ids) for branch in row.branches] == ["One.<|end|>", "Two"]
    assert row.features["pixel_values"].shape == (2, 3, 32, 32)


def test_text_alone_is_read_too(seeing: Policy) -> None:
    row = seeing.renderer.media.read(PromptGroup("Name a river.", ["The Rhine."]))
    assert not row.features
    assert seeing.score([PromptGroup("Name a river.", ["The Rhine."])])[0].shape == (1,)


def test_what_cannot_be_read_is_refused(seeing: Policy) -> None:
    cases = {
        "it holds a sound": ASKED.replace(prompt=(Message("user", (Audio.make(sound_bytes()), "What?")),)),
        "a response holds a picture": PromptGroup("Draw.", [Response("", parts=(RED,))]),
        r"prefs\.jsonl:1: \d+ tokens \(256 of them of pictures\), and .* reads 256: .* never cut": ASKED.replace(
            prompt=(Message("user", (*[RED] * 16, "What?")),)
        ),
        "response 0: it holds the mark of a picture of": ASKED.replace(responses=["An <image> it is.", "A cat."]),
        "the processor of .* refuses it": ASKED.replace(prompt=(Message("user", (RED, "An <image>?")),)),
    }
    for expected, group in cases.items():
        with pytest.raises(InputError, match=expected):
            seeing.renderer.media.read(group)


def test_a_template_that_drops_the_question_is_refused(tmp_path: Path) -> None:
    model = load_policy(str(save_llava(tmp_path, DROPPING)))
    with pytest.raises(
        InputError, match=r"prefs\.jsonl:1: the chat template leaves out what the prompt says \('What is"
    ):
        model.renderer.media.read(ASKED)


def test_a_model_without_a_tower_or_a_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no tower for pictures"):
        load_policy("penchant-0.5m", rendering=RenderOptions(media=True))
    with pytest.raises(InputError, match="has no chat template"):
        load_policy(str(save_llava(tmp_path, None)))


def test_the_check_counts_the_tokens_of_pictures(tmp_path: Path, seeing: Policy) -> None:
    write_pictures(tmp_path, red="red", blue="blue")
    rows = [
        {"prompt": "Which?", "images": ["red.png", "blue.png"], "chosen": "The first.", "rejected": "The second."},
        {"prompt": "What is it?", "image": "red.png", "chosen": "It is red.", "rejected": "It is blue."},
        {"prompt": "Hello?", "chosen": "Hello!", "rejected": "What?"},
    ]
    file = tmp_path / "prefs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check_preferences(file, renderer=seeing.renderer.media)
    pictures = report.lengths["pictures of a prompt (tokens)"]
    assert (pictures.count, pictures.mean, pictures.longest) == (2, 24, 32)
    assert report.tokens is not None
    assert not report.tokens.unrenderable
    # a row that is too long is counted, as in training
    assert len(check_preferences(file, renderer=seeing.renderer.media, max_length=60).tokens.too_long) == 2
    # a model without a tower: its rows are named, and the text is counted
    report = check_preferences(file, renderer=renderer(CHATML))
    assert len(report.tokens.unrenderable) == 2
    assert "holds a picture (red.png), and text alone can be used here" in report.tokens.unrenderable[0]


def test_the_command_reads_pictures_where_the_model_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_llava(tmp_path / "llava")
    assert reads_pictures(str(model))
    assert not reads_pictures("penchant-0.5m")
    write_pictures(tmp_path, red="red")
    file = tmp_path / "prefs.jsonl"
    file.write_text(json.dumps({"prompt": "What?", "image": "red.png", "chosen": "Red.", "rejected": "Blue."}) + "\n")
    assert main(["data", "check", str(file), f"model={model}"]) == 0
    printed = capsys.readouterr().out
    assert "pictures of a prompt (tokens)" in printed
    assert "images" in printed
    assert main(["data", "check", str(file), "model=penchant-0.5m"]) == 2
    assert "1 prompts with images, and the model reads text alone: name one that reads them" in capsys.readouterr().out
