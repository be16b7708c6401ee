"""`penchant rank`: comparisons to strengths and a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.cli.main import main
from penchant.errors import InputError
from penchant.raters.ranking.rank import fit_strengths, rank
from penchant.raters.settings import Rank
from penchant.typed_json import to_object


def rank_numbers(config: Rank) -> dict[str, Any]:
    """The content of `rank.json`."""
    return to_object(fit_strengths(config))


TRUE = {"strong <b>": 1.0, "middling": 0.0, "weak": -1.0}


def row(winner: str, loser: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": f"prompt {number}",
        "responses": [f"{winner} {number}", f"{loser} {number}"],
        "models": [winner, loser],
        "comparisons": [{"winner": 0, "loser": 1} | more],
    }


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(120):
        for one, other in combinations(TRUE, 2):
            wins = rng.random() < 1 / (1 + np.exp(TRUE[other] - TRUE[one]))
            rows.append(row(*((one, other) if wins else (other, one)), number))
    return write(tmp_path / "prefs.jsonl", rows)


def test_the_strengths_are_found_and_written(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", file, f"out={tmp_path / 'run'}", "resamples=200"]) == 0
    said = capsys.readouterr().out
    assert "rank: 3 models, 360 comparisons (0 ties)" in said
    assert "1. strong <b>: " in said
    assert re.search(r"strong <b>: .*; wins 7\d% \[\d\d%, \d\d%\] of 240\n", said)
    numbers = json.loads((tmp_path / "run" / "rank.json").read_text())
    for item in numbers["items"]:
        assert item["strength"]["low"] < TRUE[item["name"]] < item["strength"]["high"]
        assert item["elo"]["value"] == pytest.approx(1000 + 173.72 * item["strength"]["value"], abs=0.1)
    assert [item["name"] for item in numbers["items"]] == list(TRUE)
    assert numbers["items"][0]["places"] == [1, 1]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "strong &lt;b&gt;" in page
    assert "<b>" not in page
    assert "Who beat whom" in page
    assert (tmp_path / "run" / "figures" / "strengths.png").exists()


def test_every_setting_has_an_effect(file: str, tmp_path: Path) -> None:
    base = Rank(file=file, resamples=100)
    first = rank_numbers(base)["items"][0]["strength"]
    for change in ({"level": 0.8}, {"resamples": 150}, {"seed": 1}):
        other = rank_numbers(base.replace(**change))["items"][0]["strength"]
        assert other["value"] == first["value"]
        assert (other["low"], other["high"]) != (first["low"], first["high"])
    drawn = rank_numbers(base.replace(prior=50))["items"][0]["strength"]
    assert drawn["value"] < first["value"]
    with Path(file).open("a") as more:
        more.write('{"prompt": "p", "responses": ["a"], "comparisons": [{"winner": 0, "loser": 4}]}\n')
    with pytest.raises(InputError, match="1 of 361 rows cannot be used"):
        rank_numbers(base)
    assert rank_numbers(base.replace(bad_rows="skip"))["skipped_rows"] == 1
    with pytest.raises(InputError, match="rows cannot be used"):
        rank_numbers(base.replace(layout="trl"))
    run = rank(base.replace(bad_rows="skip", out=str(tmp_path / "there")))
    assert run.path == tmp_path / "there"


def test_who_falls_apart_is_named_and_a_prior_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("A", "B", 1), row("B", "A", 2), row("A", "C", 3), row("B", "C", 4)]
    file = write(tmp_path / "prefs.jsonl", rows)
    assert main(["rank", file, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "fall apart into 2 groups" in error
    assert "A, B | C" in error
    assert "prior=0.1" in error
    assert not (tmp_path / "run").exists()
    assert main(["rank", file, f"out={tmp_path / 'run'}", "prior=0.5", "resamples=100"]) == 0
    assert "with a prior of 0.5 virtual ties" in capsys.readouterr().out
    assert "A prior of 0.5" in (tmp_path / "run" / "report.html").read_text().replace("0.500", "0.5")


def test_thin_data_have_no_intervals_and_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "prefs.jsonl", [row("A", "B", 1), row("B", "A", 2)])
    assert main(["rank", file, f"out={tmp_path / 'run'}"]) == 0
    assert "no intervals: 2 prompts are too few" in capsys.readouterr().out
    assert "[no interval: 2 prompts]" in (tmp_path / "run" / "report.html").read_text()


def test_ties_weights_and_a_model_against_itself(tmp_path: Path) -> None:
    itself = row("A", "A", 4) | {"responses": ["x", "y"]}
    rows = [row("A", "B", 1, weight=3.0), row("B", "A", 2), row("A", "B", 3, tie=True), itself]
    numbers = rank_numbers(Rank(file=write(tmp_path / "prefs.jsonl", rows), resamples=100))
    assert (numbers["comparisons"], numbers["ties"], numbers["against_itself"]) == (5, 1, 1)
    assert (numbers["items"][0]["wins"], numbers["items"][0]["losses"]) == (3.5, 1.5)
    share = numbers["items"][0]["win_rate"]  # 3 wins and half a tie of 5 games, in 3 prompts
    assert (share["value"], share["n"], share["clusters"]) == (0.7, 5, 3)
    with pytest.raises(InputError, match="ranking counts whole comparisons"):
        rank_numbers(Rank(file=write(tmp_path / "half.jsonl", [row("A", "B", 1, weight=0.5)])))


def test_responses_to_one_prompt(tmp_path: Path) -> None:
    pairs = [(0, 1), (1, 2), (2, 0), (0, 2), (0, 1), (1, 0)]
    rows = [
        {
            "prompt": "A slogan, please.",
            "responses": ["one", "two", "three"],
            "comparisons": [{"winner": winner, "loser": loser, "annotator": f"person {number % 5}"}],
        }
        for number, (winner, loser) in enumerate(pairs * 5)
    ]
    file = write(tmp_path / "prefs.jsonl", rows)
    numbers = rank_numbers(Rank(file=file, by="responses", resamples=100))
    assert numbers["items"][0]["name"] == "one"
    assert (numbers["clusters"], numbers["resampled"]) == (5, "annotators")
    for each in rows:
        each["comparisons"] = [{key: value for key, value in each["comparisons"][0].items() if key != "annotator"}]
    unnamed = rank_numbers(Rank(file=write(tmp_path / "unnamed.jsonl", rows), by="responses", resamples=100))
    assert (unnamed["clusters"], unnamed["resampled"]) == (30, "comparisons")
    with pytest.raises(InputError, match="do not say which models wrote the responses"):
        rank_numbers(Rank(file=file))
    rows.append({**rows[0], "prompt": "Another."})
    with pytest.raises(InputError, match="the file has 2"):
        rank_numbers(Rank(file=write(tmp_path / "two.jsonl", rows), by="responses"))


MODELS = ["A", "B", "C", "D"]
BEHIND = np.array([1.0, 0.4, -0.3, -1.1])


def ranked(rng: np.random.Generator, number: int, **more: Any) -> dict[str, Any]:
    """A ranking of three of the four by Plackett and Luce's model (Gumbel noise)."""
    some = rng.permutation(4)[:3]
    order = np.argsort(-(BEHIND[some] + rng.gumbel(size=3))).tolist()
    names = [MODELS[place] for place in some]
    return {
        "prompt": f"{number}",
        "responses": [f"{n} {number}" for n in names],
        "models": names,
        "ranking": order,
    } | more


