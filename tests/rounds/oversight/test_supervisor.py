"""Protocols as supervisors: each is its control at a limit, and differs from it elsewhere."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oversight_cases import ASKED, EXAMPLES, LEARNED, LEARNED_TRUTH, PASSAGES, TRUTH, Talker, made
from penchant.errors import InputError
from penchant.judges import VerdictStore
from penchant.rounds.oversight.advisors import SilentAdvisor
from penchant.rounds.oversight.load import make_advisor
from penchant.rounds.oversight.presentation import coin
from penchant.rounds.oversight.questions import as_questions
from penchant.rounds.oversight.readers import Case, make_reader
from penchant.rounds.oversight.settings import (
    Blind,
    ClassifierReader,
    Consultancy,
    Debate,
    Ensemble,
    Informed,
    JudgeReader,
    OverlapReader,
    ProtocolSpec,
    Recursive,
    Scripted,
)
from penchant.rounds.oversight.supervisor import Oversight, OversightSupervisor
from penchant.types import PromptGroup, Verdict

SCRIPTED = make_advisor(Scripted())
LEARNED_EXAMPLES = [question.example for question in LEARNED]


def fit(protocol: ProtocolSpec, **changes: Any) -> OversightSupervisor:
    return made(protocol, **changes).supervisor().fit(LEARNED_EXAMPLES, LEARNED_TRUTH)


def accuracy(protocol: ProtocolSpec, **changes: Any) -> float:
    return float((fit(protocol, **changes).predict_proba(EXAMPLES).argmax(1) == TRUTH).mean())


def test_blind_is_the_reader_alone_to_the_bit() -> None:
    # the same cases by hand, past the protocol
    reader = make_reader(OverlapReader(rows=40))
    reader.fit([Case(question.question, question.answers) for question in LEARNED], LEARNED_TRUTH)
    alone = reader.probabilities([Case(question.question, question.answers) for question in ASKED])
    predicted = fit(Blind()).predict_proba(EXAMPLES)
    assert (predicted[:, 0] == alone).all()
    assert (predicted.sum(1) == 1).all()
    assert predicted.shape == (len(EXAMPLES), 2)


@pytest.mark.parametrize("protocol", [Debate(), Debate(rounds=2), Consultancy()])
def test_with_advisors_that_say_nothing_it_is_blind_to_the_bit(protocol: ProtocolSpec) -> None:
    silent = fit(protocol, advisor=SilentAdvisor())
    assert (silent.predict_proba(EXAMPLES) == fit(Blind()).predict_proba(EXAMPLES)).all()
    assert silent.counts.empty == silent.counts.statements > 0
    assert silent.counts.texts_shown == 0


def test_what_is_shown_makes_a_difference() -> None:
    """Every passage has both answers, and the right one in the sentence that names who was asked for."""
    assert accuracy(Informed()) == 1
    assert accuracy(Debate(), advisor=SCRIPTED) == 1
    assert accuracy(Blind()) < 0.8


def test_a_consultancys_accuracy_is_the_mean_over_right_and_wrong_advisors() -> None:
    supervisor = fit(Consultancy(), advisor=SCRIPTED)
    sides = supervisor.by_side(EXAMPLES)
    assert sides.shape == (len(EXAMPLES), 2)
    held = np.array([coin(question, 0) for question in ASKED])
    assert 0 < held.mean() < 1
    # what a coin sent is one of the two, and the other would have said another thing
    assert (supervisor.predict_proba(EXAMPLES)[:, 0] == sides[np.arange(len(held)), held]).all()
    assert not (sides[:, 0] == sides[:, 1]).all()


def test_a_coin_falls_by_content_whatever_the_order() -> None:
    for question in ASKED:
        assert question.answers[coin(question, 3)] == question.swapped.answers[coin(question.swapped, 3)]
    assert [coin(question, 0) for question in ASKED] != [coin(question, 1) for question in ASKED]


class FirstPlace:
    """A reader that prefers the first place, and more so where somebody speaks for it first."""

    has_order, tokens, unreadable, billed = False, 1000, 0, 0

    def length(self, text: str) -> int:
        return len(text.split())

    def fit(self, cases: Any, truth: Any) -> FirstPlace:
        return self

    def probabilities(self, cases: Any) -> Any:
        return np.array(
            [0.9 if case.text_above.startswith(f'Advisor for "{case.answers[0]}"') else 0.6 for case in cases]
        )


def test_a_debate_is_the_mean_of_both_orders() -> None:
    supervisor = fit(Debate(), advisor=SCRIPTED)
    # in the place of the fitted one, whose weights have no place
    supervisor.readers = [FirstPlace()]
    # in each order the answer of who speaks first stands first: both orders cancel
    assert supervisor.predict_proba(EXAMPLES) == pytest.approx(0.5)
    views = supervisor.presenter.views(ASKED[:1], FirstPlace())[0]
    assert [view.swapped for view in views] == [False, True]
    assert views[0].case.answers == views[1].case.answers[::-1]
    first_lines = [view.case.text_above.split("\n")[0] for view in views]
    assert first_lines[0] != first_lines[1]


def test_the_order_of_answers_does_not_count() -> None:
    # marks do not count the order, so that the passages are found
    swapped = [question.swapped.example for question in ASKED]
    for protocol in (Blind(), Informed(), Debate()):
        supervisor = fit(protocol, advisor=SCRIPTED)
        assert supervisor.predict_proba(swapped) == pytest.approx(supervisor.predict_proba(EXAMPLES)[:, ::-1])


def test_later_rounds_know_what_was_said() -> None:
    # its first calls are for the labelled questions, round by round
    talker = Talker()
    fit(Debate(rounds=2), advisor=talker)
    first, second = talker.briefs[:2], talker.briefs[len(talker.briefs) // 2 :][:2]
    assert [brief.history for brief in first] == ["", ""]
    assert all("It is" in brief.history and brief.turn == 1 for brief in second)
    # both sides of a round speak at once
    assert second[0].history == second[1].history
    assert second[0].held_answer != second[1].held_answer


def test_quotes_are_counted_and_made_up_ones_marked_for_the_reader() -> None:
    supervisor = fit(Debate(), advisor=Talker("It is {held}. <quote>Everybody knows {held}</quote>"))
    supervisor.predict_proba(EXAMPLES)
    counts = supervisor.counts
    assert (counts.statements, counts.quotes, counts.verified) == (60, 60, 0)
    case = supervisor.presenter.views(ASKED[:1], supervisor.readers[0])[0][0].case
    assert case.text_above.count("does not stand in the passage") == 2
    honest = fit(Debate(), advisor=SCRIPTED)
    honest.predict_proba(EXAMPLES)
    assert honest.counts.verified == honest.counts.quotes == 60
    assert honest.counts.written > 0


def test_what_has_no_room_is_cut_and_counted() -> None:
    long = fit(Debate(), advisor=Talker("word " * 300 + "{held}"), reader=OverlapReader(rows=40, tokens=100))
    long.predict_proba(EXAMPLES)
    # both orders of each question
    assert (long.counts.cut, long.counts.texts_shown) == (60, 60)
    for view in long.presenter.views(ASKED[:3], long.readers[0])[0]:
        assert long.readers[0].length(view.case.prompt) <= 100
    # a question that leaves no room at all is asked alone
    full = fit(Debate(), advisor=SCRIPTED, reader=OverlapReader(rows=40, tokens=5))
    assert (full.predict_proba(EXAMPLES) == fit(Blind()).predict_proba(EXAMPLES)).all()
    assert full.counts.cut == full.counts.texts_shown


def test_a_killed_run_writes_only_what_is_missing(tmp_path: Path) -> None:
    killed = Talker(stops_after=25)
    with VerdictStore(tmp_path / "v.sqlite") as store, pytest.raises(KeyboardInterrupt):
        fit(Debate(), advisor=killed, store=store)
    # another process with an advisor of the same identity
    resumed, whole = Talker(), Talker()
    with VerdictStore(tmp_path / "v.sqlite") as store:
        assert len(store) == 25
        after = fit(Debate(), advisor=resumed, store=store).predict_proba(EXAMPLES)
    expected = fit(Debate(), advisor=whole).predict_proba(EXAMPLES)
    assert (after == expected).all()
    assert len(killed.briefs) + len(resumed.briefs) == len(whole.briefs)
    # one that may not speak at all: everything is there
    again = Talker(stops_after=0)
    with VerdictStore(tmp_path / "v.sqlite") as store:
        assert (fit(Debate(), advisor=again, store=store).predict_proba(EXAMPLES) == expected).all()


def test_an_ensemble_of_one_is_the_blind_reader_and_of_several_their_mean() -> None:
    assert (fit(Ensemble(draws=1)).predict_proba(EXAMPLES) == fit(Blind()).predict_proba(EXAMPLES)).all()
    # each draw leaves out about a third of the questions
    several = fit(Ensemble(draws=3))
    assert len(several.readers) == 3
    apart = [
        reader.probabilities([Case(question.question, question.answers) for question in ASKED])
        for reader in several.readers
    ]
    assert not (apart[0] == apart[1]).all()
    assert several.predict_proba(EXAMPLES)[:, 0] == pytest.approx(np.mean(apart, 0))
    # another seed draws other questions
    assert not (fit(Ensemble(draws=3), seed=1).predict_proba(EXAMPLES) == several.predict_proba(EXAMPLES)).all()


def test_a_chain_labels_what_it_did_not_learn(tiny_model: str) -> None:
    protocol = Recursive(chain=[{"name": "probe", "model": tiny_model}, {"name": "probe", "model": tiny_model}])
    supervisor = made(protocol).supervisor()
    with pytest.raises(InputError, match="as `unlabeled`"):
        supervisor.fit(LEARNED_EXAMPLES, LEARNED_TRUTH)
    supervisor.fit(LEARNED_EXAMPLES, LEARNED_TRUTH, unlabeled=EXAMPLES[:20])
    assert supervisor.chain is not None
    assert sorted(supervisor.chain.half_of.values()) == [0] * 10 + [1] * 10
    both = [student.predict_proba(EXAMPLES)[:, 0] for student in supervisor.chain.students]
    shares = supervisor.predict_proba(EXAMPLES)[:, 0]
    assert shares[20:] == pytest.approx(np.mean(both, 0)[20:])
    halves = list(supervisor.chain.half_of.values())
    assert shares[0] in (both[0][0], both[1][0])
    assert len(halves) == 20


def test_a_protocol_comes_back_as_it_was_saved(tmp_path: Path, tiny_model: str) -> None:
    probe = ClassifierReader(classifier={"name": "probe", "model": tiny_model}, rows=40)
    chain = Recursive(chain=[{"name": "probe", "model": tiny_model}])
    for number, (protocol, changes) in enumerate(
        [(Debate(), {"advisor": SCRIPTED}), (Ensemble(draws=2), {"reader": probe}), (chain, {})]
    ):
        oversight = made(protocol, **changes)
        rest = {"unlabeled": EXAMPLES[:20]} if protocol is chain else {}
        supervisor = oversight.supervisor().fit(LEARNED_EXAMPLES, LEARNED_TRUTH, **rest)
        supervisor.save(tmp_path / str(number))
        loaded = OversightSupervisor.load(tmp_path / str(number), oversight)
        assert (loaded.predict_proba(EXAMPLES) == supervisor.predict_proba(EXAMPLES)).all()
        assert loaded.learned_marks == supervisor.learned_marks
    with pytest.raises(InputError, match="another protocol"):
        OversightSupervisor.load(tmp_path / "0", made(Blind()))
    with pytest.raises(InputError, match="fitted first"):
        made(Blind()).supervisor().save(tmp_path / "none")


def test_bad_input_is_named() -> None:
    supervisor = fit(Informed())
    for example, message in (
        (PromptGroup("q", ["only one"]), "two answers: it has 1"),
        (PromptGroup("q", ["a", "b", "c"]), "two answers: it has 3"),
        ("text", "two answers: it has 0"),
    ):
        with pytest.raises(InputError, match=message):
            supervisor.predict_proba([example])
    with pytest.raises(InputError, match="1 of 1 questions have no passage"):
        supervisor.predict_proba([PromptGroup("unknown", ["a", "b"])])
    with pytest.raises(InputError, match="needs an advisor"):
        fit(Debate())
    with pytest.raises(InputError, match="fitted first"):
        made(Blind()).supervisor().predict_proba(EXAMPLES)
    with pytest.raises(InputError, match="learns from labelled examples alone"):
        made(Blind()).supervisor().fit(LEARNED_EXAMPLES, LEARNED_TRUTH, unlabeled=EXAMPLES)
    assert supervisor.predict_proba([]).shape == (0, 2)


def test_passages_are_found_whatever_the_order_of_answers() -> None:
    (question,) = as_questions([ASKED[0].swapped.example], PASSAGES)
    assert question.passage == ASKED[0].passage


def test_a_prompted_model_reads_more_with_more_above_the_question(tiny_model: str) -> None:
    words = {"name": "lm", "model": tiny_model, "reading": {"name": "words"}, "training": None, "device": "cpu"}
    reader = ClassifierReader(classifier=words, rows=12, tokens=110)
    few = {"passages": PASSAGES, "reader": reader}
    supervisors = [
        Oversight(protocol, advisor=SCRIPTED, **few).supervisor().fit(LEARNED_EXAMPLES[:12], LEARNED_TRUTH[:12])
        for protocol in (Blind(), Informed())
    ]
    blind, informed = (each.predict_proba(EXAMPLES[:4]) for each in supervisors)
    assert not (blind == informed).any()
    read = [each.counts.read for each in supervisors]
    # in bytes, which are this model's tokens; passages that are longer than the room are cut
    assert read[0] < read[1] <= 4 * 110
    assert supervisors[1].counts.cut == 4


class Places:
    """A judge that says A, surely or not at all."""

    identity = "places"

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts, self.asked = verdicts, list[Any]()

    def judge_many(self, questions: Any, done: Any) -> None:
        self.asked += questions
        for index in range(len(questions)):
            done(index, self.verdicts[index % len(self.verdicts)])


def test_a_judge_is_asked_in_both_orders_and_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # in turn: every second answer cannot be read
    judge = Places(Verdict("a", 0.8, tokens=7), Verdict("unparseable", tokens=7))
    monkeypatch.setattr("penchant.rounds.oversight.readers.make_judge", lambda settings: judge)
    reader = JudgeReader(judge={"name": "longest"})
    supervisor = Oversight(Debate(), reader, SCRIPTED, PASSAGES).supervisor().fit([], [])
    predicted = supervisor.predict_proba(EXAMPLES[:5])
    # the first order says .8 for its first answer; of the second nothing is known
    assert predicted[:, 0] == pytest.approx((0.8 + 0.5) / 2)
    assert (supervisor.counts.unreadable, supervisor.billed) == (5, 70)
    assert len(judge.asked) == 10
    assert "What was said on it" in judge.asked[0].prompt
    assert (judge.asked[0].a, judge.asked[0].b) == (judge.asked[1].b, judge.asked[1].a)
    blind = replace(supervisor.made_of, protocol=Blind(), advisor=None).supervisor().fit([], [])
    blind.predict_proba(EXAMPLES[:5])
    assert judge.asked[-1].prompt == ASKED[4].question


def test_copies_of_a_judge_are_asked_once_and_count_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Places(Verdict("a", 0.8, tokens=7))
    monkeypatch.setattr("penchant.rounds.oversight.readers.make_judge", lambda settings: judge)
    reader = JudgeReader(judge={"name": "longest"})
    blind = Oversight(Blind(), reader, None, PASSAGES).supervisor().fit([], [])
    expected = blind.predict_proba(EXAMPLES[:5])
    supervisor = Oversight(Ensemble(draws=5), reader, None, PASSAGES).supervisor().fit([], [])
    assert (supervisor.predict_proba(EXAMPLES[:5]) == expected).all()
    # nobody asked or paid five times
    assert (supervisor.billed, supervisor.counts.read) == (blind.billed, blind.counts.read)
    # beside other members it has the weight of its copies
    supervisor.made_of = replace(
        supervisor.made_of, protocol=Ensemble(draws=5, members=[{"name": "probe", "model": "penchant-0.5m"}])
    )
    other = fit(Blind()).readers[0]
    supervisor.readers = [supervisor.readers[0], *[other] * 5]
    mixed, alone = supervisor.predict_proba(EXAMPLES[:5])[:, 0], fit(Blind()).predict_proba(EXAMPLES[:5])[:, 0]
    assert mixed == pytest.approx((expected[:, 0] + alone) / 2)


def test_calls_that_failed_are_an_error_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    judge = Places(Verdict("a"), Verdict("unparseable", final=False))
    monkeypatch.setattr("penchant.rounds.oversight.readers.make_judge", lambda settings: judge)
    with VerdictStore(tmp_path / "v.sqlite") as store:
        oversight = Oversight(Blind(), JudgeReader(judge={"name": "longest"}), None, PASSAGES, store)
        with pytest.raises(Exception, match="5 of 10 questions have no verdict"):
            oversight.supervisor().fit([], []).predict_proba(EXAMPLES[:5])
        assert len(store) == 5
