"""The paper presets as a trial: a tiny model, and local files with the hub's columns in place of the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.cli.main import main
from penchant.studies.core.records import read_object

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Joe", "Kim", "Lea")
TEXTS = [f"{name} {verb} {place}" for name in NAMES for verb in ("ran", "sat") for place in ("home", "away")]


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def hh(text: str, answer: str, *, turns: int = 1) -> str:
    earlier = "".join(f"\n\nHuman: Well {n}\n\nAssistant: Yes." for n in range(turns - 1))
    return f"{earlier}\n\nHuman: {text}?\n\nAssistant: {answer}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files with the columns that `hub_table.yaml` says of each data set."""
    dialogues = [
        {
            "chosen": hh(text, "He did.", turns=1 + (place % 3 == 0)),
            "rejected": hh(text, "No.", turns=1 + (place % 3 == 0)),
        }
        for place, text in enumerate(TEXTS)
    ]
    comparisons = [
        {
            "info": {"id": str(place), "post": text, "title": "t", "subreddit": "s", "site": None, "article": None},
            "summaries": [
                {"text": " He ran.", "policy": "a", "note": None},
                {"text": " Long.", "policy": "b", "note": None},
            ],
            "choice": place % 2,
            "worker": "w",
            "batch": "b",
            "split": "train",
            "extra": {"confidence": None},
        }
        for place, text in enumerate(TEXTS[:24])
    ]
    return {
        "hh": write(tmp_path / "hh.jsonl", dialogues[:24]),
        "hh_test": write(tmp_path / "hh-test.jsonl", dialogues[24:]),
        "comparisons": write(tmp_path / "comparisons.jsonl", comparisons),
        "tldr": write(
            tmp_path / "tldr.jsonl", [{"prompt": f"{t} x\n\nTL;DR:", "completion": " Ran."} for t in TEXTS[24:]]
        ),
        "cnn": write(
            tmp_path / "cnn.jsonl", [{"article": f"News: {t}", "highlights": "Up.", "id": t} for t in TEXTS[:12]]
        ),
        "imdb": write(tmp_path / "imdb.jsonl", [{"text": f"{t} and then it rained.", "label": 0} for t in TEXTS[:24]]),
        "imdb_test": write(
            tmp_path / "imdb-test.jsonl", [{"text": f"{t} but never so far.", "label": 1} for t in TEXTS[24:]]
        ),
    }


def run(command: str, *settings: str, out: Path, limit: int = 4) -> dict[str, object]:
    code = main(["study", command, "--preset", "paper", *settings, f"limit={limit}", f"out={out}"])
    study = read_object(out / "study.json")
    assert code == 0, study.get("failures")
    assert f"A trial of every stage with limit={limit}: its numbers mean nothing." in (out / "report.html").read_text()
    return study


SMALL = ("prompt_tokens=48", "response_tokens=24", "max_new_tokens=4")


def test_dialogue_has_single_steps_and_a_prompted_base_model(
    tmp_path: Path, tiny_model: str, files: dict[str, str]
) -> None:
    study = run(
        "dialogue",
        f"model={tiny_model}",
        f"preferences.path={files['hh']}",
        f"measured.path={files['hh_test']}",
        "judge=longest",
        "temperatures=[0,1]",
        *SMALL,
        out=tmp_path / "out",
    )
    methods = {method["label"]: method for method in study["methods"]}  # type: ignore[attr-defined]
    assert set(methods) == {"Reference", "Base model", "DPO", "Preferred-FT", "PPO", "Best-of-N"}
    assert (methods["Base model"]["setting"], methods["Base model"]["value"]) == ("examples", 2)
    assert study["trained_on"]["prompts"] == 4  # type: ignore[index]
    # a third of the dialogues have two turns of the human
    assert study["trained_on"]["other_turns"] == 8  # type: ignore[index]
    (samples,) = (tmp_path / "out" / "stages").glob("few-shot-2-on-0-[0-9a-f]*/samples.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert all(line["prompt"].count("Human:") == 1 for line in lines)
    assert all("\n\nHuman:" not in text for line in lines for text in line["texts"])


def test_tldr_and_transfer(tmp_path: Path, tiny_model: str, files: dict[str, str]) -> None:
    settings = (
        f"model={tiny_model}",
        f"preferences.path={files['comparisons']}",
        f"measured.path={files['tldr']}",
        "judge=longest",
        "temperatures=[0]",
        *SMALL,
    )
    study = run("tldr", *settings, out=tmp_path / "tldr")
    assert {method["name"] for method in study["methods"]} == {"reference", "dpo", "preferred_ft", "ppo", "best_of_n"}  # type: ignore[attr-defined]
    study = run("transfer", *settings, f"domains.news.path={files['cnn']}", out=tmp_path / "transfer")
    assert [domain["name"] for domain in study["domains"]] == ["posts", "news"]  # type: ignore[attr-defined]


def test_frontier(tmp_path: Path, tiny_model: str, files: dict[str, str], inputs: Path) -> None:
    study = run(
        "frontier",
        f"model={tiny_model}",
        f"prompts.path={files['imdb']}",
        f"eval_prompts.path={files['imdb_test']}",
        f"sft.data.path={files['imdb']}",
        f"reward={inputs / 'letters.py'}:letters",  # for a random model's samples VADER has no words
        "max_new_tokens=4",
        "sft.data.max_length=64",
        # two runs of each sweep: the others are the same stages with another number
        *("dpo.beta=[0.05,5]", "unlikelihood.alpha=[0.05]", "preferred_ft.repeats=2"),
        *("ppo.target_nats=[3]", "ppo_gt.target_nats=[3]"),
        out=tmp_path / "out",
    )
    runs = {point["method"] for point in study["runs"]}  # type: ignore[attr-defined]
    assert runs >= {"dpo", "preferred_ft", "unlikelihood", "ppo", "ppo_gt"}


def test_weak_to_strong(tmp_path: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    import gzip

    for name, offset in (("train", 0), ("test", 200)):
        lines = "".join(f"{n % 2} film {n + offset} was {'good' if n % 2 else 'bad'}\n" for n in range(100))
        (folder / f"{name}.txt.gz").write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path / "data"))
    model = f"{{name: lm, model: {tiny_model}, reading: {{name: head, init: unembedding}}, longest: 64"
    study = run(
        "weak-to-strong",
        "tasks=[sst2]",
        f"weak=[{model}, training: {{head_learning_rate: null}}}}]",
        f"strong=[{model}, training: {{learning_rate: 1e-4, head_learning_rate: null}}}}]",
        "controls=false",
        out=tmp_path / "out",
        limit=40,
    )
    assert study["cells"]
