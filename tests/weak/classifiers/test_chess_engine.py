"""A chess engine as a supervisor. Needs Stockfish; without it what does not run it is tested all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from penchant.errors import InputError, MissingExtra
from penchant.tasks.positions import answer_of, legal_moves, prompt_of
from penchant.types import PromptGroup
from penchant.weak.classifiers.chess_engine import ChessEngineClassifier, running_engine
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.settings import ChessEngine, ClassifierSpec, StudentSpec

chess = pytest.importorskip("chess", reason="needs the package chess: pip install 'penchant[chess]'")

HANGING = "4k3/8/8/3q4/4P3/8/8/4K3 w - -"  # the queen can be taken
MATE = "6k1/5ppp/8/8/8/8/8/R5K1 w - -"  # on the back rank


def asked(fen: str) -> PromptGroup:
    board = chess.Board(f"{fen} 0 1")
    return PromptGroup(prompt_of(board, chess.Move.from_uci("a7a6")), [answer_of(move) for move in legal_moves(board)])


POSITIONS = [asked(HANGING), asked(MATE)]


def fitted(**settings: Any) -> ChessEngineClassifier:
    return ChessEngineClassifier(ChessEngine(**settings)).fit(POSITIONS, [0, 1])


def chosen(found: np.ndarray) -> list[str]:
    return [group.responses[row.argmax()].text for group, row in zip(POSITIONS, found, strict=True)]


def test_it_takes_a_queen_and_mates(stockfish: str) -> None:
    found = fitted(depth=4).predict_proba(POSITIONS)
    assert chosen(found) == [" e4d5", " a1a8"]
    np.testing.assert_allclose(found.sum(-1), 1)
    counts = [len(group.responses) for group in POSITIONS]
    assert found.shape == (2, max(counts))
    assert found[np.argmin(counts), min(counts) :].sum() == 0


def test_the_same_twice_whatever_it_saw_before(stockfish: str) -> None:
    made = fitted(depth=5)
    together = made.predict_proba([POSITIONS[1], POSITIONS[0], POSITIONS[1]])
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[1], made.predict_proba(POSITIONS[:1])[0])


def test_every_setting_counts(stockfish: str) -> None:
    base = fitted(depth=4).predict_proba(POSITIONS)
    hot, hard = (
        fitted(depth=4, **change).predict_proba(POSITIONS) for change in ({"temperature": 1000}, {"multipv": 1})
    )
    assert hot[0].max() < base[0].max()
    assert set(np.unique(hard)) == {0.0, 1.0}
    three = fitted(depth=4, multipv=3, temperature=1000).predict_proba(POSITIONS)
    assert (three > 0).sum(-1).tolist() == [3, 3]
    assert not np.array_equal(fitted(depth=1).predict_proba(POSITIONS), base)
    few = fitted(depth=None, nodes=50).predict_proba(POSITIONS)
    assert not np.array_equal(few, fitted(depth=None, nodes=5000).predict_proba(POSITIONS))
    with pytest.raises(MissingExtra, match="no chess engine 'deep-thought'"):
        fitted(path="deep-thought")


def test_only_the_options_are_considered(stockfish: str) -> None:
    some = PromptGroup(POSITIONS[1].prompt, [" a1a2", " a1b1"])
    found = fitted(depth=3).predict_proba([some])
    np.testing.assert_allclose(found[0, :2].sum(), 1)


def test_nothing_is_learned(stockfish: str) -> None:
    one = ChessEngineClassifier(ChessEngine()).fit(POSITIONS, [0, 1], classes=20).predict_proba(POSITIONS)
    other = ChessEngineClassifier(ChessEngine()).fit(POSITIONS, [3, 2], classes=20).predict_proba(POSITIONS)
    np.testing.assert_array_equal(one, other)


def test_what_is_saved_opens_and_does_not_choose_the_program(stockfish: str, tmp_path: Path) -> None:
    made = make_classifier(ChessEngine(depth=3, temperature=50, multipv=4)).fit(POSITIONS, [0, 1])
    made.save(tmp_path)
    assert "path" not in (tmp_path / "classifier.json").read_text()
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(POSITIONS), made.predict_proba(POSITIONS))


def test_what_is_no_position_is_refused(stockfish: str) -> None:
    for examples, message in (
        (["a fine film"], "example 0 is a text or a picture without options"),
        ([PromptGroup("a fine film", ["yes", "no"])], "no chess position"),
        ([PromptGroup(POSITIONS[0].prompt, [" e4d5", " e1e8"])], "e1e8"),
        ([PromptGroup(POSITIONS[0].prompt, [" e4d5", " yes"])], "yes"),
    ):
        with pytest.raises(InputError, match=message):
            ChessEngineClassifier(ChessEngine()).fit(examples, [0])
    wide = PromptGroup(POSITIONS[1].prompt, POSITIONS[1].responses)
    with pytest.raises(InputError, match="more than the 2"):
        ChessEngineClassifier(ChessEngine()).fit([PromptGroup(wide.prompt, [" a1a2", " a1b1"])], [0]).predict_proba(
            [wide]
        )


def test_no_fit_no_limit_no_engine(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="call fit"):
        ChessEngineClassifier(ChessEngine()).predict_proba(POSITIONS)
    with pytest.raises(InputError, match="call fit"):
        ChessEngineClassifier(ChessEngine()).save(tmp_path)
    with pytest.raises(InputError, match="thinks for ever"):
        ChessEngine(depth=None)
    with pytest.raises(InputError, match="is no engine that speaks UCI"), running_engine("true"):
        pass


def test_it_supervises_but_does_not_learn() -> None:
    assert TypeAdapter(ClassifierSpec).validate_python({"name": "engine", "depth": 2}).label == "stockfish, depth 2"
    long = ChessEngine(depth=None, nodes=10, multipv=2, temperature=50)
    assert long.label == "stockfish, 10 nodes, best 2, 50 centipawns"
    with pytest.raises(ValidationError, match="engine"):
        TypeAdapter(StudentSpec).validate_python({"name": "engine"})
