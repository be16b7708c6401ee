"""Hub ids, in a cache as the hub's client lays it out: what they stand for, and what that comes to in a key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import penchant as pt
from penchant.errors import InputError
from penchant.models import hub
from penchant.models.load import load_policy
from penchant.models.settings import LoRA
from penchant.rewards.content import model_content, reward_content
from penchant.rounds import online_rlhf
from penchant.rounds.sides import Sides
from penchant.types import PromptGroup, Response

GROUPS = [PromptGroup("Ann went out.", (Response(" Ann sang."), Response(" It was sad.")))]
COMMITS = ("1" * 40, "2" * 40)


class Cache:
    """A folder that looks like the hub's cache, and no hub behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, model: str | Path, commit: str, *, current: bool = True) -> Path:
        """Keep a copy of a model under a hub id and a commit; `current`: the main branch is there now."""
        place = self.folder / f"models--{name.replace('/', '--')}"
        snapshot = place / "snapshots" / commit
        shutil.copytree(model, snapshot)
        if current:
            (place / "refs").mkdir(exist_ok=True)
            (place / "refs" / "main").write_text(commit)
        hub._fetched.cache_clear()
        return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub._fetched.cache_clear()
    yield Cache(tmp_path / "hub")
    hub._fetched.cache_clear()


def changed(model: str, folder: Path, seed: int = 0) -> Path:
    """Write the model with other weights."""
    policy = load_policy(model, device="cpu")
    shake(policy.model, seed)
    policy.save(folder)
    return folder


