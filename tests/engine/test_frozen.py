"""States of a frozen trunk: where they lie, that the blocks above give the same from them, when they are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from penchant import digests
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.digests import DamagedFile
from penchant.engine.frozen import FrozenStates, frozen_states, train_only_top
from penchant.engine.score import Scorer
from penchant.engine.tree import TREES, TreeBatch, batched, make_trees
from penchant.errors import InputError
from penchant.models.settings import LoRA, ModelConfig

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 128, "initializer_range": 0.3}  # fmt: skip


def tiny(kind: str = "llama", **changes: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL | changes)).eval()
    if kind == "granite":
        return GraniteForCausalLM(GraniteConfig(**SMALL | changes)).eval()
    return LlamaForCausalLM(LlamaConfig(**SMALL | changes, num_key_value_heads=2)).eval()


def data() -> list[Rendered]:
    """Three groups; the first is split at a budget of 24, with its first and last tree in one batch."""
    generator = torch.Generator().manual_seed(3)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, 50, (length,), generator=generator).tolist())

    shapes = [(4, (3, 20, 2)), (6, (5,)), (1, (2, 7, 4))]
    return [Rendered(ids(p), tuple(Branch(ids(n), ((0, n),)) for n in branches)) for p, branches in shapes]


def keep(scorer: Scorer, folder: Path, top: int = 1, **changes: Any) -> tuple[FrozenStates | None, str]:
    settings = {"blocks": 3 - top, "weights": "w", "precision": "float32", "budget": 24}
    return frozen_states(scorer, data(), folder, **settings | changes)  # type: ignore[arg-type]


def some(states: FrozenStates | None, budget: int = 4096) -> list[TreeBatch]:
    """Batches of responses out of order and not all of them, as a step has them."""
    rendered, chosen = data(), [(0, (0, 2)), (2, (1, 2))]
    origins = [states.origins[group] for group, _ in chosen] if states else None
    trees = make_trees(
        [(rendered[group], which) for group, which in chosen], budget=budget, packing=TREES, origins=origins
    )
    return batched(trees, slots=4, budget=budget, packing=TREES)


def scores_and_gradients(scorer: Scorer, states: FrozenStates | None, budget: int) -> dict[str, torch.Tensor]:
    scorer.zero_grad()
    parts = [states.score(scorer, batch) if states else scorer(batch) for batch in some(states, budget)]
    scores = torch.stack(parts).sum(0)
    (scores * torch.tensor([1.0, -2.0, 0.5, 3.0])).sum().backward()
    found = {name: p.grad.clone() for name, p in scorer.named_parameters() if p.grad is not None}
    return found | {"scores": scores.detach()}


@pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_scores_and_gradients_are_those_of_the_whole_model(
    kind: str, top: int, checkpointing: bool, tmp_path: Path
) -> None:
    model = tiny(kind)
    train_only_top(model, top)
    scorer = Scorer(model)
    states, reason = keep(scorer, tmp_path, top)
    assert states is not None, reason
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    for budget in (15, 4096):
        whole = scores_and_gradients(scorer, None, budget)
        from_states = scores_and_gradients(scorer, states, budget)
        assert whole.keys() == from_states.keys()
        for name in whole:
            torch.testing.assert_close(from_states[name], whole[name], atol=1e-5, rtol=1e-5, msg=name)
    assert len(model.base_model.layers) == 3  # put back


def test_the_last_blocks_and_the_final_norm_train() -> None:
    for kind, norm in (("llama", "norm"), ("gpt_neox", "final_layer_norm")):
        model = tiny(kind)
        train_only_top(model, 2)
        prefix = model.base_model_prefix
        trains = {name for name, p in model.named_parameters() if p.requires_grad}
        wanted = tuple(f"{prefix}.{part}." for part in ("layers.1", "layers.2", norm))
        assert trains == {name for name, _ in model.named_parameters() if name.startswith(wanted)}
        assert any(name.startswith(wanted[2]) for name in trains)


def test_every_token_has_its_row(tmp_path: Path) -> None:
    scorer = Scorer(tiny())
    states, _ = keep(scorer, tmp_path)
    assert states is not None
    assert states.origins == [(0, 4, 7, 27), (29, 35), (40, 41, 43, 50)]
    assert states.states.shape == (54, 16)
    (batch,) = some(states)
    assert batch.origin is not None
    assert batch.origin.tolist() == [*range(7), 27, 28, 40, *range(43, 54)]
    tokens = torch.tensor([token for row in data() for ids in (row.prompt_ids, *(b.ids for b in row.branches)) for token in ids])  # fmt: skip  # noqa: E501
    assert batch.input_ids[0].tolist() == tokens[batch.origin].tolist()
    embedded, _ = keep(scorer, tmp_path, top=3)  # what enters the first block is the embedding
    assert embedded is not None
    torch.testing.assert_close(embedded.states, scorer.model.get_input_embeddings()(tokens).detach())  # type: ignore[operator]


def test_the_file_is_reused_and_a_damaged_one_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(tiny())
    done: list[int] = []
    first, _ = keep(scorer, tmp_path, progress=done.append)
    assert first is not None
    assert sum(done) == 54 + 2 * 4  # the first group's prompt goes through with each of its three trees
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    os.utime(file, (1, 1))
    done.clear()
    again, _ = keep(scorer, tmp_path, progress=done.append)
    assert file.stat().st_mtime == 1
    assert sum(done) == 54
    assert again is not None
    assert torch.equal(first.states, again.states)
    file.write_bytes(content[:-4])  # cut short: computed again, to the same bits
    keep(scorer, tmp_path)
    assert file.read_bytes() == content
    file.write_bytes(bytes(len(content)))  # of the right size, but not what it should hold
    again, _ = keep(scorer, tmp_path)
    assert again is not None
    assert file.read_bytes() == content
    first_row = again.states.shape[1] * again.states.element_size()
    for place in (3, len(content) - 100, len(content) - 1):  # a state of the first group, a block's digest, the end
        file.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        keep(scorer, tmp_path)
        assert file.read_bytes() == content
    monkeypatch.setattr(digests, "BLOCK", first_row)  # a byte that no check at the start reads
    file.unlink()
    states, _ = keep(scorer, tmp_path)
    assert states is not None
    content = file.read_bytes()
    place = 50 * first_row + 3
    file.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
    states, _ = keep(scorer, tmp_path)
    assert states is not None
    batches = some(states)
    with pytest.raises(DamagedFile, match="continues with --resume"):
        [states.entering(batch) for batch in batches]
    for other in ({"weights": "v"}, {"precision": "bf16"}, {"blocks": 1}, {"budget": 50}, {}):
        keep(scorer, tmp_path, **other)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_disk_that_takes_nothing_is_a_reason_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    states, reason = keep(Scorer(tiny()), tmp_path)
    assert states is None
    assert "No space left" in reason
    assert not list(tmp_path.iterdir())


def test_a_model_that_changes_what_enters_its_blocks_is_found(tmp_path: Path) -> None:
    model = tiny("granite", embedding_multiplier=3.0)
    states, reason = keep(Scorer(model), tmp_path)
    assert states is None
    assert "GraniteForCausalLM" in reason
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="3 blocks"):
        train_only_top(tiny(), 4)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=64, n_embd=16, n_layer=2, n_head=2))
    with pytest.raises(InputError, match="GPT2LMHeadModel"):
        train_only_top(gpt2, 1)
    with pytest.raises(InputError, match=r"lora.*train_top"):
        ModelConfig(name="x", lora=LoRA(), train_top=1)
    with pytest.raises(InputError, match="train_top"):
        ModelConfig(name="x", train_top=0)
