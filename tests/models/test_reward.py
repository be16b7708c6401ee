"""Learned rewards: what the head reads, and that they are saved and loaded like any model."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import penchant as pt
from penchant.data.options import RenderOptions
from penchant.errors import InputError
from penchant.models.reward import LearnedReward, new_reward
from penchant.models.settings import ModelConfig
from penchant.rewards.learned import RewardEnsemble
from penchant.types import PromptGroup, Response

GROUPS = [
    PromptGroup("Ann went out.", [" She sang.", " It was sad and she fell.", Response(" She sang", finished=False)]),
    PromptGroup("Bob slept.", [" Long.", " No."]),
]


def fresh(model: str, seed: int = 0, **changes: Any) -> LearnedReward:
    """A reward model whose head says something."""
    torch.manual_seed(seed)
    reward = new_reward(ModelConfig(name=model, device="cpu", **changes))
    for name, weight in reward.model.named_parameters():
        if "score" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return reward


def test_a_new_one_prefers_nobody(tiny_model: str) -> None:
    reward = new_reward(ModelConfig(name=tiny_model, device="cpu"))
    assert not torch.cat(reward.score(GROUPS)).any()
    assert reward.prefers("Bob slept.", " Long.", " No.") == 0.5
    assert re.fullmatch(r"LearnedReward\('\S+', [\d.e-]+M weights, cpu\)", repr(reward)), repr(reward)


def test_the_tree_gives_what_transformers_gives_for_the_last_token(tiny_model: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    ours = fresh(tiny_model)
    assert not ours.scorer.plain
    ours.save(tmp_path / "saved")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    for group, got in zip(GROUPS, ours.score(GROUPS), strict=True):
        row = ours.renderer.render(group)
        for branch, value in zip(row.branches, got.tolist(), strict=True):
            ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
            with torch.no_grad():
                assert float(theirs(ids).logits) == pytest.approx(value, abs=1e-4)
    again = pt.load_reward_model(tmp_path / "saved", device="cpu")
    assert torch.allclose(torch.cat(again.score(GROUPS)), torch.cat(ours.score(GROUPS)), atol=1e-5)


def test_the_end_is_read_where_there_is_one(tiny_model: str) -> None:
    ours = fresh(tiny_model)
    done, cut = ours.score([PromptGroup("A", [" b", Response(" b", finished=False)])])[0].tolist()
    assert abs(done - cut) > 1e-3


def test_the_offset_is_taken_off_and_kept(tiny_model: str, tmp_path: Path) -> None:
    ours = fresh(tiny_model)
    raw = torch.cat(ours.score(GROUPS))
    ours.offset = 2.5
    assert torch.allclose(torch.cat(ours.score(GROUPS)), raw - 2.5)
    ours.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "reward.json").read_text())["offset"] == 2.5
    again = pt.load_reward_model(tmp_path / "saved", device="cpu")
    assert torch.allclose(torch.cat(again.score(GROUPS)), raw - 2.5, atol=1e-5)


def test_it_is_a_reward_and_a_judge(tiny_model: str, tmp_path: Path) -> None:
    ours = fresh(tiny_model)
    ours.save(tmp_path / "saved")
    reward = pt.load_reward(str(tmp_path / "saved"))
    pairs = [("Bob slept.", " Long."), ("Bob slept.", " No."), ("Ann went out.", " She sang.")]
    scores = torch.cat(ours.score(GROUPS)).tolist()
    assert reward(pairs) == pytest.approx([scores[3], scores[4], scores[0]], abs=1e-4)
    assert reward([]) == []
    chance = ours.prefers("Bob slept.", " Long.", " No.")
    assert chance == pytest.approx(1 / (1 + math.exp(scores[4] - scores[3])), abs=1e-5)
    assert chance + ours.prefers("Bob slept.", " No.", " Long.") == pytest.approx(1)
    scored = pt.score_groups(GROUPS, reward)
    assert scored[0].scores == pytest.approx(scores[:3], abs=1e-4)  # the cut response is read as cut


def test_token_ids_of_another_vocabulary_are_not_read(tiny_model: str, stories: str) -> None:
    ours = fresh(tiny_model)
    ids = (5, 6, 7)
    drawn = [PromptGroup("Bob", [Response(" sat", ids, finished=False)])]
    own, other = ours.tokenizer, pt.load_policy(stories, device="cpu").tokenizer
    assert ours.readable(drawn, own)[0].responses[0].token_ids == ids
    assert ours.readable(drawn, other)[0].responses[0].token_ids is None
    assert ours.readable(drawn, None)[0].responses[0].token_ids is None


def test_adapters_carry_their_head(tiny_model: str, tmp_path: Path) -> None:
    ours = fresh(tiny_model, lora={"rank": 2})
    trained = {name for name, weight in ours.model.named_parameters() if weight.requires_grad}
    assert any("score" in name for name in trained)
    assert any("lora_" in name for name in trained)
    assert not any("embed" in name for name in trained)
    with torch.no_grad():
        for name, weight in ours.model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.1)
    ours.save(tmp_path / "saved")
    again = pt.load_reward_model(tmp_path / "saved", device="cpu")
    assert torch.allclose(torch.cat(again.score(GROUPS)), torch.cat(ours.score(GROUPS)), atol=1e-4)


def test_an_ensemble_is_the_mean_less_its_caution(tiny_model: str, stories: str, tmp_path: Path) -> None:
    first = fresh(tiny_model)
    second = fresh(tiny_model, seed=1)
    tables = torch.stack([torch.cat(one.score(GROUPS)) for one in (first, second)])
    assert not torch.allclose(tables[0], tables[1])
    mean = torch.cat(RewardEnsemble((first, second)).score(GROUPS))
    assert torch.allclose(mean, tables.mean(0), atol=1e-5)
    careful = RewardEnsemble((first, second), caution=2.0)
    assert torch.allclose(torch.cat(careful.score(GROUPS)), tables.mean(0) - (tables[0] - tables[1]).abs(), atol=1e-4)
    assert torch.allclose(torch.cat(RewardEnsemble((first,)).score(GROUPS)), tables[0])
    for name, one in (("a", first), ("b", second)):
        one.save(tmp_path / name)
    spec = f"{tmp_path / 'a'},{tmp_path / 'b'}"
    assert pt.load_reward(spec)([("Bob slept.", " No.")]) == pytest.approx([float(mean[4])], abs=1e-4)
    with pytest.raises(InputError, match="at least one"):
        RewardEnsemble(())
    with pytest.raises(InputError, match="different vocabularies"):
        RewardEnsemble((first, fresh(stories)))


def test_a_language_model_is_no_reward_model(tiny_model: str) -> None:
    with pytest.raises(InputError, match=r"no reward model.*LlamaForCausalLM"):
        pt.load_reward(tiny_model)


def test_weights_that_are_missing_are_never_made_up(tiny_model: str, tmp_path: Path, capsys: Any) -> None:
    from safetensors.torch import load_file, save_file

    fresh(tiny_model).save(tmp_path / "saved")
    assert "MISSING" not in capsys.readouterr().err
    file = tmp_path / "saved" / "model.safetensors"
    for gone in ("score.weight", "model.layers.0.mlp.up_proj.weight"):
        tensors = load_file(file)
        del tensors[gone]
        save_file(tensors, file, metadata={"format": "pt"})
        with pytest.raises(InputError, match=rf"incomplete: .*{gone}"):
            pt.load_reward_model(tmp_path / "saved", device="cpu")


def test_scores_that_are_not_finite_are_refused(tiny_model: str) -> None:
    ours = fresh(tiny_model)
    with torch.no_grad():
        ours.model.score.weight.fill_(torch.nan)  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match="not finite"):
        ours.score(GROUPS)


def test_it_starts_from_the_trunk_of_a_policy_with_adapters(tiny_model: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tiny_model, device="cpu", lora=pt.LoRA(rank=2))
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.1)
    policy.save(tmp_path / "policy")
    reward = fresh(str(tmp_path / "policy"))
    merged = pt.load_policy(tmp_path / "policy", device="cpu")
    for name, weight in merged.model.base_model.state_dict().items():  # type: ignore[union-attr]
        assert weight.equal(reward.model.base_model.state_dict()[name])  # type: ignore[union-attr]


def test_texts_are_read_as_in_training(tiny_model: str, tmp_path: Path) -> None:
    """Template and end tokens come back, also those that only the generation config names."""
    from transformers import GenerationConfig

    policy = pt.load_policy(tiny_model, device="cpu")
    policy.tokenizer.chat_template = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    policy.save(tmp_path / "chatty")
    GenerationConfig(eos_token_id=[256, 10]).save_pretrained(tmp_path / "chatty")
    torch.manual_seed(0)
    plain = new_reward(ModelConfig(name=str(tmp_path / "chatty"), device="cpu"), RenderOptions("plain"))
    assert plain.renderer.end_ids == {256, 10}
    plain.save(tmp_path / "saved")
    again = pt.load_reward_model(tmp_path / "saved", device="cpu")
    assert (again.renderer.template, again.renderer.end_ids) == ("plain", {256, 10})
    assert pt.load_reward_model(tmp_path / "saved", device="cpu", template="chat").renderer.template == "chat"


@pytest.mark.parametrize("result", [None, '{"status": "interrupted"}', '{"status"', "[]"])
def test_a_run_that_did_not_end_is_no_reward(tiny_model: str, tmp_path: Path, result: str | None) -> None:
    run = tmp_path / "run"
    fresh(tiny_model).save(run / "checkpoint")
    assert pt.load_reward(str(run / "checkpoint"))  # a folder of its own, no run's
    (run / "config.yaml").write_text("method: reward_model\n")
    if result is not None:
        (run / "result.json").write_text(result)
    for folder in (run, run / "checkpoint"):
        with pytest.raises(InputError, match=r"cannot be a reward: the run did not come to its end .*--resume out="):
            pt.load_reward(str(folder))
    (run / "result.json").write_text('{"status": "done"}')
    assert len(pt.load_reward(str(run))([("Bob slept.", " Long.")])) == 1
