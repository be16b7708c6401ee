"""`penchant data check`: every count, on files where the right answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from chat_templates import CHATML, LLAMA2, renderer
from penchant.data.check import check_preferences
from penchant.data.check import check_preferences as check
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.templates import boundary_warnings
from penchant.errors import InputError
from penchant.types import PromptGroup
from template_families import family_tokenizer


def trl(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def save(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@dataclass(frozen=True)
class FakeRendered:
    unstable: tuple[bool, ...]
    lengths: tuple[int, ...]
    branches: tuple[str, ...]
    moved_boundary: ClassVar = False
    stripped_thoughts: ClassVar = False


@dataclass(frozen=True)
class FakeRenderer:
    """A word is a token; a response that begins without white space merges with its prompt."""

    max_length: int | None = None
    context: int | None = None
    tokenizer: ClassVar = SimpleNamespace(all_special_tokens=[])
    chat_template: ClassVar = None

    def render(self, group: PromptGroup) -> FakeRendered:
        assert self.max_length is None, "lengths must be measured before any cut"
        if group.prompt == "unrenderable":
            raise InputError(f"{group.source}: the template refuses this")
        prompt = len(str(group.prompt).split())
        return FakeRendered(
            tuple(not response.text.startswith(" ") for response in group.responses),
            tuple(prompt + len(response.text.split()) for response in group.responses),
            tuple(response.text for response in group.responses),
        )


def test_every_count_of_a_bad_file(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.jsonl",
        trl("p", "a", "bb"),  # the shorter wins
        trl("p", "bb", "a"),  # contradicts it
        trl("p", "a", "bb"),  # repeats the first
        trl("q", "long", "no"),
        trl("q", "", "no"),
        trl("q", "same", "same"),
        "nonsense",
        {"prompt": "q", "chosen": "x"},
        {"prompt": "q", "responses": ["a", "b"]},
        trl("r", "Human: me", "r it is"),
    )
    report = check_preferences(path)
    assert (report.layout, report.rows, len(report.bad_rows)) == ("trl", 10, 5)
    assert report.bad_kinds == {"empty": 1, "identical": 1, "damaged": 1, "missing": 1, "mixed": 1}
    assert [row.split(": ")[0] for row in report.bad_rows] == [f"a.jsonl:{n}" for n in (5, 6, 7, 8, 9)]
    assert (report.groups, report.responses, report.comparisons) == (3, 6, 5)
    assert report.responses_per_prompt == {2: 3}
    assert (report.ties, report.duplicates, report.contradictions) == (0, 1, 1)
    assert (report.longer_won, report.longer_compared) == (
        3,
        4,
    )  # merged: bb > a, long > no, Human: me > r it is
    assert report.longer_wins == 0.75
    assert report.speaks_for_both == 1
    assert report.lengths["response (characters)"].longest == 9
    assert report.tokens is None
    assert "5 of 10 rows cannot be used" in report.problems[0]
    assert any("preferred in both directions" in problem for problem in report.problems)


def test_ties_and_annotators(tmp_path: Path) -> None:
    comparisons = [
        {"winner": 0, "loser": 1, "annotator": "x"},
        {"winner": 1, "loser": 0, "annotator": "x"},
        {"winner": 0, "loser": 1, "annotator": "y", "tie": True},
    ]
    report = check(
        save(tmp_path / "a.jsonl", {"prompt": "p", "responses": ["a", "b", "a"], "comparisons": comparisons})
    )
    assert (report.ties, report.annotators, report.contradictions_same_annotator) == (1, 2, 1)
    assert report.repeated_responses == 1
    assert any("1 of 3 comparisons are ties" in problem for problem in report.problems)


def test_lengths_are_summaries(tmp_path: Path) -> None:
    report = check(
        save(tmp_path / "a.jsonl", *[trl(f"p{n}", "x" * n, "") for n in range(1, 3)], trl("p", "abc", "d e"))
    )
    summary = report.lengths["response (characters)"]
    assert (summary.count, summary.mean, summary.median, summary.p95, summary.longest) == (2, 3.0, 3.0, 3, 3)
    assert report.lengths["response (words)"].mean == 1.5
    twenty = check(save(tmp_path / "b.jsonl", *[trl("p" * n, "a", "b") for n in range(1, 21)]))
    assert twenty.lengths["prompt (characters)"].p95 == 19
    assert twenty.lengths["prompt (characters)"].median == 10.5


def test_a_preference_for_length_is_worth_a_look(tmp_path: Path) -> None:
    longer = save(tmp_path / "a.jsonl", *[trl(f"p{n}", "long answer", "short") for n in range(20)])
    assert any("the longer response wins 100%" in problem for problem in check(longer).problems)
    few = save(tmp_path / "b.jsonl", *[trl(f"p{n}", "long answer", "short") for n in range(5)])
    assert check(few).problems == ()
    assert "nothing worth a look" in check(few).as_text()


def test_common_mistakes_are_worth_a_look(tmp_path: Path) -> None:
    repeated = check(save(tmp_path / "a.jsonl", trl("Say hi", "Say hi Hello", "Say hi No")))
    assert any("prompts stand again" in problem for problem in repeated.problems)
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    odd = check(save(tmp_path / "b.jsonl", {"prompt": turns, "chosen": "c", "rejected": "d"}))
    assert odd.odd_turns == 1
    alone = check(save(tmp_path / "c.jsonl", {"prompt": "p", "responses": ["a"]}))
    assert any("fewer than two responses" in problem for problem in alone.problems)
    assert any("no comparison" in problem for problem in alone.problems)


def test_a_renderer_adds_what_only_a_tokenizer_can_tell(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.jsonl",
        trl("one two", " three four five", " xxxxxxxxxxxxxxxxxxxxxxx"),
        trl("one", "glued", " apart"),
        trl("unrenderable", " a", " b"),
    )
    report = check_preferences(path, renderer=FakeRenderer(), max_length=4)
    assert report.tokens is not None
    assert report.tokens.lengths == ((5, 3), (2, 2), ())
    assert report.tokens.unstable == ("a.jsonl:2",)
    assert report.tokens.too_long == ("a.jsonl:1",)
    assert report.tokens.unrenderable == ("a.jsonl:3: the template refuses this",)
    assert (report.longer_won, report.longer_compared, report.length_unit) == (1, 1, "tokens")
    assert report.lengths["prompt + response (tokens)"].longest == 5
    text = report.as_text()
    assert "longer than 4 tokens" in text
    assert "1 responses are tokenized differently at the boundary" in text
    assert "1 prompts cannot be tokenized" in text


def test_the_renderers_own_limit_is_used(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("one two", " three four five", " six"))
    report = check_preferences(path, renderer=FakeRenderer(max_length=4))
    assert report.tokens is not None
    assert (report.tokens.max_length, report.tokens.too_long) == (4, ("a.jsonl:1",))
    assert check_preferences(path, renderer=FakeRenderer()).tokens.too_long == ()  # type: ignore[union-attr]


def test_the_report_is_json_and_lists_at_most_twenty_rows_as_text(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("p", "a", "b"), *[trl("p", "a", "a")] * 30)
    report = check_preferences(path, renderer=FakeRenderer())
    values = json.loads(json.dumps(report.as_dict()))
    assert len(values["bad_rows"]) == 30
    assert values["responses_per_prompt"] == {"2": 1}
    assert values["longer_wins"] is None
    assert "lengths" not in values["tokens"]
    text = report.as_text()
    assert "a.jsonl:21:" in text
    assert "a.jsonl:22:" not in text
    assert "(+10 more)" in text


def test_what_cannot_be_read_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="unknown layout"):
        check(save(tmp_path / "b.jsonl", {"foo": 1}))
    with pytest.raises(InputError, match="the file is empty"):
        check(save(tmp_path / "c.jsonl"))


def test_real_files(shared_data: Callable[[str], Path]) -> None:
    report = check(shared_data("hh_rlhf/harmless-base.test.jsonl.gz"))
    assert report.bad_kinds == {"history": 5, "empty": 4}
    assert report.responses_per_prompt == {2: 2299, 4: 2}
    assert report.longer_wins == pytest.approx(0.445, abs=0.001)
    assert (report.odd_turns, report.speaks_for_both) == (4, 32)
    report = check(shared_data("pandalm/testset-v1.json.gz"))
    assert (report.annotators, report.contradictions, report.contradictions_same_annotator) == (3, 62, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"prompt": "q", "responses": ["x", "y"], "scores": [3, 9]}], "its scores are no labels for kto"),
        ([{"prompt": "q", "responses": ["x", "y"], "scores": [1, 1]}], "every label is good"),
        ([{"prompt": "q", "responses": ["x", "y"]}], "holds no comparisons to train on"),
        ([{"prompt": "q", "completion": "x", "label": False}], "every label is bad"),
        ([{"prompt": "q", "responses": ["x", "y"], "scores": [0, 1]}], ""),
    ],
)
def test_a_file_that_no_method_learns_from_is_refused(tmp_path: Path, rows: list[Any], expected: str) -> None:
    refusals = check_preferences(save(tmp_path / "a.jsonl", *rows)).refusals
    assert len(refusals) == bool(expected)
    assert all(expected in refusal for refusal in refusals)


def test_rows_that_all_become_the_same_tokens_or_are_all_too_long_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trl("q", "Yes.", "Yes. "), trl("r", "No.", " No."))
    strips = renderer(LLAMA2)
    assert "every row says nothing" in check_preferences(path, renderer=strips).refusals[0]
    assert check_preferences(path, renderer=renderer(CHATML)).refusals == ()
    (long,) = check_preferences(path, renderer=renderer(CHATML), max_length=4, overflow="drop").refusals
    assert "longer than max_length=4, so overflow=drop leaves nothing" in long


def test_contradictions_are_refused_where_training_would_be_told_to(tmp_path: Path) -> None:
    pairs = save(tmp_path / "a.jsonl", trl("q", " a", " b"), trl("q", " b", " a"))
    rows = [{"prompt": "q", "completion": "x", "label": label} for label in (True, False)]
    labels = save(tmp_path / "b.jsonl", *rows)
    for path, words in ((pairs, "preferred in both directions"), (labels, "labelled both good and bad")):
        assert check_preferences(path).refusals == ()
        (refusal,) = check_preferences(path, contradictions="error").refusals
        assert words in refusal


def test_a_header_that_is_not_scored_is_told(tmp_path: Path) -> None:
    """As training tells it: by the same sentence."""
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "<think>a</think>b"}]
    asked = [*turns, {"role": "user", "content": "q"}]
    row = {
        "prompt": asked,
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    path = save(tmp_path / "a.jsonl", row)
    report = check_preferences(path, renderer=Renderer(family_tokenizer("nemotron3")))
    assert report.tokens is not None
    assert list(report.tokens.warnings[:2]) == boundary_warnings(1, 1)
    assert "in 1 groups the chat template writes another header" in report.tokens.warnings[0]
    assert report.tokens.unrenderable == ()
