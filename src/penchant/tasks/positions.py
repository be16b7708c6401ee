"""Chess positions as text, and back. Needs the extra `penchant[chess]` (the package `chess` is GPL-3), imports it late.

    r_bk___r/p__pBpNp/n____n__/1p_NP__P/6P_/3P____/P_P_K___/q_____b_ w - -
    Last move: e8d8
    Best move:

The first line is a FEN without its counters, with an underscore for each empty square: so each square has its fixed
place, and two positions differ in what a reader of letters and digits sees. Answers are in UCI, a space before them:
standard notation would mark checks and mates and so give answers away.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING

from penchant.errors import InputError, MissingExtra

if TYPE_CHECKING:
    import chess

QUESTION = "Best move:"
_FIRST = re.compile(r"((?:[pnbrqkPNBRQK_]{8}/){7}[pnbrqkPNBRQK_]{8}) ([wb]) (\S+) (\S+)")


def chess_library() -> ModuleType:
    """Return the module `chess`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import chess
    except ImportError as error:
        raise MissingExtra("chess needs the package `chess` (GPL-3): pip install 'penchant[chess]'") from error
    return chess


def prompt_of(board: chess.Board, last: chess.Move) -> str:
    """Return the position with the question what to play, `last` being the move that led to it."""
    placement, rest = board.epd(en_passant="legal").split(" ", 1)
    # a FEN writes runs of empty squares as digits, and the squares after them shift: a small model would have to count
    written = re.sub(r"\d", lambda digit: "_" * int(digit[0]), placement)
    return f"{written} {rest}\nLast move: {last.uci()}\n{QUESTION}"


def answer_of(move: chess.Move) -> str:
    """Return a move as it continues the prompt."""
    return f" {move.uci()}"


def board_of(text: str) -> chess.Board:
    """Return the position that a prompt states in its first line.

    Raises:
        InputError: there is none, or it cannot be.
    """
    chess = chess_library()
    match = _FIRST.match(text)
    if match is None:
        raise InputError(
            f"this is no chess position: {text[:60]!r}; expected a line such as {prompt_line(chess.Board())!r}"
        )
    # and back: a run of empty squares is a digit again
    placement = re.sub("_+", lambda run: str(len(run[0])), match[1])
    return valid_board(f"{placement} {match[2]} {match[3]} {match[4]} 0 1")


def prompt_line(board: chess.Board) -> str:
    """Return the first line of a prompt."""
    return prompt_of(board, chess_library().Move.null()).partition("\n")[0]


def valid_board(fen: str) -> chess.Board:
    """Return the position of a FEN.

    Raises:
        InputError: it is no FEN, or a position that cannot be (no king, the side that waits in check, ...).
    """
    library = chess_library()
    try:
        board: chess.Board = library.Board(fen)
    except ValueError as error:
        raise InputError(f"no FEN: {fen!r} ({error})") from error
    if not board.is_valid():
        raise InputError(f"a position that cannot be: {fen!r} ({board.status()!r})")
    return board


def legal_moves(board: chess.Board) -> list[chess.Move]:
    """Return the legal moves in the order of their names, which says nothing of which is good."""
    return sorted(board.legal_moves, key=lambda move: move.uci())


def is_mate(board: chess.Board, move: chess.Move) -> bool:
    """Return whether this legal move ends the game at once."""
    board.push(move)
    mated = board.is_checkmate()
    board.pop()
    return mated
