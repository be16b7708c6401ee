"""`penchant data hallucinations`: from pictures whose objects are known to pairs that training reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from media_files import write_pictures
from penchant.cli.main import main
from penchant.data.load import load_preferences
from tiny_vision import save_llava

OBJECTS = {"red": ["ball"], "blue": ["cup", "dog"]}
TEXTS = {
    "red": ["A ball.", "A dog.", "A ball and a ball."],
    "blue": ["A cup and a puppy.", "A ball and a dog.", "No cup."],
}


def write_rows(file: str, *, responses: bool) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": f"seen/{name}.png"},
                                                 {"type": "text", "text": "Describe."}]}],
         "responses": TEXTS[name] if responses else [], "columns": {"objects": OBJECTS[name]}}
        for name in OBJECTS
    ]  # fmt: skip
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "seen", red="red", blue="blue")
    write_rows("drawn.jsonl", responses=True)
    Path("words.yaml").write_text("ball: []\ncup: []\ndog: [puppy]\n")


def test_pairs_of_given_descriptions_are_read_by_training(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["data", "hallucinations", "drawn.jsonl", "vocabulary=words.yaml", "out=pairs.jsonl", "pairs=best_worst"]
    assert main(call) == 0
    printed = capsys.readouterr().out
    assert "2 pictures, 6 descriptions: 4 of 6 that ended state nothing false, 2 false mentions, 0 cut" in printed
    assert "2 pairs of the best and the worst, 0 pairs with an exchanged object" in printed
    groups = load_preferences("pairs.jsonl", media=True, keep_columns=True)
    assert [[response.text for response in group.responses] for group in groups] == [
        ["A ball.", "A dog."],
        ["A cup and a puppy.", "A ball and a dog."],
    ]
    assert groups[0].columns["false_claims"] == [{"response": 1, "start": 2, "end": 5, "object": "dog"}]
    assert json.loads(Path("pairs.jsonl").read_text().splitlines()[0])["prompt"][0]["content"][0]["path"] == (
        "seen/red.png"
    )


def test_both_sides_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["data", "hallucinations", "drawn.jsonl", "vocabulary=words.yaml", "out=pairs.jsonl", "rewrite=list"]
    assert main(call) == 0
    texts = {text for line in Path("pairs.jsonl").read_text().splitlines() for text in json.loads(line)["responses"]}
    assert all(text.startswith("The picture shows a") for text in texts)
    assert "The picture shows a cup and a dog." in texts
    capsys.readouterr()


def test_a_model_describes_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows("prompts.jsonl", responses=False)
    model = str(save_llava(tmp_path / "llava"))
    call = ["data", "hallucinations", "prompts.jsonl", f"model={model}", "out=pairs.jsonl", "n=2", "max_new_tokens=3"]
    # a random model names no object, and nothing it writes ends
    assert main([*call, "device=cpu"]) == 2
    assert "all descriptions were cut: raise max_new_tokens" in capsys.readouterr().err
    assert not Path("pairs.jsonl").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["objects=things"], "expected a list of names in the column 'things', got no such column"),
        (["vocabulary=none.yaml"], "none.yaml cannot be read as a vocabulary"),
        (["vocabulary=number.yaml"], "number.yaml holds no vocabulary: expected a list of objects"),
        (["vocabulary=few.yaml"], "the vocabulary has no object 'ball'; it has cup"),
        (["n=3"], "`n` is of descriptions that are drawn"),
        (["length_ratio=0.5"], "length_ratio"),
    ],
)
def test_what_is_wrong_is_named(settings: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("number.yaml").write_text("3\n")
    Path("few.yaml").write_text("- cup\n")
    assert main(["data", "hallucinations", "drawn.jsonl", "out=pairs.jsonl", *settings]) == 2
    assert message in capsys.readouterr().err


def test_no_pair_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": "Describe.", "responses": ["Nothing."], "columns": {"objects": ["ball"]}}
    Path("true.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["data", "hallucinations", "true.jsonl", "out=pairs.jsonl"]) == 2
    captured = capsys.readouterr()
    assert "no pair was made, so pairs.jsonl is not written" in captured.err
    assert "1 with no description without a false claim to exchange in" in captured.out
