"""The line of the documentation that serves a checkpoint, run: what the server answers is what our sampler draws."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from penchant.engine.sampling import Sampling
from penchant.judges.contract import Question
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.settings import Endpoint
from penchant.models.load import load_policy
from penchant.types import Message, Verdict
from repository import REPOSITORY

LINE = re.compile(r"^\$ (transformers serve .*)$", re.MULTILINE)
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def post(url: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, object] = json.loads(answer.read())
    return found


@pytest.mark.slow
def test_the_line_of_the_page_serves_a_checkpoint(stories: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers.cli.serve", exc_type=ImportError)
    if not import_module("transformers.utils.import_utils").is_serve_available():
        pytest.skip("needs transformers[serving]: pip install 'penchant[serve]'")
    page = (REPOSITORY / "docs" / "tutorials" / "using.md").read_text()
    (line,) = LINE.findall(page)
    # the page's folder is a checkpoint of ours; here it is made of a model with a template
    (tmp_path / "plain.jinja").write_text(TEMPLATE)
    policy = load_policy(stories, template=str(tmp_path / "plain.jinja"), device="cpu")
    policy.save(tmp_path / "runs" / "first" / "checkpoint")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = line.replace("--port 8000", f"--port {port} --device cpu --host 127.0.0.1").split()
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", *words[1:]]
    log = tmp_path / "server.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        ) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + 240
            while True:
                with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.2)
            served = load_policy(tmp_path / "runs" / "first" / "checkpoint", device="cpu")
            turns = [{"role": "user", "content": "Tom had a dog."}]
            body = {"model": words[2], "messages": turns, "temperature": 0, "max_tokens": 12}
            answer = post(f"{url}/v1/chat/completions", body)
            sampling = Sampling(temperature=0, max_new_tokens=12)
            ((expected,),) = served.draw([(Message("user", "Tom had a dog."),)], sampling)
            (choice,) = answer["choices"]  # type: ignore[misc]
            assert choice["message"]["content"].strip() == expected.text.strip()
            # and a judge reaches it
            settings = Endpoint(model=words[2], base_url=f"{url}/v1", max_tokens=8, structured=False, attempts=1)
            verdicts: list[Verdict] = []
            question = Question("Tom had a dog.", "It ran.", "It sat.")
            EndpointJudge(settings).judge_many([question], lambda _, verdict: verdicts.append(verdict))
            assert verdicts[0].final
            assert verdicts[0].tokens > 0
        finally:
            server.kill()
