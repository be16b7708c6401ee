"""The template of a run: compared when it is resumed, kept in its checkpoint, and used by whoever opens that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.config import load_config
from penchant.errors import InputError, RunMismatchError
from penchant.methods import DPO, train
from penchant.models.load import load_policy

SHOUTING = (
    "{% for m in messages %}[{{ m.role }}{{ mark }}] {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant{{ mark }}] {% endif %}"
)
DATED = "{{ strftime_now('%d %b %Y') }} " + SHOUTING


@pytest.fixture
def settings(
    tiny_model: str, preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    Path("mine.jinja").write_text(SHOUTING)
    Path("dated.jinja").write_text(DATED)
    return (
        *(f"model={tiny_model}", "model.device=cpu", f"data={preference_file}", "data.held_out=2", "batch_size=8"),
        *("evaluate.samples=null", "max_steps=1", "data.template=mine.jinja", "data.template_args={mark: '!'}"),
    )


def interrupted(settings: tuple[str, ...]) -> None:
    """A run that may be resumed: its result is taken away, as after a kill."""
    run = train(load_config(DPO, None, (*settings, "out=run")))
    (run.path / "result.json").unlink()


def resumed(settings: tuple[str, ...], *changes: str) -> None:
    train(load_config(DPO, None, (*settings, *changes, "out=run")), resume=True)


def test_a_file_with_another_text_is_another_template(settings: tuple[str, ...]) -> None:
    interrupted(settings)
    Path("mine.jinja").write_text(SHOUTING.replace("[", "<"))
    with pytest.raises(RunMismatchError, match="the chat template"):
        resumed(settings)
    Path("mine.jinja").write_text(SHOUTING)
    resumed(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.template_args={mark: '?'}", r"differs .* in data\.template_args\.mark"),
        ("data.template=chatml", r"differs .* in data\.template"),
        ("data.thoughts=mask", r"differs .* in data\.thoughts"),
    ],
)
def test_other_settings_are_named(settings: tuple[str, ...], change: str, message: str) -> None:
    interrupted(settings)
    with pytest.raises(RunMismatchError, match=message):
        resumed(settings, *(("data.template_args={}",) if change.endswith("chatml") else ()), change)


def test_arguments_that_the_start_brought_are_compared(settings: tuple[str, ...]) -> None:
    """A run that goes on from a checkpoint takes its arguments from there, and not from its own settings."""
    first = train(load_config(DPO, None, (*settings, "out=first")))
    onward = (*settings[1:-2], f"model={first.path / 'checkpoint'}")
    interrupted(onward)
    record = first.path / "checkpoint" / "penchant_template.json"
    content = json.loads(record.read_text())
    assert content["template_args"] == {"mark": "!"}
    record.write_text(json.dumps({**content, "template_args": {"mark": "?"}}))
    (first.path / "checkpoint" / "SHA256SUMS").unlink()
    with pytest.raises(RunMismatchError, match="the arguments of the chat template"):
        resumed(onward)


def test_a_fixed_date_comes_back_with_the_checkpoint(settings: tuple[str, ...]) -> None:
    dated = (*settings[:-2], "data.template=dated.jinja", "data.template_args={today: 2024-02-29, mark: '!'}")
    run = train(load_config(DPO, None, (*dated, "out=run")))
    policy = load_policy(run.path / "checkpoint", device="cpu")
    assert policy.renderer.text("Who?") == "29 Feb 2024 [user!] Who?</s>[assistant!] "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.template_args={marks: '!'}", r"does not read the argument 'marks' .* did you mean mark"),
        ("data.template_args={today: 2026-01-31}", "writes no date of today"),
        ("data.template=plain", "are for a chat template, but prompts are plain text"),
    ],
)
def test_arguments_that_say_nothing_are_refused(settings: tuple[str, ...], change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(load_config(DPO, None, (*settings, change, "out=run")))
    assert not Path("run").exists()


@pytest.mark.slow
def test_one_template_from_training_to_judging(settings: tuple[str, ...], penchant, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """By command line: ChatML on a base model with LoRA, then samples, scores and verdicts of its checkpoint."""
    base = (*settings[:5], "max_steps=2", "data.template=chatml", "model.lora={rank: 2}")
    samples = "evaluate.samples={max_new_tokens: 6, max_prompts: 2}"
    done = penchant("train", "dpo", *base, samples, "out=run")
    assert done.wait() == 0, done.stderr
    Path("prompts.txt").write_text("Who went out?\n")
    drawn = penchant("sample", "run/checkpoint", "prompts.txt", "n=2", "max_new_tokens=6", "device=cpu", "out=a.jsonl")
    assert drawn.wait() == 0, drawn.stderr
    assert "tokens of the chat template" not in drawn.stderr  # they are there already
    judged = penchant(
        *("judge", "run", "judge=longest", "temperatures=[0]", "prompts=prompts.txt", "max_new_tokens=6"),
        *("against=a.jsonl", "device=cpu", "out=judged"),
    )
    assert judged.wait() == 0, judged.stderr
    other = penchant("train", "dpo", *base, samples, "data.template_args={x: 1}", "--resume", "out=run")
    assert other.wait() == 2
    assert "data.template_args.x" in other.stderr
