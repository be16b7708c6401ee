"""Rounds on prompts that show pictures; what reads text alone refuses them by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from media_files import write_pictures
from penchant.errors import InputError
from tiny_vision import save_llava

REWARDS = """
def mentions(pairs, objects):
    return [float(sum(map(ord, text)) + len(names)) for (_, text), names in zip(pairs, objects)]
"""


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    write_pictures(tmp_path / "seen", red="red", blue="blue", green="green")
    (tmp_path / "rewards.py").write_text(REWARDS)
    rows = [
        {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}],
         "images": [f"seen/{name}.png"], "objects": ["ball"]}
        for name in ("red", "blue", "green")
    ]  # fmt: skip
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def settings(model: str, prompts: str, **changes: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "model": {"name": model, "device": "cpu"},
        "data": {"path": prompts, "held_out": 1},
        "out": str(Path(prompts).parent / "run"),
    }
    return defaults | changes


@pytest.mark.slow
def test_iterative_rounds_learn_from_samples_about_pictures(llava: str, prompts: str) -> None:
    reward = f"{Path(prompts).parent / 'rewards.py'}:mentions"
    dpo = {"batch_size": 2, "evaluate": {"samples": {"n": 2}}}
    rounds = settings(llava, prompts, reward=reward, dpo=dpo, rounds=2, max_new_tokens=3, samples_per_prompt=3)
    run = pt.train(pt.Iterative(**rounds))
    first, second = run.metrics["rounds"]
    assert first["samples"]["prompts"] == second["samples"]["prompts"] == 2
    assert {"reward", "kl_nats"} <= set(second["policy"]["samples"]["policy"])
    pairs = pt.load_preferences(run.path / "round-1" / "pairs.jsonl", media=True)
    assert all(not isinstance(group.prompt[0].content, str) for group in pairs)
    # what is finished is not done again
    again = pt.train(pt.Iterative(**rounds))
    assert again.metrics["rounds"] == run.metrics["rounds"]


def test_a_reward_of_text_alone_refuses(llava: str, prompts: str) -> None:
    rounds = settings(llava, prompts, reward="vader", rounds=1, max_new_tokens=3)
    with pytest.raises(InputError, match="a reward reads text alone"):
        pt.train(pt.Iterative(**rounds))


REFUSE = "pictures, videos and sounds cannot be used here, text alone can"


@pytest.mark.parametrize("method", ["OnlineRLHF", "PPO", "RLOO", "GRPO"])
def test_what_reads_text_alone_refuses_prompts_with_pictures(method: str, llava: str, prompts: str) -> None:
    changes: dict[str, Any] = {
        "OnlineRLHF": {"labeller": "vader"},
        "PPO": {"reward": "vader"},
        "RLOO": {"reward": "vader"},
        "GRPO": {"reward": "vader"},
    }.get(method, {})
    with pytest.raises(InputError, match=REFUSE):
        pt.train(getattr(pt, method)(**settings(llava, prompts, **changes)))
