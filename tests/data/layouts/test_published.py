"""Published data sets: verdicts, ratings, ties and annotators are those that their cards describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.data.check import check_preferences
from penchant.data.load import LoadedPreferences, load_prompts, read_preferences
from penchant.errors import InputError
from penchant.types import Comparison, Message

BASE = {"prompt": "Name a river.", "response_0": "A chair.", "response_1": "The Po."}
BATTLE = {"model_a": "x", "model_b": "y", "judge": "ann"}
WRITTEN = {"prompt": '["Name a river."]', "response_a": '["A chair."]', "response_b": '["The Po."]'}
HELPSTEER = {"correctness": 1, "coherence": 4, "complexity": 2}


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], **options: Any) -> LoadedPreferences:
        return read_preferences(save(tmp_path / "a.jsonl", *rows), **{"ties": "half", **options})

    return load


@pytest.fixture
def refusal(read: Any) -> Any:
    def say(*rows: dict[str, Any], **options: Any) -> str:
        with pytest.raises(InputError) as caught:
            read(*rows, **options)
        return str(caught.value)

    return say


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]


def battle(first: list[dict[str, str]], second: list[dict[str, str]], **values: Any) -> dict[str, Any]:
    return BATTLE | {"conversation_a": first, "conversation_b": second} | values


@pytest.mark.parametrize(("labels", "scores", "winner"), [(1, (9, 3), 0), (0, (3, 9), 1)])
def test_shp_prefers_a_where_the_label_is_one(read: Any, labels: int, scores: tuple[int, int], winner: int) -> None:
    row = {"history": "Why?", "human_ref_A": "So.", "human_ref_B": "Thus.", "labels": labels}
    loaded = read(row | {"score_A": scores[0], "score_B": scores[1], "score_ratio": 3.0})
    (group,) = loaded.groups
    assert (loaded.layout, group.prompt, group.scores) == ("shp", "Why?", tuple(map(float, scores)))
    assert group.comparisons == (Comparison(winner, 1 - winner),)


def test_shp_whose_votes_contradict_its_label_is_a_bad_row(refusal: Any) -> None:
    row = {"history": "Why?", "human_ref_A": "So.", "human_ref_B": "Thus.", "labels": 1, "score_A": 2, "score_B": 4}
    assert "field 'labels' prefers A, whose score is 2, to a comment with 4" in refusal(row)


@pytest.mark.parametrize(
    ("scores", "comparison"),
    [((0.5, -0.5), Comparison(0, 1)), ((-1, 1), Comparison(1, 0)), ((0, 0), Comparison(0, 1, tie=True))],
)
def test_webgpt_compares_by_its_scores(read: Any, scores: tuple[float, float], comparison: Comparison) -> None:
    quotes = {"quotes_0": {"title": ["t"], "extract": ["some text"]}}
    row = {"question": {"full_text": "Why?"}, "answer_0": "So.", "answer_1": "Thus."} | quotes
    loaded = read(row | {"score_0": scores[0], "score_1": scores[1]})
    assert loaded.groups[0].prompt == "Why?"
    assert loaded.groups[0].comparisons == (comparison,)
    assert "quotes_0" in loaded.unread


def test_saferlhf_takes_the_verdict_that_is_named(read: Any, refusal: Any) -> None:
    row = BASE | {"better_response_id": 1, "safer_response_id": 0}
    assert read(row, score="better").groups[0].comparisons == (Comparison(1, 0),)
    assert read(row, score="safer").groups[0].comparisons == (Comparison(0, 1),)
    assert read(row, score="safer").ratings == {"safer_response_id": 1}
    assert "name different responses: choose which counts (data.score=better or data.score=safer)" in refusal(row)
    assert read(row | {"safer_response_id": 1}).groups[0].comparisons == (Comparison(1, 0),)
    assert "data.score: expected one of better, safer, got 'bettr'; did you mean 'better'?" in refusal(
        row, score="bettr"
    )
    assert "data.score=safer: the row has no field 'safer_response_id'" in refusal(
        BASE | {"better_response_id": 1}, score="safer"
    )


@pytest.mark.parametrize(
    ("strength", "margin", "comparison"),
    [
        (-3, 0, Comparison(0, 1, weight=3)),
        (1, 0, Comparison(1, 0)),
        (0, 0, Comparison(0, 1, tie=True)),
        (1, 2, Comparison(0, 1, tie=True)),
        (2, 2, Comparison(1, 0, weight=2)),
    ],
)
def test_helpsteer2_strengths_are_weights(read: Any, strength: int, margin: float, comparison: Comparison) -> None:
    row = {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": strength}
    assert read(row, margin=margin).groups[0].comparisons == (comparison,)


def test_helpsteer2_prompts_of_several_turns_become_turns(read: Any) -> None:
    prompt = "Hi.\n<extra_id_1>Assistant\nHello.\n<extra_id_1>User\nName a river."
    rows = [
        HELPSTEER | {"prompt": prompt, "response": "The Po.", "helpfulness": 4, "verbosity": 2},
        HELPSTEER | {"prompt": prompt, "response": "A chair.", "helpfulness": 1, "verbosity": 0},
    ]
    (group,) = read(*rows).groups
    assert group.prompt == (Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "Name a river."))


def test_helpsteer_rows_of_one_prompt_are_compared_by_the_rating_that_is_named(read: Any, refusal: Any) -> None:
    rows = [
        HELPSTEER | {"prompt": "p", "response": "long", "helpfulness": 3, "verbosity": 4},
        HELPSTEER | {"prompt": "q", "response": "alone", "helpfulness": 3, "verbosity": 4},
        HELPSTEER | {"prompt": "p", "response": "short", "helpfulness": 2, "verbosity": 1},
    ]
    helpful = read(*rows)
    assert (helpful.groups[0].scores, helpful.groups[0].comparisons) == ((3.0, 2.0), (Comparison(0, 1),))
    assert helpful.groups[1].comparisons == ()
    assert helpful.ratings == {"helpfulness": 3}
    assert read(*rows, score="correctness").groups[0].comparisons == (Comparison(0, 1, tie=True),)
    # 3 - 0.5 * 4 = 1 is less than 2 - 0.5 * 1 = 1.5
    weighed = read(*rows, score={"helpfulness": 1, "verbosity": -0.5})
    assert (weighed.groups[0].scores, weighed.groups[0].comparisons) == ((1.0, 1.5), (Comparison(1, 0),))
    assert weighed.ratings == {"helpfulness - 0.5 * verbosity": 3}
    assert read(*rows, margin=1).groups[0].comparisons == (Comparison(0, 1),)
    assert read(*rows, margin=1.5).groups[0].comparisons == (Comparison(0, 1, tie=True),)
    assert "no rating 'helpfullness'; did you mean 'helpfulness'?" in refusal(*rows, score="helpfullness")


def test_the_check_states_the_rule_that_was_used(tmp_path: Path) -> None:
    rows = [HELPSTEER | {"prompt": "p", "response": text, "helpfulness": 3, "verbosity": 1} for text in "ab"]
    path = save(tmp_path / "a.jsonl", *rows)
    report = check_preferences(path, score={"helpfulness": 2, "verbosity": -1}, margin=0.5)
    assert "rating that compares           2 * helpfulness - verbosity; nearer than 0.5 is a tie" in report.as_text()
    assert report.as_dict()["ratings"] == {"2 * helpfulness - verbosity": 2}


def test_a_response_that_was_rated_twice_has_the_mean(read: Any) -> None:
    rows = [{"prompt": "p", "response": text, "score": score} for text, score in (("a", 1), ("b", 2), ("a", 5))]
    (group,) = read(*rows).groups
    assert (group.scores, group.comparisons) == ((3.0, 2.0), (Comparison(0, 1),))


def rated_by(rater: str, **ratings: float) -> list[dict[str, Any]]:
    return [{"prompt": "p", "response": text, "rating": score, "rater": rater} for text, score in ratings.items()]


def test_a_harsh_rater_does_not_change_who_wins(read: Any) -> None:
    # Both prefer a to b and b to c, and the harsh one rated the best two alone: the means say c.
    rows = [*rated_by("kind", a=9, b=8, c=7), *rated_by("harsh", a=2, b=1)]
    (group,) = read(*rows).groups
    a_over_b, a_over_c, b_over_c = (0, 1), (0, 2), (1, 2)
    compared = {(pair.annotator, (pair.winner, pair.loser)) for pair in group.comparisons}
    assert compared == {("kind", a_over_b), ("kind", a_over_c), ("kind", b_over_c), ("harsh", a_over_b)}
    assert group.scores == (5.5, 4.5, 7.0)
    (means,) = read(*rows, columns={"rater": None}).groups
    assert {(pair.winner, pair.loser) for pair in means.comparisons} == {(0, 1), (2, 0), (2, 1)}
    assert {pair.annotator for pair in means.comparisons} == {None}
    # nearer than the margin is a tie of that rater's
    (near,) = read(*rows, margin=1.5).groups
    assert [pair.tie for pair in near.comparisons] == [True, False, True, True]


def test_ratings_within_raters_are_said_aloud(read: Any, tmp_path: Path) -> None:
    rows = [
        *rated_by("Ann", a=2, b=1),
        *({**row, "prompt": "q"} for row in rated_by("Ann", c=1) + rated_by("Bob", d=2)),
    ]
    found = read(*rows)
    assert found.ratings == {"rating, within each rater": 4}
    (sentence,) = [warning for warning in found.warnings if "within each rater (2 in all)" in warning]
    assert "data.columns={rater: null} compares means over all" in sentence
    assert "Of 1 of 2 prompts nobody rated two responses, so they have no comparison" in sentence
    # a column of another name, and rows that do not say who rated
    renamed = [{**row, "who": row["rater"], "rater": "left out"} for row in rows[:2] + rated_by("", c=3, d=3)]
    (group,) = read(*renamed, columns={"annotator": "who", "rater": None}).groups
    assert [(pair.annotator, pair.tie) for pair in group.comparisons] == [("Ann", False), (None, True)]
    report = check_preferences(save(tmp_path / "a.jsonl", *rows)).as_text()
    assert "within each rater (2 in all)" in report


def test_helpsteer3_reads_the_overall_verdict_or_the_votes(read: Any, refusal: Any) -> None:
    votes = [{"score": -1, "reasoning": "r"}, {"score": 0, "reasoning": "r"}, {"score": 3, "reasoning": "r"}]
    row = {"context": turns("p"), "response1": "a", "response2": "b", "overall_preference": -2}
    row["individual_preference"] = votes
    assert read(row).groups[0].comparisons == (Comparison(0, 1, weight=2),)
    individual = read(row, score="individual").groups[0].comparisons
    assert individual == (
        Comparison(0, 1, annotator="vote 1"),
        Comparison(0, 1, tie=True, annotator="vote 2"),
        Comparison(1, 0, annotator="vote 3", weight=3),
    )
    assert "expected a number from -3 to 3, got 4" in refusal(row | {"overall_preference": 4})


def test_nectar_ranks_one_best(read: Any, refusal: Any) -> None:
    answers = [{"answer": text, "model": "m", "rank": rank} for text, rank in (("worst", 3), ("best", 1), ("tied", 3))]
    row = {"prompt": "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Go on\n\nAssistant: ", "answers": answers}
    (group,) = read(row).groups
    assert group.prompt == (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go on"))
    assert group.comparisons == (Comparison(1, 0), Comparison(0, 2, tie=True), Comparison(1, 2))
    answers[0]["rank"] = -1
    assert "-1 is no place" in refusal(row)


@pytest.mark.parametrize(
    ("winner", "comparison"),
    [
        ("model_a", Comparison(0, 1, annotator="ann")),
        ("model_b", Comparison(1, 0, annotator="ann")),
        ("tie", Comparison(0, 1, tie=True, annotator="ann")),
        ("tie (bothbad)", Comparison(0, 1, tie=True, annotator="ann")),
        ("both_bad", Comparison(0, 1, tie=True, annotator="ann")),
    ],
)
def test_battles_keep_winner_and_judge(read: Any, winner: str, comparison: Comparison) -> None:
    (group,) = read(battle(turns("Hi", "a"), turns("Hi", "b"), winner=winner)).groups
    assert group.prompt == (Message("user", "Hi"),)
    assert [response.text for response in group.responses] == ["a", "b"]
    assert group.comparisons == (comparison,)


def test_battles_compare_last_answers_where_the_turns_before_agree(read: Any, refusal: Any) -> None:
    same = battle(turns("Hi", "yes", "Go on", "a"), turns("Hi", "yes", "Go on", "b"), winner="model_b")
    (group,) = read(same).groups
    assert [turn.content for turn in group.prompt] == ["Hi", "yes", "Go on"]
    other = battle(turns("Hi", "no", "Go on", "a"), turns("Hi", "yes", "Go on", "b"), winner="model_b")
    assert "differ before their last answers (first at turn 2)" in refusal(other)
    loaded = read(same, other, bad_rows="skip")
    assert (len(loaded.groups), loaded.skipped_rows) == (1, 1)
    assert any("left out 1 of 2 rows" in warning for warning in loaded.warnings)


def test_mt_bench_compares_the_turn_that_was_judged(read: Any, refusal: Any) -> None:
    row = battle(turns("Hi", "a", "Go on", "c"), turns("Hi", "b", "Go on", "d"), winner="model_a", turn=1)
    (group,) = read(row).groups
    assert [response.text for response in group.responses] == ["a", "b"]
    assert "differ before their last answers" in refusal(row | {"turn": 2})
    assert "field 'turn' is 3, but 'conversation_a' has 2 answers" in refusal(row | {"turn": 3})
    (judged,) = read(row | {"judge": ["gpt-4", "pair-v2"]}).groups
    assert judged.comparisons == (Comparison(0, 1, annotator="gpt-4 pair-v2"),)


def test_battles_that_cannot_be_read_say_why(refusal: Any) -> None:
    assert "expected the side that won" in refusal(battle(turns("Hi", "a"), turns("Hi", "b"), winner="left or so"))
    assert "its last turn must be the assistant's" in refusal(battle(turns("Hi"), turns("Hi", "b"), winner="tie"))
    assert "which are the same" in refusal(battle(turns("Hi", "a"), turns("Hi", "a"), winner="tie"))


@pytest.mark.parametrize(
    ("outcome", "comparison"),
    [((1, 0, 0), Comparison(0, 1)), ((0, 1, 0), Comparison(1, 0)), ((0, 0, 1), Comparison(0, 1, tie=True))],
)
def test_arena_texts_have_one_outcome(read: Any, outcome: tuple[int, ...], comparison: Comparison) -> None:
    names = ("winner_model_a", "winner_model_b", "winner_tie")
    (group,) = read(WRITTEN | dict(zip(names, outcome, strict=True))).groups
    assert group.prompt == (Message("user", "Name a river."),)
    assert group.comparisons == (comparison,)


def test_arena_texts_that_cannot_be_read_say_why(refusal: Any) -> None:
    won = {"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
    assert "exactly one of them must be 1" in refusal(WRITTEN | won | {"winner_tie": 1})
    assert "expected as many answers as prompts" in refusal(WRITTEN | won | {"response_a": '["a", "b"]'})
    assert "field 'response_a[0]': expected text, got null" in refusal(WRITTEN | won | {"response_a": "[null]"})
    long = {"prompt": '["p", "q"]', "response_a": '["a", "b"]', "response_b": '["c", "d"]'}
    assert "differ before their last answers (first at turn 2)" in refusal(long | won)


def test_rewardbench2_ties_right_answers_in_its_subset_of_ties(read: Any, refusal: Any) -> None:
    row = {"prompt": "p", "chosen": ["a", "b"], "rejected": ["c"], "num_correct": 2, "subset": "Ties"}
    wins = (Comparison(0, 2), Comparison(1, 2))
    assert read(row).groups[0].comparisons == (*wins, Comparison(0, 1, tie=True))
    assert read(row | {"subset": "Math"}).groups[0].comparisons == wins
    assert "field 'num_correct' is 3, but the row has 2 of them" in refusal(row | {"num_correct": 3})


def test_dahoas_transcripts_are_turns_and_said_to_be(read: Any) -> None:
    row = {"prompt": "\n\nHuman: Hi\n\nAssistant:", "response": " a", "chosen": " a", "rejected": " b"}
    loaded = read(row)
    assert loaded.groups[0].prompt == (Message("user", "Hi"),)
    assert loaded.unread == {}
    assert any("which are read as its turns; data.layout=trl" in warning for warning in loaded.warnings)
    assert read(row, layout="trl").groups[0].prompt == row["prompt"]


ASPECTS = {"honesty": {"Rating": "4", "Rationale": "r"}, "helpfulness": {"Rating": "2", "Rationale": "r"}}
OTHER = {"honesty": {"Rating": "3", "Rationale": "r"}, "helpfulness": {"Rating": "5", "Rationale": "r"}}
COMPLETIONS = [
    {"response": "a", "model": "m", "overall_score": 8, "annotations": ASPECTS, "critique": "Good."},
    {"response": "b", "model": "n", "overall_score": 6, "annotations": OTHER, "critique": "Bad."},
]


def test_ultrafeedback_compares_by_the_aspect_that_is_named(read: Any, refusal: Any) -> None:
    row = {"instruction": "p", "completions": COMPLETIONS}
    overall = read(row)
    assert (overall.groups[0].scores, overall.ratings) == ((8.0, 6.0), {"overall_score": 1})
    assert overall.unread == {"completions[].annotations": 1, "completions[].critique": 1}
    assert read(row, score="helpfulness").groups[0].comparisons == (Comparison(1, 0),)
    assert read(row, score={"helpfulness": 1, "honesty": 4}).groups[0].scores == (18.0, 17.0)
    assert "no rating 'completions[0].honest'; did you mean 'honesty'?" in refusal(row, score="honest")


def test_a_rating_that_is_named_decides_a_pair_by_itself(read: Any, refusal: Any) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 2, "score_rejected": 1}
    row |= {"chosen_helpfulness": 1, "rejected_helpfulness": 4}
    assert read(row).ratings == {"score_chosen and score_rejected": 1}
    helpful = read(row, score="helpfulness")
    assert (helpful.groups[0].scores, helpful.groups[0].comparisons) == ((1.0, 4.0), (Comparison(1, 0),))
    assert read(row, margin=2).groups[0].comparisons == (Comparison(0, 1, tie=True),)
    assert "no rating 'honesty' of both responses" in refusal(row, score="honesty")


def test_a_choice_of_ratings_that_chooses_nothing_is_refused(refusal: Any) -> None:
    pair = {"prompt": "p", "chosen": "a", "rejected": "b"}
    assert "data.margin=1 compares ratings, and no row has any" in refusal(pair, margin=1)
    assert "no rating 'x' of both responses" in refusal(pair, score="x")
    own = {"prompt": "p", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1}]}
    assert "data.score='x' chooses between ratings, and the rows of the layout penchant have none" in refusal(
        own, score="x"
    )
    strength = {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": 1}
    assert "the rows have preference_strength and nothing else to compare by, got 'helpfulness'" in refusal(
        strength, score="helpfulness"
    )
    assert "margin must be a number from 0 up" in refusal(pair, margin=-1)
    assert "at least one rating by a number that is not 0" in refusal(pair, score={"a": 0})


def result(output: str, score: float, **values: Any) -> dict[str, Any]:
    base = {"prompt": {"raw": "Name a river.", "label": "l"}, "response": {"output": output}, "score": score}
    return base | {"success": score > 0.5, "vars": {"kind": "river"}, "provider": {"id": output}} | values


def test_promptfoo_compares_the_answers_to_one_rendered_prompt(read: Any, refusal: Any, tmp_path: Path) -> None:
    rows = [result("a", 0, namedScores={"short": 1}), result("b", 1, namedScores={"short": 0.5})]
    loaded = read(*rows)
    assert (loaded.layout, loaded.groups[0].prompt) == ("promptfoo", "Name a river.")
    assert (loaded.groups[0].scores, loaded.groups[0].comparisons) == ((0.0, 1.0), (Comparison(1, 0),))
    assert set(loaded.unread) == {"prompt.label", "provider", "vars"}
    assert read(*rows, score="short").groups[0].comparisons == (Comparison(0, 1),)
    document = {"evalId": "e", "results": {"version": 3, "prompts": [{"raw": "r"}], "results": rows}, "config": {}}
    for name, indent in (("pretty.json", 1), ("line.json", None)):
        (tmp_path / name).write_text(json.dumps(document, indent=indent), encoding="utf-8")
        assert read_preferences(tmp_path / name).groups == loaded.groups
    chat = result("a", 1, prompt={"raw": json.dumps(turns("Hi"))})
    assert read(chat).groups[0].prompt == (Message("user", "Hi"),)
    assert "field 'response' is null" in refusal(rows[0], {**rows[0], "response": None, "error": "timeout"})


def annotation(person: int, *results: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"completed_by": person, "result": list(results), "was_cancelled": False} | values


def choice(side: str, target: str = "a1,a2") -> dict[str, Any]:
    return {"from_name": "pw", "to_name": target, "type": "pairwise", "value": {"selected": side}}


def stars(control: str, number: float) -> dict[str, Any]:
    return {"from_name": control, "to_name": "answer", "type": "rating", "value": {"rating": number}}


def test_label_studio_comparisons_keep_their_annotators(read: Any, refusal: Any) -> None:
    data = {"prompt": "Name a river.", "a1": "The Po.", "a2": "A chair."}
    given = [
        annotation(7, choice("left")),
        annotation(8, choice("right")),
        annotation(9, choice("left"), was_cancelled=True),
    ]
    (group,) = read({"id": 1, "data": data, "annotations": given}).groups
    assert group.prompt == "Name a river."
    assert group.comparisons == (Comparison(0, 1, annotator="7"), Comparison(1, 0, annotator="8"))
    named = {
        "id": 1,
        "data": {"prompt": "p", "text1": "a", "text2": "b"},
        "annotations": [annotation(7, choice("right"))],
    }
    assert "none is 'a1', which the annotations are about" in refusal(named)
    (renamed,) = read(named, columns={"a1": "data.text1", "a2": "data.text2"}).groups
    assert renamed.comparisons == (Comparison(1, 0, annotator="7"),)
    assert "nobody compared or rated anything" in refusal({"data": data, "annotations": []})


def test_label_studio_ratings_are_averaged_and_compared(read: Any, refusal: Any) -> None:
    rows = [
        {
            "data": {"prompt": "p", "answer": "a"},
            "annotations": [annotation(1, stars("q", 5)), annotation(2, stars("q", 2))],
        },
        {"data": {"prompt": "p", "answer": "b"}, "annotations": [annotation(1, stars("q", 4))]},
    ]
    (group,) = read(*rows).groups
    assert (group.scores, group.comparisons) == ((3.5, 4.0), (Comparison(1, 0),))
    two = {"data": {"prompt": "p", "answer": "a"}, "annotations": [annotation(1, stars("q", 5), stars("r", 1))]}
    assert "the task has several ratings (q, r): say which compares (data.score=q)" in refusal(two)
    unclear = {"data": {"question": "p", "context": "c", "answer": "a"}, "annotations": [annotation(1, stars("q", 5))]}
    assert "'question' and 'context' could be the prompt" in refusal(unclear)


def answered(person: str, value: Any, status: str = "submitted") -> dict[str, Any]:
    return {"user_id": person, "value": value, "status": status}


def test_argilla_rankings_compare_the_fields_that_they_name(read: Any, refusal: Any) -> None:
    ranks = [{"rank": 1, "value": "reply-2"}, {"rank": 2, "value": "reply-1"}, {"rank": 2, "value": "reply-3"}]
    replies = {"reply_1": "a", "reply_2": "b", "reply_3": "c"}
    row = {"instruction": "p", **replies, "order": [answered("u1", ranks), answered("u2", ranks, "draft")]}
    (group,) = read(row).groups
    assert [response.text for response in group.responses] == ["b", "a", "c"]
    wins = (Comparison(0, 1, annotator="u1"), Comparison(0, 2, annotator="u1"))
    assert group.comparisons == (*wins, Comparison(1, 2, tie=True, annotator="u1"))
    second = {
        "instruction": "p",
        **replies,
        "order.responses": [["reply_3", "reply_1"]],
        "order.responses.users": ["u"],
    }
    assert read(second).groups[0].comparisons == (Comparison(0, 1, annotator="u"),)
    assert "names 'reply-9', which is no field" in refusal(
        row | {"order": [answered("u", [{"rank": 1, "value": "reply-9"}, {"rank": 2, "value": "reply-1"}])]}
    )


def test_argilla_ratings_are_averaged_over_those_who_submitted(read: Any, refusal: Any) -> None:
    given = {"quality.responses": [5, 2, 1], "quality.responses.users": ["u", "v", "w"]}
    status = {"quality.responses.status": ["submitted", "submitted", "discarded"]}
    rows = [
        {"prompt": "p", "response": "a", **given, **status},
        {"prompt": "p", "response": "b", "quality.responses": [4], "quality.responses.users": ["u"]},
    ]
    (group,) = read(*rows).groups
    assert (group.scores, group.comparisons) == ((3.5, 4.0), (Comparison(1, 0),))
    both = {"prompt": "p", "response": "a", "style": [answered("u", 3)], "truth": [answered("u", 1)]}
    assert "the record has several ratings (style, truth): say which compares (data.score=style)" in refusal(both)
    assert "no submitted ranking" in refusal({"prompt": "p", "response": "a", "style": [answered("u", 3, "draft")]})


def test_prompts_of_rated_rows_are_read_once(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": text, "score": 1} for text in "ab"]
    assert [group.prompt for group in load_prompts(save(tmp_path / "a.jsonl", *rows))] == ["p"]


@pytest.mark.parametrize(("label", "score"), [("yes", 1.0), ("No", 0.0), ("TRUE", 1.0)])
def test_labels_in_words(read: Any, label: str, score: float) -> None:
    other = {"prompt": "q", "completion": "b", "label": not score}
    assert read({"prompt": "p", "completion": "a", "label": label}, other).groups[0].scores == (score,)
