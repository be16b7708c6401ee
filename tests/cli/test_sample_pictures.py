"""`penchant sample` and `penchant score` of prompts that show pictures, and rewards that read what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from media_files import picture_bytes, write_pictures
from penchant.cli.main import main
from penchant.data.load import load_prompts, load_responses
from penchant.image import Image
from penchant.models.load import load_policy
from penchant.runs.input_digests import digest_prompts
from penchant.types import Message
from tiny_vision import save_llava

SETTINGS = ("n=3", "max_new_tokens=4", "device=cpu")
REWARD = """
def length(pairs, objects):
    assert all("[image " in prompt for prompt, _ in pairs)
    return [len(names) + len(text) for (_, text), names in zip(pairs, objects)]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "seen", red="red", blue="blue")
    lines = [
        {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}],
         "images": [f"seen/{name}.png"], "objects": ["ball"]}
        for name in ("red", "blue")
    ]  # fmt: skip
    Path("prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_samples_are_written_with_the_paths_of_their_pictures(model: str) -> None:
    assert main(["sample", model, "prompts.jsonl", "out=drawn.jsonl", *SETTINGS]) == 0
    written = [json.loads(line) for line in Path("drawn.jsonl").read_text().splitlines()]
    paths = [row["prompt"][0]["content"][0]["path"] for row in written]
    assert paths == ["seen/red.png", "seen/blue.png"]
    assert all(sum(response.get("count", 1) for response in row["responses"]) == 3 for row in written)
    groups = load_responses("drawn.jsonl", media=True)
    assert groups[0].prompt == (Message("user", (Image.make(picture_bytes("red")), "What?")),)

    # what was drawn is scored: the tokens themselves, behind the same pictures
    assert main(["score", model, "drawn.jsonl", "out=scored.jsonl", "device=cpu"]) == 0
    scored = [json.loads(line)["logps"] for line in Path("scored.jsonl").read_text().splitlines()]
    for logps, expected in zip(scored, load_policy(model).score(groups), strict=True):
        np.testing.assert_allclose(logps, expected, atol=1e-3)


def test_a_changed_picture_is_no_start_to_go_on_with(model: str) -> None:
    assert main(["sample", model, "prompts.jsonl", "out=drawn.jsonl", *SETTINGS]) == 0
    whole = Path("drawn.jsonl").read_bytes()
    policy = load_policy(model)
    before = digest_prompts([group.prompt for group in load_prompts("prompts.jsonl", media=True)], policy.renderer)
    Path("seen/blue.png").write_bytes(picture_bytes("green"))
    after = digest_prompts([group.prompt for group in load_prompts("prompts.jsonl", media=True)], policy.renderer)
    assert before != after
    assert main(["sample", model, "prompts.jsonl", "out=other.jsonl", *SETTINGS]) == 0
    first, second = Path("other.jsonl").read_bytes().splitlines()
    assert first == whole.splitlines()[0]
    assert json.loads(second)["responses"] != json.loads(whole.splitlines()[1])["responses"]


def test_a_reward_reads_the_objects_of_a_picture(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rewarding.py").write_text(REWARD)
    assert main(["sample", model, "prompts.jsonl", "out=pairs.jsonl", "reward=rewarding:length", *SETTINGS]) == 0
    for line in Path("pairs.jsonl").read_text().splitlines():
        row = json.loads(line)
        texts = [response if isinstance(response, str) else response["text"] for response in row["responses"]]
        assert row["scores"] == [1 + len(text) for text in texts]
        assert row["columns"]["objects"] == ["ball"]
    # one that reads text alone sees no picture
    assert main(["sample", model, "prompts.jsonl", "out=other.jsonl", "reward=vader", *SETTINGS]) == 2
    assert "hold pictures or sounds (the first: prompts.jsonl:1), and a reward reads text" in capsys.readouterr().err


def test_a_model_of_texts_refuses_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "penchant-0.5m", "prompts.jsonl", "out=drawn.jsonl", *SETTINGS]) == 2
    assert "pictures, videos and sounds cannot be used here, text alone can" in capsys.readouterr().err
