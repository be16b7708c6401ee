"""Online RLHF: one round is the offline way, rounds add labels, people may be the labellers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError, RunMismatchError

POLICY = {"steps": 2, "prompts_per_step": 3, "optimizer": {"learning_rate": 1e-3},
          "evaluate": {"samples": {"max_new_tokens": 4, "reward": "vader"}}}  # fmt: skip
REWARD = {"epochs": 1, "batch_size": 8, "optimizer": {"learning_rate": 1e-3}}


@pytest.fixture
def online(tiny_model: str, tmp_path: Path) -> Callable[..., pt.OnlineRLHF]:
    (tmp_path / "rewards.py").write_text("def length(pairs):\n    return [float(len(r)) for _, r in pairs]\n")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"{name} went\n" for name in ("Ann", "Bob", "Cleo", "Dan")))

    def config(name: str, **changes: Any) -> pt.OnlineRLHF:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(prompts), "held_out": 1},
            "labeller": f"{tmp_path / 'rewards.py'}:length",
            "rounds": 1,
            "max_new_tokens": 5,
            "reward_model": REWARD,
            "ppo": POLICY,
            "out": str(tmp_path / name),
        }
        return pt.OnlineRLHF(**defaults | changes)

    return config


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


def test_a_labeller_reads_columns_of_the_rows(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text(
        "def near(pairs, size):\n    return [-abs(len(r) - float(n)) for (_, r), n in zip(pairs, size)]\n"
    )
    rows = [{"prompt": f"{name} went", "size": len(name)} for name in ("Ann", "Bob", "Cleo", "Dan")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes: dict[str, Any] = {"data": {"path": str(tmp_path / "rows.jsonl"), "held_out": 1}}
    run = pt.train(online("columns", labeller=f"{tmp_path / 'near.py'}:near", **changes))
    for line in (run.path / "round-1" / "labelled.jsonl").read_text().splitlines():
        row = json.loads(line)
        size = row["columns"]["size"]
        texts = [response if isinstance(response, str) else response["text"] for response in row["responses"]]
        assert row["scores"] == [-abs(len(text) - size) for text in texts]
    with pytest.raises(InputError, match=r"asks for the column 'answer', which .*rows.jsonl:1 does not have"):
        pt.train(online("refused", labeller="exact_answer", **changes))
    assert not (tmp_path / "refused").exists()


def test_one_round_is_the_offline_way(online: Callable[..., pt.OnlineRLHF], tmp_path: Path, tiny_model: str) -> None:
    config = online("online")
    run = pt.train(config)
    labels = tmp_path / "online" / "round-1" / "labels.jsonl"
    reward = pt.train(config.reward_stage(0).replace(out=str(tmp_path / "reward")))
    policy = pt.train(
        config.policy_stage(0).replace(out=str(tmp_path / "policy"), reward=str(reward.path / "checkpoint"))
    )
    assert config.reward_stage(0).data.path == str(labels)
    start = pt.load_policy(tiny_model, device="cpu")
    labelled = pt.load_preferences(labels, ties="half")
    for group in labelled:  # the offline way's labels: samples of the start, the longer one wins
        assert all(
            len(group.responses[c.winner].text) > len(group.responses[c.loser].text) or c.tie for c in group.comparisons
        )
        assert all(response.token_ids for response in group.responses)
    assert torch.isfinite(torch.cat(start.score(labelled))).all()
    held = {group.prompt for group in pt.load_prompts(tmp_path / "online" / "prompts-held-out.jsonl")}
    assert len(held) == 1
    assert not held & {group.prompt for group in labelled}
    assert weights(policy.path / "checkpoint") == weights(tmp_path / "online" / "round-1" / "policy" / "checkpoint")
    assert run.metrics["final"] == policy.metrics["final"]
    assert len(run.metrics["rounds"]) == 1
    seconds = run.metrics["round_seconds"]
    assert set(seconds[0]) == {"loading", "sampling", "labelling", "reference", "training", "evaluation", "other"}
    assert pt.train(config).metrics["round_seconds"] == seconds  # what is there is not gone through again


def test_a_second_round_labels_samples_of_the_new_policy_and_fits_on_all(
    online: Callable[..., pt.OnlineRLHF], tmp_path: Path
) -> None:
    run = pt.train(online("online", rounds=2))
    rounds = [pt.load_preferences(tmp_path / "online" / f"round-{n}" / "labelled.jsonl", ties="half") for n in (1, 2)]
    texts = [{response.text for group in groups for response in group.responses} for groups in rounds]
    assert texts[0] != texts[1]
    together = (tmp_path / "online" / "round-2" / "labels.jsonl").read_text().splitlines()
    assert len(together) == 6  # 3 prompts a round: one of the four is held out in both
    one = pt.train(online("one"))
    assert run.metrics["rounds"][0] == one.metrics["rounds"][0]
    policies = [weights(tmp_path / "online" / f"round-{n}" / "policy" / "checkpoint") for n in (1, 2)]
    assert policies[0] != policies[1]
    provenance = json.loads((tmp_path / "online" / "round-2" / "policy" / "provenance.json").read_text())
    start = json.loads((tmp_path / "online" / "round-1" / "policy" / "provenance.json").read_text())
    assert provenance["reference"]["fingerprint"] == start["model"]["fingerprint"] != provenance["model"]["fingerprint"]
    files = [tmp_path / "online" / f"round-{n}" / "policy" / "metrics.jsonl" for n in (1, 2)]
    rows = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    coefficients = [[row["kl_coefficient"] for row in some if row["kind"] == "train"] for some in rows]
    assert coefficients[1][0] == coefficients[0][-1] != coefficients[0][0]  # what was found goes on


def test_a_fixed_coefficient_stays_in_every_round(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    pt.train(online("online", rounds=2, ppo={**POLICY, "kl": {"name": "fixed", "coefficient": 0.3}}))
    file = tmp_path / "online" / "round-2" / "policy" / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["kl_coefficient"] for row in rows if row["kind"] == "train"} == {0.3}


def test_what_is_done_is_not_done_again(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    pt.train(online("online"))
    policy = tmp_path / "online" / "round-1" / "policy"
    before = (policy / "metrics.jsonl").stat().st_mtime_ns, weights(policy / "checkpoint")
    (policy / "result.json").unlink()  # as if killed at the very end
    pt.train(online("online"))
    assert weights(policy / "checkpoint") == before[1]
    finished = (policy / "metrics.jsonl").stat().st_mtime_ns
    pt.train(online("online"))
    assert (policy / "metrics.jsonl").stat().st_mtime_ns == finished
    with pytest.raises(InputError, match=r"the configuration differs .* in seed"):
        pt.train(online("online", seed=1))


def test_other_prompts_or_another_labeller_are_not_gone_on_with(
    online: Callable[..., pt.OnlineRLHF], tmp_path: Path
) -> None:
    config = online("online", labeller="file")
    with pytest.raises(InputError, match="waits for labels"):
        pt.train(config)
    prompts = tmp_path / "prompts.txt"
    text = prompts.read_text()
    prompts.write_text(text.replace("Bob", "Rob"))
    with pytest.raises(InputError, match=r"the prompts \((train|held-out)\).* changed since the run in .*online began"):
        pt.train(config)
    prompts.write_text(text)
    file = tmp_path / "online" / "prompts-train.jsonl"
    file.write_text(file.read_text().replace("went", "bent"))
    with pytest.raises(InputError, match=r"prompts-train\.jsonl is damaged"):
        pt.train(config)


def test_a_changed_labeller_or_changed_labels_are_refused(
    online: Callable[..., pt.OnlineRLHF], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penchant.rounds import pipeline

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    config = online("online")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Round, "stage", stopped)
        with pytest.raises(KeyboardInterrupt):
            pt.train(config)
        labels = tmp_path / "online" / "round-1" / "labels.jsonl"
        content = labels.read_text()
        labels.write_text(content.replace("0", "1", 1))
        with pytest.raises(InputError, match=r"round-1/labels\.jsonl is damaged"):
            pt.train(config)
        labels.write_text(content)
        rewards = tmp_path / "rewards.py"
        rewards.write_text(rewards.read_text().replace("len(r)", "-len(r)"))
        with pytest.raises(InputError, match="the labeller changed since the run in"):
            pt.train(config)


def answer_first(folder: Path) -> None:
    """Write the labels that a round waits for: of each prompt the second response wins."""
    asked = [json.loads(line) for line in (folder / "to_label.jsonl").read_text().splitlines()]
    answered = [row | {"comparisons": [{"winner": 1, "loser": 0}]} for row in asked if len(row["responses"]) > 1]
    (folder / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answered))


def test_another_model_between_rounds_is_refused(
    online: Callable[..., pt.OnlineRLHF], tiny_model: str, tmp_path: Path
) -> None:
    """The second round would take it as the reference, and as the start of its reward model."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    short = {"steps": 1, "prompts_per_step": 3, "evaluate": {"samples": None}}
    config = online("online", labeller="file", rounds=2, model={"name": str(model), "device": "cpu"}, ppo=short)
    with pytest.raises(InputError, match="round 1 waits for labels"):
        pt.train(config)
    answer_first(tmp_path / "online" / "round-1")
    with pytest.raises(InputError, match="round 2 waits for labels"):
        pt.train(config)
    moved = {name: 1.2 * tensor for name, tensor in load_file(model / "model.safetensors").items()}
    for name, change in {
        "model.safetensors": lambda file: save_file(moved, file, {"format": "pt"}),
        "config.json": lambda file: file.write_text(file.read_text().replace("10000.0", "500.0")),
        "generation_config.json": lambda file: file.write_text(file.read_text().replace("256", "[256, 10]")),
        "chat_template.jinja": lambda file: file.write_text(DATED.replace("%d", "today")),
    }.items():
        file = model / name
        before = file.read_bytes() if file.exists() else None
        change(file)
        assert not file.exists() or file.read_bytes() != before
        with pytest.raises(
            RunMismatchError, match=r"^the model( and the rendered prompts)? changed since the run in .*online"
        ):
            pt.train(config)
        file.unlink() if before is None else file.write_bytes(before)
    with pytest.raises(InputError, match="round 2 waits for labels"):
        pt.train(config)


