"""Tasks of lm-eval on a tiny model: a local task file, before and after training."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.metrics import paired_difference

HAS_LM_EVAL = importlib.util.find_spec("lm_eval") is not None
needs_lm_eval = pytest.mark.skipif(not HAS_LM_EVAL, reason="needs lm_eval: pip install 'penchant[lm-eval]'")
CHOICES = (" sang.", " fell.")


def write_task(folder: Path, count: int = 12) -> Path:
    rows = [{"text": f"Number {place} went out and", "label": place % 2} for place in range(count)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = folder / "went.yaml"
    task.write_text(f"""
task: went_out
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder / "rows.jsonl"}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
target_delimiter: ""
doc_to_choice: {json.dumps(CHOICES)}
doc_to_target: label
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.5}}
""")
    return task


def right_answers(model: str, count: int = 12) -> list[float]:
    """Whether the right choice is the likelier one, by a plain forward pass for each."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    answers = []
    for place in range(count):
        prompt = tokenizer(f"Number {place} went out and")["input_ids"]
        scores = []
        for choice in CHOICES:
            response = tokenizer(choice, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logps = network(torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
            scores.append(sum(float(logps[len(prompt) - 1 + i, token]) for i, token in enumerate(response)))
        answers.append(float(scores[place % 2] > scores[1 - place % 2]))
    return answers


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@needs_lm_eval
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_is_evaluated_before_and_after(
    tmp_path: Path, tiny_model: str, preference_file: Path, caches: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    settings = [
        f"model={tiny_model}",
        f"data={preference_file}",
        f"out={run}",
        "optimizer.learning_rate=3e-3",
        "max_steps=6",
    ]
    assert main(["train", "dpo", *settings, "batch_size=4", "evaluate.samples=null"]) == 0
    assert main(["evaluate", str(run), f"tasks=[{write_task(tmp_path)}]", "device=cpu"]) == 0
    (file,) = (run / "evaluations").iterdir()
    found = json.loads(file.read_text())
    (score,) = found["scores"]
    after, before = right_answers(str(run / "checkpoint")), right_answers(tiny_model)
    assert (score["task"], score["metric"]) == ("went_out", "acc")
    assert score["after"]["value"] == sum(after) / 12
    assert score["before"]["value"] == sum(before) / 12
    expected = paired_difference(after, before, list(range(12)), unit="document")
    assert (score["change"]["value"], score["change"]["low"]) == (expected.value, expected.low)
    (task,) = found["tasks"]
    assert (task["version"], task["documents"], task["used"], task["few_shot"]) == ("1.5", 12, 12, 0)
    assert found["provenance"]["lm_eval"]
    assert len(found["content"]) == 2
    # the same evaluation again takes the place of the first; another one does not
    assert main(["evaluate", str(run), f"tasks=[{tmp_path / 'went.yaml'}]", "device=cpu", "limit=5", "few_shot=2"]) == 0
    files = sorted((run / "evaluations").iterdir())
    assert len(files) == 2
    limited = next(content for path in files if (content := json.loads(path.read_text()))["tasks"][0]["used"] == 5)
    assert limited["tasks"][0]["digest"] != task["digest"]
    capsys.readouterr()
    assert main(["report", str(run), f"out={tmp_path / 'page.html'}"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Evaluated outside" in page
    assert "went_out" in page


@needs_lm_eval
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_chat_template_is_handed_on(tmp_path: Path, tiny_model: str, caches: None) -> None:
    """With a template that shouts, prompts are others, and so are what the digest is of."""
    from transformers import AutoTokenizer

    folder = tmp_path / "chatty"
    import shutil

    shutil.copytree(tiny_model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    task = write_task(tmp_path)
    digests = {}
    for template in ("chat", "plain"):
        out = tmp_path / template
        assert main(["evaluate", str(folder), f"tasks=[{task}]", f"template={template}", f"out={out}"]) == 0
        (file,) = out.iterdir()
        content = json.loads(file.read_text())
        digests[template] = content["tasks"][0]["digest"]
        assert content["provenance"]["chat_template"] == (template == "chat")
    assert digests["chat"] != digests["plain"]


DATED = (
    "{% if thinking is not defined %}{% set thinking = true %}{% endif %}"
    "[{{ strftime_now('%d %b %Y') }}{{ ' thinking' if thinking }}]"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@needs_lm_eval
def test_the_fixed_date_and_the_end_tokens_are_handed_on(tiny_model: str) -> None:
    """lm-eval gives every argument to the template, which reads no `today`: its text holds the date instead."""
    from penchant.evaluation.harness import _harness_model
    from penchant.evaluation.settings import EvaluateConfig
    from penchant.models.load import load_policy

    policy = load_policy(tiny_model, device="cpu")
    policy.tokenizer.chat_template = DATED
    renderer = replace(
        policy.renderer,
        template="chat",
        template_args={"today": "2024-02-03", "thinking": False},
        end_ids=policy.renderer.end_ids | {5},
    )
    model = _harness_model(replace(policy, renderer=renderer), EvaluateConfig(model=tiny_model, tasks=("sciq",)))
    assert model.apply_chat_template([{"role": "user", "content": "Hi"}]) == "[03 Feb 2024]<user>Hi</s><assistant>"
    assert 5 in model.model.generation_config.eos_token_id


@needs_lm_eval
def test_what_cannot_be_loaded_is_said(tmp_path: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    hub_task = tmp_path / "hub.yaml"
    hub_task.write_text(write_task(tmp_path).read_text().replace("dataset_path: json", "dataset_path: nobody/nothing"))
    assert main(["evaluate", tiny_model, f"tasks=[{hub_task}]"]) == 2
    assert "task file that reads local data" in capsys.readouterr().err


def test_what_is_missing_is_named(tmp_path: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", tiny_model, f"tasks=[{tmp_path / 'none.yaml'}]"]) == 2
    assert "none.yaml does not exist" in capsys.readouterr().err


@pytest.mark.skipif(HAS_LM_EVAL, reason="lm_eval is installed")
def test_the_extra_is_named(tiny_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", tiny_model, "tasks=[sciq]"]) == 2
    assert "penchant[lm-eval]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["m"], "give `tasks`"),
        (["m", "tasks=[a]", "benchmark=rewardbench"], "give `tasks`"),
        (["tasks=[a]"], "need a `model`"),
        (["m", "tasks=[a]", "path=x"], "`path` is for a `benchmark`"),
        (["benchmark=rewardbench"], "give one of both"),
        (["m", "benchmark=rewardbench", "judge=longest"], "give one of both"),
        (["m", "tasks=[a]", "orders=one"], "`orders` is for a `benchmark`"),
        (["m", "benchmark=rewardbench", "few_shot=2"], "`few_shot` is for `tasks`"),
        (["m", "benchmark=rewardbench", "orders=one"], "`orders` is for a `judge`"),
        (["benchmark=rewardbench", "judge=longest", "template=chat"], "`template` is for a `model`"),
        (["benchmark=rewardbench", "judge=longest", "before=m"], "`before` is for a `model`"),
    ],
)
def test_settings_that_do_not_go_together(
    settings: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *settings]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_at_its_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("method: dpo\n")
    assert main(["evaluate", str(tmp_path), f"tasks=[{write_task(tmp_path)}]"]) == 2
    error = capsys.readouterr().err
    assert "did not come to its end" in error or "penchant[lm-eval]" in error
