"""One suite for every method: it runs, learns, differs from its control and equals it where it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.cli.main import main
from penchant.methods import METHODS
from penchant.runs.held_out_rows import read_held_out_rows
from penchant.train.settings import PolicyConfig

LEARNING = {"learning_rate": 3e-3}
POLICIES = [name for name, config in METHODS.items() if issubclass(config, PolicyConfig)]
# what is the same code for every method is tried on one of them each time, and on all by `make test-all`
ONE_FAST = [name if name == "dpo" else pytest.param(name, marks=pytest.mark.slow) for name in POLICIES]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def winners_file(preference_file: Path, tmp_path: Path) -> Path:
    """The winning responses as demonstrations, as often as they won."""
    rows = []
    for row in rows_of(preference_file):
        for comparison in row["comparisons"]:
            rows.append({"prompt": row["prompt"], "completion": row["responses"][comparison["winner"]]})
    return write(tmp_path / "winners.jsonl", rows)


@pytest.fixture
def train(tiny_model: str, preference_file: Path, winners_file: Path, tmp_path: Path) -> Callable[..., pt.RunResult]:
    """`train("dpo", "name", **settings)` runs a method on a model and data of its own."""

    def run(method: str, name: str, data: Path | dict[str, Any] | None = None, **settings: Any) -> pt.RunResult:
        data = data or (winners_file if method == "sft" else preference_file)
        data = data if isinstance(data, dict) else {"path": str(data)}
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"held_out": 2, **data},
            "batch_size": 8,
            "epochs": 3,
            "optimizer": LEARNING,
            "evaluate": {"samples": None},
            "out": str(tmp_path / name),
        }
        return pt.train(METHODS[method](**defaults | settings))

    return run


def weights(run: pt.RunResult) -> dict[str, torch.Tensor]:
    return load_file(run.path / "checkpoint" / "model.safetensors")


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def same_numbers(one: Path, other: Path) -> None:
    for first, second in zip(rows_of(one / "metrics.jsonl"), rows_of(other / "metrics.jsonl"), strict=True):
        for clock in ("seconds", "tokens_per_s"):
            first.pop(clock, None), second.pop(clock, None)
        assert first == second


# -- every method -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", POLICIES)
def test_a_run_leaves_all_that_a_run_directory_holds(train: Callable[..., pt.RunResult], method: str) -> None:
    run = train(method, "run", evaluate={"every_steps": 4, "samples": {"max_new_tokens": 5, "reward": "vader"}})
    names = {path.name for path in run.path.iterdir()}
    files = {"config.yaml", "provenance.json", "metrics.jsonl", "samples.jsonl", "result.json"}
    assert names == files | {"checkpoint", "rendered.json", "held_out.json", "SHA256SUMS"}
    # what each row gave has the mean that the run says, and the same step
    rows = read_held_out_rows(run.path)
    assert rows is not None
    assert rows.step == run.metrics["steps"]
    for name, values in rows.values.items():
        kept = [(value, weight) for value, weight in zip(values, rows.weights, strict=True) if value is not None]
        mean = sum(value * weight for value, weight in kept) / sum(weight for _, weight in kept)
        assert mean == pytest.approx(run.metrics["final"]["held_out"][name]["value"], abs=1e-6)
    assert "loss" in rows.values
    assert (run.path / "config.yaml").read_text().startswith(f"method: {method}\n")
    assert run.metrics == json.loads((run.path / "result.json").read_text())
    assert run.metrics["status"] == "done"
    rows = rows_of(run.path / "metrics.jsonl")
    steps = [row["step"] for row in rows if row["kind"] == "train"]
    assert steps == list(range(1, run.metrics["steps"] + 1))
    evaluated = [row["step"] for row in rows if row["kind"] == "eval"]
    assert evaluated == sorted({0, *range(4, len(steps), 4), len(steps)})
    assert rows[0] == run.metrics["first"]
    assert rows[-1] == run.metrics["final"]
    for row in rows:
        if row["kind"] == "eval":
            for part in (row["held_out"], row["samples"]["policy"], row["samples"]["reference"]):
                for name, estimate in part.items():
                    assert set(estimate) == {"value", "low", "high", "n", "clusters", "reason"}, name
                    assert estimate["clusters"] == 2
                    if estimate["low"] is None:
                        assert estimate["reason"] == "no interval: 2 prompts"
                    else:  # all say the same: exact
                        assert estimate["low"] < estimate["high"]
                        assert estimate["value"] in (0, 1, 0.5), name
    assert rows[0]["samples"]["policy"]["kl_nats"]["value"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["samples"]["policy"]["kl_nats"]["value"] > 0.01
    samples = rows_of(run.path / "samples.jsonl")
    assert len(samples) == 2 * len(evaluated)
    for row in samples:
        assert {len(row["policy"]), len(row["reference"])} == {2}
        assert {"text", "reward", "kl_nats", "tokens", "finished"} <= row["policy"][0].keys()
        if row["step"] == 0:  # the same seeds and the same weights
            assert [s["text"] for s in row["policy"]] == [s["text"] for s in row["reference"]]
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert provenance["model"]["parameters"] == provenance["model"]["trainable_parameters"] > 1000
    assert len(provenance["data"]["sha256"]) == 64
    assert provenance["reference"]["fingerprint"] == provenance["model"]["fingerprint"]


@pytest.mark.parametrize("method", ONE_FAST)
def test_the_saved_configuration_runs_again_to_the_same_numbers(
    train: Callable[..., pt.RunResult], method: str, tmp_path: Path
) -> None:
    first = train(method, "first", evaluate={"samples": {"max_new_tokens": 5}})
    again = tmp_path / "again"
    assert main(["train", method, str(first.path / "config.yaml"), f"out={again}"]) == 0
    same_numbers(first.path, again)
    assert (again / "samples.jsonl").read_bytes() == (first.path / "samples.jsonl").read_bytes()
    bits = [(path / "checkpoint" / "model.safetensors").read_bytes() for path in (first.path, again)]
    assert bits[0] == bits[1]


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["full", "lora"])
@pytest.mark.parametrize("method", ONE_FAST)
def test_the_checkpoint_opens_everywhere_with_the_trained_weights(
    train: Callable[..., pt.RunResult], method: str, lora: Any, tiny_model: str, preference_file: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = train(method, "run", model={"name": tiny_model, "device": "cpu", "lora": lora})
    checkpoint = run.path / "checkpoint"
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer("Ann went out. It was sad.", return_tensors="pt").input_ids
    ours = pt.load_policy(checkpoint, device="cpu")
    with torch.no_grad():
        assert torch.allclose(model(ids).logits, ours.model(ids).logits, atol=1e-4)
    groups = pt.load_preferences(preference_file)
    before = torch.cat(pt.load_policy(tiny_model, device="cpu").score(groups))
    assert (torch.cat(ours.score(groups)) - before).abs().max() > 0.01


@pytest.mark.parametrize("method", POLICIES)
def test_a_method_learns_and_at_a_rate_of_nothing_stays_its_control(
    train: Callable[..., pt.RunResult], method: str, tiny_model: str
) -> None:
    start = load_file(Path(tiny_model) / "model.safetensors")
    run = train(method, "run", epochs=6)
    losses = [row["loss"] for row in rows_of(run.path / "metrics.jsonl") if row["kind"] == "train"]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    assert run.metrics["final"]["held_out"]["loss"]["value"] < run.metrics["first"]["held_out"]["loss"]["value"]
    assert distance(weights(run), start) > 1e-3
    still = train(method, "still", epochs=1, optimizer={"name": "adamw", "learning_rate": 1e-12})
    assert distance(weights(still), start) < 1e-9
    one, other = (still.metrics[when]["held_out"]["loss"]["value"] for when in ("first", "final"))
    assert other == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("method", ONE_FAST)
def test_the_command_line_and_python_train_the_same(
    train: Callable[..., pt.RunResult], method: str, tmp_path: Path, tiny_model: str, preference_file: Path,
    winners_file: Path,
) -> None:  # fmt: skip
    run = train(method, "python")
    data = winners_file if method == "sft" else preference_file
    command = ["train", method, f"model={tiny_model}", "model.device=cpu", f"data={data}", "data.held_out=2",
               "batch_size=8", "epochs=3", "optimizer.learning_rate=3e-3", "evaluate.samples=null",
               f"out={tmp_path / 'typed'}"]  # fmt: skip
    assert main(command) == 0
    same_numbers(run.path, tmp_path / "typed")


# -- what tells them apart ----------------------------------------------------------------------------------------


def test_preferred_ft_equals_sft_on_the_winners(train: Callable[..., pt.RunResult]) -> None:
    """The same responses with the same weights: a winner of two comparisons counts twice, as a demonstration seen
    twice does. (An eps above the rounding noise, since the shared prefix of a tree is cut elsewhere.)"""
    settings = {"optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
    preferred, sft = train("preferred_ft", "preferred", **settings), train("sft", "sft", **settings)
    assert distance(weights(preferred), weights(sft)) < 1e-6
    trained = [
        [row for row in rows_of(run.path / "metrics.jsonl") if row["kind"] == "train"] for run in (preferred, sft)
    ]
    for one, other in zip(*trained, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["responses"] == other["responses"]


def test_preferred_ft_does_not_look_at_the_rejected_responses_and_dpo_does(
    train: Callable[..., pt.RunResult], preference_file: Path, tmp_path: Path
) -> None:
    rows = rows_of(preference_file)
    for row in rows:
        row["responses"] = [row["responses"][0], " Quite another text.", row["responses"][2], " And one more."]
    other = write(tmp_path / "other.jsonl", rows)
    settings = {"optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
    moved = {}
    for method in ("preferred_ft", "dpo"):
        runs = [train(method, f"{method}-{data.stem}", data=data, **settings) for data in (preference_file, other)]
        moved[method] = distance(weights(runs[0]), weights(runs[1]))
    assert moved["preferred_ft"] < 1e-6
    assert moved["dpo"] > 1e-4


def test_unlikelihood_without_alpha_is_preferred_ft_to_the_last_bit(train: Callable[..., pt.RunResult]) -> None:
    for count in ("wins", "once"):
        preferred = train("preferred_ft", f"preferred-{count}", count=count)
        unlikelihood = train("unlikelihood", f"unlikelihood-{count}", count=count, alpha=0.0)
        assert distance(weights(preferred), weights(unlikelihood)) == 0


def test_unlikelihood_pushes_losers_down(train: Callable[..., pt.RunResult], preference_file: Path) -> None:
    groups = pt.load_preferences(preference_file)

    def losers(run: pt.RunResult) -> float:
        """Mean log-probability of the losing responses, in nats."""
        scores = pt.load_policy(run.path / "checkpoint", device="cpu").score(groups)
        lost = [float(row[c.loser]) for group, row in zip(groups, scores, strict=True) for c in group.comparisons]
        return sum(lost) / len(lost)

    means = [losers(train("unlikelihood", f"alpha-{alpha}", alpha=alpha)) for alpha in (0.0, 0.1, 0.5)]
    assert means[0] > means[1] > means[2]


def test_unlikelihood_by_hand(train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path) -> None:
    """The first loss, from the scores of the start: both sums over the winners' taught tokens."""
    comparisons = [{"winner": 0, "loser": 1}, {"winner": 0, "loser": 2}, {"winner": 1, "loser": 2}]
    row = {"prompt": "Tom went", "responses": [" out.", " home again.", " to bed."], "comparisons": comparisons}
    data = write(tmp_path / "one.jsonl", [row])
    policy, (group,) = pt.load_policy(tiny_model, device="cpu"), pt.load_preferences(data)
    (logps,) = policy.score([group])
    tokens = [branch.scored for branch in policy.renderer.render(group).branches]
    expected = {
        "wins": (-2 * logps[0] - logps[1] + 0.5 * (logps[1] + 2 * logps[2])) / (2 * tokens[0] + tokens[1]),
        "once": (-logps[0] - logps[1] + 0.5 * (logps[1] + logps[2])) / (tokens[0] + tokens[1]),
    }
    for count, loss in expected.items():
        settings = {"data": {"path": str(data), "held_out": 0}, "max_steps": 1, "alpha": 0.5, "count": count}
        run = train("unlikelihood", f"hand-{count}", **settings)
        (line,) = (line for line in rows_of(run.path / "metrics.jsonl") if line["kind"] == "train")
        assert line["loss"] == pytest.approx(float(loss), abs=1e-5)