def shake(model: torch.nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn_like(weight)


def adapters(base: str, folder: Path, seed: int = 1, rank: int = 2) -> Path:
    """Write adapters of a base."""
    policy = load_policy(base, device="cpu", lora=LoRA(rank=rank))
    shake(policy.model, seed)
    policy.save(folder)
    return folder


def scores(policy: pt.Policy) -> torch.Tensor:
    return torch.cat(list(policy.score(GROUPS)))


def on(base: str, folder: Path, revision: str | None = None) -> Path:
    """Have adapters name another base."""
    file = folder / "adapter_config.json"
    settings = json.loads(file.read_text()) | {"base_model_name_or_path": base, "revision": revision}
    file.write_text(json.dumps(settings))
    return folder


def test_adapters_from_the_hub_are_merged_into_their_base(cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    folder = adapters(tiny_model, tmp_path / "adapters")
    expected = scores(load_policy(folder, device="cpu"))
    cache.add("owner/base", tiny_model, COMMITS[0])
    cache.add("owner/adapters", on("owner/base", folder), COMMITS[0])
    policy = load_policy("owner/adapters", device="cpu")
    assert not any("lora" in name for name, _ in policy.model.named_parameters())
    assert torch.equal(scores(policy), expected)


def test_incomplete_adapters_from_the_hub_are_refused(cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = on("owner/base", adapters(tiny_model, tmp_path / "adapters"))
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    cache.add("owner/base", tiny_model, COMMITS[0])
    cache.add("owner/adapters", folder, COMMITS[0])
    with pytest.raises(InputError, match=r"its adapters do not fit: .* missing"):
        load_policy("owner/adapters", device="cpu")


def test_the_base_is_of_the_revision_that_adapters_name(cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    folder = adapters(tiny_model, tmp_path / "adapters")
    expected = scores(load_policy(folder, device="cpu"))
    cache.add("owner/base", tiny_model, COMMITS[0])
    cache.add("owner/base", changed(tiny_model, tmp_path / "later"), COMMITS[1])
    cache.add("owner/adapters", on("owner/base", folder, COMMITS[0]), COMMITS[0])
    assert torch.equal(scores(load_policy("owner/adapters", device="cpu")), expected)
    assert torch.equal(scores(load_policy(folder, device="cpu")), expected)
    on("owner/base", folder)
    assert not torch.allclose(scores(load_policy(folder, device="cpu")), expected)


def test_adapters_trained_on_adapters_keep_the_revision(cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    folder = adapters(tiny_model, tmp_path / "adapters")
    cache.add("owner/base", tiny_model, COMMITS[0])
    cache.add("owner/base", changed(tiny_model, tmp_path / "later"), COMMITS[1])
    cache.add("owner/adapters", on("owner/base", folder, COMMITS[0]), COMMITS[0])
    policy = load_policy("owner/adapters", device="cpu", lora=LoRA(rank=3))
    shake(policy.model, 2)
    policy.save(tmp_path / "more")
    assert torch.allclose(scores(load_policy(tmp_path / "more", device="cpu")), scores(policy), atol=1e-4)


def test_no_adapters_are_trained_on_adapters_of_adapters(cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    """Those below the last ones would be saved nowhere."""
    cache.add("owner/base", tiny_model, COMMITS[0])
    first = on("owner/base", adapters(tiny_model, tmp_path / "first"))
    cache.add("owner/first", first, COMMITS[0])
    second = on("owner/first", adapters(tiny_model, tmp_path / "second", seed=5))
    alone = scores(load_policy(on("owner/base", second), device="cpu"))
    cache.add("owner/second", on("owner/first", second), COMMITS[0])
    assert not torch.allclose(scores(load_policy("owner/second", device="cpu")), alone)
    with pytest.raises(InputError, match=r"new adapters cannot be trained on .*, whose own adapters lie on others"):
        load_policy("owner/second", device="cpu", lora=LoRA(rank=2))


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [False, True])
def test_a_hub_id_stands_for_its_commit(cached: bool, cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    assert model_content("owner/base", cached=cached) == "owner/base"  # nothing is known of it
    cache.add("owner/base", tiny_model, COMMITS[0])
    first = model_content("owner/base", cached=cached)
    cache.add("owner/base", changed(tiny_model, tmp_path / "later"), COMMITS[1])
    second = model_content("owner/base", cached=cached)
    assert len({"owner/base", first, second}) == 3
    (cache.folder / "models--owner--base" / "refs" / "main").write_text(COMMITS[0])
    hub._fetched.cache_clear()
    assert model_content("owner/base", cached=cached) == first


def test_the_bytes_of_a_loaded_model_count(cache: Cache, tiny_model: str) -> None:
    snapshot = cache.add("owner/base", tiny_model, COMMITS[0])
    before = reward_content("classifier:owner/base", cached=True)
    file = snapshot / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert reward_content("classifier:owner/base", cached=True) != before


@pytest.mark.parametrize("cached", [False, True])
def test_adapters_stand_for_their_base_too(cached: bool, cache: Cache, tiny_model: str, tmp_path: Path) -> None:
    folder = adapters(tiny_model, tmp_path / "adapters")
    cache.add("owner/adapters", on("owner/base", folder), COMMITS[0])
    cache.add("owner/base", tiny_model, COMMITS[0])
    before = [model_content(name, cached=cached) for name in ("owner/adapters", str(folder))]
    cache.add("owner/base", changed(tiny_model, tmp_path / "later"), COMMITS[1])
    after = [model_content(name, cached=cached) for name in ("owner/adapters", str(folder))]
    assert before[0] != after[0]
    assert before[1] != after[1]
    on("owner/base", folder, COMMITS[0])
    assert model_content(str(folder), cached=cached) not in (before[1], after[1])


def test_local_adapters_stand_for_a_local_base_too(tiny_model: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    folder = adapters(str(base), tmp_path / "adapters")
    before = model_content(str(folder))
    shutil.rmtree(base)
    changed(tiny_model, base)
    assert model_content(str(folder)) != before


def test_adapters_of_themselves_have_a_digest(tiny_model: str, tmp_path: Path) -> None:
    """Whoever loads them says what is wrong."""
    folder = adapters(tiny_model, tmp_path / "adapters")
    before = model_content(str(folder))
    on(str(folder), folder)
    assert model_content(str(folder)) != before
    with pytest.raises(InputError):
        load_policy(folder, device="cpu")


def test_online_rlhf_knows_a_model_from_the_hub_again_once_its_weights_are_there(
    cache: Cache, tiny_model: str, tmp_path: Path
) -> None:
    """A run notes what it begins with before the weights are fetched, and compares when it is resumed."""
    kept = cache.add("owner/model", tiny_model, COMMITS[0])
    config = pt.OnlineRLHF(
        model="owner/model",
        data=str(tmp_path / "prompts.jsonl"),
        labeller="classifier:owner/model",
        out=str(tmp_path),
    )
    sides = Sides({"train": GROUPS}, pt.load_prompts)
    weights = (kept / "model.safetensors").rename(tmp_path / "later.safetensors")
    began = online_rlhf._inputs(config, sides)
    weights.rename(kept / "model.safetensors")
    hub._fetched.cache_clear()  # another process
    assert online_rlhf._inputs(config, sides) == began
    cache.add("owner/model", tiny_model, COMMITS[1])
    now = online_rlhf._inputs(config, sides)
    assert {name for name in began if began[name] != now[name]} == {"the model", "the labeller"}