DATED = (
    "{{ strftime_now('%d') }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def test_a_template_that_writes_the_date_is_refused_on_another_day(
    online: Callable[..., pt.OnlineRLHF], tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text(DATED)
    config = online("online", labeller="file", model={"name": str(model), "device": "cpu"})
    try:
        for zone, words in (("UTC-14", "waits for labels"), ("UTC+12", "^the rendered prompts changed since")):
            monkeypatch.setenv("TZ", zone)  # 26 hours between them: another date at any hour
            time.tzset()
            with pytest.raises(InputError, match=words):
                pt.train(config)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_two_processes_do_not_work_in_one_folder(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    (tmp_path / "online").mkdir()
    with (tmp_path / "online" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is working in"):
            pt.train(online("online"))


def test_an_interrupted_reward_model_is_not_climbed(
    online: Callable[..., pt.OnlineRLHF], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first Ctrl-C comes while the reward model is fitted; the same command ends as if it had not."""
    from penchant.train import loop
    from penchant.train.interrupt import Interrupt

    straight = pt.train(online("straight"))
    asked = Interrupt()
    asked.requested = True
    with monkeypatch.context() as patch:
        patch.setattr(loop, "interruptible", lambda **_: contextlib.nullcontext(asked))
        stopped = pt.train(online("online"))
    assert stopped.metrics["status"] == "interrupted"
    assert not (tmp_path / "online" / "round-1" / "policy").exists()
    assert not (tmp_path / "online" / "result.json").exists()
    again = pt.train(online("online"))
    assert again.metrics["final"] == straight.metrics["final"]
    bits = [weights(tmp_path / name / "round-1" / "policy" / "checkpoint") for name in ("straight", "online")]
    assert bits[0] == bits[1]


def test_people_label_between_rounds(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    config = online("people", labeller="file")
    with pytest.raises(InputError, match="waits for labels"):
        pt.train(config)
    folder = tmp_path / "people" / "round-1"
    assert len((folder / "to_label.jsonl").read_text().splitlines()) == 3
    answer_first(folder)
    assert pt.train(config).metrics["status"] == "done"


def test_bad_settings_are_named_before_anything_runs(online: Callable[..., pt.OnlineRLHF], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stepz"):
        online("bad", ppo={"stepz": 3})
    with pytest.raises(InputError, match=r"`ppo.reward` is the pipeline's to set"):
        online("bad", ppo={"reward": "vader"})
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds other files"):
        pt.train(online("taken"))


def test_the_command_line_runs_it(online: Callable[..., pt.OnlineRLHF], tmp_path: Path, capsys: Any) -> None:
    config = online("python")
    run = pt.train(config)
    command = ["train", "online_rlhf", str(run.path / "config.yaml"), f"out={tmp_path / 'typed'}"]
    assert main(command) == 0
    assert "online_rlhf: done" in capsys.readouterr().out
    one, other = (tmp_path / name / "round-1" / "policy" / "checkpoint" for name in ("python", "typed"))
    assert weights(one) == weights(other)
