"""Exports of runs: what is in the folder scores as the checkpoint, and what cannot be exported leaves nothing."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gguf_reading import File, read_network
from old_folders import unpack
from penchant.cli.main import main
from penchant.config import load_config
from penchant.digests import check_files, read_sums
from penchant.errors import InputError, RunError
from penchant.export.folder import write_export
from penchant.export.settings import Export
from penchant.models.load import load_policy
from penchant.models.reward import load_reward_model
from penchant.types import PromptGroup

GROUPS = [PromptGroup("Ann went out.", [" She sang.", " It was sad."]), PromptGroup("Bob slept.", [" Long.", " No."])]


def export(model: Path | str, out: Path, **settings: Any) -> Path:
    write_export(Export(model=str(model), out=str(out), **settings), out)
    return out


def scores(model: Path | str) -> torch.Tensor:
    return torch.cat(load_policy(str(model), device="cpu").score(GROUPS))


def logits(network: Any) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.arange(40)[None]).logits.float()


def test_merged_weights_open_in_transformers_and_score_as_the_run(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "out", shard_size="10KB")
    assert len(list(out.glob("model-*.safetensors"))) > 1
    torch.testing.assert_close(scores(out), scores(run / "checkpoint"), atol=0, rtol=0)
    expected = AutoModelForCausalLM.from_pretrained(run / "checkpoint")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(out)), logits(expected))
    assert AutoTokenizer.from_pretrained(out).eos_token == "</s>"
    check_files(out, read_sums(out) or {})
    assert set(read_sums(out) or {}) == {path.name for path in out.iterdir()} - {"SHA256SUMS"}


def test_adapters_are_merged_in_float32(lora_run: Path, tmp_path: Path) -> None:
    out = export(lora_run, tmp_path / "out")
    torch.testing.assert_close(scores(out), scores(lora_run / "checkpoint"), atol=1e-4, rtol=0)
    assert not (out / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.float32


def test_a_dtype_rounds_once_and_the_card_says_how_far(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "out", dtype="bfloat16")
    network = AutoModelForCausalLM.from_pretrained(out)
    assert network.dtype == torch.bfloat16
    original = AutoModelForCausalLM.from_pretrained(run / "checkpoint", dtype=torch.float32).bfloat16()
    assert torch.equal(network.lm_head.weight, original.lm_head.weight)
    assert "differs by at most" in (out / "README.md").read_text()


def test_adapters_alone_keep_their_weights_and_name_their_base(
    lora_run: Path, tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = export(lora_run, tmp_path / "out", format="adapter")
    settings = json.loads((out / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == Path(tiny_model).name
    assert "name the base for others with base=" in caplog.text
    assert str(Path(tiny_model).parent) not in (out / "README.md").read_text()

    named = export(lora_run, tmp_path / "named", format="adapter", base=tiny_model)
    torch.testing.assert_close(scores(named), scores(lora_run / "checkpoint"), atol=0, rtol=0)
    from peft import AutoPeftModelForCausalLM

    peft = AutoPeftModelForCausalLM.from_pretrained(named)
    merged = export(lora_run, tmp_path / "merged")
    torch.testing.assert_close(logits(peft), logits(AutoModelForCausalLM.from_pretrained(merged)), atol=1e-4, rtol=0)


def test_a_reward_model_gives_the_same_rewards(reward_run: Path, tmp_path: Path) -> None:
    out = export(reward_run, tmp_path / "out")
    before, after = (torch.cat(load_reward_model(path, device="cpu").score(GROUPS)) for path in (reward_run, out))
    torch.testing.assert_close(after, before, atol=0, rtol=0)
    card = (out / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "pt.load_reward_model" in card
    with pytest.raises(InputError, match="is a reward model, of which no GGUF is written"):
        export(reward_run, tmp_path / "gguf", format="gguf")
    assert not (tmp_path / "gguf").exists()


@pytest.mark.parametrize("which", ["run", "lora_run"])
def test_gguf_of_a_run_scores_as_the_run(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = request.getfixturevalue(which)
    out = export(path, tmp_path / "out", format="gguf")
    assert {file.name for file in out.iterdir()} >= {"model.gguf", "Modelfile", "README.md"}
    merged = load_policy(str(path / "checkpoint"), device="cpu").model
    torch.testing.assert_close(logits(read_network(out / "model.gguf")), logits(merged), atol=1e-4, rtol=0)
    assert "FROM ./model.gguf" in (out / "Modelfile").read_text()


def test_a_plain_folder_and_a_built_in_model_are_exported_too(tiny_model: str, tmp_path: Path) -> None:
    out = export(tiny_model, tmp_path / "out")
    torch.testing.assert_close(scores(out), scores(tiny_model), atol=0, rtol=0)
    built_in = export("penchant-0.5m", tmp_path / "built-in", format="gguf", type="bf16", check=False)
    assert File(built_in / "model.gguf").values["general.license"] == "apache-2.0"
    assert "did not train it" in (built_in / "README.md").read_text()


def test_the_command_says_what_it_wrote_and_how_far_it_is(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), f"out={out}", "format=gguf", "type=q8_0"]) == 0
    printed = capsys.readouterr().out
    assert f"exported to {out}: 5 files" in printed
    assert "a token's log-probability differs by at most" in printed
    assert "licence: unknown" in printed


def test_a_run_trained_from_an_export_names_the_base_below(run: Path, rows: Path, tmp_path: Path) -> None:
    """The card of a run on a run's checkpoint names what lies below both, and the method between."""
    out = tmp_path / "second"
    few = ["max_steps=1", "batch_size=4", "evaluate.samples=null"]
    assert main(["train", "preferred_ft", f"model={run / 'checkpoint'}", f"data={rows}", f"out={out}", *few]) == 0
    card = (export(out, tmp_path / "out", check=False) / "README.md").read_text()
    assert "(which was itself trained by dpo)" in card
    assert "fine-tuning on the preferred responses" in card


