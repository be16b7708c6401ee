"""`penchant chat`: who answers what with which seed, the commands, and how it ends."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.data.load import load_responses
from penchant.engine.sampling import Sampling
from penchant.models.policy import Policy
from penchant.types import Message

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
Chat = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def chat_model(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("chat") / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return str(folder)


@pytest.fixture(scope="module")
def run(chat_model: str) -> Path:
    folder = Path(chat_model).parent
    rows = [{"prompt": f"Q{number}?", "chosen": "Yes.", "rejected": "No."} for number in range(6)]
    (folder / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = pt.DPO(
        model={"name": chat_model, "device": "cpu"},
        data={"path": str(folder / "prefs.jsonl"), "held_out": 0},
        evaluate={"samples": None},
        optimizer={"learning_rate": 1e-2},
        max_steps=2,
        batch_size=3,
        out=str(folder / "run"),
    )
    return pt.train(config).path


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Chat:
    monkeypatch.chdir(tmp_path)

    def call(model: str | Path, *settings: str, lines: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        code = main(["chat", str(model), "device=cpu", "max_new_tokens=8", *settings])
        return code, *capsys.readouterr()

    return call


def answer(model: str | Path, turns: list[tuple[str, str]], seed: int = 0, temperature: float = 1.0) -> str:
    policy = pt.load_policy(model, device="cpu")
    sampling = Sampling(max_new_tokens=8, seed=seed, temperature=temperature)
    return policy.draw([tuple(Message(*turn) for turn in turns)], sampling)[0][0].text


def test_policy_and_reference_answer_with_one_seed(chat: Chat, run: Path, chat_model: str, tmp_path: Path) -> None:
    code, out, _ = chat(run, "seed=4", "out=chat.jsonl", lines="Who?\nAnd you?\n")
    assert code == 0
    groups = load_responses(tmp_path / "chat.jsonl")
    first = [("user", "Who?")]
    policy, reference = answer(run / "checkpoint", first, 4), answer(chat_model, first, 4)
    assert policy != reference
    assert [response.text for response in groups[0].responses] == [policy, reference]
    # both go on from the policy's answer, by the template that lies beside the model
    second = [*first, ("assistant", policy), ("user", "And you?")]
    assert groups[1].prompt == tuple(Message(*turn) for turn in second)
    expected = [answer(model, second, 4) for model in (run / "checkpoint", chat_model)]
    assert [response.text for response in groups[1].responses] == expected
    assert out.count("policy:") == out.count("reference:") == 2
    assert "2 turns written to chat.jsonl" in out


def test_bytes_that_are_no_text_end_nothing(
    chat: Chat, chat_model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a \xff b\nWho?\n"), encoding="utf-8"))
    assert main(["chat", chat_model, "device=cpu", "max_new_tokens=8"]) == 0
    out, err = capsys.readouterr()
    assert "error: field 'the line': half of a surrogate pair (\\udcff) at character 3, which is no text" in err
    assert out.count("model: ") == 1


def test_a_run_is_opened_though_its_template_file_is_gone(chat: Chat, tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(TEMPLATE)
    rows = [{"prompt": f"Q{number}?", "chosen": "Yes.", "rejected": "No."} for number in range(6)]
    (tmp_path / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ["model.device=cpu", "evaluate.samples=null", "max_steps=1", "data.held_out=0", "out=run"]
    call = ["train", "dpo", f"model={tiny_model}", "data=prefs.jsonl", "data.template=mine.jinja", *settings]
    assert main(call) == 0
    (tmp_path / "mine.jinja").unlink()
    code, out, _ = chat("run", "prompt=Who?")
    assert code == 0
    assert "reference: " in out


def test_one_question_of_a_model_alone(chat: Chat, chat_model: str, tmp_path: Path) -> None:
    code, out, _ = chat(chat_model, "prompt=Who?", "temperature=0", "out=one.jsonl")
    assert code == 0
    assert out.startswith("model: ")
    assert "reference" not in out
    (group,) = load_responses(tmp_path / "one.jsonl")
    assert group.responses[0].text == answer(chat_model, [("user", "Who?")], temperature=0)
    # any model can be put beside another
    assert "reference: " in chat(chat_model, "prompt=Who?", f"reference={chat_model}")[1]
    assert "reference: " not in chat(chat_model, "prompt=Who?", "reference=null")[1]


def test_a_system_turn_stands_first(chat: Chat, chat_model: str, tmp_path: Path) -> None:
    chat(chat_model, "prompt=Who?", "system=Be brief.", "out=one.jsonl")
    (group,) = load_responses(tmp_path / "one.jsonl")
    assert group.prompt == (Message("system", "Be brief."), Message("user", "Who?"))


def test_a_model_without_a_template_continues_the_text(chat: Chat, tiny_model: str, tmp_path: Path) -> None:
    chat(tiny_model, "out=text.jsonl", lines="The dog\nThe cat\n")
    first, second = load_responses(tmp_path / "text.jsonl")
    assert first.prompt == "The dog"
    assert second.prompt == f"The dog{first.responses[0].text}\nThe cat"
    chat(tiny_model, "style=turns", "prompt=The dog", "out=turns.jsonl")
    assert load_responses(tmp_path / "turns.jsonl")[0].prompt == (Message("user", "The dog"),)


def test_commands_change_what_comes_after_them(chat: Chat, chat_model: str, tmp_path: Path) -> None:
    lines = "Who?\n/reset\n/seed 7\nWho?\n/reset\n/temperature 0\nWho?\n/save a.jsonl\n\n/end\nWho?\n"
    code, out, err = chat(chat_model, lines=lines)
    assert code == 0
    assert err == ""
    groups = load_responses(tmp_path / "a.jsonl", merge=False)
    turn = [("user", "Who?")]
    assert [group.prompt for group in groups] == [(Message("user", "Who?"),)] * 3
    expected = [answer(chat_model, turn), answer(chat_model, turn, 7), answer(chat_model, turn, 7, 0)]
    assert [group.responses[0].text for group in groups] == expected
    assert out.count("model: ") == 3  # nothing after /end, and nothing for an empty line


def test_a_conversation_is_saved_over_itself_and_over_nothing_else(chat: Chat, chat_model: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("my own work\n")
    lines = "Who?\n/save a.jsonl\nAnd you?\n/save mine.jsonl\n/save a.jsonl\n"
    code, _, err = chat(chat_model, lines=lines)
    assert code == 0
    assert "mine.jsonl exists and is not overwritten" in err
    assert (tmp_path / "mine.jsonl").read_text() == "my own work\n"
    assert len(load_responses(tmp_path / "a.jsonl", merge=False)) == 2
    assert chat(chat_model, "prompt=Who?", "out=mine.jsonl")[0] == 2
    assert chat(chat_model, "prompt=Who?", "out=mine.jsonl", "--overwrite")[0] == 0
    assert len(load_responses(tmp_path / "mine.jsonl")) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/quit", "there is no /quit. /reset begins anew"),
        ("/seed x", "/seed x: expected a whole number"),
        ("/temperature -1", "/temperature -1: expected a number from 0"),
        ("/save", "expected the name of a file"),
        ("/save a.txt", "change the name's ending"),
        ("w" * 200, "the context is full"),
    ],
)
def test_a_slip_ends_nothing(chat: Chat, chat_model: str, line: str, words: str) -> None:
    code, out, err = chat(chat_model, lines=f"{line}\nWho?\n")
    assert code == 0
    assert words in err
    assert out.count("model: ") == 1


def test_an_answer_has_the_room_that_is_left(chat: Chat, chat_model: str) -> None:
    # `user: ` + 137 + line break + `assistant: ` are 155 of 160 tokens, each a character
    code, out, _ = chat(chat_model, "max_new_tokens=50", "top_k=1", "temperature=5", lines="w" * 137 + "\n")
    assert code == 0
    assert "cut at 5 tokens" in out or "cut" not in out
    code, _, err = chat(chat_model, lines="w" * 142 + "\n")
    assert "the conversation has 160 tokens, and the model takes 160. Begin anew with /reset" in err


def test_control_characters_of_a_model_stay_text(chat: Chat, chat_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Policy.draw
    hostile = "\x1b[2J\u202eno"

    def draw(self: Policy, *arguments: Any, **names: Any) -> list[list[pt.Response]]:
        return [[pt.Response(hostile, row[0].token_ids)] for row in plain(self, *arguments, **names)]

    monkeypatch.setattr(Policy, "draw", draw)
    _, out, _ = chat(chat_model, "prompt=Who?")
    assert "\x1b" not in out
    assert "⟨U+202E⟩no" in out


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, events: list[str | type[BaseException]]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", stream)
    left: Iterator[str | type[BaseException]] = iter(events)

    def read(_: str) -> str:
        event = next(left)
        if isinstance(event, str):
            return event
        raise event

    monkeypatch.setattr("builtins.input", read)


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_a_person_stops_an_answer_and_ends_the_chat(
    chat_model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    end: type[BaseException],
) -> None:
    monkeypatch.chdir(tmp_path)
    plain, calls = Policy.draw, []

    def draw(self: Policy, *arguments: Any, **names: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return plain(self, *arguments, **names)

    monkeypatch.setattr(Policy, "draw", draw)
    at_a_terminal(monkeypatch, ["Stop me", "Who?", end])
    assert main(["chat", chat_model, "device=cpu", "max_new_tokens=4", "out=c.jsonl"]) == 0
    out, _ = capsys.readouterr()
    assert "(stopped)" in out
    # what was stopped is no part of the conversation, and what was said is saved
    assert [group.prompt for group in load_responses("c.jsonl")] == [(Message("user", "Who?"),)]
    assert "Ctrl-D ends" in out


def test_a_script_that_is_stopped_ends(chat: Chat, chat_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Policy, "draw", draw)
    assert chat(chat_model, lines="Who?\n")[0] == 130


def test_a_reward_model_says_nothing(chat: Chat, run: Path, chat_model: str) -> None:
    config = pt.RewardModel(
        model={"name": chat_model, "device": "cpu"},
        data=str(run.parent / "prefs.jsonl"),
        max_steps=1,
        out=str(run.parent / "reward"),
    )
    code, _, err = chat(pt.train(config).path, "prompt=Who?")
    assert code == 2
    assert "predicts no text" in err
