"""Layouts with several responses or verdicts a row, and our own."""

from __future__ import annotations

from typing import Any

import pytest

from penchant.data.layouts.registry import PREFERENCES, detect
from penchant.data.sources.values import RowError
from penchant.types import Comparison, Message, PromptGroup, Response


def read(row: dict[str, Any]) -> tuple[str, PromptGroup]:
    layout = detect(row, PREFERENCES)
    assert layout is not None
    return layout.name, layout.parse(row, "")


def refused(row: dict[str, Any]) -> RowError:
    layout = detect(row, PREFERENCES)
    assert layout is not None
    with pytest.raises(RowError) as caught:
        layout.parse(row, "")
    return caught.value


OWN: dict[str, Any] = {"prompt": "p", "responses": ["a", "b", "c"]}


def test_our_own_layout_says_everything() -> None:
    row = {
        "prompt": [{"role": "user", "content": "p"}],
        "responses": ["a", {"text": "", "token_ids": [2], "count": 3}, {"text": "c", "finished": False}],
        "comparisons": [
            {"winner": 0, "loser": 2},
            {"winner": 2, "loser": 1, "tie": True, "annotator": "ann", "weight": 0.5},
        ],
        "scores": [1, -0.5, 2.25],
        "note": "anything else may stand here",
    }
    name, group = read(row)
    assert name == "penchant"
    assert group == PromptGroup(
        (Message("user", "p"),),
        ("a", Response("", (2,), count=3), Response("c", finished=False)),
        (Comparison(0, 2), Comparison(2, 1, True, "ann", 0.5)),
        (1.0, -0.5, 2.25),
    )


def test_tables_fill_optional_fields_with_null() -> None:
    response = {"text": "b", "token_ids": None, "finished": None, "count": None}
    comparison = {"winner": 0, "loser": 1, "tie": None, "annotator": None, "weight": None}
    row = {
        "prompt": "p",
        "responses": ["a", response],
        "comparisons": [comparison],
        "scores": None,
        "ranks": None,
    }
    assert read(row)[1] == PromptGroup("p", ["a", "b"], [Comparison(0, 1)])


def test_a_ranking_is_all_of_its_pairs() -> None:
    _, group = read({**OWN, "ranking": [2, 0, 1]})
    assert set(group.comparisons) == {Comparison(2, 0), Comparison(2, 1), Comparison(0, 1)}
    _, tied = read({**OWN, "ranking": [2, [0, 1]]})
    assert set(tied.comparisons) == {Comparison(2, 0), Comparison(2, 1), Comparison(0, 1, tie=True)}
    _, part = read({**OWN, "ranking": [2, 0]})
    assert part.comparisons == (Comparison(2, 0),)
    _, ranks = read({**OWN, "ranks": [2, 2, 1]})
    assert set(ranks.comparisons) == set(tied.comparisons)


def test_scores_of_ours_make_no_comparisons() -> None:
    assert read({**OWN, "scores": [1, 2, 3]})[1].comparisons == ()


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"responses": "a"}, "type", "field 'responses': expected a list of responses, got str ('a')"),
        ({"responses": ["a", 5, "c"]}, "type", "field 'responses[1]': expected an object, got int (5)"),
        ({"responses": ["a", "", "c"]}, "empty", "field 'responses[1]' is empty"),
        ({"responses": [{"txt": "a"}]}, "value", "field 'responses[0]': unknown 'txt'"),
        (
            {"responses": [{"text": "a", "count": 0}]},
            "value",
            "'responses[0].count': expected a whole number from 1",
        ),
        ({"responses": [{"text": "a", "token_ids": [1, -1]}]}, "value", "field 'responses[0].token_ids[1]'"),
        (
            {"responses": [{"text": "a", "finished": 1}]},
            "type",
            "'responses[0].finished': expected true or false",
        ),
        ({"comparisons": [[0, 1]]}, "type", "field 'comparisons[0]': expected an object, got list"),
        (
            {"comparisons": [{"winner": 0}]},
            "type",
            "field 'comparisons[0].loser': expected a whole number from 0 to 2",
        ),
        ({"comparisons": [{"winner": 0, "loser": 3}]}, "value", "from 0 to 2, got 3"),
        ({"comparisons": [{"winner": True, "loser": 0}]}, "type", "got bool (True)"),
        ({"comparisons": [{"winner": 1, "loser": 1}]}, "identical", "winner and loser are both response 1"),
        ({"comparisons": [{"winner": 0, "loser": 1, "wieght": 2}]}, "value", "unknown 'wieght'"),
        ({"comparisons": [{"winner": 0, "loser": 1, "weight": -1}]}, "value", "expected a number above 0"),
        (
            {"comparisons": [{"winner": 0, "loser": 1, "weight": float("nan")}]},
            "value",
            "expected a finite number",
        ),
        (
            {"responses": ["a", "a"], "comparisons": [{"winner": 0, "loser": 1}]},
            "identical",
            "which are the same",
        ),
        (
            {"responses": ["a"], "comparisons": [{"winner": 0, "loser": 1}]},
            "value",
            "fewer than two responses",
        ),
        ({"scores": [1, 2]}, "value", "field 'scores': expected 3 items, one per response, got 2"),
        ({"scores": [1, 2, "x"]}, "type", "field 'scores[2]': expected a number, got str"),
        ({"scores": [1, 2, 10**400]}, "value", "expected a finite number"),
        ({"ranking": [0, 0, 1]}, "value", "response 0 stands in it twice"),
        ({"ranks": [1, 2]}, "value", "field 'ranks': expected 3 items"),
        ({"ranking": [0, 1], "ranks": [1, 2, 3]}, "value", "give only one of them"),
        ({"comparison": []}, "value", "field 'comparison' is unknown; did you mean 'comparisons'?"),
    ],
)
def test_bad_rows_of_ours_name_the_field(changes: dict[str, Any], kind: str, expected: str) -> None:
    error = refused({**OWN, **changes})
    assert expected in str(error)
    assert error.kind == kind


