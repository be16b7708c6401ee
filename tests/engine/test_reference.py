"""The reference: its table, its fingerprint, and the exact KL."""

from __future__ import annotations

import logging
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.engine import reference
from penchant.engine.reference import ASK_FOR, Reference, ReferenceTable, fingerprint, reference_logps, sequence_kl
from penchant.engine.sampling import Sampling
from penchant.engine.score import score, score_rows
from penchant.models.load import load_policy
from penchant.models.settings import LoRA
from penchant.types import PromptGroup

GROUPS = [
    PromptGroup("Once upon a time", [" there was a dog.", " a cat ran."]),
    PromptGroup("Tom", [" was sad."]),
]


def disturb(model: torch.nn.Module, scale: float = 0.02) -> None:
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += scale * torch.randn_like(parameter)


def test_the_table_answers_what_it_knows_and_computes_the_rest(story_policy: Any, tmp_path: Path) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    table = ReferenceTable(tmp_path, "w")
    first = reference_logps(story_policy.scorer, rendered[:1], table)
    torch.testing.assert_close(first[0], score(story_policy.scorer, rendered[:1])[0])
    disturb(story_policy.model)  # whatever is computed from now on differs
    both = reference_logps(story_policy.scorer, rendered, table)
    assert torch.equal(both[0], first[0])
    torch.testing.assert_close(both[1], score(story_policy.scorer, rendered[1:])[0])
    assert not torch.equal(score(story_policy.scorer, rendered[:1])[0], first[0])
    other_weights = reference_logps(story_policy.scorer, rendered, ReferenceTable(tmp_path, "v"))
    assert not torch.equal(other_weights[0], first[0])


