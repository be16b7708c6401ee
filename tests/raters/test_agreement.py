"""`penchant agree`: files of raters to agreement and a page."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from penchant.cli.main import main
from penchant.errors import InputError
from penchant.raters.agreement import agree, measure_agreement
from penchant.raters.ratings import read_ratings
from penchant.raters.settings import Agree
from penchant.typed_json import to_object


def agreement_numbers(config: Agree) -> dict[str, Any]:
    """The content of `agree.json`."""
    return to_object(measure_agreement(config))


HOSTILE = "<script>alert(1)</script> \u202egnp"


def verdicts(size: int, noise: float, seed: int) -> list[int]:
    """The truth is that the first wins; with some noise a tie, or the second."""
    return np.random.default_rng(seed).choice([0, 1, 2], size, p=[1 - noise, noise / 2, noise / 2]).tolist()


def write(path: Path, said: dict[str | None, list[int]], *, chosen_first: bool = False, **more: Any) -> str:
    """A row a verdict: 0 the first wins, 1 the second, 2 neither."""
    rows = []
    for name, those in said.items():
        for number, verdict in enumerate(those):
            texts = [f"good {number}", f"a bad answer, far too long{'!' * (number % 7)} {number} {HOSTILE}"]
            win = {"winner": 0, "loser": 1, "tie": verdict == 2} | ({"annotator": name} if name else {})
            if verdict == 1:
                win |= {"winner": 1, "loser": 0}
            row = {"prompt": f"prompt {number // 2}", "responses": texts, "comparisons": [win], **more}
            if chosen_first and verdict == 1:
                row |= {"responses": texts[::-1], "comparisons": [win | {"winner": 0, "loser": 1}]}
                row |= {"models": more["models"][::-1]} if "models" in more else {}
            rows.append(json.dumps(row))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.fixture
def three(tmp_path: Path) -> str:
    said: dict[str | None, list[int]] = {
        name: verdicts(60, 0.3, seed) for seed, name in enumerate(("Ann", "Bob", "Cleo"))
    }
    return write(tmp_path / "three.jsonl", said)


def test_a_file_of_annotators(three: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", three, f"out={tmp_path / 'run'}", "resamples=200"]) == 0
    said = capsys.readouterr().out
    assert "agree: 3 raters, 60 comparisons of 30 prompts, 60 judged by two or more" in said
    assert "Ann and Bob: kappa" in said
    assert "Cleo against the majority of the others" in said
    numbers = json.loads((tmp_path / "run" / "agree.json").read_text())
    assert [pair["raw"]["n"] for pair in numbers["pairs"]] == [60] * 3
    assert sum(row["comparisons"] for row in numbers["lengths"]) == 60
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<script") == 1  # ours, which saves figures
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert {"kappa.png", "raw.png", "lengths.png"} == {file.name for file in (tmp_path / "run" / "figures").iterdir()}
    assert (tmp_path / "run" / "config.yaml").exists()


def test_kappa_is_that_of_the_reference_on_the_same_orientation(three: str) -> None:
    numbers = agreement_numbers(Agree(files=[three], resamples=200))
    found = read_ratings([three])
    assert numbers["pairs"][0]["kappa"]["value"] == pytest.approx(cohen_kappa_score(*found.verdicts[:2]))
    raw = np.mean([one == other for one, other in zip(*found.verdicts[:2], strict=True)])
    assert numbers["pairs"][0]["raw"]["value"] == pytest.approx(raw)


def test_kappa_does_not_depend_on_which_response_the_file_puts_first(tmp_path: Path) -> None:
    said = {"ann": verdicts(80, 0.4, 1), "bob": verdicts(80, 0.4, 2)}
    kappas = []
    for name, chosen_first in (("neutral", False), ("chosen", True)):
        (tmp_path / name).mkdir()
        files = [write(tmp_path / name / f"{k}.jsonl", {None: v}, chosen_first=chosen_first) for k, v in said.items()]
        numbers = agreement_numbers(Agree(files=files, resamples=200))
        assert [rater["name"] for rater in numbers["raters"]] == ["ann", "bob"]
        kappas.append(numbers["pairs"][0]["kappa"])
    assert kappas[0] == kappas[1]
    assert kappas[0]["value"] is not None


def test_judges_and_people_make_the_table_of_the_human_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = write(tmp_path / "gpt.jsonl", {None: verdicts(60, 0.4, 1)}, models=["dpo", "ppo"], chosen_first=True)
    people = write(tmp_path / "people.jsonl", {"Ann": verdicts(60, 0.2, 2), "Bob": verdicts(60, 0.2, 3)})
    arguments = [judge, f"people=[{people}]", "resamples=200", f"out={tmp_path / 'run'}"]
    assert main(["agree", *arguments]) == 0
    said = capsys.readouterr().out
    assert "of people alone" in said
    assert "gpt against the majority of people" in said
    assert "Ann against the majority of the other people" in said
    numbers = json.loads((tmp_path / "run" / "agree.json").read_text())
    study = numbers["human_study"]
    everything, matchup = study["rows"]
    assert (everything["models"], everything["wins"]) == (None, None)
    assert matchup["models"] == ["dpo", "ppo"]
    share = np.mean([{0: 1.0, 1: 0.0, 2: 0.5}[verdict] for verdict in verdicts(60, 0.4, 1)])
    assert matchup["wins"]["judges"][0]["value"] == pytest.approx(share)
    assert matchup["wins"]["people"]["n"] == 120
    assert matchup["judge_people"][0]["n"] == 120
    assert matchup["people_people"]["n"] == 60
    assert matchup["people_people"]["value"] > matchup["judge_people"][0]["value"]
    page = (tmp_path / "run" / "report.html").read_text()
    for words in ("wins by gpt", "gpt – people", "people – people", "dpo over ppo", "Ann (person)"):
        assert words in page


def test_one_person_has_nobody_to_be_held_against(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = write(tmp_path / "gpt.jsonl", {None: verdicts(20, 0.4, 1)})
    person = write(tmp_path / "ann.jsonl", {None: verdicts(20, 0.2, 2)})
    run = agree(Agree(files=[judge], people=[person], resamples=200, out=str(tmp_path / "run")))
    gpt, ann = run.metrics["raters"]
    assert gpt["left_out"]["raw"]["n"] == 20
    assert ann["left_out"]["raw"]["value"] is None
    assert run.metrics["human_study"]["rows"][0]["people_people"]["value"] is None
    assert run.metrics["alpha_people"] is None
    assert main(["agree", judge, f"people=[{person}]", f"out={tmp_path / 'again'}"]) == 0
    assert "ann has no comparison in common with the majority of the other people" in capsys.readouterr().out


def test_every_setting_has_an_effect(three: str, tmp_path: Path) -> None:
    base = Agree(files=[three], resamples=200)
    numbers = agreement_numbers(base)
    assert len(numbers["disagreements"]) == 20
    assert len(agreement_numbers(base.replace(shown=2))["disagreements"]) == 2
    two = agreement_numbers(base.replace(annotators=["Ann", "Cleo"]))
    assert [rater["name"] for rater in two["raters"]] == ["Ann", "Cleo"]
    assert two["raters"][0]["majority"] is None

    def coefficients(found: dict[str, Any]) -> list[dict[str, Any]]:
        return [found["alpha"], *(pair["kappa"] for pair in found["pairs"])]

    drawn = base.replace(resamples=100)  # few enough for some of them to go farther than the exact interval
    first = coefficients(agreement_numbers(drawn))
    for change in ({"level": 0.8}, {"resamples": 300}, {"seed": 1}):
        other = coefficients(agreement_numbers(drawn.replace(**change)))
        assert [each["value"] for each in other] == [each["value"] for each in first]
        assert [(each["low"], each["high"]) for each in other] != [(each["low"], each["high"]) for each in first]
    with Path(three).open("a") as file:
        file.write('{"prompt": "p", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 9}]}\n')
    with pytest.raises(InputError, match="1 of 181 rows cannot be used"):
        agreement_numbers(base)
    assert agreement_numbers(base.replace(bad_rows="skip"))["skipped_rows"] == 1
    with pytest.raises(InputError, match="rows cannot be used"):
        agreement_numbers(base.replace(layout="trl"))


def test_disagreements_are_the_most_divided_first(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"Ann": [0, 0, 0], "Bob": [0, 2, 1], "Cleo": [0, 0, 0]})
    first, second = agreement_numbers(Agree(files=[file], resamples=100))["disagreements"]
    assert set(first["said"].values()) == {"first", "second"}
    assert "tie" in second["said"].values()


def test_nothing_to_compare_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "ann.jsonl", {None: [0, 1, 2]})
    out = tmp_path / "run"
    assert main(["agree", one, f"out={out}"]) == 2
    message = capsys.readouterr().err
    assert "there is one rater only (ann)" in message
    assert "shown first" not in message  # nobody knows the order of these rows
    sided = tmp_path / "sided.jsonl"
    orders = [(0, left, right) for left, right in (("long", "s"), ("s", "long"))] + [(1, "long", "s")]
    rows = [{"prompt": f"p{n}", "response_a": a, "response_b": b, "winner": "a"} for n, a, b in orders]
    sided.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["agree", str(sided), f"out={out}"]) == 2
    # alone it can be biased all the same: p0 was judged in both orders, and p1 is the one pair of a clear length
    assert re.search(
        r"alone, it took the one shown first in 100%.* of 2, the longer one in 100%", capsys.readouterr().err
    )
    other = tmp_path / "bob.jsonl"
    other.write_text('{"prompt": "another", "chosen": "x", "rejected": "y"}\n')
    assert main(["agree", one, str(other), f"out={out}"]) == 2
    assert "no comparison was judged by two of the 2 raters (ann, bob)" in capsys.readouterr().err
    assert main(["agree", f"out={out}"]) == 2
    assert "name at least one preference file" in capsys.readouterr().err
    assert main(["agree", one, "annotators=[eve]", f"out={out}"]) == 2
    assert "nobody is called 'eve'" in capsys.readouterr().err
    assert main(["agree", str(tmp_path / "no.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not out.exists()


def test_what_is_undefined_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [write(tmp_path / f"{name}.jsonl", {None: [2] * 6}) for name in ("ann", "bob")]
    assert main(["agree", *files, f"out={tmp_path / 'run'}"]) == 0
    assert "kappa undefined (both say one and the same thing" in capsys.readouterr().out
    assert "alpha is undefined" in (tmp_path / "run" / "report.html").read_text()


def test_pandalm_annotators(shared_data: Callable[[str], Path]) -> None:
    file = str(shared_data("pandalm/testset-v1.json.gz"))
    numbers = agreement_numbers(Agree(files=[file], bad_rows="skip", resamples=200))
    assert (numbers["skipped_rows"], numbers["comparisons"]) == (60, 837)
    assert numbers["alpha"]["value"] == pytest.approx(0.86, abs=0.005)
    assert [round(pair["kappa"]["value"], 2) for pair in numbers["pairs"]] == [0.85, 0.88, 0.86]


@pytest.mark.slow
def test_help_and_a_run_import_no_torch(three: str, tmp_path: Path) -> None:
    code = (
        "import sys; from penchant.cli.main import main\n"
        "try: main(['agree', '--help'])\nexcept SystemExit: pass\n"
        f"assert main(['agree', {three!r}, 'resamples=100', 'out={tmp_path / 'run'}']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "bad_rows" in done.stdout


def test_where_the_numbers_come_from_is_written(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.jsonl", {None: verdicts(20, 0.4, 1)}) for name in ("ann", "bob", "judge")]
    run = agree(Agree(files=files[2:], people=files[:2], resamples=100, seed=3, out=str(tmp_path / "run")))
    record = json.loads((run.path / "provenance.json").read_text())
    assert [each["path"] for each in record["data"]] == [files[2], *files[:2]]
    assert record["data"][0]["sha256"] == hashlib.sha256(Path(files[2]).read_bytes()).hexdigest()
    assert (record["seed"], record["versions"]["krippendorff"]) == (3, importlib.metadata.version("krippendorff"))
    assert record["command"]
    page = (run.path / "report.html").read_text()
    assert record["data"][0]["sha256"] in page


@pytest.mark.slow
def test_a_full_disk_names_no_option_that_there_is_not(tmp_path: Path) -> None:
    said = [{"winner": 0, "loser": 1, "annotator": name} for name in ("x", "y")]
    row = {"responses": ["a", "b"], "comparisons": said}
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"prompt": f"p{n}", **row}) + "\n" for n in range(12)))
    code = (
        "import resource, sys; from penchant.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        f"sys.exit(main(['agree', {str(tmp_path / 'rows.jsonl')!r}, 'out={tmp_path / 'new'}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "Make room, remove" in done.stderr
    assert "--resume" not in done.stderr


def both_orders(path: Path, choose: Callable[[int, bool], str], *, both: bool = True) -> str:
    """Write a judge's rows: each of 40 pairs with A on the left, and (unless told not to) with A on the right too."""
    rows = []
    for number in range(40):
        for a_left in (True, False) if both else (number % 2 == 0,):
            left, right = ("A", "B") if a_left else ("B", "A")
            texts = {"response_a": f"{left} says {number}", "response_b": f"{right} says {number}"}
            row = {"prompt": f"prompt {number}", **texts, "winner": choose(number, a_left), "judge": path.stem}
            rows.append(json.dumps(row) + "\n")
    path.write_text("".join(rows))
    return str(path)