def test_a_list_of_answers_is_ordered_best_first() -> None:
    name, group = read({"instruction": "i", "input": "", "output": ["better", "worse"]})
    assert name == "ranked"
    assert group.prompt == (Message("user", "i"),)
    assert group.comparisons == (Comparison(0, 1),)
    _, three = read({"prompt": "p", "ranked": ["best", "middle", "worst"]})
    assert three.comparisons == (Comparison(0, 1), Comparison(0, 2), Comparison(1, 2))
    _, ranked = read({"prompt": "p", "answers": ["a", "b", "c"], "ranks": [3, 1, 1]})
    assert ranked.prompt == "p"
    assert set(ranked.comparisons) == {Comparison(1, 0), Comparison(2, 0), Comparison(1, 2, tie=True)}
    assert "at least two answers" in str(refused({"instruction": "i", "output": ["a"]}))
    assert refused({"instruction": "i", "output": ["a", "a"]}).kind == "identical"


def test_ultrafeedback_scores_make_comparisons() -> None:
    completions = [
        {"model": "x", "response": "a", "overall_score": 7.0},
        {"model": "y", "response": "b", "overall_score": 9.0},
        {"model": "z", "response": "c", "overall_score": 7.0},
    ]
    name, group = read({"instruction": "i", "completions": completions, "source": "s"})
    assert name == "ultrafeedback"
    assert group.scores == (7.0, 9.0, 7.0)
    assert set(group.comparisons) == {Comparison(1, 0), Comparison(0, 2, tie=True), Comparison(1, 2)}
    turned = {key: [completion[key] for completion in completions] for key in completions[0]}
    assert read({"instruction": "i", "completions": turned})[1] == group  # a table's struct of lists
    other = [{"text": "a", "score": 1}, {"text": "a", "score": 2}]
    assert read({"prompt": "p", "completions": other})[1].comparisons == ()  # identical: nothing to compare


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        ([], "field 'completions' is empty"),
        ([{"score": 1}], "field 'completions[0]': a completion needs one of response, text"),
        (
            [{"text": "a", "score": 1}, {"text": "b"}],
            "field 'completions[1].score': expected a number, got null",
        ),
        ([{"text": "a", "score": "N/A"}], "field 'completions[0].score': expected a number, got str"),
        ({"text": ["a"], "score": [1, 2]}, "its columns have different lengths"),
        ("a", "field 'completions': expected a list of objects"),
    ],
)
def test_bad_completions_name_the_field(completions: object, expected: str) -> None:
    assert expected in str(refused({"prompt": "p", "completions": completions}))


SUMMARIES: dict[str, Any] = {
    "info": {"id": "1", "post": "Long story.", "title": "Help", "subreddit": "advice", "article": None},
    "summaries": [
        {"text": " short", "policy": "ref", "note": ""},
        {"text": "shorter", "policy": "sup", "note": ""},
    ],
    "choice": 1,
    "worker": "w7",
    "batch": "b",
}


def test_openai_summaries() -> None:
    name, group = read(SUMMARIES)
    assert name == "openai-summaries"
    assert group.prompt == "SUBREDDIT: r/advice\nTITLE: Help\nPOST: Long story.\nTL;DR:"
    assert group.responses == (Response(" short"), Response(" shorter"))
    assert group.comparisons == (Comparison(1, 0, annotator="w7"),)
    article = {"article": "News.", "title": "T", "post": None, "subreddit": None}
    assert read({**SUMMARIES, "info": article})[1].prompt == "TITLE: T\nARTICLE: News.\nTL;DR:"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"choice": 2}, "field 'choice': expected a whole number from 0 to 1, got 2"),
        ({"choice": "x"}, "field 'choice': expected a whole number from 0 to 1, got str"),
        ({"info": {"title": "T"}}, "field 'info': expected 'post' (or 'article')"),
        ({"summaries": [{"text": "a"}]}, "expected two summaries, got 1"),
        ({"summaries": [{"text": "a"}, {"text": "a"}]}, "which are the same"),
        ({"summaries": [{"text": "a"}, {"note": "b"}]}, "field 'summaries[1].text': expected text, got null"),
    ],
)
def test_bad_summaries_name_the_field(changes: dict[str, Any], expected: str) -> None:
    assert expected in str(refused({**SUMMARIES, **changes}))


