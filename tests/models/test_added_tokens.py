"""A chat template on a base model: its marks become tokens, with rows that are stated, trained, saved and reloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from penchant.config import load_config
from penchant.data.options import RenderOptions
from penchant.engine.reference import fingerprint
from penchant.engine.score import score
from penchant.errors import InputError
from penchant.methods import DPO, train
from penchant.models.added_tokens import added_tokens
from penchant.models.load import load_policy, load_renderer
from penchant.models.reward import load_reward_model, new_reward
from penchant.models.settings import FrozenModel, LoRA, ModelConfig
from penchant.train import gradient
from penchant.train.inputs.reference_table import load_reference
from penchant.types import Message, PromptGroup

MARKS = ["<|im_start|>", "<|im_end|>"]
GROUPS = [
    PromptGroup("Ann went out.", [" She sang.", " It was sad and she fell."]),
    PromptGroup((Message("system", "Be kind."), Message("user", "Who?")), ["Bob.", "Nobody at all."]),
]


@pytest.fixture(scope="module")
def untied(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The random Llama with 7 more rows than tokens, and a head of its own."""
    return _variant(tiny_model, tmp_path_factory.mktemp("untied"), tied=False, spare=0)


@pytest.fixture(scope="module")
def tied(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _variant(tiny_model, tmp_path_factory.mktemp("tied"), tied=True, spare=0)


@pytest.fixture(scope="module")
def padded(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """With 7 more rows than tokens: room for the marks."""
    return _variant(tiny_model, tmp_path_factory.mktemp("padded"), tied=False, spare=7)


def _variant(source: str, folder: Path, *, tied: bool, spare: int) -> str:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    config = LlamaConfig.from_pretrained(source)
    config.tie_word_embeddings, config.vocab_size = tied, config.vocab_size + spare
    torch.manual_seed(3)
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["tied", "untied", "padded"])
def base(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def shaken(model: nn.Module) -> None:
    """Move everything that trains, as training would."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


def flat(scores: list[Tensor]) -> Tensor:
    return torch.cat(scores)


def own_scores(network: nn.Module, folder: str | Path) -> Tensor:
    """The scores of `GROUPS` by the network's own forward pass and the tokenizer of `transformers`."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    numbers = []
    for group in GROUPS:
        turns = [Message("user", group.prompt)] if isinstance(group.prompt, str) else list(group.prompt)
        rows = [{"role": turn.role, "content": turn.content} for turn in turns]
        given = tokenizer.apply_chat_template(rows, add_generation_prompt=True, return_dict=False)
        for response in group.responses:
            ids = [*given, *tokenizer(response.text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            with torch.no_grad():
                logps = network(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            numbers.append(sum(float(logps[at - 1, ids[at]]) for at in range(len(given), len(ids))))
    return torch.tensor(numbers)


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_marks_become_tokens_with_the_mean_row(base: str, lora: LoRA | None) -> None:
    before = AutoModelForCausalLM.from_pretrained(base)
    known = len(AutoTokenizer.from_pretrained(base))
    policy = load_policy(base, device="cpu", template="chatml", lora=lora)
    ids = policy.tokenizer.convert_tokens_to_ids(MARKS)
    assert ids == [known, known + 1]
    assert policy.tokenizer.eos_token == "<|im_end|>"
    assert policy.renderer.end_ids == {ids[1], AutoTokenizer.from_pretrained(base).eos_token_id}
    for old, new in (
        (before.get_input_embeddings(), policy.model.get_input_embeddings()),  # type: ignore[operator]
        (before.get_output_embeddings(), policy.model.get_output_embeddings()),  # type: ignore[operator]
    ):
        rows = len(old.weight) if len(old.weight) > known else known + 2
        assert new.weight.shape == (rows, 16)
        assert torch.equal(new.weight[:known], old.weight[:known])
        for row in ids:
            assert torch.allclose(new.weight[row], old.weight[:known].mean(0), atol=1e-6)
    # adapters aside it is one model, that of the reference
    assert fingerprint(policy.model) == fingerprint(load_policy(base, device="cpu", template="chatml").model)


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_what_is_saved_opens_with_the_same_scores(base: str, lora: LoRA | None, tmp_path: Path) -> None:
    policy = load_policy(base, device="cpu", template="chatml", lora=lora)
    start = flat(policy.score(GROUPS))
    shaken(policy.model)
    scores = flat(policy.score(GROUPS))
    assert not torch.allclose(scores, start, atol=0.1)
    folder = tmp_path / "saved"
    policy.save(folder)
    again = load_policy(folder, device="cpu")
    assert added_tokens(again.model) == (added_tokens(policy.model) if lora else None)
    assert again.renderer.end_ids == policy.renderer.end_ids
    assert torch.allclose(flat(again.score(GROUPS)), scores, atol=1e-4)
    drawn = [model.generate(["Who?"], n=2, max_new_tokens=12, seed=1) for model in (policy, again)]
    assert drawn[0] == drawn[1]
    # by `transformers`, or peft, alone
    kind = AutoModelForCausalLM if lora is None else AutoPeftModelForCausalLM
    assert torch.allclose(own_scores(kind.from_pretrained(folder), folder), scores, atol=1e-4)
    # what `generate` stops at
    if lora is None:
        settings = json.loads((folder / "generation_config.json").read_text())
        assert settings["eos_token_id"] == sorted(policy.renderer.end_ids)
    assert load_renderer(folder).prompt_ids("Who?") == policy.renderer.prompt_ids("Who?")


def test_adapters_on_adapters_with_added_tokens(tied: str, tmp_path: Path) -> None:
    """First SFT, then DPO, each by LoRA: the second's adapters hold the first's, and the rows."""
    first = load_policy(tied, device="cpu", template="chatml", lora=LoRA(rank=2))
    shaken(first.model)
    first.save(tmp_path / "first")
    second = load_policy(tmp_path / "first", device="cpu", lora=LoRA(rank=3))
    assert torch.allclose(flat(second.score(GROUPS)), flat(first.score(GROUPS)), atol=1e-4)
    shaken(second.model)
    second.save(tmp_path / "second")
    again = load_policy(tmp_path / "second", device="cpu")
    assert torch.allclose(flat(again.score(GROUPS)), flat(second.score(GROUPS)), atol=1e-4)
    assert not torch.allclose(flat(again.score(GROUPS)), flat(first.score(GROUPS)), atol=0.1)


def test_nothing_is_added_to_a_model_that_knows_the_marks(tied: str, tmp_path: Path) -> None:
    load_policy(tied, device="cpu", template="chatml").save(tmp_path / "chat")
    again = load_policy(tmp_path / "chat", device="cpu", template="chatml")
    assert added_tokens(again.model) is None
    assert len(again.tokenizer) == again.renderer.embeddings


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_a_reward_model_of_a_base_model_with_a_template(base: str, lora: LoRA | None, tmp_path: Path) -> None:
    reward = new_reward(ModelConfig(name=base, device="cpu", lora=lora), RenderOptions("chatml"))
    shaken(reward.model)
    scores = flat(reward.score(GROUPS))
    reward.save(tmp_path / "reward")
    again = load_reward_model(tmp_path / "reward", device="cpu")
    assert torch.allclose(flat(again.score(GROUPS)), scores, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_top": 1}, "train_top=1 leaves the embeddings as they are"),
        ({"lora": {"targets": ["embed_tokens", "q_proj"]}}, "leave it out of the targets"),
    ],
)
def test_tokens_that_would_stay_unlearned_are_refused(tied: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_policy(ModelConfig(name=tied, device="cpu", **settings), template="chatml")


def test_the_base_model_as_the_reference_gets_the_same_rows(untied: str) -> None:
    policy = load_policy(untied, device="cpu", template="chatml")
    reference = load_reference(FrozenModel(name=untied), policy)
    assert fingerprint(reference.model) == fingerprint(policy.model)
    rows = [policy.renderer.render(group) for group in GROUPS]
    for scorer in (policy.scorer, reference.scorer):
        assert len(score(scorer, rows, budget=512)) == 2


SETTINGS = (
    *("data=prefs.jsonl", "data.held_out=2", "data.template=chatml", "data.template_args={}", "batch_size=8"),
    *("model.device=cpu", "optimizer.learning_rate=1e-2", "optimizer.eps=0.1", "evaluate.samples=null"),
)


@pytest.mark.slow
@pytest.mark.parametrize("lora", ["null", "{rank: 2}"])
def test_a_run_resumes_to_the_same_bits(
    base: str, lora: str, preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (*SETTINGS, f"model={base}", f"model.lora={lora}", "checkpoint_every=2")
    whole = train(load_config(DPO, None, (*settings, "out=whole", "max_steps=4")))
    monkeypatch.setattr(gradient, "_step", _stopping_after(2))
    with pytest.raises(KeyboardInterrupt):
        train(load_config(DPO, None, (*settings, "out=halved", "max_steps=4")))
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    halved = train(load_config(DPO, None, (*settings, "out=halved", "max_steps=4")), resume=True)
    for name in ("model.safetensors", "adapter_model.safetensors"):
        if (whole.path / "checkpoint" / name).exists():
            assert (whole.path / "checkpoint" / name).read_bytes() == (halved.path / "checkpoint" / name).read_bytes()
    _check_learned(base, whole.path / "checkpoint")
    assert whole.metrics["final"]["held_out"] == halved.metrics["final"]["held_out"]


def _check_learned(base: str, checkpoint: Path) -> None:
    """The rows of the added tokens moved, on both ends, and away from each other."""
    start, end = load_policy(base, device="cpu", template="chatml").model, load_policy(checkpoint, device="cpu").model
    known = len(AutoTokenizer.from_pretrained(base))
    for side in ("input", "output"):
        before, after = (getattr(model, f"get_{side}_embeddings")().weight[known : known + 2] for model in (start, end))
        assert (before != after).any(dim=1).all()
        assert not torch.equal(after[0], after[1])


def _stopping_after(steps: int):  # type: ignore[no-untyped-def]
    step, done = gradient._step, []

    def counted(*given: object) -> dict[str, float]:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(1)
        return step(*given)  # type: ignore[arg-type]

    return counted
