"""Judges that see: pictures and sounds reach an endpoint in the place of their marks, and no other judge."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image as Pillow

from media_files import picture_bytes, sound_bytes, write_pictures
from penchant.errors import InputError
from penchant.image import Image
from penchant.judges import Question, VerdictStore, ask
from penchant.judges.chance import RandomJudge
from penchant.judges.compare.runs import judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.length import LongestJudge
from penchant.judges.noisy import NoisyJudge
from penchant.judges.panel import PanelJudge
from penchant.judges.settings import Endpoint
from penchant.judges.shown_media import media_in, message_content, reads_media
from penchant.media import Audio, Video

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

RED, BLUE = (Image.make(picture_bytes(colour)) for colour in ("red", "blue"))
TONE = Audio.make(sound_bytes())


def data_address(content: bytes, media_type: str = "image/png") -> dict[str, Any]:
    address = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    return {"type": "image_url", "image_url": {"url": address}}


def test_marks_become_parts_where_they_stand() -> None:
    assert message_content("plain", ()) == "plain"
    text = f"Before {RED.mark} after {TONE.mark}"
    sound = {"data": base64.b64encode(sound_bytes()).decode(), "format": "wav"}
    assert message_content(text, (RED, TONE)) == [
        {"type": "text", "text": "Before "},
        data_address(picture_bytes("red")),
        {"type": "text", "text": " after "},
        {"type": "input_audio", "input_audio": sound},
    ]
    frames = message_content(Video((RED, BLUE)).mark, (Video((RED, BLUE)),))
    assert frames == [data_address(picture_bytes(colour)) for colour in ("red", "blue")]
    # whoever writes a mark into a text shows nothing by it
    assert media_in([f"{RED.mark} {BLUE.mark}"], {BLUE.mark: BLUE}) == (BLUE,)
    assert message_content(f"{RED.mark}{BLUE.mark}", (BLUE,))[0] == {"type": "text", "text": RED.mark}


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_what_no_browser_shows_is_sent_as_png(kind: str) -> None:
    media_type, content = Image.make(picture_bytes("red", kind=kind)).web_file()
    assert media_type == "image/png"
    assert Image.make(content).decode().tolist() == RED.decode().tolist()


def test_a_picture_that_exif_turns_is_sent_turned() -> None:
    turned = Pillow.Exif()
    turned[0x0112] = 6
    image = Image.make(picture_bytes("red", (8, 6), "JPEG", exif=turned))
    media_type, content = image.web_file()
    with Pillow.open(io.BytesIO(content)) as sent:
        assert (media_type, sent.size, sent.getexif().get(0x0112)) == ("image/png", (6, 8), None)
        np.testing.assert_array_equal(np.asarray(sent), image.decode())
    assert Image.make(picture_bytes("red", kind="JPEG")).web_file() == ("image/jpeg", picture_bytes("red", kind="JPEG"))


def sees_red(_: int, request: dict[str, Any]) -> str:
    """A judge that calls the red picture's question for A, and all others for B."""
    parts = request["messages"][0]["content"]
    return f"Verdict: {'A' if data_address(picture_bytes('red')) in parts else 'B'}"


def endpoint_judge(endpoint: FakeEndpoint) -> EndpointJudge:
    return EndpointJudge(Endpoint(model="m", base_url=endpoint.url, first_wait_s=0.01))


def test_an_endpoint_gets_the_picture_of_each_question(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behave = sees_red
    questions = [Question(f"{image.mark}What is it?", "one", "other", (image,)) for image in (RED, BLUE)]
    with VerdictStore(tmp_path / "v.sqlite") as store:
        answers = ask(endpoint_judge(endpoint), questions, store=store, orders="one")
        assert [answer.outcome for answer in answers] == ["a", "b"]
        content = endpoint.calls[0]["messages"][0]["content"]
        assert [part["type"] for part in content] == ["text", "image_url", "text"]
        assert content[2]["text"].startswith("What is it?")
        # kept by the texts, whose marks have the digests
        again = ask(endpoint_judge(endpoint), questions, store=store, orders="one")
        assert [answer.outcome for answer in again] == ["a", "b"]
        assert len(endpoint.calls) == 2


def test_a_judge_of_text_alone_refuses() -> None:
    class Reader:
        identity = "reader"

        def judge_many(self, questions: Any, done: Any) -> None:
            raise AssertionError

    question = Question(f"{RED.mark}What is it?", "one", "other", (RED,))
    with pytest.raises(InputError, match="2 of 2 questions show pictures or play sounds, and this judge reads text"):
        ask(Reader(), [question])
    assert not reads_media(PanelJudge([LongestJudge(), Reader()]))
    assert reads_media(PanelJudge([LongestJudge(), RandomJudge()]))
    assert reads_media(NoisyJudge(LongestJudge(), 0.1))
    drawn = Question("Draw.", RED.mark, BLUE.mark, (RED, BLUE))
    assert ask(LongestJudge(), [drawn])[0].outcome == "tie"


def test_the_command_judges_answers_about_pictures(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behave = sees_red
    folder = write_pictures(tmp_path / "data", red="red", blue="blue")
    for name, answer in (("ours", "It is red."), ("theirs", "It is blue.")):
        rows = [
            {"prompt": [{"role": "user", "content": [{"type": "image", "path": f"{colour}.png"}, {"text": "Colour?"}]}]}
            | {"responses": [answer]}
            for colour in ("red", "blue")
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = JudgeConfig(
        responses=[str(folder / "ours.jsonl")],
        against=str(folder / "theirs.jsonl"),
        judge={"name": "endpoint", "model": "m", "base_url": endpoint.url},
        out=str(tmp_path / "judged"),
        orders="one",
    )
    results = judge(config)
    assert results.prompts == 2
    sent = [part["image_url"]["url"] for call in endpoint.calls for part in call["messages"][0]["content"][1:2]]
    assert sorted(sent) == sorted(data_address(picture_bytes(c))["image_url"]["url"] for c in ("red", "blue"))
    assert next(iter(results.methods.values())).summary.win_rate.wins.value == 0.5  # the red one alone
    page = (tmp_path / "judged" / "report.html").read_text()
    for image in (RED, BLUE):
        assert f'src="data:image/png;base64,{base64.b64encode(image.thumbnail(200)).decode()}"' in page
    text_alone = {"name": "reward", "reward": "vader"}
    with pytest.raises(InputError, match="this judge reads text alone"):
        judge(config.replace(judge=text_alone, out=str(tmp_path / "other")))