@pytest.mark.parametrize("kind", ["dpo", "lora", "reward", "online"])
def test_runs_of_earlier_versions_are_exported_and_rounds_give_their_last_policy(kind: str, tmp_path: Path) -> None:
    folder = unpack(tmp_path / "old", kind)
    out = export(folder / kind, tmp_path / "out")
    weights = folder / kind / ("round-1/policy/checkpoint" if kind == "online" else "checkpoint")
    if kind == "reward":
        before, after = (torch.cat(load_reward_model(path, device="cpu").score(GROUPS)) for path in (weights, out))
        torch.testing.assert_close(after, before, atol=0, rtol=0)
        return
    torch.testing.assert_close(scores(out), scores(weights), atol=1e-4, rtol=0)
    method = {"dpo": "(DPO)", "lora": "(DPO)", "online": "(PPO)"}[kind]
    assert method in (out / "README.md").read_text()


@pytest.fixture(scope="module")
def template_run(tiny_model: str, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters on a base model that was given a chat template with its tokens."""
    folder = tmp_path_factory.mktemp("template")
    template = folder / "mine.jinja"
    header = "{{ '<|im_start|>' + %s + ('!' if loud else '') + '\\n' }}"
    template.write_text(
        f"{{% for m in messages %}}{header % 'm.role'}{{{{ m.content + '<|im_end|>\\n' }}}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{header % repr('assistant')}{{% endif %}}"
    )
    few = ["max_steps=2", "batch_size=8", "model.lora.rank=2", "evaluate.samples=null", "optimizer.learning_rate=1e-2"]
    told = [f"data.template={template}", "data.template_args={loud: true}"]
    settings = [f"model={tiny_model}", f"data={rows}", f"out={folder / 'run'}", *few, *told]
    assert main(["train", "dpo", *settings]) == 0
    return folder / "run"


def test_a_template_with_its_tokens_and_arguments_goes_along(
    template_run: Path, tiny_model: str, tmp_path: Path
) -> None:
    expected = scores(template_run / "checkpoint")
    merged = export(template_run, tmp_path / "merged")
    torch.testing.assert_close(scores(merged), expected, atol=1e-4, rtol=0)
    adapter = export(template_run, tmp_path / "adapter", format="adapter", base=tiny_model)
    torch.testing.assert_close(scores(adapter), expected, atol=1e-4, rtol=0)
    assert "base.resize_token_embeddings" in (adapter / "README.md").read_text()

    ask = [{"role": "user", "content": "Hi"}]
    prompt = "<|im_start|>user!\nHi<|im_end|>\n<|im_start|>assistant!\n"
    for folder in (merged, adapter):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.apply_chat_template(ask, tokenize=False, add_generation_prompt=True) == prompt
    gguf = export(template_run, tmp_path / "gguf", format="gguf")
    values = File(gguf / "model.gguf").values
    assert values["tokenizer.ggml.tokens"][values["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"
    from jinja2 import Environment

    assert (
        Environment().from_string(values["tokenizer.chat_template"]).render(messages=ask, add_generation_prompt=True)
        == prompt
    )
    modelfile = (gguf / "Modelfile").read_text()
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    assert "<|im_start|>user!\n{{ .Content }}<|im_end|>" in modelfile


# -- bad input ------------------------------------------------------------------------------------------------------


def test_what_a_killed_export_left_is_named(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = tmp_path / ".out.0123abcd.new"
    left.mkdir()
    (left / "model.safetensors").write_bytes(bytes(2_000))
    assert (export(run, tmp_path / "out", check=False) / "model.safetensors").exists()
    (warning,) = [record.getMessage() for record in caplog.records if ".new" in record.getMessage()]
    assert warning.startswith(f"{left} is what an earlier export left")
    assert "2.00 kB" in warning
    assert left.exists()  # it may be another's work that goes on


def test_a_folder_that_holds_something_is_refused_and_untouched(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"already holds notes.txt: nothing was touched"):
        export(run, out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    (out / "notes.txt").unlink()
    assert (export(run, out, check=False) / "model.safetensors").exists()


def test_what_somebody_puts_there_meanwhile_stays(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penchant.export import folder

    out = tmp_path / "out"

    def fill(*arguments: Any) -> Any:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
        return real(*arguments)

    real = folder.write_weights
    monkeypatch.setattr(folder, "write_weights", fill)
    with pytest.raises(InputError, match="was filled by another program meanwhile"):
        export(run, out, check=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "notes.txt").read_text() == "mine"


def test_files_and_links_in_the_place_of_the_folder_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, words in (("file", "is a file"), ("link", "is a symbolic link")):
        with pytest.raises(InputError, match=words):
            export(run, tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(InputError, match="lies inside of the model"):
        export(run, run / "checkpoint" / "out")


def test_a_run_that_has_not_ended_is_refused_with_what_to_do(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    with pytest.raises(InputError, match=r"did not come to its end \(no result.json\).*--resume"):
        export(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint/model.safetensors", "checkpoint/tokenizer.json"])
def test_a_damaged_run_is_refused_and_nothing_is_left(name: str, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{Path(name).name} is damaged"):
        export(copy, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_a_folder_that_is_no_model_is_refused_by_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a run directory .* or a model's folder .*, found neither"):
        export(tmp_path / "empty", tmp_path / "out")


def test_adapters_of_a_model_that_was_trained_whole_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no adapters.*format=merged"):
        export(run, tmp_path / "out", format="adapter")


@pytest.mark.parametrize("form", ["merged", "gguf"])
def test_a_full_disk_leaves_nothing(form: str, run: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # as a disk that is full from there
    try:
        with pytest.raises(RunError, match=r"cannot write .*out: .*Nothing of it is left"):
            export(run, tmp_path / "out", format=form, check=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_only_llama_cpp_writes_is_answered_with_its_program() -> None:
    with pytest.raises(InputError, match=r"q4_k_m is made by llama.cpp: .*type=f16.*llama-quantize FILE.*Q4_K_M`"):
        load_config(Export, None, ["model=m", "format=gguf", "type=q4_k_m"])
    # a slip of ours is one
    with pytest.raises(InputError, match="did you mean `q8_0`"):
        load_config(Export, None, ["model=m", "format=gguf", "type=q8"])


def test_settings_of_another_format_are_refused() -> None:
    for settings, words in (
        ({"type": "q8_0"}, "`type` says nothing where format=merged"),
        ({"format": "gguf", "dtype": "bfloat16"}, "`dtype` says nothing where format=gguf"),
        ({"format": "adapter", "shard_size": "1GB"}, "`shard_size` says nothing where format=adapter"),
    ):
        with pytest.raises(InputError, match=words):
            Export(model="x", out="y", **settings)
    with pytest.raises(InputError, match="shard_size"):
        Export(model="x", out="y", shard_size="lots")


def test_scores_that_should_be_equal_and_are_not_end_the_export(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penchant.export import weights

    def spoiled(*args: Any, **kwargs: Any) -> Any:
        network = AutoModelForCausalLM.from_pretrained(run / "checkpoint").eval()
        network.lm_head.weight.data *= 1.1
        return network

    monkeypatch.setattr(weights, "read_merged", spoiled)
    with pytest.raises(RunError, match="does not score as the model does"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- llama.cpp's converter ------------------------------------------------------------------------------------------


def test_a_converter_writes_what_the_mapping_lacks(tmp_path: Path, tiny_model: str, monkeypatch: Any) -> None:
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(
        "import sys, pathlib\n"
        "model, flag, out, other, kind = sys.argv[1:]\n"
        "assert (pathlib.Path(model) / 'model.safetensors').exists() and flag == '--outfile' and other == '--outtype'\n"
        "pathlib.Path(out).write_bytes(kind.encode())\n"
    )
    opt = tmp_path / "opt"
    from transformers import OPTConfig, OPTForCausalLM

    sizes = {
        "hidden_size": 16,
        "ffn_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "word_embed_proj_dim": 16,
    }
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    OPTForCausalLM(OPTConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(opt)
    tokenizer.save_pretrained(opt)
    with pytest.raises(InputError, match=r"architecture 'opt'.*converter=PATH"):
        export(opt, tmp_path / "none", format="gguf")
    out = export(opt, tmp_path / "out", format="gguf", type="f16", converter=str(script))
    assert (out / "model.gguf").read_bytes() == b"f16"
    assert "It was not read back" in (out / "README.md").read_text()
    script.write_text("import sys; sys.exit('no such architecture')\n")
    with pytest.raises(InputError, match=r"failed \(exit code 1\): no such architecture"):
        export(opt, tmp_path / "failed", format="gguf", converter=str(script))
    with pytest.raises(InputError, match=r"converter=.*nowhere.py: no such file"):
        export(opt, tmp_path / "failed", format="gguf", converter=str(tmp_path / "nowhere.py"))