def test_a_damaged_or_unwritable_table_is_said_and_computed_anew(
    story_policy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    table = ReferenceTable(tmp_path, "w")
    table.path.write_bytes(b"this is no database" * 100)
    with caplog.at_level(logging.WARNING):
        numbers = reference_logps(story_policy.scorer, rendered, table)
    assert "cannot be read" in caplog.text
    torch.testing.assert_close(numbers[0], score(story_policy.scorer, rendered)[0])
    (tmp_path / "file").write_text("")
    blocked = ReferenceTable(tmp_path / "file" / "inside", "w")
    with caplog.at_level(logging.WARNING):
        reference_logps(story_policy.scorer, rendered, blocked)
    assert "cannot be written" in caplog.text


def test_the_table_answers_any_number_of_keys(tmp_path: Path) -> None:
    table = ReferenceTable(tmp_path, "w")
    keys = [number.to_bytes(32, "big") for number in range(2 * ASK_FOR + 100)]
    assert table.get(keys) == {}
    assert not table.path.exists()  # asking makes no file
    table.put({key: float(number) for number, key in enumerate(keys) if number % 2})
    assert table.get(keys) == {key: float(number) for number, key in enumerate(keys) if number % 2}
    assert table.get(keys[3:5]) == {keys[3]: 3.0}
    assert table.get([]) == {}


def test_of_two_runs_at_once_one_computes(story_policy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    scored: list[int] = []

    def run() -> list[torch.Tensor]:
        return reference_logps(story_policy.scorer, rendered, ReferenceTable(tmp_path, "w"))

    def slowly(scorer: Any, rows: Any, **options: Any) -> torch.Tensor:
        scored.append(len(rows))
        if len(scored) == 1:  # while the first run computes, the second one comes
            second.append(pool.submit(run))
            assert waiting.wait(30)
        return score_rows(scorer, rows, **options)

    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "another run is scoring the same rows" in record.getMessage():
                waiting.set()

    monkeypatch.setattr(reference, "score_rows", slowly)
    second: list[Future[list[torch.Tensor]]] = []
    waiting, handler = threading.Event(), Waiting()
    reference.log.addHandler(handler)
    try:
        with ThreadPoolExecutor(1) as pool:
            first = run()
            assert all(torch.equal(a, b) for a, b in zip(first, second[0].result(30), strict=True))
    finally:
        reference.log.removeHandler(handler)
    assert scored == [2]
    assert [path.suffix for path in tmp_path.iterdir()] == [".sqlite"]  # no lock is left


def test_runs_with_other_data_do_not_wait(tmp_path: Path) -> None:
    table = ReferenceTable(tmp_path, "w")
    with table.locked([b"a", b"b"]), table.locked([b"a"]):  # would hang if it were the same lock
        assert len(list(tmp_path.glob(".*.lock"))) == 2
    assert not list(tmp_path.glob(".*.lock"))


def test_where_nothing_can_be_locked_each_run_scores_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.INFO), ReferenceTable(tmp_path / "file" / "inside", "w").locked([b"a"]):
        assert "no lock for the reference table" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_fingerprint_tells_which_tensor_holds_what() -> None:
    class Two(torch.nn.Module):
        def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Parameter(first), torch.nn.Parameter(second)

    a, b = torch.zeros(2, 2), torch.ones(2, 2)
    prints = [fingerprint(Two(*pair)) for pair in ((a, b), (b, a), (a, a), (a, a.clone()), (a.T, b), (a, b.half()))]
    assert prints[2] == prints[3]  # tied or only equal
    assert prints[0] == prints[4]
    assert len(set(prints)) == 4
    striped = torch.arange(4.0).view(2, 2)  # one place in memory, two contents
    assert fingerprint(Two(striped, striped.T)) == fingerprint(Two(striped, striped.T.contiguous()))


def test_the_fingerprint_is_that_of_the_base_weights(stories: str, story_policy: Any) -> None:
    own = fingerprint(story_policy.model)
    assert fingerprint(load_policy(stories, device="cpu").model) == own
    adapted = load_policy(stories, lora=LoRA(rank=2), device="cpu")
    assert fingerprint(adapted.model) == own
    disturb(adapted.model)
    assert fingerprint(adapted.model) == own
    disturb(story_policy.model, 1e-6)
    assert fingerprint(story_policy.model) != own


def test_the_lora_policys_reference_is_itself_without_adapters(stories: str, story_policy: Any) -> None:
    adapted = load_policy(stories, template="plain", lora=LoRA(rank=2), device="cpu")
    rendered = [adapted.renderer.render(group) for group in GROUPS]
    base = score(story_policy.scorer, rendered)
    torch.testing.assert_close(score(adapted.scorer, rendered)[0], base[0], atol=1e-4, rtol=0)
    disturb(adapted.model)
    reference = Reference.of_policy(adapted.scorer)
    assert reference.scorer is adapted.scorer
    with reference.active() as scorer:
        torch.testing.assert_close(score(scorer, rendered)[0], base[0], atol=1e-4, rtol=0)
    assert float((score(adapted.scorer, rendered)[0] - base[0]).abs().max()) > 0.01


def test_the_kl_is_exact_zero_at_the_reference_and_by_definition_elsewhere(story_policy: Any) -> None:
    reference = Reference.of_policy(story_policy.scorer)
    drawn = story_policy.sample(["Once upon a time", "Tom and Lily"], Sampling(n=2, max_new_tokens=10))
    rendered = [story_policy.renderer.render(group) for group in drawn]
    assert max(float(kl.abs().max()) for kl in sequence_kl(story_policy.scorer, reference, rendered)) < 1e-5
    disturb(story_policy.model)
    got = sequence_kl(story_policy.scorer, reference, rendered, budget=32)
    for row, kls in zip(rendered, got, strict=True):
        for branch, kl in zip(row.branches, kls, strict=True):
            ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
            with torch.no_grad():
                p = torch.log_softmax(story_policy.model(input_ids=ids).logits[0], -1)
                q = torch.log_softmax(reference.scorer.model(input_ids=ids).logits[0], -1)
            per_token = (p.exp() * (p - q)).sum(-1)[len(row.prompt_ids) - 1 : -1]
            assert float(kl) == pytest.approx(float(per_token.sum()), abs=1e-4)
            assert float(kl) > 0.01


def test_a_flipped_number_of_the_table_is_computed_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = ReferenceTable(tmp_path, "w")
    table.put({b"a": -1.5, b"b": -2.5})
    with closing(sqlite3.connect(table.path)) as db, db:
        db.execute("UPDATE scores SET logps = -1.75 WHERE key = ?", (b"a",))
    assert table.get([b"a", b"b"]) == {b"b": -2.5}
    assert "1 rows of the reference table" in caplog.text
    table.put({b"a": -1.5})
    assert table.get([b"a", b"b"]) == {b"a": -1.5, b"b": -2.5}
    table.path.rename(tmp_path / "v.sqlite")
    assert ReferenceTable(tmp_path, "v").get([b"a"]) == {}  # another model's table under this one's name