def take_left(_number: int, _a_left: bool) -> str:
    return "a"


def stay_with_a(_number: int, a_left: bool) -> str:
    return "a" if a_left else "b"


def test_judgments_in_both_orders_show_a_leaning_to_a_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [both_orders(tmp_path / "lefty.jsonl", take_left), both_orders(tmp_path / "steady.jsonl", stay_with_a)]
    lefty, steady = agreement_numbers(Agree(files=files, resamples=200))["raters"]
    # two judgments of each of 40 pairs; kappa and ties still see one verdict per pair
    assert (lefty["first_shown"]["value"], lefty["first_shown"]["n"], lefty["ties"]) == (1.0, 80, 40)
    assert lefty["first_shown"]["low"] > 0.9
    assert (steady["first_shown"]["value"], steady["first_shown"]["n"], steady["ties"]) == (0.5, 80, 0)
    assert main(["agree", *files, f"out={tmp_path / 'run'}", "resamples=200"]) == 0
    printed = capsys.readouterr().out
    assert "  lefty took the one shown first in 100% [" in printed
    assert "  steady took the one shown first in 50% " in printed
    assert "80 times somebody" not in printed
    assert "lefty leans to the response shown first" in (tmp_path / "run" / "report.html").read_text()


def test_rows_in_one_order_are_only_told_by_a_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [both_orders(tmp_path / f"{name}.jsonl", take_left, both=False) for name in ("one", "two")]
    config = Agree(files=files, resamples=200)
    assert [rater["first_shown"] for rater in agreement_numbers(config)["raters"]] == [None, None]
    shown = [rater["first_shown"] for rater in agreement_numbers(config.replace(order="row"))["raters"]]
    assert [(share["value"], share["n"]) for share in shown] == [(1.0, 40), (1.0, 40)]
    assert main(["agree", *files, f"out={tmp_path / 'run'}", "resamples=200"]) == 0
    assert "position: not measured" in capsys.readouterr().out