def test_dpo_turns_around_with_the_labels(
    train: Callable[..., pt.RunResult], preference_file: Path, tmp_path: Path
) -> None:
    rows = rows_of(preference_file)
    for row in rows:
        row["comparisons"] = [{"winner": c["loser"], "loser": c["winner"]} for c in row["comparisons"]]
    turned = write(tmp_path / "turned.jsonl", rows)
    right, wrong = train("dpo", "right"), train("dpo", "wrong", data=turned)
    policies = [pt.load_policy(run.path / "checkpoint", device="cpu") for run in (right, wrong)]
    groups = pt.load_preferences(preference_file)
    leads = [
        sum(float(row[c.winner] - row[c.loser]) for group, row in zip(groups, policy.score(groups), strict=True)
            for c in group.comparisons)
        for policy in policies
    ]  # fmt: skip
    assert leads[0] > leads[1] + 100  # nats over 48 comparisons


def test_dpo_on_ties_alone_stays_where_it_is(
    train: Callable[..., pt.RunResult], preference_file: Path, tmp_path: Path, tiny_model: str
) -> None:
    """-log sigmoid(h) / 2 - log sigmoid(-h) / 2 is flat at h = 0: the gradient is 0, whatever the rate."""
    rows = rows_of(preference_file)
    for row in rows:
        row["comparisons"] = [c | {"tie": True} for c in row["comparisons"]]
    tied = write(tmp_path / "tied.jsonl", rows)
    settings = {"data": {"path": str(tied), "ties": "half"}, "optimizer": {"learning_rate": 1e-3, "eps": 1e-2}}
    run = train("dpo", "tied", **settings)
    assert distance(weights(run), load_file(Path(tiny_model) / "model.safetensors")) < 1e-5
    assert "accuracy" not in run.metrics["final"]["held_out"]  # nothing was decided