def test_the_strengths_behind_rankings_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    file = write(tmp_path / "ranked.jsonl", [ranked(rng, number) for number in range(500)])
    assert main(["rank", file, "fit=plackett-luce", "resamples=200", f"out={tmp_path / 'run'}"]) == 0
    assert "rank: 4 models, 500 rankings" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "run" / "rank.json").read_text())
    assert [item["name"] for item in numbers["items"]] == MODELS
    for item, true in zip(numbers["items"], BEHIND, strict=True):
        assert item["strength"]["low"] < true < item["strength"]["high"]
    assert (numbers["rankings"], numbers["comparisons"]) == (500, 1500)
    assert "Plackett-Luce" in (tmp_path / "run" / "report.html").read_text()
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert record["data"][0]["path"] == file
    assert record["versions"]["choix"]
    pairs = rank_numbers(Rank(file=file, resamples=100))
    assert pairs["rankings"] is None
    assert pairs["items"][0]["strength"]["value"] != numbers["items"][0]["strength"]["value"]


def test_what_is_no_ranking_is_refused_or_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    good = [ranked(rng, number) for number in range(60)]
    alone, tied, twice = (ranked(rng, number) for number in (60, 61, 62))
    bad = [alone | {"ranking": [0]}, tied | {"ranking": [0, [1, 2]]}, twice | {"models": ["A", "A", "B"]}]
    file = write(tmp_path / "some.jsonl", [*good, *bad])
    arguments = ["rank", file, "fit=plackett-luce", "resamples=100", f"out={tmp_path / 'run'}"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    for words in (
        "3 of 63 rows are no rankings",
        "some.jsonl:61: fewer than two responses are ranked",
        "some.jsonl:62: its comparisons have ties",
        "some.jsonl:63: two of the ranked models are A",
        "fit=bradley-terry",
    ):
        assert words in error
    assert not (tmp_path / "run").exists()
    assert main([*arguments, "bad_rows=skip"]) == 0
    assert "3 rows are no rankings, left out" in capsys.readouterr().out
    only = write(tmp_path / "only.jsonl", [alone | {"ranking": [0]}])
    with pytest.raises(InputError, match="no comparison of two different models"):
        rank_numbers(Rank(file=only, fit="plackett-luce", bad_rows="skip"))


def test_rankings_of_models_that_never_met_fall_apart(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{n}", "responses": ["x", "y"], "models": list(names), "ranking": [n % 2, 1 - n % 2]}
        for n in range(8)
        for names in ("AB", "CD")
    ]
    file = write(tmp_path / "apart.jsonl", rows)
    for fit, advice in (("bradley-terry", "or set prior=0.1"), ("plackett-luce", "or set fit=bradley-terry prior=0.1")):
        with pytest.raises(InputError, match="fall apart into 2 groups") as refused:
            rank_numbers(Rank(file=file, fit=fit))
        assert advice in str(refused.value)
        assert "A, B | C, D" in str(refused.value)


def test_rankings_of_the_responses_to_one_prompt(tmp_path: Path) -> None:
    orders = [[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 0, 1], [0, 1, 2]] * 4
    rows = []
    for number, order in enumerate(orders):
        said = [{"winner": a, "loser": b, "annotator": f"person {number}"} for a, b in combinations(order, 2)]
        rows.append({"prompt": "A slogan, please.", "responses": ["one", "two", "three"], "comparisons": said})
    file = write(tmp_path / "prefs.jsonl", rows)
    numbers = rank_numbers(Rank(file=file, by="responses", fit="plackett-luce", resamples=100))
    assert [item["name"] for item in numbers["items"]] == ["one", "two", "three"]
    assert (numbers["rankings"], numbers["clusters"], numbers["resampled"]) == (20, 20, "annotators")


def panel(path: Path, right: dict[str, float], items: int = 150) -> str:
    """Annotators who are right so often, of one comparison a prompt; the truth is that the first is better."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(items):
        said = []
        for name, share in right.items():
            winner = int(rng.random() >= share)
            said.append({"winner": winner, "loser": 1 - winner, "annotator": name})
        rows.append({"prompt": f"{number}", "responses": [f"good {number}", f"bad {number}"], "comparisons": said})
    return write(path, rows)


def test_annotators_by_who_is_with_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = {f"rater {n}": share for n, share in enumerate(np.linspace(0.6, 0.9, 11).tolist())}
    file = panel(tmp_path / "panel.jsonl", right, items=400)
    out = tmp_path / "run"
    assert main(["rank", file, "by=annotators", "resamples=200", f"out={out}"]) == 0
    assert "times that of two one was with the majority of the others" in capsys.readouterr().out
    numbers = json.loads((out / "rank.json").read_text())
    log_odds = {name: np.log(share / (1 - share)) for name, share in right.items()}
    mean = np.mean(list(log_odds.values()))
    for item in numbers["items"]:
        # the ten others err together now and then: strengths are drawn together by a tenth or so
        assert item["strength"]["value"] == pytest.approx(0.9 * (log_odds[item["name"]] - mean), abs=0.3)
        assert item["strength"]["low"] < 0.9 * (log_odds[item["name"]] - mean) < item["strength"]["high"]
    assert numbers["resampled"] == "prompts"
    assert "11 annotators ranked by agreement with the others" in (out / "report.html").read_text()


def test_too_few_annotators_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    for right, words in (
        ({"Ann": 0.8}, "there is one annotator only (Ann)"),
        ({"Ann": 0.8, "Bob": 0.8}, "there are two annotators only (Ann, Bob)"),
        ({"Ann": 1.0, "Bob": 1.0, "Cleo": 1.0}, "either nobody disagrees, or no comparison was judged by three"),
        ({"Ann": 1.0, "Bob": 1.0, "Cleo": 0.5}, "Ann | Bob | Cleo"),
    ):
        file = panel(tmp_path / "panel.jsonl", right, items=30)
        assert main(["rank", file, "by=annotators", f"out={out}"]) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()
    lines = Path(panel(tmp_path / "panel.jsonl", dict.fromkeys("abc", 0.7))).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows.append({"prompt": "x", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1, "annotator": "d"}]})
    file = write(tmp_path / "panel.jsonl", rows)
    assert main(["rank", file, "by=annotators", "resamples=100", f"out={out}"]) == 0
    assert "1 annotator met nobody and is left out: d" in capsys.readouterr().out


def test_settings_that_do_not_go_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", "a.jsonl", "by=annotators", "fit=plackett-luce"]) == 2
    assert "by=annotators needs fit=bradley-terry" in capsys.readouterr().err
    assert main(["rank", "a.jsonl", "fit=plackett-luce", "prior=1"]) == 2
    assert "it needs fit=bradley-terry" in capsys.readouterr().err


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = row("A", "B", 1) | {"models": ["A"]}
    with pytest.raises(InputError, match="1 models for 2 responses"):
        rank_numbers(Rank(file=write(tmp_path / "wrong.jsonl", [wrong])))
    itself = row("A", "A", 4) | {"responses": ["x", "y"]}
    with pytest.raises(InputError, match="no comparison of two different models"):
        rank_numbers(Rank(file=write(tmp_path / "itself.jsonl", [itself])))
    for words, message in (
        (["a.jsonl", "b.jsonl"], "expected one FILE, got 2: a.jsonl, b.jsonl"),
        (["seed=1"], "required: FILE"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["rank", *words])
        assert message in capsys.readouterr().err


def test_pandalm_models(shared_data: Callable[[str], Path]) -> None:
    file = str(shared_data("pandalm/testset-v1.json.gz"))
    numbers = rank_numbers(Rank(file=file, bad_rows="skip", resamples=100))
    assert [item["name"] for item in numbers["items"]][::4] == ["llama-7b", "cerebras-gpt-6.7B"]
    assert numbers["items"][0]["strength"]["value"] == pytest.approx(0.74, abs=0.005)


def test_columns_of_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    head = "question,left_model,right_model,left_answer,right_answer,vote,rater\n"
    votes = ["left", "left", "right", "tie"]
    path.write_text(head + "".join(f"q{n},strong,weak,yes {n},no {n},{vote},Ann\n" for n, vote in enumerate(votes)))
    fields = {"prompt": "question", "response_a": "left_answer", "response_b": "right_answer", "winner": "vote"}
    columns = {**fields, "model_a": "left_model", "model_b": "right_model", "annotator": "rater"}
    names = rank_numbers(Rank(file=str(path), columns=columns))["items"]
    assert [(item["name"], item["wins"]) for item in names] == [("strong", 2.5), ("weak", 1.5)]