def test_the_winner_first_is_no_order_in_which_anything_was_shown(tmp_path: Path) -> None:
    # a contradiction in `chosen` and `rejected` stands in both orders, and its winner first in both
    rows = [
        {"prompt": f"{n}", "chosen": first, "rejected": second} for n in range(20) for first, second in ("ab", "ba")
    ]
    files = []
    for name in ("one", "two"):
        files.append(str(tmp_path / f"{name}.jsonl"))
        Path(files[-1]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert agreement_numbers(Agree(files=files, resamples=200))["raters"][0]["first_shown"] is None
    with pytest.raises(InputError, match="order=row: rows of the layout trl"):
        measure_agreement(Agree(files=files, order="row"))
    # the same in our own layout, as a conversion writes it: told by every winner standing first
    own = [{"prompt": row["prompt"], "responses": [row["chosen"], row["rejected"]]} for row in rows]
    for file in files:
        comparison = {"comparisons": [{"winner": 0, "loser": 1}]}
        Path(file).write_text("".join(json.dumps(row | comparison) + "\n" for row in own))
    config = Agree(files=files, resamples=200)
    assert agreement_numbers(config)["raters"][0]["first_shown"] is None
    assert agreement_numbers(config.replace(order="row"))["raters"][0]["first_shown"]["value"] == 1.0
