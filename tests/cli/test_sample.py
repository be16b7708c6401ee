"""`penchant sample`: a command that is killed goes on to the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from penchant.cli import sample as command
from penchant.cli.main import main
from penchant.models.policy import Policy
from penchant.runs.partial_file import PartialFile

WORDS = ("The dog", "A cat", "Once upon a time", "Tim", "The sun", "It was", "Mum said", "They ran")
SETTINGS = ("n=3", "max_new_tokens=12", "device=cpu", "seed=5")


@pytest.fixture
def sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stories: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "SAMPLES_AT_ONCE", 6)  # two prompts at once
    Path("p.txt").write_text("\n".join(WORDS) + "\n")

    def call(out: str, *settings: str) -> tuple[int, str]:
        code = main(["sample", stories, "p.txt", f"out={out}", *SETTINGS, *settings])
        return code, "".join(capsys.readouterr())

    return call


def kill_in_the_third_chunk(model: str) -> None:
    """Run the command in this process, which kills itself in the middle of a line."""
    plain = PartialFile.append
    calls: list[int] = []

    def append(partial: PartialFile, lines: Sequence[bytes]) -> None:
        calls.append(1)
        plain(partial, lines)
        if len(calls) == 3:
            content = partial.path.read_bytes()
            partial.path.write_bytes(content[: -len(lines[-1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    PartialFile.append = append  # type: ignore[method-assign]
    main(["sample", model, "p.txt", "out=drawn.jsonl", *SETTINGS])


def test_a_killed_command_goes_on_to_the_same_bytes(
    sample: Callable[..., tuple[int, str]],
    stories: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert sample("whole.jsonl")[0] == 0
    process = multiprocessing.get_context("fork").Process(target=kill_in_the_third_chunk, args=(stories,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not Path("drawn.jsonl").exists()

    code, text = sample("drawn.jsonl")
    assert code == 2
    assert "drawn.jsonl.partial holds what an earlier start did" in text
    code, text = sample("drawn.jsonl", "--resume", "temperature=0.5")
    assert code == 2
    assert "temperature changed since drawn.jsonl.partial was begun" in text

    asked: list[object] = []
    plain = Policy.sample
    monkeypatch.setattr(
        Policy,
        "sample",
        lambda self, prompts, *rest, **names: asked.extend(prompts) or plain(self, prompts, *rest, **names),
    )
    assert sample("drawn.jsonl", "--resume")[0] == 0
    # two chunks were whole; the third, whose last line was cut, is drawn anew
    assert asked == list(WORDS[4:])
    assert Path("drawn.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert not Path("drawn.jsonl.partial").exists()
    assert sample("drawn.jsonl", "--resume")[0] == 0
    assert "is complete: nothing to resume" in caplog.text


def test_other_prompts_or_another_model_are_refused(
    sample: Callable[..., tuple[int, str]], tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Policy, "sample", stop)
        code, text = sample("drawn.jsonl")
    assert code == 130
    assert "0 prompts are in drawn.jsonl.partial; continue with the same command and --resume" in text
    Path("p.txt").write_text("Other\n")
    code, text = sample("drawn.jsonl", "--resume")
    assert (code, "the prompts changed since" in text) == (2, True)
    Path("p.txt").write_text("\n".join(WORDS) + "\n")
    assert main(["sample", tiny_model, "p.txt", "out=drawn.jsonl", *SETTINGS, "--resume"]) == 2
    # the reward comes after the samples, and may be another
    assert sample("drawn.jsonl", "--resume", "reward=vader")[0] == 0
    rows = [json.loads(line) for line in Path("drawn.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == list(WORDS)
    assert all(row["scores"] for row in rows)


def test_how_much_is_drawn_at_once_follows_from_the_samples_of_a_prompt() -> None:
    assert command._chunk(4, 64) == 128
    assert command._chunk(4, 512) == 32  # what is drawn slowly is kept more often
    assert command._chunk(10_000, 64) == 1


def test_a_system_turn_stands_before_every_prompt(sample: Callable[..., tuple[int, str]]) -> None:
    assert sample("told.jsonl", "n=1", "system=Be brief.")[0] == 0
    rows = [json.loads(line) for line in Path("told.jsonl").read_text().splitlines()]
    assert [[turn["role"] for turn in row["prompt"]] for row in rows] == [["system", "user"]] * len(WORDS)
    assert {row["prompt"][0]["content"] for row in rows} == {"Be brief."}


def test_what_was_drawn_stays_where_scoring_is_stopped(
    sample: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("penchant.rewards.score_groups", stop)
        code, text = sample("scored.jsonl", "reward=vader")
    assert code == 130
    assert "8 prompts are in scored.jsonl.partial; continue with the same command and --resume" in text
    drawn = Path("scored.jsonl.partial").read_text().splitlines()[1:]
    monkeypatch.setattr(Policy, "sample", stop)  # nothing is left to draw
    assert sample("scored.jsonl", "reward=vader", "--resume")[0] == 0
    rows = [json.loads(line) for line in Path("scored.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == list(WORDS)
    assert len(drawn) == len(rows)
    assert all("scores" in row for row in rows)
    assert not Path("scored.jsonl.partial").exists()


def test_the_prompts_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jsonl").write_text('{"prompt": "The dog"}\n')
    for call in (["sample", stories, "p.jsonl", "out=p.jsonl"], ["score", stories, "p.jsonl", "out=p.jsonl"]):
        assert main(call) == 2
        assert "p.jsonl is the file that is read, which would be lost" in capsys.readouterr().err
    assert Path("p.jsonl").read_text() == '{"prompt": "The dog"}\n'


def test_the_model_s_attention_and_device_map_are_settings(
    sample: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from penchant.models import load

    opened: list[Any] = []
    plain = load.open_network

    def keep(model: Any, *rest: Any, **names: Any) -> Any:
        network, renderer = plain(model, *rest, **names)
        opened.append(network.config._attn_implementation)
        return network, renderer

    monkeypatch.setattr(load, "open_network", keep)
    assert sample("eager.jsonl", "attention=eager")[0] == 0
    assert opened == ["eager"]
    code, text = sample("x.jsonl", "device_map=auto")  # beside device=cpu
    assert code == 2
    assert "both say where the weights go" in text
