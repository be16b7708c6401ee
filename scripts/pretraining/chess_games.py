"""Positions with the move to play, from games that an engine plays against itself with some random moves.

Without an engine: random legal moves, captures preferred, and the answer is the capture of the most valuable piece.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import chess
import chess.engine

from penchant.tasks.positions import answer_of, legal_moves, prompt_of

VALUES = {chess.PAWN: 1, chess.KNIGHT: 3, chess.BISHOP: 3, chess.ROOK: 5, chess.QUEEN: 9, chess.KING: 0}
MATE = 100_000


@dataclass(frozen=True)
class Play:
    """How games go and which of their positions are kept."""

    depth: int = 5
    """Plies that the engine looks ahead."""
    random_moves: float = 0.25
    """Share of moves that are drawn: blunders to punish."""
    second_best: float = 0.15
    """Share of moves that are the engine's second choice."""
    margin: int = 100
    """Centipawns by which the best move beats the second: such a position is kept always."""
    others: float = 0.15
    """Share of other positions that are kept."""
    longest: int = 120
    """Plies of a game."""


@dataclass(frozen=True)
class Position:
    """A prompt in the task's format, its answer, and the same with colours swapped.

    Attributes:
        fen: the position before the last move, as rows of puzzles have it. game: its number among the games.
    """

    key: str
    prompt: str
    answer: str
    mirrored: tuple[str, str]
    fen: str
    game: int


def key_of(board: chess.Board) -> str:
    """Return placement and side to move: what two positions that are the same share, whatever the way there."""
    return " ".join(board.epd().split(" ")[:2])


def games(engine: chess.engine.SimpleEngine | None, play: Play, seed: int) -> Iterator[list[Position]]:
    """Yield the positions of games without end; each game is drawn from (seed, its number) alone."""
    for number in itertools.count():
        yield _game(engine, play, random.Random(f"{seed} {number}"), number)


def _game(engine: chess.engine.SimpleEngine | None, play: Play, draw: random.Random, number: int) -> list[Position]:
    board, positions = chess.Board(), list[Position]()
    game = object()  # tells the engine by its identity that another game began
    last: chess.Move | None = None
    while len(board.move_stack) < play.longest and not board.is_game_over(claim_draw=True):
        best, second, is_clear = _opinion(engine, play, board, game, draw)
        if last is not None and board.legal_moves.count() > 1 and (is_clear or draw.random() < play.others):
            positions.append(_position(board, last, best, number))
        chance = draw.random()
        if chance < play.random_moves:
            last = draw.choice(legal_moves(board))
        else:
            last = second if chance < play.random_moves + play.second_best else best
        board.push(last)
    return positions


def _opinion(
    engine: chess.engine.SimpleEngine | None, play: Play, board: chess.Board, game: object, draw: random.Random
) -> tuple[chess.Move, chess.Move, bool]:
    """Return the best move, the second, and whether the best is so by a margin."""
    if engine is None:
        moves = legal_moves(board)
        draw.shuffle(moves)  # the sort is stable: among captures of one value chance decides
        moves.sort(key=lambda move: -_captured_value(board, move))
        return moves[0], moves[-1], _captured_value(board, moves[0]) > 0
    lines = engine.analyse(board, chess.engine.Limit(depth=play.depth), multipv=2, game=game)
    moves = [line["pv"][0] for line in lines]
    scores = [line["score"].relative.score(mate_score=MATE) for line in lines]
    return moves[0], moves[-1], len(moves) > 1 and scores[0] - scores[1] >= play.margin


def _captured_value(board: chess.Board, move: chess.Move) -> int:
    """Return the value of the piece that a move takes."""
    piece = board.piece_type_at(move.to_square)
    # a pawn that is taken en passant does not stand where the move ends; it is worth 1
    return VALUES[piece] if piece is not None else int(board.is_en_passant(move))


def _position(board: chess.Board, last: chess.Move, best: chess.Move, game: int) -> Position:
    other, before = board.mirror(), board.copy()
    before.pop()
    mirrored = prompt_of(other, _swapped(last)), answer_of(_swapped(best))
    return Position(key_of(board), prompt_of(board, last), answer_of(best), mirrored, before.fen(), game)


def _swapped(move: chess.Move) -> chess.Move:
    start, end = chess.square_mirror(move.from_square), chess.square_mirror(move.to_square)
    return chess.Move(start, end, promotion=move.promotion)
