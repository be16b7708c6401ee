"""Chess: Lichess puzzles, and positions of an engine's own games. Needs `penchant[chess]`.

A puzzle asks which legal move solves the position after the opponent's first one, and a position of a game which move
the engine played. Both have the same columns.

Only the first move of the solution is asked for. Lichess takes any mate in one for solved: where the solution mates at
once, other moves that mate too are no options here, so that nothing right counts as wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from penchant.tasks.positions import answer_of, is_mate, legal_moves, prompt_of, valid_board
from penchant.tasks.spec import TaskRow, task
from penchant.types import LabeledExample


@task(
    title="Lichess puzzles",
    hub="Lichess/chess-puzzles",
    splits=("train[:40000]", "train[40000:50000]"),  # of millions; they are sorted by an id that is drawn
    local=("chess/lichess_puzzles.csv",),
    classes=(),
)
def chess_puzzles(row: TaskRow) -> Iterator[LabeledExample]:
    """Read a puzzle: the position, and its legal moves as options."""
    moves = row["Moves"].split()
    if len(moves) < 2:
        raise ValueError(f"`Moves` has {len(moves)}, expected the opponent's move and the solver's")
    board = valid_board(row["FEN"])
    # the first move is the opponent's, and the solver answers it
    last = board.parse_uci(moves[0])
    board.push(last)
    right = board.parse_uci(moves[1])
    options = legal_moves(board)
    if is_mate(board, right):
        # Lichess takes any mate in one as solved, so another one is no wrong answer
        options = [move for move in options if move == right or not is_mate(board, move)]
    if len(options) > 1:  # else there is nothing to choose
        written = tuple(answer_of(move) for move in options)
        yield LabeledExample(prompt_of(board, last), options.index(right), _game(row), written)


@task(
    title="Chess positions",
    local=("chess/self_play.csv",),
    classes=(),
)
def chess_positions(row: TaskRow) -> Iterator[LabeledExample]:
    """Read a position of a game that an engine played against itself, and the engine's move."""
    # scripts/pretrain_chess.py writes them in the columns of puzzles: position, last move and answer, game
    yield from chess_puzzles.read(row)


@task(
    title="Chess positions, tested on puzzles",
    local=("chess/self_play.csv", "chess/lichess_puzzles.csv"),
    classes=(),
)
def chess_easy_to_hard(row: TaskRow) -> Iterator[LabeledExample]:
    """Read a position of a game to train on, or a puzzle to test on: one move wins there, and looks odd."""
    yield from chess_puzzles.read(row)


def _game(row: TaskRow) -> str:
    """Return the id of a puzzle's game, whose puzzles stay together."""
    # the data once had the game's address here, and has had its id with a side and a ply since
    address = str(row.get("GameId") or row.get("GameUrl") or "").removeprefix("https://lichess.org/")
    return address.partition("#")[0].partition("/")[0]
