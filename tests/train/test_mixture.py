"""Mixtures: which groups of which source a run draws, holds out and reports, and mixtures that are refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.data.settings import Proportions
from penchant.errors import InputError, RunMismatchError
from penchant.methods.dpo import DPO
from penchant.methods.dpo import run as run_dpo
from penchant.methods.kto import KTO
from penchant.methods.kto import run as run_kto
from penchant.methods.sft import SFT
from penchant.methods.sft import run as run_sft
from penchant.studies.report import report
from penchant.train.mixture import proportional_weights, split_sources
from penchant.train.plan import Mixing, Unit, content_key, digest_key, plan_epoch
from penchant.types import Message, PromptGroup

QUICK = {"optimizer": {"name": "adamw", "learning_rate": 1e-3}, "batch_size": 4, "evaluate": {"samples": None}}


def pairs(path: Path, names: str, start: str = "Q") -> Path:
    rows = [{"prompt": f"{start}{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train(folder: Path, model: str, data: object, out: str, **changes: Any) -> dict[str, Any]:
    config = DPO(model=model, data=data, out=str(folder / out), **{**QUICK, **changes})
    return run_dpo(config).metrics


# -- which groups are drawn ---------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.lists(st.floats(0.01, 50), min_size=4, max_size=4),
    st.integers(0, 3),
)
def test_draws_have_the_shares_of_the_weights(sizes: list[int], weights: list[float], seed: int) -> None:
    owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    mixing = Mixing(owners, tuple(weights[: len(sizes)]))
    total, shares = sum(sizes), [weight / sum(weights[: len(sizes)]) for weight in weights]
    assert sum(mixing.draws) == total
    assert all(abs(count - share * total) < 1 for count, share in zip(mixing.draws, shares, strict=False))
    epochs = [mixing.drawn_groups(seed, epoch) for epoch in range(3)]
    for drawn in epochs:
        assert tuple(np.bincount(owners[drawn], minlength=len(sizes))) == mixing.draws
    counts = Counter(group for drawn in epochs for group in drawn)
    for source in range(len(sizes)):  # passes go on from epoch to epoch: nothing is drawn much more often than the rest
        members = [counts[group] for group in np.flatnonzero(owners == source).tolist()]
        assert max(members) - min(members) <= 1


def test_weights_of_two_to_one_draw_two_of_the_first_for_one_of_the_second() -> None:
    mixing = Mixing(np.array([0] * 3 + [1] * 6, np.int32), (2.0, 1.0))
    assert mixing.draws == (6, 3)  # of 9
    assert mixing.passes == (2.0, 0.5)
    first = mixing.drawn_groups(0, 0)
    assert Counter(first)[0] == Counter(first)[1] == Counter(first)[2] == 2
    assert first == mixing.drawn_groups(0, 0)
    assert first != mixing.drawn_groups(1, 0)


SIZES = [40, 9, 1]


def _draws(sizes: list[int], **changes: Any) -> tuple[int, ...]:
    owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return Mixing(owners, tuple(proportional_weights(sizes, Proportions(**changes)))).draws


def test_proportions_without_cap_and_temperature_draw_each_group_once() -> None:
    assert _draws(SIZES) == tuple(SIZES)


def test_a_high_temperature_draws_all_sources_alike() -> None:
    assert _draws(SIZES, temperature=1e6) == (17, 17, 16)
    shares = [np.ptp(_draws(SIZES, temperature=temperature)) for temperature in (1, 2, 4, 1e6)]
    assert shares == sorted(shares, reverse=True)
    # by hand: the roots of 36, 4 and 0 are 6, 2 and 0
    assert proportional_weights([36, 4, 0], Proportions(temperature=2)) == pytest.approx([1, 1 / 3, 0])


def test_a_cap_makes_larger_sources_count_as_if_they_were_so_large() -> None:
    # min(size, 9) is 9, 9 and 1: of 50 draws 23.7, 23.7 and 2.6
    assert _draws(SIZES, cap=9) == (24, 24, 2)
    assert _draws(SIZES, cap=1) == _draws(SIZES, temperature=1e6)
    assert _draws(SIZES, cap=40) == tuple(SIZES)


def test_a_group_that_is_drawn_twice_stands_in_the_steps_twice() -> None:
    units = [(Unit(response=0),), (Unit(response=0),)]
    mixing = Mixing(np.array([0, 1], np.int32), (1.0, 0.0001))
    steps = plan_epoch(units, batch_size=1, seed=0, epoch=0, mixing=mixing)
    assert [part[0] for step in steps for part in step] == [0, 0]


# -- the split ----------------------------------------------------------------------------------------------------

PROMPT = st.sampled_from("abcdef")


@settings(max_examples=40)
@given(st.lists(st.lists(PROMPT, min_size=1, max_size=6), min_size=2, max_size=3), st.integers(0, 3), st.booleans())
def test_a_prompt_is_never_on_both_sides(names: list[list[str]], seed: int, evaluates: bool) -> None:
    forms = [
        lambda name: name,
        lambda name: (Message("user", name),),
        lambda name: (Message("system", "S"), Message("user", f"{name} ")),
    ]
    groups = [[PromptGroup(forms[part](name), ["x"]) for name in part_names] for part, part_names in enumerate(names)]
    evaluation = [False] * (len(groups) - 1) + [evaluates]
    keys_by_part = [[digest_key(content_key(group), seed) for group in part] for part in groups]
    sides = split_sources(keys_by_part, evaluation, 0.3)
    flat = [group for part in groups for group in part]
    keys = [content_key(group) for group in flat]
    assert not {keys[number] for number in sides.train} & {keys[number] for number in sides.held}
    assert len(sides.train) + len(sides.held) + sides.overlapping == len(flat)
    assert sides.shared == sum(count > 1 for count in Counter(n for part in names for n in set(part)).values())
    if evaluates:
        last = range(len(flat) - len(groups[-1]), len(flat))
        assert set(last) <= set(sides.held)


# -- runs ---------------------------------------------------------------------------------------------------------


def test_a_mixture_of_one_source_is_the_plain_run_bit_by_bit(tmp_path: Path, tiny_model: str) -> None:
    path = pairs(tmp_path / "a.jsonl", "abcdefgh")
    results = {}
    for name, data in {"plain": {"path": str(path)}, "mixed": {"sources": [{"path": str(path), "weight": 3}]}}.items():
        train(tmp_path, tiny_model, {**data, "held_out": 0.25}, name)
        rows = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        timed = ("seconds", "tokens_per_s")
        results[name] = [{key: v for key, v in json.loads(row).items() if key not in timed} for row in rows]
    weights = [(tmp_path / name / "checkpoint" / "model.safetensors").read_bytes() for name in results]
    assert results["plain"] == results["mixed"]
    assert weights[0] == weights[1]


def test_weights_limits_and_sources_change_what_is_trained(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcdef"), pairs(tmp_path / "b.jsonl", "uvwxyz", start="R")
    losses = {}
    for name, sources in {
        "equal": [str(a), str(b)],
        "weights": [{"path": str(a), "weight": 5}, {"path": str(b), "weight": 1}],
        "limit": [{"path": str(a), "limit": 2}, str(b)],
    }.items():
        result = train(tmp_path, tiny_model, {"sources": sources, "held_out": 2}, name, epochs=2)
        losses[name] = result["final"]["held_out"]["loss"]["value"]
        counts = result["data"]["sources"]
        assert counts["a.jsonl"]["groups"] == (2 if name == "limit" else 6)
        assert result["data"]["groups"] == (8 if name == "limit" else 12)
        passes = {source: table["passes_per_epoch"] for source, table in counts.items()}
        if name == "weights":
            trained = {source: table["groups"] - table["held_out_groups"] for source, table in counts.items()}
            drawn = {source: passes[source] * trained[source] for source in passes}
            assert sum(drawn.values()) == pytest.approx(10)
            assert drawn["a.jsonl"] == pytest.approx(8)  # 5/6 of 10, rounded
        else:
            assert passes == {"a.jsonl": 1.0, "b.jsonl": 1.0}
    assert len(set(losses.values())) == 3


def test_proportions_count_what_is_trained_on_and_are_recorded(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcdefghi"), pairs(tmp_path / "b.jsonl", "xyz", start="R")
    test = pairs(tmp_path / "test.jsonl", "vw", start="T")
    data = {"sources": [str(a), str(b), {"path": str(test), "evaluation": True}], "held_out": 0}
    passes = {}
    for name, mixing in {"plain": None, "each": {}, "alike": {"temperature": 1e6}, "capped": {"cap": 6}}.items():
        result = train(tmp_path, tiny_model, {**data, "mixing": mixing}, name)
        passes[name] = [table["passes_per_epoch"] for table in result["data"]["sources"].values()]
    assert passes["plain"] == passes["each"] == [1, 1, 0]
    assert passes["alike"] == pytest.approx([6 / 9, 6 / 3, 0])  # of 12 draws half each, and none of the evaluation
    assert passes["capped"] == pytest.approx([8 / 9, 4 / 3, 0])  # 6 to 3


def test_a_weight_too_small_for_one_prompt_is_warned_of(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcdef"), pairs(tmp_path / "b.jsonl", "uvwxyz", start="R")
    sources = [{"path": str(a), "weight": 1e-12}, {"path": str(b), "weight": 1}]
    result = train(tmp_path, tiny_model, {"sources": sources, "held_out": 2}, "run")
    assert result["data"]["sources"]["a.jsonl"]["passes_per_epoch"] == 0
    (warning,) = [warning for warning in result["warnings"] if "nothing of" in warning]
    assert f"nothing of {a} is trained on: beside the other weights, 1e-12 is too small" in warning


def test_held_out_results_of_each_source_are_those_of_its_rows_alone(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcdefgh"), pairs(tmp_path / "b.jsonl", "stuvwxyz", start="R")
    result = train(tmp_path, tiny_model, {"sources": [str(a), str(b)], "held_out": 6}, "run")
    whole, parts = result["final"]["held_out"], result["final"]["held_out"]["by_source"]
    assert list(parts) == ["a.jsonl", "b.jsonl"]
    clusters = {name: part["loss"]["clusters"] for name, part in parts.items()}
    assert sum(clusters.values()) == whole["loss"]["clusters"] == 6
    mean = sum(part["loss"]["value"] * clusters[name] for name, part in parts.items()) / 6
    assert mean == pytest.approx(whole["loss"]["value"], abs=1e-6)
    assert parts["a.jsonl"]["accuracy"]["n"] == clusters["a.jsonl"]
    report([str(tmp_path / "run")], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Held-out prompts of each source after step" in page
    assert f"{a} + {b}" in page


def test_a_source_for_evaluation_is_held_out_and_its_prompts_leave_training(tmp_path: Path, tiny_model: str) -> None:
    a = pairs(tmp_path / "a.jsonl", "abcdef")
    test = tmp_path / "test.jsonl"
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Qa?"}]
    answers = {name: [{"role": "assistant", "content": name}] for name in ("chosen", "rejected")}
    test.write_text(json.dumps({"prompt": turns, **answers}) + "\n")
    sources = [str(a), {"path": str(test), "evaluation": True}]
    result = train(tmp_path, tiny_model, {"sources": sources, "held_out": 0}, "run")
    assert result["data"]["held_out_groups"] == 1
    assert any("1 groups were left out of training" in warning for warning in result["warnings"])
    assert any("1 prompts stand in several sources" in warning for warning in result["warnings"])
    assert [row["pairs"] for row in lines(tmp_path / "run") if row["kind"] == "train"] == [4.0, 1.0]


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_sources_have_templates_of_their_own(tmp_path: Path, tiny_model: str) -> None:
    row = {"prompt": "Hi?", "completion": "Yes."}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({**row, "prompt": "Ho?"}) + "\n")
    tokens = {}
    for template in ("plain", "chatml"):
        sources = [str(tmp_path / "a.jsonl"), {"path": str(tmp_path / "b.jsonl"), "template": template}]
        data = {"sources": sources, "held_out": 0, "template": "plain"}
        config = SFT(model=tiny_model, data=data, out=str(tmp_path / template), **QUICK)
        run_sft(config)
        marked = (tmp_path / template / "provenance.json").read_text()
        tokens[template] = json.loads(marked)["inputs"]["the rendered tokens"]
    assert tokens["plain"] != tokens["chatml"]
    data = {
        "sources": [
            str(pairs(tmp_path / "c.jsonl", "ab")),
            {"path": str(pairs(tmp_path / "d.jsonl", "xy")), "template": "chatml"},
        ]
    }
    with pytest.raises(InputError, match="so all need one template"):
        run_kto(
            KTO(model=tiny_model, data={**data, "held_out": 0, "template": "plain"}, out=str(tmp_path / "kto"), **QUICK)
        )


def test_a_changed_source_is_named_at_resume(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcd"), pairs(tmp_path / "b.jsonl", "uvwx", start="R")
    config = DPO(model=tiny_model, data={"sources": [str(a), str(b)]}, out=str(tmp_path / "run"), **QUICK)
    run_dpo(config)
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "SHA256SUMS").unlink()
    assert run_dpo(config, resume=True).metrics["status"] == "done"
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "SHA256SUMS").unlink()
    pairs(b, "uvwxy", start="R")
    with pytest.raises(RunMismatchError, match=r"the source b\.jsonl"):
        run_dpo(config, resume=True)


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sources": [{"path": "a.jsonl", "weight": 0}]}, "weight"),
        ({"sources": [{"path": "a.jsonl", "weight": -1}]}, "weight"),
        ({"sources": ["a.jsonl", "./a.jsonl"]}, "stands there twice"),
        ({"sources": [{"path": "a.jsonl", "weight": 1}, "b.jsonl"]}, "b.jsonl has no weight, but others have"),
        ({"sources": [{"path": "a.jsonl", "evaluation": True}]}, "nothing is left to train on"),
        ({"sources": [{"path": "a.jsonl", "evaluation": True, "weight": 2}, "b.jsonl"]}, "for evaluation alone"),
        ({"path": "a.jsonl", "sources": ["b.jsonl"]}, "both `path` and `sources`"),
        ({"path": "a.jsonl", "mixing": {"cap": 2}}, "`mixing` weighs several sources"),
        ({"path": "a.jsonl", "batches": "one_source"}, "says what steps are made of where there are several sources"),
        (
            {"sources": [{"path": "a.jsonl", "weight": 1}, {"path": "b.jsonl", "weight": 1}], "mixing": {}},
            "of the sizes",
        ),
        ({"sources": ["a.jsonl", "b.jsonl"], "mixing": {"temperature": 0.5}}, "temperature"),
        ({"sources": ["a.jsonl", "b.jsonl"], "mixing": {"cap": 0}}, "cap"),
        ({"held_out": 0.2}, "`path` is missing"),
        ({"sources": []}, "`path` is missing"),
    ],
)
def test_a_wrong_mixture_is_refused_before_anything_is_read(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DPO(model="m", data=data)


def test_equal_content_and_sources_without_training_rows_are_refused(tmp_path: Path, tiny_model: str) -> None:
    a, b = pairs(tmp_path / "a.jsonl", "abcd"), pairs(tmp_path / "b.jsonl", "abcd")
    with pytest.raises(InputError, match="have the same content"):
        train(tmp_path, tiny_model, {"sources": [str(a), str(b)]}, "run")
    sources = [str(pairs(b, "uvw")), str(pairs(tmp_path / "c.jsonl", "ab")), {"path": str(a), "evaluation": True}]
    with pytest.raises(InputError, match=r"nothing of .*c\.jsonl is left to train on"):
        train(tmp_path, tiny_model, {"sources": sources, "held_out": 0}, "run")
    assert not (tmp_path / "run").exists()
