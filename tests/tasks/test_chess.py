"""Chess puzzles: what is asked and what may be answered, rows that cannot be, and the real file."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError, MissingExtra
from penchant.tasks import load_task, task_spec
from penchant.tasks.positions import answer_of, board_of, legal_moves, prompt_of
from penchant.tasks.spec import normalized

chess = pytest.importorskip("chess", reason="needs the package chess: pip install 'penchant[chess]'")

FORK = {
    "FEN": "r6k/pp2r2p/4Rp1Q/3p4/8/1N1P2R1/PqP2bPP/7K b - - 0 24",
    "Moves": "f2g3 e6e7 b2b1 b3c1 b1c1 h6c1",
    "GameUrl": "https://lichess.org/787zsVup/black#48",
}


def read(**row: Any) -> list[Any]:
    return list(task_spec("chess_puzzles").read({**FORK, **row}))


def test_a_puzzle_is_the_position_after_the_opponents_move() -> None:
    (example,) = read()
    assert example.text == (
        "r______k/pp__r__p/____Rp_Q/___p____/________/_N_P__b_/PqP___PP/_______K w - -\nLast move: f2g3\nBest move:"
    )
    assert example.options[example.label] == " e6e7"
    assert list(example.options) == sorted(example.options)
    assert len(example.options) == board_of(example.text).legal_moves.count()
    assert example.group == "787zsVup"
    assert example.classifier_input.responses[example.label].text == " e6e7"


def test_the_game_is_known_however_it_is_written() -> None:
    groups = [read(GameUrl="", GameId=game)[0].group for game in ("787zsVup/black#48", "F8M8OS71#53", "")]
    assert groups == ["787zsVup", "F8M8OS71", ""]


def test_other_mates_in_one_are_no_options() -> None:
    """Both rooks mate on the back rank, and Lichess takes either."""
    fen = "7k/6pp/8/8/3p4/8/8/RR4K1 b - - 0 1"
    for right, other in ((" a1a8", " b1b8"), (" b1b8", " a1a8")):
        (example,) = read(FEN=fen, Moves=f"d4d3{right}")
        assert example.options[example.label] == right
        assert other not in example.options
    (quiet,) = read(FEN=fen, Moves="d4d3 g1f1")  # where the solution does not mate, all moves are there
    assert {" a1a8", " b1b8"} <= set(quiet.options)


def test_promotions_are_options_of_their_own() -> None:
    (example,) = read(FEN="7k/P7/8/8/8/8/8/K7 b - - 0 1", Moves="h8g7 a7a8q")
    assert {" a7a8q", " a7a8r", " a7a8b", " a7a8n"} <= set(example.options)


def test_a_position_with_one_legal_move_asks_nothing() -> None:
    assert read(FEN="r6k/8/8/8/8/8/6P1/7K b - - 0 1", Moves="a8a1 h1h2") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"FEN": "nonsense"}, "no FEN: 'nonsense'"),
        ({"FEN": "8/8/8/8/8/8/8/K7 w - - 0 1"}, "a position that cannot be"),
        ({"Moves": "f2g3"}, "has 1, expected the opponent's move"),
        ({"Moves": "f2f8 e6e7"}, "f2f8"),
        ({"Moves": "f2g3 e6e1q"}, "e6e1q"),
        ({"Moves": "f2g3 wrong"}, "wrong"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    folder = tmp_path / "chess"
    folder.mkdir()
    lines = ["FEN,Moves,GameUrl"] + [
        ",".join({**FORK, **row}[name] for name in ("FEN", "Moves", "GameUrl")) for row in ({}, change)
    ]
    (folder / "lichess_puzzles.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"lichess_puzzles\.csv row 2 is no row of Lichess puzzles") as caught:
        load_task("chess_puzzles", folder=tmp_path)
    assert message in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name == "chess":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"pip install 'penchant\[chess\]'"):
        read()


@given(st.integers(0, 10**9), st.integers(1, 120))
@settings(deadline=None, max_examples=40)
def test_a_prompt_gives_its_position_back(seed: int, plies: int) -> None:
    import random

    draw, board, last = random.Random(seed), chess.Board(), chess.Move.null()
    for _ in range(plies):
        if board.is_game_over():
            break
        last = draw.choice(legal_moves(board))
        board.push(last)
    text = prompt_of(board, last)
    again = board_of(text)
    assert again.epd() == board.epd()
    assert [answer_of(move) for move in legal_moves(again)] == [answer_of(move) for move in legal_moves(board)]
    assert prompt_of(again, last) == text


@pytest.mark.parametrize("text", ["a fine film", "", "8/8/8/8/8/8/8/8 w - -", "________/" * 7 + "________ w - -"])
def test_texts_that_are_no_positions(text: str) -> None:
    with pytest.raises(InputError, match=r"no chess position|cannot be"):
        board_of(text)


def test_puzzles_are_the_hard_side_of_positions_of_games(tmp_path: Path) -> None:
    """Rows of both files are read alike; those to test on are all puzzles."""
    folder = tmp_path / "chess"
    folder.mkdir()
    columns = ("FEN", "Moves", "GameId")
    start = {"FEN": chess.STARTING_FEN, "Moves": "e2e4 e7e5", "GameId": "1"}
    puzzle = {**FORK, "GameId": "787zsVup"}
    for name, row in (("self_play", start), ("lichess_puzzles", puzzle)):
        (folder / f"{name}.csv").write_text(",".join(columns) + "\n" + ",".join(row[name] for name in columns) + "\n")
    data = load_task("chess_easy_to_hard", folder=tmp_path)
    ((easy,), (hard,)) = data.train, data.test
    assert easy.options[easy.label] == " e7e5"
    assert [hard] == read(GameUrl="", GameId="787zsVup")
    with pytest.raises(InputError, match=r"chess_positions: there is no file .*self_play\.csv"):
        load_task("chess_positions", folder=tmp_path / "elsewhere")


def test_the_real_puzzles(shared_data: Any) -> None:
    data = load_task("chess_puzzles", folder=shared_data("chess/lichess_puzzles.csv").parent.parent)
    assert len(data.train) + len(data.test) == 1000
    assert 200 < len(data.test) < 300
    assert not {normalized(e.text) for e in data.train} & {normalized(e.text) for e in data.test}
    places = [e.label / (len(e.options) - 1) for e in data.train]
    assert 0.4 < sum(places) / len(places) < 0.6  # the order gives nothing away
    assert data.spec.classes == ()
