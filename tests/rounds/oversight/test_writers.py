"""Advisors that are language models: what they are told, what is kept, and what happens where a call fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from oversight_cases import ASKED
from penchant.errors import InputError, RunError
from penchant.judges import VerdictStore
from penchant.rounds.oversight.advisors import Brief, ScriptedAdvisor, statements_of
from penchant.rounds.oversight.load import make_advisor
from penchant.rounds.oversight.presentation import Presenter
from penchant.rounds.oversight.readers import make_reader
from penchant.rounds.oversight.settings import Debate, EndpointAdvisor, OverlapReader, PolicyAdvisor, Scripted, Silent
from penchant.rounds.oversight.writers import WritingPolicy, brief_text
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

BRIEFS = [Brief(question, side) for question in ASKED[:3] for side in (0, 1)]


def served(endpoint: FakeEndpoint, **settings: Any) -> Any:
    base = {"model": "m", "base_url": endpoint.url, "first_wait_s": 0.01, "attempts": 2}
    return make_advisor(EndpointAdvisor(**{**base, **settings}))


def test_an_advisor_is_told_the_passage_and_its_side() -> None:
    text = brief_text(BRIEFS[1])
    assert text.startswith(ASKED[0].passage)
    assert f"You argue that the right answer is: {ASKED[0].answers[1]}" in text
    # both sides see the answers in one order, which tells neither which is right
    assert brief_text(BRIEFS[0]).split("Possible")[1].split("\n")[0] == text.split("Possible")[1].split("\n")[0]
    assert "Said so far" not in text
    later = Brief(ASKED[0], 1, 1, 'Advisor for "rice": no.')
    assert "Said so far:\nAdvisor for" in brief_text(later)
    assert len({BRIEFS[0].key, BRIEFS[1].key, later.key}) == 3


def test_an_endpoint_writes_each_statement_once(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behave = lambda number, request: f"Because {number}."
    with VerdictStore(tmp_path / "v.sqlite") as store:
        said = statements_of(served(endpoint), [*BRIEFS, *BRIEFS], store)
        assert len(endpoint.calls) == len(store) == 6
        assert said[:6] == said[6:]
        assert said[0].tokens == 15
        assert statements_of(served(endpoint), BRIEFS, store) == said[:6]
        assert len(endpoint.calls) == 6
        # how long it waits is no part of what it says; how it samples is
        statements_of(served(endpoint, timeout_s=5), BRIEFS, store)
        assert len(endpoint.calls) == 6
        statements_of(served(endpoint, temperature=1), BRIEFS, store)
    assert len(endpoint.calls) == 12
    # an argument is no verdict: no form is asked for
    assert "response_format" not in endpoint.calls[0]
    assert endpoint.calls[0]["temperature"] == 0.4


def test_calls_that_fail_are_asked_for_again_and_refused_ones_say_nothing(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    failing = BRIEFS[0].held_answer

    def behave(number: int, request: dict[str, Any]) -> Any:
        return 500 if f"answer is: {failing}\n" in request["messages"][0]["content"] else "So it is."

    endpoint.behave = behave
    with VerdictStore(tmp_path / "v.sqlite") as store:
        with pytest.raises(RunError, match="1 of 2 statements are missing"):
            statements_of(served(endpoint), BRIEFS[:2], store)
        assert len(store) == 1
        # a passage that is longer than the server's context
        endpoint.behave = lambda *_: 400
        refused, kept = statements_of(served(endpoint), BRIEFS[:2], store)
    assert (refused.transcript, kept.transcript) == ("", "So it is.")


def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    nobody = EndpointAdvisor(model="m", base_url="http://127.0.0.1:9/v1", attempts=1)
    with pytest.raises(RunError, match="cannot be reached"):
        statements_of(make_advisor(nobody), BRIEFS, None)


def test_an_endpoint_answers_with_the_passage_in_both_orders(endpoint: FakeEndpoint) -> None:
    # the honest judge of lengths
    shares = served(endpoint).answer(ASKED[:6], None)
    lengths = [(len(first), len(second)) for first, second in (question.answers for question in ASKED[:6])]
    assert shares.tolist() == [0.5 if first == second else float(first > second) for first, second in lengths]
    # calls are made side by side, so the first question need not be the first call
    assert any(ASKED[0].passage in call["messages"][0]["content"] for call in endpoint.calls)
    endpoint.behave = lambda *_: "Verdict: A"
    assert served(endpoint).answer(ASKED[:2], None).tolist() == [0.5, 0.5]


def test_a_policy_draws_the_same_of_a_brief_whoever_stands_beside_it(stories: str) -> None:
    advisor = make_advisor(PolicyAdvisor(model=stories, max_tokens=8, temperature=1.0, device="cpu"))
    assert isinstance(advisor, WritingPolicy)
    together = [each.transcript for each in statements_of(advisor, BRIEFS, None)]
    alone = [each.transcript for brief in BRIEFS[:2] for each in statements_of(advisor, [brief], None)]
    assert together[:2] == alone
    assert len(set(together)) > 1
    other = PolicyAdvisor(model=stories, max_tokens=9, device="cpu")
    assert make_advisor(other).identity != advisor.identity


def test_a_passage_that_a_policy_has_no_room_for_is_cut(
    stories: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    advisor = make_advisor(PolicyAdvisor(model=stories, max_tokens=8, device="cpu"))
    assert isinstance(advisor, WritingPolicy)
    long = [
        Brief(type(question)(question.question, question.answers, "Once upon a time. " * 200), 0)
        for question in ASKED[:2]
    ]
    with VerdictStore(tmp_path / "store.sqlite") as store:
        said = statements_of(advisor, [*long, BRIEFS[0]], store)
        assert advisor.cut == 2
        # kept with the statement, so that a count of what is read from the store is the same
        shares_read = [verdict.confidence for verdict in said]
        assert [verdict.confidence for verdict in statements_of(advisor, [*long, BRIEFS[0]], store)] == shares_read
        assert all(share is not None and 0 < share < 1 for share in shares_read[:2])
        assert shares_read[2] is None
        presenter = Presenter(Debate(rounds=1), advisor, store)
        presenter.views([long[0].question, ASKED[0]], make_reader(OverlapReader(rows=40)))
        assert (presenter.counts.passages_cut, presenter.counts.statements) == (2, 4)
    # said once, however many were cut
    assert ["no room for whole passages" in record.message for record in caplog.records].count(True) == 1
    shares = advisor.answer([brief.question for brief in long], None)
    assert ((shares > 0) & (shares < 1)).all()
    # without a passage it is what the model says of question and answers
    bare = type(ASKED[0])(ASKED[0].question, ASKED[0].answers)
    group = PromptGroup(f"\n\nQuestion: {bare.question}\nAnswer:", [f" {answer}" for answer in bare.answers])
    (scores,) = advisor.policy.score([group])
    first = np.exp(scores.double().numpy())
    assert advisor.answer([bare], None)[0] == pytest.approx(first[0] / first.sum())


def test_another_script_says_its_own_things(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ScriptedAdvisor(Scripted()).identity
    assert before == ScriptedAdvisor(Scripted()).identity != ScriptedAdvisor(Scripted(quotes=2)).identity
    # what an earlier version of this package said is not what this one would say
    monkeypatch.setattr("penchant.rounds.oversight.advisors.inspect.getsource", lambda source: "other code")
    assert ScriptedAdvisor(Scripted()).identity != before


def test_a_scripted_advisor_quotes_what_speaks_for_its_answer() -> None:
    advisor = make_advisor(Scripted())
    right = [Brief(question, question.answers.index(_right(question))) for question in ASKED[:4]]
    for brief, statement in zip(right, statements_of(advisor, right, None), strict=True):
        number = brief.question.question.split()[3]
        assert f"<quote>Farmer {number} grows {brief.held_answer}.</quote>" in statement.transcript
    # in a second round another sentence, and none where none is left
    later = [Brief(ASKED[0], 0, turn, "") for turn in range(4)]
    quoted = [each.transcript.count("<quote>") for each in statements_of(advisor, later, None)]
    assert quoted == [1, 1, 1, 0]
    assert (advisor.answer(ASKED, None) > 0.5).tolist() == [
        question.answers[0] == _right(question) for question in ASKED
    ]


def _right(question: Any) -> str:
    return str(next(answer for answer in question.answers if f"grows {answer}." in question.passage))


def test_a_silent_advisor_knows_nothing() -> None:
    advisor = make_advisor(Silent())
    assert [each.transcript for each in statements_of(advisor, BRIEFS, None)] == [""] * 6
    assert advisor.answer(ASKED[:3], None).tolist() == [0.5] * 3


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="nowhere"):
        make_advisor(PolicyAdvisor(model="./nowhere/model")).argue(BRIEFS, lambda *_: None)