def test_orpo_without_its_weight_is_sft_on_every_comparison_s_winner(
    train: Callable[..., pt.RunResult], preference_file: Path, tmp_path: Path
) -> None:
    """lambda = 0 leaves the mean over comparisons of the winner's NLL a token; with one winner a step it is SFT's."""
    settings: dict[str, Any] = {"batch_size": 1, "max_steps": 4, "optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
    pairs = [row | {"comparisons": row["comparisons"][:1]} for row in rows_of(preference_file)]
    data = write(tmp_path / "pairs.jsonl", pairs)
    orpo = train("dpo", "orpo", data=data, loss={"name": "orpo", "weight": 0}, **settings)
    preferred = train("preferred_ft", "preferred", data=data, **settings)
    assert distance(weights(orpo), weights(preferred)) < 1e-6


def test_another_reference_pulls_to_itself(
    train: Callable[..., pt.RunResult], tiny_model: str, preference_file: Path, tmp_path: Path
) -> None:
    """The margin before the first step, by hand from the scores of both models."""
    sft = train("sft", "sft")
    reference = sft.path / "checkpoint"
    run = train("dpo", "run", reference=str(reference), epochs=1, loss={"beta": 0.5},
                data={"path": str(preference_file), "held_out": 5},
                evaluate={"samples": {"max_new_tokens": 5}})  # fmt: skip
    held = {row["prompt"] for row in rows_of(run.path / "samples.jsonl")}
    assert len(held) == 5
    groups = [group for group in pt.load_preferences(preference_file) if group.prompt in held]
    mine, theirs = (pt.load_policy(name, device="cpu").score(groups) for name in (tiny_model, reference))
    margins = [
        0.5 * float((own[c.winner] - ref[c.winner]) - (own[c.loser] - ref[c.loser]))
        for group, own, ref in zip(groups, mine, theirs, strict=True)
        for c in group.comparisons
    ]
    start = run.metrics["first"]
    assert start["held_out"]["margin"]["value"] == pytest.approx(sum(margins) / len(margins), abs=1e-4)
    assert start["samples"]["policy"]["kl_nats"]["value"] > 0.01  # the policy does not start from it
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert provenance["reference"]["name"] == str(reference)
    assert provenance["reference"]["fingerprint"] != provenance["model"]["fingerprint"]
    plain = train("dpo", "plain", epochs=1, loss={"beta": 0.5})
    assert distance(weights(run), weights(plain)) > 1e-4


def test_a_reference_with_another_vocabulary_is_refused(
    train: Callable[..., pt.RunResult], stories: str, tmp_path: Path
) -> None:
    with pytest.raises(pt.InputError, match="another vocabulary"):
        train("dpo", "run", reference=stories)
    assert not (tmp_path / "run").exists()


def test_sft_teaches_every_turn_only_when_asked(
    train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path
) -> None:
    """In the plain template the taught turns are " Yes." (5 bytes: no end token inside a plain text) and " Well."
    (6 bytes and the end token): 7 tokens, or 12. The loss is the mean over them, by hand from their scores."""
    chats = [
        {"messages": [{"role": "user", "content": f"Hi {n}"}, {"role": "assistant", "content": "Yes."},
                      {"role": "user", "content": "And?"}, {"role": "assistant", "content": "Well."}]}
        for n in range(6)
    ]  # fmt: skip
    data = write(tmp_path / "chats.jsonl", chats)
    runs = {turns: train("sft", turns, data=data, turns=turns, epochs=1, max_steps=1) for turns in ("last", "every")}
    policy = pt.load_policy(tiny_model, device="cpu")
    losses: dict[str, list[float]] = {"last": [], "every": []}
    for n in range(6):
        whole = policy.score(
            [
                pt.PromptGroup(f"\n\nHuman: Hi {n}\n\nAssistant:", [pt.Response(" Yes.", finished=False)]),
                pt.PromptGroup(f"\n\nHuman: Hi {n}\n\nAssistant: Yes.\n\nHuman: And?\n\nAssistant:", [" Well."]),
            ]
        )
        first, last = (-float(row) for row in whole)
        losses["last"].append(last / 7)
        losses["every"].append((first + last) / 12)
    for turns, run in runs.items():
        held = run.metrics["first"]["held_out"]["loss"]
        trained = rows_of(run.path / "metrics.jsonl")[1]["loss"]
        # 2 conversations are held out, 4 make the step: together the mean over all 6
        assert (2 * held["value"] + 4 * trained) / 6 == pytest.approx(sum(losses[turns]) / 6, abs=1e-5)
    assert distance(weights(runs["last"]), weights(runs["every"])) > 1e-5
    single = [{"messages": chat["messages"][:2]} for chat in chats]  # with one turn the two are the same
    data = write(tmp_path / "single.jsonl", single)
    one, other = (train("sft", f"{turns}1", data=data, turns=turns, epochs=1) for turns in ("last", "every"))
    assert distance(weights(one), weights(other)) == 0


def test_plain_text_is_learned_without_a_prompt(train: Callable[..., pt.RunResult], tmp_path: Path) -> None:
    data = write(tmp_path / "text.jsonl", [{"text": f"A line of text, number {n}."} for n in range(8)])
    run = train("sft", "run", data=data)
    losses = [row["loss"] for row in rows_of(run.path / "metrics.jsonl") if row["kind"] == "train"]
    assert losses[-1] < losses[0]


def test_gpt2_with_learned_positions_trains_too(
    train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=128,
            n_embd=16,
            n_layer=2,
            n_head=2,
            eos_token_id=end,
            bos_token_id=end,
        )
    ).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    run = train("dpo", "run", model={"name": str(tmp_path / "gpt2"), "device": "cpu"})
    assert run.metrics["warnings"] == []  # trees, not the plain path; dropout is off, so the identity holds
    assert run.metrics["first"]["held_out"]["margin"]["value"] == pytest.approx(0, abs=1e-4)
    assert run.metrics["final"]["held_out"]["loss"]["value"] < 0.69