def test_pandalm_keeps_who_said_what() -> None:
    row = {
        "instruction": "i",
        "input": "x",
        "response1": "a",
        "response2": "b",
        "annotator1": 2,
        "annotator2": 0,
    }
    name, group = read({**row, "annotator3": 1, "annotator4": None})
    assert name == "pandalm"
    assert group.prompt == (Message("user", "i\n\nx"),)
    assert group.comparisons == (
        Comparison(1, 0, annotator="annotator1"),
        Comparison(0, 1, tie=True, annotator="annotator2"),
        Comparison(0, 1, annotator="annotator3"),
    )
    assert "field 'annotator2': expected a whole number from 0 to 2, got 3" in str(refused({**row, "annotator2": 3}))
    assert "field 'response1': expected text, got bool (True)" in str(refused({**row, "response1": True}))
    assert refused({**row, "response2": "a"}).kind == "identical"


FINEGRAINED: dict[str, Any] = {
    "question": "Why?",
    "passages": [["Title", "Title\n\nOne.", "Two."], ["Title", "Three."]],
    "gold": "because",
    **{f"prediction {number}": f"answer {number}" for number in (1, 2, 3, 4)},
    "preference": [1, 2, 0, 1, 2, 0],
}


def test_finegrained_rlhf_gives_four_responses_and_six_comparisons() -> None:
    name, group = read(FINEGRAINED)
    assert name == "finegrained-rlhf"
    assert group.prompt == "Passage 1: Title\nOne. Two.\n\nPassage 2: Title\nThree.\n\nQuestion: Why?\nAnswer:\n"
    assert [response.text for response in group.responses] == ["answer 1", "answer 2", "answer 3", "answer 4"]
    assert group.comparisons == (  # over 1-2, 1-3, 1-4, 2-3, 2-4, 3-4
        Comparison(0, 1),
        Comparison(2, 0),
        Comparison(0, 3, tie=True),
        Comparison(1, 2),
        Comparison(3, 1),
        Comparison(2, 3, tie=True),
    )
    assert "expected 6 verdicts" in str(refused({**FINEGRAINED, "preference": [1]}))
    assert "field 'preference[5]'" in str(refused({**FINEGRAINED, "preference": [1, 2, 0, 1, 2, 9]}))
    assert "field 'passages[0]'" in str(refused({**FINEGRAINED, "passages": ["text"]}))


ALPACA: dict[str, Any] = {"instruction": "p", "output_1": "a", "output_2": "b", "preference": 1.2}


@pytest.mark.parametrize(
    ("preference", "comparison"),
    [
        (1.2, Comparison(0, 1, annotator="j")),
        (2, Comparison(1, 0, annotator="j")),
        (1.5, Comparison(0, 1, True, "j")),
        (0, Comparison(0, 1, True, "j")),
    ],
)
def test_alpaca_eval_has_a_judges_probability(preference: float, comparison: Comparison) -> None:
    name, group = read({**ALPACA, "preference": preference, "annotator": "j"})
    assert name == "alpaca-eval"
    assert group == PromptGroup((Message("user", "p"),), ("a", "b"), (comparison,))


def test_alpaca_eval_refuses_other_preferences() -> None:
    assert "from 1 to 2" in str(refused({**ALPACA, "preference": 0.4}))
    assert "the same" in str(refused({**ALPACA, "output_2": "a"}))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "p", "responses": [{"text": "a", "count": 10**9}]}, "whole number from 1 to 1000000"),
        ({"prompt": "p", "responses": list(map(str, range(1_001))), "ranks": list(range(1_001))}, "at most 1,000"),
        ({"prompt": "p", "ranked": list(map(str, range(1_001)))}, "1,001 responses are ranked"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [10**400, 1]}, "finite number"),
    ],
)
def test_counts_and_rankings_are_bounded(row: dict[str, Any], expected: str) -> None:
    layout = detect(row, PREFERENCES)
    assert layout is not None
    with pytest.raises(RowError, match=expected):
        layout.parse(row, "here:1")


def test_ranks_of_any_size_are_ranks() -> None:
    layout = detect({"prompt": "p", "responses": ["a", "b"]}, PREFERENCES)
    assert layout is not None
    group = layout.parse({"prompt": "p", "responses": ["a", "b"], "ranks": [10**9, 1]}, "here:1")
    assert [(each.winner, each.loser) for each in group.comparisons] == [(1, 0)]
