"""The model card: what it says of a run, by hand, and what must never be in it."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.cli.main import main
from penchant.cli.train import TRAINABLE
from penchant.export import citations
from penchant.export.card import METHOD_NAMES, CardFacts, card_text
from penchant.export.card_results import MEANINGS
from penchant.export.card_words import as_code, redacted, size_text
from penchant.export.folder import summary_of, write_export
from penchant.export.origin import Origin, front_matter, license_of, origin_of
from penchant.export.settings import Export
from penchant.export.source import Source, open_source
from penchant.losses.settings import PAIR_LOSSES
from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Coefficient
from penchant.reports.run.summary import summarize
from penchant.runs.evaluations import OutsideEvaluation, OutsideScore, write_evaluation
from penchant.runs.read import read_runs


def card_of(run: Path, **changes: Any) -> str:
    summary = summarize(read_runs([run])[0])
    values: dict[str, Any] = {
        "title": "mine",
        "source": Source(str(run), str(run / "checkpoint"), run, "policy", False),
        "format": "merged",
        "origin": Origin("owner/base", "owner/base", "mit"),
        "summary": summary,
        "license": "mit",
        "dtype": "float32",
        "chat": False,
        "files": {"model.safetensors": 1_234_567},
    }
    return card_text(CardFacts(**values | changes))


def metadata(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


def test_a_card_says_what_a_stranger_asks(run: Path, rows: Path) -> None:
    card = card_of(run)
    assert metadata(card) == {
        "license": "mit",
        "base_model": "owner/base",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["penchant", "dpo"],
    }
    from hashlib import sha256

    for words in (
        "trained from `owner/base` by **Direct Preference Optimization (DPO)** on `prefs.jsonl`",
        f"SHA-256 {sha256(rows.read_bytes()).hexdigest()}",
        "12 prompts, 48 comparisons",
        "2 steps",
        "loss sigmoid (beta 0.1",
        "rmsprop, learning rate 0.001",
        "| KL from the reference, nats |",
        "95% intervals",
        "Too few prompts for intervals",
        "`model.safetensors` | 1.23 MB",
        "eprint = {2305.18290}",
        "transformers ",
        "AutoModelForCausalLM",
        "`mit`, as the base model",
    ):
        assert words in card, words


def test_a_card_explains_the_numbers_that_it_shows(run: Path) -> None:
    results = card_of(run).split("## Results")[1].split("## Warnings")[0]
    for key, meaning in MEANINGS.items():
        shown = any(line.startswith(f"| {metric(key).title}") for line in results.splitlines())
        assert (f"- {meaning}" in results) == shown, key
    assert "- Accuracy: " in results
    assert "Nothing else was measured" in results


def test_what_was_planned_is_not_what_was_done(run: Path) -> None:
    training = card_of(run).split("## How it was trained")[1].split("<details>")[0]
    config = read_runs([run])[0].config
    assert f"| Planned | {config['epochs']} epoch" in training
    assert (f"at most {config['max_steps']} step" in training) == (config["max_steps"] is not None)
    assert "| Thoughts" not in training  # the default of data without thoughts


def test_held_out_numbers_stand_with_their_intervals_before_and_after(make_run: Any) -> None:
    summary = summarize(read_runs([make_run()])[0])
    card = card_of(summary.run.path)
    first, last = summary.held_pair("accuracy") or (None, None)
    assert first is not None
    assert last is not None
    row = next(line for line in card.splitlines() if line.startswith("| Accuracy |"))
    assert re.search(rf"\| {first.value:.0%} \[\d+%, \d+%\] \| {last.value:.0%} \[\d+%, \d+%\] \|", row), row
    kl = next(line for line in card.splitlines() if line.startswith("| KL from the reference, nats |"))
    assert re.search(r"\| [\d.]+ \[[\d.]+, [\d.]+\] \|$", kl), kl
    assert "Change of the reward: +" in card


def test_nothing_of_the_machine_is_in_a_card(
    run: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-value-of-mine")
    out = tmp_path / "out"
    write_export(Export(model=str(run), out=str(out), check=False), out)
    card = (out / "README.md").read_text()
    for private in (str(rows.parent), "home-of-ann", str(run.parent), str(tmp_path), str(Path.home()) + "/"):
        assert private not in card
    assert "s3cr3t" not in redacted("the key s3cr3t-value-of-mine was used")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("read /home/ann/data/rows.jsonl: 3 rows", "read rows.jsonl: 3 rows"),
        ("path=~/x/y.txt, and 'C:\\Users\\ann\\z.csv'", "path=y.txt, and 'z.csv'"),
        ("https://example.org/a/b and owner/name stay", "https://example.org/a/b and owner/name stay"),
        ("</details> and 1/2 and tokens/s", "</details> and 1/2 and tokens/s"),
        ("http://ann:pw@host/v1?api_key=abc", "http://[secret]@host/v1?api_key=[secret]"),
        ("token hf_abcdefghijklmnopqrstuv ok", "token [secret] ok"),
    ],
)
def test_paths_and_secrets_are_taken_out_and_other_texts_stay(text: str, shown: str) -> None:
    assert redacted(text) == shown


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8), min_size=2, max_size=5
    )
)
@settings(max_examples=40)
def test_of_an_absolute_path_only_the_last_name_is_left(names: list[str]) -> None:
    path = "/" + "/".join(names)
    assert redacted(f"see {path}.") in (f"see {names[-1]}.",)
    assert redacted(f"({path})") == f"({names[-1]})"


@given(st.text(max_size=40))
@settings(max_examples=40)
def test_a_foreign_name_breaks_neither_line_nor_cell(name: str) -> None:
    code = as_code(name)
    assert code.count("`") == 2
    assert "\n" not in code
    assert "|" not in code


def test_each_source_of_a_mixture_has_its_digest_and_its_results(tiny_model: str, rows: Path, tmp_path: Path) -> None:
    from hashlib import sha256

    other = tmp_path / "other.jsonl"
    other.write_text(rows.read_text().replace("went out", "came in"))
    out = tmp_path / "run"
    sources = f"data.sources=[{{path: {rows}, weight: 2}}, {{path: {other}, weight: 1}}]"
    few = ["max_steps=1", "batch_size=4", "data.held_out=0.4", "evaluate.samples=null"]
    assert main(["train", "dpo", f"model={tiny_model}", sources, f"out={out}", *few]) == 0
    card = card_of(out)
    assert "on `prefs.jsonl`, `other.jsonl`, with Penchant" in card
    for path, weight in ((rows, "2.0"), (other, "1.0")):
        assert f"| Data | {path.name}, weight {weight}, SHA-256 {sha256(path.read_bytes()).hexdigest()} |" in card
    table = card.split("By source:")[1]
    assert {line.split(" | ")[0] for line in table.splitlines() if ".jsonl" in line} == {
        "| prefs.jsonl",
        "| other.jsonl",
    }


def test_the_numbers_are_those_of_the_weights_and_not_of_a_later_step(make_run: Any) -> None:
    run = make_run(steps=72, every=12)
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = next(line for line in lines if line["kind"] == "eval" and line["step"] == 36)
    (run / "result.json").write_text(json.dumps(result | {"final": best, "best_step": 36, "status": "stopped_early"}))
    source = open_source(str(run))
    assert source.step == 36
    summary = summary_of(source)
    assert summary is not None
    card = card_of(run, source=source, summary=summary)
    assert "| | at step 0 | at step 36 |" in card
    assert "drawn at step 36" in card
    assert "| Weights | of step 36 of 72 |" in card
    kept = run / "checkpoint-24"
    shutil.copytree(run / "checkpoint", kept)
    assert open_source(str(kept)).step == 24


def test_tasks_from_outside_stand_with_their_change(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    ends = ((0.5, 0.4, 0.6), (0.375, 0.3, 0.45), (0.125, 0.0625, 0.1875))
    numbers = [Coefficient(*interval, n=40, clusters=40) for interval in ends]
    score = OutsideScore("mine", "acc", *numbers, higher_is_better=True, is_share=True)
    evaluation = OutsideEvaluation(benchmark="lm-eval", model="x", scores=(score,))
    write_evaluation(evaluation, copy / "evaluations" / "a.json")
    card = card_of(copy)
    row = next(line for line in card.splitlines() if line.startswith("| mine, acc |"))
    assert row == "| mine, acc | 38% [30%, 45%] | 50% [40%, 60%] | +12% [+6%, +19%] |"


def test_an_unknown_licence_is_said_and_another_than_the_base_s_too(run: Path) -> None:
    card = card_of(run, license=None, origin=Origin("base"))
    assert metadata(card)["license"] == "unknown"
    assert "base_model" not in metadata(card)
    assert "Unknown: the base model's licence was not found" in card
    other = card_of(run, license="cc-by-4.0")
    assert "`cc-by-4.0`, as whoever exported it states. The base model's licence is `mit`." in other


def test_each_format_is_used_in_its_own_way(run: Path) -> None:
    adapter = card_of(run, format="adapter")
    assert (metadata(adapter)["library_name"], metadata(adapter)["base_model_relation"]) == ("peft", "adapter")
    assert "from peft import AutoPeftModelForCausalLM" in adapter
    gguf = card_of(run, format="gguf", dtype="q8_0")
    assert "gguf" in metadata(gguf)["tags"]
    assert "ollama create" in gguf
    assert "8-bit integers" in gguf
    assert "apply_chat_template" in card_of(run, chat=True)


# -- sources --------------------------------------------------------------------------------------------------------


def test_every_loss_and_method_has_its_papers() -> None:
    assert set(citations.LOSSES) == set(PAIR_LOSSES) - {"sft"}
    assert set(citations.METHODS) == set(TRAINABLE) == set(METHOD_NAMES)


def test_the_papers_are_those_that_the_losses_own_docstrings_name() -> None:
    modules = ("losses.preference", "losses.pairwise", "losses.batchwise", "losses.unpaired", "losses.policy_gradient",
               "losses.reward", "methods.unlikelihood", "methods.kto", "rounds.online_rlhf",
               "rounds.iterative", "rounds.spin", "rounds.self_rewarding.method")  # fmt: skip
    stated = "".join(importlib.import_module(f"penchant.{name}").__doc__ or "" for name in modules)
    stated += importlib.import_module("penchant.losses.unpaired").kto.__doc__ or ""
    papers = {paper for group in (*citations.LOSSES.values(), *citations.METHODS.values()) for paper in group}
    for paper in papers:
        assert f"arXiv:{paper.arxiv}" in stated, paper.title


def test_a_sum_of_losses_cites_each_term_once() -> None:
    loss = {"name": "sum", "losses": [{"name": "sigmoid"}, {"name": "bco_pair"}, {"name": "sft"}, {"name": "sigmoid"}]}
    keys = [paper.key for paper in citations.papers_of("dpo", loss, lora=True)]
    assert keys == ["rafailov2023dpo", "jung2024bco", "hu2021lora"]


# -- where a model comes from ---------------------------------------------------------------------------------------


def test_the_base_is_found_below_runs_and_adapters(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, method, model in ((first, "sft", "owner/base"), (second, "dpo", str(first / "checkpoint"))):
        (folder / "checkpoint").mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"method": method, "model": {"name": model}}))
    origin = origin_of(str(second / "checkpoint"))
    assert (origin.name, origin.hub_id, origin.steps) == ("owner/base", "owner/base", ("sft", "dpo"))


def test_a_circle_of_folders_ends(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"method": "dpo", "model": str(tmp_path)}))
    assert origin_of(str(tmp_path)).name == tmp_path.name


def test_the_licence_is_read_in_the_base_s_own_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: gemma\n---\n# A model\n")
    assert license_of(str(tmp_path)) == "gemma"
    assert license_of("penchant-0.5m") == license_of("smollm2-135m") == "apache-2.0"
    (tmp_path / "README.md").write_text("# A model\n\n---\nlicense: mit\n---\n")
    assert license_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    "text", ["", "---\n", "---\n[\n---\n", "---\n- a\n---\n", "---\n\x00\n---\n", "no\n---\na: b\n---\n"]
)
def test_a_card_without_readable_metadata_has_none(text: str) -> None:
    assert front_matter(text) == {}


def test_sizes_are_counted_in_thousands() -> None:
    assert [size_text(size) for size in (999, 1500, 2_500_000, 3_000_000_000)] == [
        "999 bytes",
        "1.50 kB",
        "2.50 MB",
        "3.00 GB",
    ]
